//go:build !linux

package poll

import (
	"net"
	"time"
)

// Conn is a stream socket outside of the runtime's poller; there are none on
// this system.
type Conn struct{ net.Conn }

// Take returns nil: the connection stays as it is.
func Take(net.Conn) *Conn { return nil }

// SetImmediate is never called.
func (c *Conn) SetImmediate(bool) {}

// Direct is never called.
func (c *Conn) Direct(f func() error) (bool, error) { return false, f() }

// Flush is never called.
func (c *Conn) Flush() error { return nil }

// Loop waits for many Conns in one thread; there is none on this system.
type Loop struct{}

// Verdict is what a handler says about its stream.
type Verdict int

// What handlers say.
const (
	Drained Verdict = iota
	Again
	Release
	Closed
)

// IdleTime is the silence on all streams after which handlers are told.
const IdleTime = 2 * time.Millisecond

// NewLoop returns nil.
func NewLoop() *Loop { return nil }

// Watch is never called.
func (l *Loop) Watch(*Conn, func() Verdict, func()) (Verdict, error) { return Closed, errLoopClosed }

// Close is never called.
func (l *Loop) Close() {}
