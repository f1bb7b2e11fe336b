package device

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/relay"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// readRunner takes the runner's frames: its events are for us, all others for
// the clone.
func (m *manager) readRunner(lk *linkKeeper) {
	t := newTeller(m)
	defer close(m.read)
	defer t.settled()
	defer t.wait()
	slow := func(f *wire.Frame, r *wire.Reader) error {
		if f.Type != wire.TypeEvent && lk != nil {
			return lk.toClone(f, r)
		}
		err := r.ReadBody(f)
		if f.Type == wire.TypeEvent && t.add(f) {
			t.wait()
		}
		return err
	}
	// An error is the process's end, which collect notices.
	_ = relay.Serve(m.loop, m.p.Conn(), relay.Handler{
		Frame: slow,
		Idle: func() {
			t.start()
			lk.flush()
		},
		Quick: func(f *wire.Frame, r *wire.Reader) error {
			if f.Type != wire.TypeEvent {
				return lk.toCloneNow(f, r)
			}
			t.add(f)
			return r.ReadBody(f)
		},
		Hasty: func(h wire.Header) bool {
			if h.Type == wire.TypeEvent {
				return !t.full()
			}
			return lk.hasty(h)
		},
	})
}

// teller passes the runner's events on, beside the loop. They wait while frames
// for the clone are there: nobody waits for them.
type teller struct {
	m                *manager
	settled, willing func()

	mu   sync.Mutex
	done sync.Cond // busy has become false
	told []*wire.Frame
	busy bool
}

// maxTold bounds the events that wait.
const maxTold = 64

func newTeller(m *manager) *teller {
	t := &teller{m: m, settled: sync.OnceFunc(func() { close(m.settled) }), willing: sync.OnceFunc(func() { close(m.willing) })}
	t.done.L = &t.mu
	return t
}

// add takes an event, and reports whether too many wait.
func (t *teller) add(f *wire.Frame) (full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = append(t.told, f)
	if len(t.told) >= maxTold/2 {
		t.startLocked()
	}
	return len(t.told) >= maxTold
}

func (t *teller) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.told) >= maxTold
}

// start has the events passed on that wait.
func (t *teller) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.startLocked()
}

func (t *teller) startLocked() {
	if !t.busy && len(t.told) > 0 {
		t.busy = true
		go t.tell()
	}
}

// wait waits until all events are passed on.
func (t *teller) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.startLocked(); t.busy; {
		t.done.Wait()
	}
}

func (t *teller) tell() {
	for {
		t.mu.Lock()
		all := t.told
		t.told = nil
		if len(all) == 0 {
			t.busy = false
			t.done.Broadcast()
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for _, f := range all {
			t.event(f)
		}
	}
}

// event passes an event on.
func (t *teller) event(f *wire.Frame) {
	msg, err := f.Message()
	if err != nil {
		t.m.o.Log.Error("runner's event", "error", err)
		return
	}
	var e runner.Event
	if err := json.Unmarshal(msg.(*wire.Event).Json, &e); err != nil {
		t.m.o.Log.Error("runner's event", "error", err)
		return
	}
	switch {
	case e.Exit != nil, e.Ready != nil && e.Ready.Pinned != "":
		t.settled()
	case e.Ready != nil:
		t.willing()
	}
	select {
	case t.m.events <- e:
	case <-t.m.over: // nobody listens any more
	}
}

// watchEvery is how often the conditions are looked at that end offloads.
const watchEvery = 200 * time.Millisecond

// watchOutput ends offloads when nobody reads the guest's stdout any more
// (PROTOCOL rule 20): whatever moved then would move for nobody. The guest finds
// out when it writes, as it would alone.
func watchOutput(stdout *os.File, lk *linkKeeper) (stop func()) {
	if stdout == nil {
		return func() {}
	}
	return every(watchEvery, func() bool {
		if !readerGone(stdout) {
			return true
		}
		lk.switchOff("nobody reads the program's output any more")
		return false
	})
}

// watchSwitch ends offloads when `clonecloud off` is called elsewhere.
func watchSwitch(store *identity.Store, lk *linkKeeper) (stop func()) {
	return every(watchEvery, func() bool {
		if store.Enabled() {
			return true
		}
		lk.switchOff("offloading was switched off")
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
