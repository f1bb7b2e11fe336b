package link

import (
	"encoding/binary"
	"fmt"
	"time"
)

// DefaultSilence is how long a watched link may be silent before it is lost. It
// bounds how long a dead link can look alive to a reader that merely waits; who
// has less time asks with Ping, or races.
const DefaultSilence = 5 * time.Second

// pingsPerSilence is how many pings must go unanswered.
const pingsPerSilence = 5

// Watch is part of Conn.
func (c *conn) Watch(on bool) {
	if !c.dialer {
		return
	}
	silence := time.Duration(0)
	if on {
		silence = c.silence
	}
	c.ctl.own(ctlWatch, binary.BigEndian.AppendUint32(nil, uint32(silence/time.Millisecond)))
	c.expect(silence)
}

// expect sets after how much silence the link is lost, and starts or stops
// looking. It counts from now.
func (c *conn) expect(silence time.Duration) {
	c.heard(time.Now())
	c.watchMu.Lock()
	defer c.watchMu.Unlock()
	c.allowed = silence
	if c.watch != nil {
		c.watch.Stop()
		c.watch = nil
	}
	select {
	case <-c.done:
		return
	default:
	}
	if silence > 0 {
		c.watch = time.AfterFunc(silence/pingsPerSilence, c.look)
	}
}

// look is the watch's tick: the dialer pings, both compare the clock.
func (c *conn) look() {
	c.watchMu.Lock()
	silence := c.allowed
	c.watchMu.Unlock()
	if silence == 0 {
		return
	}
	quiet := time.Since(c.born) - time.Duration(c.lastIn.Load())
	if quiet > silence {
		c.abort(fmt.Errorf("%w: nothing was heard for %v", ErrLost, silence))
		return
	}
	if quiet > 2*silence/pingsPerSilence {
		c.suspect()
	}
	c.watchMu.Lock()
	if c.allowed > 0 && c.watch != nil {
		c.watch.Reset(silence / pingsPerSilence)
	}
	c.watchMu.Unlock()
	// Written last: over a dead link a write may wait.
	if c.dialer && c.ctl.attached() {
		_, _ = c.ctl.ping()
	}
}
