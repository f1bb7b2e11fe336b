//go:build unix

package proc

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/poll"
)

// connFD is the child's end of the stream.
const connFD = 3

// rawConn is a blocking descriptor. It does not use the runtime's poller, which
// costs two more wake-ups for each message; unix.Read enters the system in the
// way that lets the collector and the other goroutines go on.
type rawConn struct {
	fd     int
	closed atomic.Bool
	yield  poll.Yield // of the goroutine that reads
}

var _ io.ReadWriteCloser = (*rawConn)(nil)

// Read implements io.Reader.
func (c *rawConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.yield.Now()
	for {
		n, err := unix.Read(c.fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, c.fail("read", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write implements io.Writer: it returns when all of p is with the system.
func (c *rawConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(c.fd, p[done:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return done, c.fail("write", err)
		}
		done += n
	}
	return done, nil
}

// Close implements io.Closer. It wakes a read, which a close alone would not.
func (c *rawConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	return unix.Close(c.fd)
}

// WaitReadable waits until a Read would not block, or the time is over; a
// negative time means for ever. It takes no byte from the stream.
func (c *rawConn) WaitReadable(d time.Duration) (bool, error) {
	timeout := -1
	until := time.Now().Add(d)
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	for {
		if d >= 0 {
			timeout = int((max(time.Until(until), 0) + time.Millisecond - 1) / time.Millisecond)
		}
		n, err := unix.Poll(fds, timeout)
		if err == nil {
			return n > 0, nil
		}
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return false, c.fail("poll", err)
		}
	}
}

// Fd returns the descriptor, for the passing of others over the stream.
func (c *rawConn) Fd() uintptr { return uintptr(c.fd) }

func (c *rawConn) fail(op string, err error) error {
	if c.closed.Load() {
		return os.ErrClosed
	}
	return &os.PathError{Op: op, Path: "runner stream", Err: err}
}

// childConn returns the stream, or why this process has none.
func childConn(string) (*rawConn, error) {
	if kind, err := unix.GetsockoptInt(connFD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return nil, errors.New("descriptor 3 is not a stream to a parent")
	}
	if err := unix.SetNonblock(connFD, false); err != nil {
		return nil, err
	}
	unix.CloseOnExec(connFD)
	return &rawConn{fd: connFD}, nil
}

// watchParent ends the process when the other end of the stream closes. It
// waits for that alone, so that it takes no byte from the reader, in a thread of
// its own, so that a spinning guest does not matter.
func watchParent(c *rawConn) {
	go func() {
		fds := []unix.PollFd{{Fd: int32(c.fd), Events: hangup}}
		for {
			n, err := unix.Poll(fds, -1)
			if c.closed.Load() {
				return
			}
			if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
				os.Exit(ExitOrphan)
			}
			if n > 0 && fds[0].Revents != 0 {
				os.Exit(ExitOrphan)
			}
		}
	}()
}
