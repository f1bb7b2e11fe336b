package device

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// readRunner takes the runner's frames: its events are for us, all others for
// the clone.
func (m *manager) readRunner(lk *linkKeeper) {
	settled := sync.OnceFunc(func() { close(m.settled) })
	willing := sync.OnceFunc(func() { close(m.willing) })
	defer settled()
	r := wire.NewReader(m.p.Conn(), wire.ReaderConfig{})
	var told []*wire.Frame // events, which wait while frames for the clone are there
	for {
		f, err := r.ReadHead()
		if err != nil {
			return // the process has ended; collect knows
		}
		if f.Type == wire.TypeEvent || lk == nil {
			err = r.ReadBody(f)
		} else {
			err = lk.toClone(f, r)
		}
		if err != nil {
			return
		}
		if f.Type == wire.TypeEvent {
			told = append(told, f)
		}
		if r.Buffered() >= wire.HeaderSize && len(told) < maxTold {
			continue
		}
		for _, f := range told {
			if last := m.event(f, settled, willing); last {
				return
			}
		}
		told = told[:0]
	}
}

// maxTold bounds the events that wait.
const maxTold = 64

// event passes an event of the runner on. last says that none follows.
func (m *manager) event(f *wire.Frame, settled, willing func()) (last bool) {
	msg, err := f.Message()
	if err != nil {
		m.o.Log.Error("runner's event", "error", err)
		return false
	}
	var e runner.Event
	if err := json.Unmarshal(msg.(*wire.Event).Json, &e); err != nil {
		m.o.Log.Error("runner's event", "error", err)
		return false
	}
	if e.Ready != nil && e.Ready.Pinned != "" {
		settled()
	} else if e.Ready != nil {
		willing()
	}
	m.events <- e
	return e.Exit != nil
}

// watchEvery is how often the conditions are looked at that end offloads.
const watchEvery = 200 * time.Millisecond

// watchOutput abandons attempts when nobody reads the guest's stdout any more
// (PROTOCOL rule 20). The guest finds out when it writes, as it would alone.
func watchOutput(stdout *os.File, lk *linkKeeper) (stop func()) {
	if stdout == nil {
		return func() {}
	}
	return every(watchEvery, func() bool {
		if !readerGone(stdout) {
			return true
		}
		lk.abandon("nobody reads the program's output any more")
		return false
	})
}

// watchSwitch ends offloads when `clonecloud off` is called elsewhere.
func watchSwitch(store *identity.Store, lk *linkKeeper) (stop func()) {
	return every(watchEvery, func() bool {
		if store.Enabled() {
			return true
		}
		lk.switchOff()
		return false
	})
}

// every calls f until it returns false or stop is called. After stop f does not
// run any more, so that what it uses may be closed.
func every(d time.Duration, f func() bool) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				if !f() {
					return
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended // f may be looking at what the caller is about to close
	}
}
