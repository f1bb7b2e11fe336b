// Package relay is how a node manager, the device's or the node's, passes frames
// between a link and a runner: Serve takes them off a stream, an Outbox puts
// them on one, and neither makes one stream wait for another.
//
// Where the system allows, small frames are read, handled and written on the
// thread of a poll.Loop; whatever might have to wait is done in goroutines
// beside it.
package relay

import (
	"errors"
	"io"
	"net"

	"github.com/clonecloud/clonecloud/internal/poll"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Handler takes the frames of a stream.
type Handler struct {
	// Frame handles a frame whose body it must take from r. An error ends Serve.
	Frame func(f *wire.Frame, r *wire.Reader) error
	// Quick is Frame for a frame that has arrived whole and of which Hasty says that
	// no step of handling it waits: it runs on the loop's thread.
	Quick func(f *wire.Frame, r *wire.Reader) error
	Hasty func(h wire.Header) bool
	// Idle, unless nil, is called after frames, when nothing follows at once. It
	// must not wait.
	Idle func()
}

// burst is how many frames a stream has handled before others have their turn.
const burst = 32

// Serve handles the frames that come from c until its end or an error, which it
// returns. Without a loop, or with a stream that it cannot watch, all is done on
// the caller's goroutine.
func Serve(l *poll.Loop, c io.Reader, h Handler) error {
	return ServeReader(l, c, wire.NewReader(c, wire.ReaderConfig{}), h)
}

// ServeReader is Serve where r has read from c before.
func ServeReader(l *poll.Loop, c io.Reader, r *wire.Reader, h Handler) error {
	s := &served{r: r, h: h, conn: Pollable(c)}
	for {
		if l != nil && s.conn != nil {
			if err := s.watch(l); err != nil {
				return err
			}
		}
		f, err := r.ReadHead()
		if err == nil {
			err = h.Frame(f, r)
		}
		if err != nil {
			return err
		}
		if h.Idle != nil && r.Buffered() < wire.HeaderSize {
			h.Idle()
		}
	}
}

// Pollable is the socket that a stream stands on, if a Loop can watch it.
func Pollable(c any) *poll.Conn {
	switch c := c.(type) {
	case *poll.Conn:
		return c
	case interface{ Pollable() *poll.Conn }:
		return c.Pollable()
	}
	return nil
}

// served is a stream of which a loop handles what is quick.
type served struct {
	r    *wire.Reader
	h    Handler
	conn *poll.Conn
	err  error
}

// watch has the loop handle frames. It returns when one is there that the
// caller is to handle, or with the error that ended the stream.
func (s *served) watch(l *poll.Loop) error {
	s.conn.SetImmediate(true)
	v, err := l.Watch(s.conn, s.ready, s.h.Idle)
	s.conn.SetImmediate(false)
	switch {
	case err != nil:
		return err
	case v == poll.Closed:
		return net.ErrClosed
	}
	return s.err
}

// ready runs on the loop's thread.
func (s *served) ready() poll.Verdict {
	for range burst {
		h, whole, err := s.r.Next()
		if err != nil {
			if temporary(err) {
				return poll.Drained
			}
			s.err = err
			return poll.Release
		}
		if !whole || !s.h.Hasty(h) {
			return poll.Release
		}
		f, err := s.r.ReadHead()
		if err == nil {
			err = s.h.Quick(f, s.r)
		}
		if err != nil {
			s.err = err
			return poll.Release
		}
	}
	return poll.Again
}

func temporary(err error) bool { return errors.Is(err, poll.ErrWouldBlock) }
