package poll

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a stream socket outside of the runtime's poller. A call that waits
// holds a thread. One goroutine at a time may read, any may write.
type Conn struct {
	fd            int
	local, remote net.Addr

	mu     sync.Mutex
	users  int  // calls in progress, which keep the descriptor open
	closed bool // no new ones

	immediate       atomic.Bool  // Read does not wait
	emptied         bool         // the last Read took all that there was; the reader's
	readBy, writeBy atomic.Int64 // deadlines, in nanoseconds after epoch; 0: none
	writing         sync.Mutex
	direct          bool   // Write does not wait: what does not fit is kept
	kept            []byte // written, and not yet with the system
	keptLen         atomic.Int64
}

var _ net.Conn = (*Conn)(nil)

// Take takes a connection over, or returns nil where it cannot, and c stays as
// it is. c must not be in use; afterwards it is of no more use.
func Take(c net.Conn) *Conn {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	if raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }) != nil || err != nil {
		return nil
	}
	t, err := New(fd, c.LocalAddr(), c.RemoteAddr())
	if err != nil {
		_ = unix.Close(fd)
		return nil
	}
	_ = c.Close() // which takes it out of the runtime's poller
	return t
}

// New makes a Conn of a connected stream socket, which it owns from then on.
func New(fd int, local, remote net.Addr) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	return &Conn{fd: fd, local: local, remote: remote}, nil
}

// begin keeps the descriptor open until end.
func (c *Conn) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.users++
	return nil
}

func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 && c.closed {
		_ = unix.Close(c.fd)
	}
}

// Close ends the connection and every call that waits for it.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.users == 0 {
		return unix.Close(c.fd)
	}
	return ignoreGone(unix.Shutdown(c.fd, unix.SHUT_RDWR))
}

// CloseWrite tells the peer that nothing follows.
func (c *Conn) CloseWrite() error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	return ignoreGone(unix.Shutdown(c.fd, unix.SHUT_WR))
}

// ignoreGone drops the error of a peer that went first.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOTCONN) {
		return nil
	}
	return err
}

// SetImmediate says whether Read returns ErrWouldBlock in place of waiting. It
// is the reader's to call.
func (c *Conn) SetImmediate(on bool) { c.immediate.Store(on) }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.end()
	if c.emptied && c.immediate.Load() {
		c.emptied = false // a Loop says when there is more
		return 0, ErrWouldBlock
	}
	for {
		n, err := unix.Read(c.fd, p)
		switch {
		case err == nil && n == 0:
			return 0, c.over(io.EOF)
		case err == nil:
			c.emptied = n < len(p)
			return n, nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return 0, c.over(&net.OpError{Op: "read", Net: c.network(), Addr: c.remote, Err: os.NewSyscallError("read", err)})
		case c.immediate.Load():
			return 0, ErrWouldBlock
		default:
			if err := c.wait(unix.POLLIN, &c.readBy); err != nil {
				return 0, err
			}
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.end()
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.flush(); err != nil {
		return 0, err
	}
	n := 0
	if len(c.kept) == 0 {
		var err error
		if n, err = c.write(p); err != nil {
			return n, err
		}
	}
	if n < len(p) {
		c.keep(p[n:])
	}
	return len(p), nil
}

// write hands p to the system: all of it, or what it takes at once. writing is held.
func (c *Conn) write(p []byte) (done int, _ error) {
	for done < len(p) {
		n, err := unix.Write(c.fd, p[done:])
		switch {
		case err == nil:
			done += n
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return done, c.over(&net.OpError{Op: "write", Net: c.network(), Addr: c.remote, Err: os.NewSyscallError("write", err)})
		case c.direct:
			return done, nil
		default:
			if err := c.wait(unix.POLLOUT, &c.writeBy); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// flush writes what was kept. writing is held.
func (c *Conn) flush() error {
	if len(c.kept) == 0 {
		return nil
	}
	n, err := c.write(c.kept)
	c.kept = c.kept[:copy(c.kept, c.kept[n:])]
	c.keptLen.Store(int64(len(c.kept)))
	return err
}

func (c *Conn) keep(p []byte) {
	c.kept = append(c.kept, p...)
	c.keptLen.Store(int64(len(c.kept)))
}

// Direct has f write without waiting: what the system does not take at once is
// kept, in memory. kept says that there is some; Flush must then be called, and
// may wait. A Write beside f that is in progress is not affected by it.
func (c *Conn) Direct(f func() error) (kept bool, err error) {
	c.writing.Lock()
	c.direct = true
	c.writing.Unlock()
	err = f()
	c.writing.Lock()
	c.direct = false
	c.writing.Unlock()
	return c.keptLen.Load() > 0, err
}

// Flush writes what was kept, waiting for it.
func (c *Conn) Flush() error {
	_, err := c.Write(nil)
	return err
}

// waitSlice is how long a wait goes without looking at its deadline, which may
// have been moved. Waits are rare: a Loop waits for what is idle.
const waitSlice = 100 * time.Millisecond

// wait waits until the descriptor is ready for events.
func (c *Conn) wait(events int16, by *atomic.Int64) error {
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: events}}
	for {
		slice := waitSlice
		if at := by.Load(); at != 0 {
			left := time.Duration(at) - time.Since(epoch)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			slice = min(slice, left)
		}
		n, err := unix.Poll(fds, int((slice+time.Millisecond-1)/time.Millisecond))
		if n > 0 {
			return c.over(nil)
		}
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return c.over(os.NewSyscallError("poll", err))
		}
		if err := c.over(nil); err != nil {
			return err
		}
	}
}

// over is err, unless the connection was closed here.
func (c *Conn) over(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return err
}

func (c *Conn) network() string {
	if c.remote != nil {
		return c.remote.Network()
	}
	return "unix"
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetReadDeadline implements net.Conn. A wait notices within waitSlice.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.Store(sinceEpoch(t))
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.Store(sinceEpoch(t))
	return nil
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readBy.Store(sinceEpoch(t))
	c.writeBy.Store(sinceEpoch(t))
	return nil
}

// epoch makes deadlines independent of the wall clock.
var epoch = time.Now()

func sinceEpoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(int64(t.Sub(epoch)), 1)
}
