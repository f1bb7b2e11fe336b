package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// A process that dies takes its TCP connections with it: the kernel says so at
// once. Of its UDP port nothing is heard but ICMP, which no socket without a
// fixed peer is told of. But a node listens on TCP and UDP at one port, so where
// a QUIC connection falls silent, a TCP connection to the same place tells a dead
// process, which is refused, from a dead network, which is not answered.

// ErrGone: the node's host is there, and nobody listens at the node's port.
var ErrGone = errors.New("nobody listens at the node's address any more")

const (
	probeTime = time.Second
	// goneAfter is how long a redial tries before it asks whether anybody is
	// there: a node that speaks QUIC alone refuses TCP too, and answers sooner.
	goneAfter = 500 * time.Millisecond
)

// refused reports whether a connection to addr is refused, and not merely
// unanswered.
func refused(ctx context.Context, addr string) bool {
	d := net.Dialer{Timeout: probeTime}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = c.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// suspect is called when a peer that should have answered is silent: it ends the
// connection if nobody is there to answer.
func (c *conn) suspect() {
	if c.refused == nil || !c.probing.CompareAndSwap(false, true) {
		return
	}
	last := c.lastIn.Load()
	go func() {
		defer c.probing.Store(false)
		if c.refused() && c.lastIn.Load() == last {
			// Lost, and no more: a redial finds out whether it answers over QUIC alone.
			c.abort(fmt.Errorf("%w: it is silent, and refuses TCP", ErrLost))
		}
	}()
}

// giveUp ends a redial whose node is gone. stop must be called.
func (r *Redialer) giveUp(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if r.opts.Memory != nil {
		return ctx, func() { cancel(nil) }
	}
	t := time.AfterFunc(goneAfter, func() {
		for _, addr := range r.opts.Addrs {
			if !refused(ctx, addr) {
				return
			}
		}
		cancel(ErrGone)
	})
	return ctx, func() {
		t.Stop()
		cancel(nil)
	}
}
