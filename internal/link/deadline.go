package link

import (
	"os"
	"sync"
	"time"
)

// deadline is a time that can be moved while it is waited for.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	changed chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// wait blocks until one of the channels is closed, the deadline has moved or has
// passed; the last is an error.
func (d *deadline) wait(more, other <-chan struct{}) error {
	d.mu.Lock()
	at := d.at
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	moved := d.changed
	d.mu.Unlock()
	var timer <-chan time.Time
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(left)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-more:
	case <-other:
	case <-moved:
	case <-timer:
	}
	return nil
}
