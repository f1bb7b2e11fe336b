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
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return // the process has ended; collect knows
		}
		if f.Type != wire.TypeEvent {
			if lk != nil {
				lk.toClone(f)
			}
			continue
		}
		msg, err := f.Message()
		if err != nil {
			m.o.Log.Error("runner's event", "error", err)
			continue
		}
		var e runner.Event
		if err := json.Unmarshal(msg.(*wire.Event).Json, &e); err != nil {
			m.o.Log.Error("runner's event", "error", err)
			continue
		}
		if e.Ready != nil && e.Ready.Pinned != "" {
			settled()
		} else if e.Ready != nil {
			willing()
		}
		m.events <- e
		if e.Exit != nil {
			return
		}
	}
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

// every calls f until it returns false or stop is called.
func every(d time.Duration, f func() bool) (stop func()) {
	done := make(chan struct{})
	go func() {
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
	return func() { close(done) }
}
