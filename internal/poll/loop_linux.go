package poll

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Loop waits for many Conns in one thread. What its handlers do, they do on
// that thread, one after the other: they must not wait.
type Loop struct {
	ep, wake int // descriptors: epoll, and an eventfd that ends a wait

	mu      sync.Mutex
	sources map[int32]*source
	fresh   []*source // to be looked at although no event came
	closed  bool
	done    chan struct{}
}

// source is a Conn that a Loop watches.
type source struct {
	c     *Conn
	ready func() Verdict
	idle  func()       // called once nothing has arrived for IdleTime
	turn  chan Verdict // has the verdict that ended the watch
	heard bool         // something arrived since idle was called
}

// Verdict is what a handler says about its stream.
type Verdict int

const (
	// Drained: nothing is left to read for now.
	Drained Verdict = iota
	// Again: there may be more, and others have their turn first.
	Again
	// Release: the stream is somebody else's from now on.
	Release
	// Closed: the loop was closed.
	Closed
)

// IdleTime is the silence on all streams after which handlers are told.
const IdleTime = 2 * time.Millisecond

// NewLoop starts a loop, or returns nil where the system has none.
func NewLoop() *Loop {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)})
	}
	if err != nil {
		_ = unix.Close(ep)
		return nil
	}
	l := &Loop{ep: ep, wake: wake, sources: map[int32]*source{}, done: make(chan struct{})}
	go l.run()
	return l
}

// Watch has ready called on the loop's thread whenever c may have something to
// read, and at once. It returns when ready says Release, or the loop is closed.
// idle, unless nil, is called when nothing has arrived on any stream for
// IdleTime.
func (l *Loop) Watch(c *Conn, ready func() Verdict, idle func()) (Verdict, error) {
	if err := c.begin(); err != nil {
		return Closed, err
	}
	defer c.end()
	s := &source{c: c, ready: ready, idle: idle, turn: make(chan Verdict, 1)}
	if err := l.add(s); err != nil {
		return Closed, err
	}
	return <-s.turn, nil
}

func (l *Loop) add(s *source) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errLoopClosed
	}
	fd := int32(s.c.fd)
	if l.sources[fd] != nil {
		return errors.New("poll: the stream is watched already")
	}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: fd}); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.sources[fd] = s
	l.fresh = append(l.fresh, s)
	l.notify()
	return nil
}

func (l *Loop) notify() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.wake, one[:])
}

// drop ends the watch of s; its caller goes on with v.
func (l *Loop) drop(s *source, v Verdict) {
	l.mu.Lock()
	delete(l.sources, int32(s.c.fd))
	_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, s.c.fd, nil)
	l.mu.Unlock()
	s.turn <- v
}

// Close ends the loop: every Watch returns.
func (l *Loop) Close() {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	if !was {
		l.notify()
	}
	l.mu.Unlock()
	<-l.done
}

// run is the loop's thread, or nearly: a goroutine that waits in system calls.
func (l *Loop) run() {
	defer close(l.done)
	defer l.end()
	events := make([]unix.EpollEvent, 64)
	var y Yield
	var todo, heard []*source // heard: those to be told of silence
	for {
		y.Now()
		n, err := unix.EpollWait(l.ep, events, patience(todo, heard))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if n == 0 && len(todo) == 0 {
			heard = tellIdle(heard)
			continue
		}
		todo = l.arrived(todo, events[:max(n, 0)])
		if todo == nil {
			return
		}
		again := todo[:0]
		for _, s := range todo {
			if s.idle != nil && !s.heard {
				s.heard = true
				heard = append(heard, s)
			}
			switch v := s.ready(); v {
			case Again:
				again = append(again, s)
			case Release:
				heard = slices.DeleteFunc(heard, func(h *source) bool { return h == s })
				l.drop(s, v)
			case Drained, Closed:
			}
		}
		clear(todo[len(again):])
		todo = again
	}
}

// patience is how long to wait for events, in milliseconds.
func patience(todo, heard []*source) int {
	switch {
	case len(todo) > 0:
		return 0
	case len(heard) > 0:
		return int(IdleTime / time.Millisecond)
	}
	return -1
}

// tellIdle tells of silence, once.
func tellIdle(heard []*source) []*source {
	for _, s := range heard {
		s.heard = false
		s.idle()
	}
	clear(heard)
	return heard[:0]
}

// arrived adds to todo the sources that events are about, each once. It returns
// nil when the loop has been closed.
func (l *Loop) arrived(todo []*source, events []unix.EpollEvent) []*source {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if todo == nil {
		todo = []*source{}
	}
	add := func(s *source) {
		for _, have := range todo {
			if have == s {
				return
			}
		}
		todo = append(todo, s)
	}
	for _, e := range events {
		if e.Fd == int32(l.wake) {
			var buf [8]byte
			_, _ = unix.Read(l.wake, buf[:])
			continue
		}
		if s := l.sources[e.Fd]; s != nil {
			add(s)
		}
	}
	for _, s := range l.fresh {
		add(s)
	}
	l.fresh = l.fresh[:0]
	return todo
}

// end lets everybody go.
func (l *Loop) end() {
	l.mu.Lock()
	all := l.sources
	l.sources, l.fresh, l.closed = map[int32]*source{}, nil, true
	l.mu.Unlock()
	for _, s := range all {
		s.turn <- Closed
	}
	_ = unix.Close(l.ep)
	_ = unix.Close(l.wake)
}
