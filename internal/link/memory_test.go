package link

import (
	"net"
	"time"
)

// memoryEnd makes a bare memory connection a transport.
type memoryEnd struct{ net.Conn }

func (m memoryEnd) shut(error)                           { _ = m.Close() }
func (m memoryEnd) rtt() (mean, deviation time.Duration) { return 0, 0 }

// closeWrite ends one direction only.
func (c *memConn) closeWrite() error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.closed = true
	c.w.wake()
	return nil
}
