package shape

import (
	"net"
	"os"
	"sync"
	"time"
)

// item is something on its way: bytes, or the error that ends them.
type item struct {
	at   time.Time
	data []byte
	addr net.Addr
	err  error
}

// delayQueue holds items until they arrive. Order is kept. What waits, waits on
// channels and timers only, so that a synctest bubble sees it as idle.
type delayQueue struct {
	ctl *Control

	mu       sync.Mutex
	items    []item
	bytes    int
	ended    bool // nothing may be pushed any more
	inHand   bool // an item was taken and is not yet handed on
	closed   error
	deadline time.Time
	changed  chan struct{} // closed and replaced at every change
}

func newDelayQueue(ctl *Control) *delayQueue {
	return &delayQueue{ctl: ctl, changed: make(chan struct{})}
}

// wake must be called with mu held.
func (q *delayQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// push appends an item; after close it is dropped.
func (q *delayQueue) push(it item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil || q.ended {
		return
	}
	q.items = append(q.items, it)
	q.bytes += len(it.data)
	if len(q.items) == 1 {
		q.wake()
	}
}

// finish pushes the last item.
func (q *delayQueue) finish(it item) {
	q.push(it)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.wake()
}

// close ends every wait with err; the first error stays.
func (q *delayQueue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = err
		q.items, q.bytes = nil, 0
		q.wake()
	}
}

func (q *delayQueue) setDeadline(t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	q.wake()
}

// take waits for the first item to arrive and lets use consume part of it: use
// returns how many bytes it took, and the rest stays first. Datagrams on a cut
// link vanish when they would have arrived. The deadline is the socket user's:
// patient waits, those of the link itself, ignore it.
func (q *delayQueue) take(datagrams, patient bool, use func(item) int) error {
	for {
		gate, gateChanged := q.ctl.gateNow()
		q.mu.Lock()
		now := time.Now()
		if err := q.refuse(now, patient); err != nil {
			q.mu.Unlock()
			return err
		}
		wait := time.Duration(-1)
		if len(q.items) > 0 {
			wait = max(q.items[0].at.Sub(now), 0)
		}
		if wait == 0 && gate == gateCut && datagrams {
			q.drop()
			q.mu.Unlock()
			continue
		}
		if wait == 0 && gate == gateOpen {
			err := q.consume(use)
			q.mu.Unlock()
			return err
		}
		if wait == 0 { // arrived, but nothing passes
			wait = -1
		}
		wait = q.bound(wait, now, patient)
		changed := q.changed
		q.mu.Unlock()
		pause(wait, changed, gateChanged)
	}
}

// waitRoom blocks until fewer than limit bytes are under way, or until the time
// given, whichever is later.
func (q *delayQueue) waitRoom(limit int, until time.Time, patient bool) error {
	for {
		q.mu.Lock()
		now := time.Now()
		if err := q.refuse(now, patient); err != nil {
			q.mu.Unlock()
			return err
		}
		if q.bytes < limit && !until.After(now) {
			q.mu.Unlock()
			return nil
		}
		wait := time.Duration(-1)
		if until.After(now) {
			wait = until.Sub(now)
		}
		wait = q.bound(wait, now, patient)
		changed := q.changed
		q.mu.Unlock()
		pause(wait, changed, nil)
	}
}

// drained waits until nothing is under way, or until the queue closes.
func (q *delayQueue) drained(stop <-chan struct{}) {
	for {
		q.mu.Lock()
		done, changed := (len(q.items) == 0 && !q.inHand) || q.closed != nil, q.changed
		q.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-stop:
			return
		}
	}
}

// handedOn ends what take with a use that set inHand began.
func (q *delayQueue) handedOn() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inHand = false
	q.wake()
}

// bound shortens a wait (negative: for ever) to the deadline.
func (q *delayQueue) bound(wait time.Duration, now time.Time, patient bool) time.Duration {
	if patient || q.deadline.IsZero() {
		return wait
	}
	if left := q.deadline.Sub(now); wait < 0 || left < wait {
		return max(left, 0)
	}
	return wait
}

func (q *delayQueue) refuse(now time.Time, patient bool) error {
	if q.closed != nil {
		return q.closed
	}
	if !patient && q.ended {
		return net.ErrClosed
	}
	if !patient && !q.deadline.IsZero() && !now.Before(q.deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (q *delayQueue) consume(use func(item) int) error {
	it := q.items[0]
	if it.err != nil {
		return it.err // stays first: every later call sees it too
	}
	n := use(it)
	if n < len(it.data) {
		q.items[0].data = it.data[n:]
		q.bytes -= n
		q.wake()
		return nil
	}
	q.bytes -= len(it.data)
	q.shift()
	return nil
}

func (q *delayQueue) drop() {
	q.bytes -= len(q.items[0].data)
	q.shift()
}

func (q *delayQueue) shift() {
	q.items[0] = item{}
	q.items = q.items[1:]
	q.wake()
}

// pause waits for d (for ever when negative) or for a change.
func pause(d time.Duration, changed, gate <-chan struct{}) {
	var timer <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-changed:
	case <-gate:
	case <-timer:
	}
}
