package shape

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Conn returns inner, a byte stream such as a TCP connection, as it behaves
// over the link. Closing the result lets what was written arrive first, for a
// moment (see lingerFor), and then closes inner.
func (c *Control) Conn(inner net.Conn) net.Conn {
	s := &stream{ctl: c, inner: inner, out: newDelayQueue(c), in: newDelayQueue(c), writing: make(chan struct{}, 1), dead: make(chan struct{})}
	c.mu.Lock()
	c.streams[s] = struct{}{}
	c.mu.Unlock()
	go s.sendLoop()
	go s.readLoop()
	return s
}

// lingerFor bounds how long a closed stream may go on sending.
const lingerFor = 10 * time.Second

var errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

type stream struct {
	ctl      *Control
	inner    net.Conn
	out, in  *delayQueue
	writing  chan struct{} // one Write at a time, like a kernel socket
	upFlow   flow
	downFlow flow
	closing  sync.Once
	ending   sync.Once
	dead     chan struct{} // closed when inner is
}

var _ net.Conn = (*stream)(nil)

// Write returns when the bytes are on the link; it waits while the queue in
// front of the bottleneck is full.
func (s *stream) Write(b []byte) (int, error) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	done := 0
	piece := s.ctl.up.pieceSize()
	for done < len(b) {
		part := append([]byte(nil), b[done:min(done+piece, len(b))]...)
		if err := s.admit(s.ctl.up, &s.upFlow, s.out, part, false); err != nil {
			return done, err
		}
		done += len(part)
	}
	if len(b) == 0 {
		return 0, s.out.waitRoom(unbounded, time.Time{}, false)
	}
	return done, nil
}

// admit puts part on lane l and its bytes into q, waiting for room.
func (s *stream) admit(l *lane, f *flow, q *delayQueue, part []byte, patient bool) error {
	var until time.Time
	for {
		if err := q.waitRoom(l.inFlight(), until, patient); err != nil {
			return err
		}
		at, retry, ok := l.segment(f, time.Now(), len(part), s.ctl.rtt())
		if ok {
			s.ctl.spoil(l, part)
			q.push(item{at: at, data: part})
			return nil
		}
		until = retry
	}
}

func (s *stream) sendLoop() {
	for {
		var part []byte
		if s.out.take(false, true, func(i item) int {
			part, s.out.inHand = i.data, true
			return len(i.data)
		}) != nil {
			return
		}
		var err error
		if len(part) > 0 {
			_, err = s.inner.Write(part)
		}
		s.out.handedOn()
		if err != nil {
			s.out.close(err)
			return
		}
	}
}

func (s *stream) readLoop() {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.inner.Read(buf[:s.ctl.down.pieceSize()])
		if n > 0 {
			part := append([]byte(nil), buf[:n]...)
			if s.admit(s.ctl.down, &s.downFlow, s.in, part, true) != nil {
				return
			}
		}
		if err != nil {
			s.in.push(item{at: later(time.Now().Add(s.ctl.Profile().OneWay), s.downFlow.behind), err: err})
			return
		}
	}
}

func (s *stream) Read(b []byte) (n int, err error) {
	err = s.in.take(false, false, func(i item) int {
		n = copy(b, i.data)
		return n
	})
	return n, err
}

// Close stops reading at once. What was written still travels, then the end of
// the stream; over a cut link neither arrives, so the other side must notice by
// the silence.
func (s *stream) Close() error {
	s.closing.Do(func() {
		s.in.close(net.ErrClosed)
		s.ctl.up.mu.Lock()
		fin := later(time.Now().Add(s.ctl.up.delay()), s.upFlow.behind)
		s.ctl.up.mu.Unlock()
		s.out.finish(item{at: fin})
		go func() {
			t := time.AfterFunc(lingerFor, func() { s.end(net.ErrClosed) })
			defer t.Stop()
			s.out.drained(s.dead)
			s.end(net.ErrClosed)
		}()
	})
	return nil
}

// reset ends the stream with nothing more delivered either way.
func (s *stream) reset() {
	if tc, ok := s.inner.(interface{ SetLinger(int) error }); ok {
		_ = tc.SetLinger(0) // the other side sees a reset too
	}
	s.end(errReset)
}

func (s *stream) end(err error) {
	s.ending.Do(func() {
		s.in.close(err)
		s.out.close(err)
		_ = s.inner.Close()
		close(s.dead)
		s.ctl.mu.Lock()
		delete(s.ctl.streams, s)
		s.ctl.mu.Unlock()
	})
}

func (s *stream) LocalAddr() net.Addr  { return s.inner.LocalAddr() }
func (s *stream) RemoteAddr() net.Addr { return s.inner.RemoteAddr() }

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}
func (s *stream) SetReadDeadline(t time.Time) error  { s.in.setDeadline(t); return nil }
func (s *stream) SetWriteDeadline(t time.Time) error { s.out.setDeadline(t); return nil }
