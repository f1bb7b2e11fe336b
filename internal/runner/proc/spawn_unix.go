//go:build unix

package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/poll"
)

// spawn starts the command with one end of a socket pair as descriptor 3.
// reaped is called once when the child has ended.
//
// One goroutine on one thread starts the child and then waits for it. The
// thread counts: the child inherits no_new_privs from it, and the system takes
// the death of that thread for the death of the parent. It ends with the child
// and is used for nothing else.
func spawn(c Config, reaped func(*os.ProcessState, error)) (spawned, error) {
	parent, child, err := socketPair()
	if err != nil {
		return spawned{}, err
	}
	defer func() { _ = child.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		_ = parent.Close()
		return spawned{}, err
	}
	defer func() { _ = null.Close() }()
	path, err := exec.LookPath(c.Command[0])
	if err != nil {
		_ = parent.Close()
		return spawned{}, err
	}
	attr := &os.ProcAttr{Dir: c.Dir, Env: append([]string{}, c.Env...), Files: []*os.File{
		orNull(c.Stdin, null), orNull(c.Stdout, null), orNull(c.Stderr, null), child,
	}}
	type result struct {
		process *os.Process
		err     error
	}
	started := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		prepareThread()
		p, err := startConfined(path, c, attr)
		started <- result{p, err}
		if err == nil {
			reaped(p.Wait())
		}
	}()
	r := <-started
	if r.err != nil {
		_ = parent.Close()
		return spawned{}, r.err
	}
	return spawned{conn: parent, process: r.process}, nil
}

// argv returns the child's arguments; options tell it how it was started.
func argv(c Config, options string) []string {
	out := append([]string{}, c.Command...)
	if c.Command[0] == selfExe {
		out[0] = os.Args[0]
	}
	return append(append(out, Verb, protocolVersion+options), c.Args...)
}

func orNull(f, null *os.File) *os.File {
	if f != nil {
		return f
	}
	return null
}

// sendBuffer is how many bytes may be on their way between a manager and its
// runner. The default lets the two change places every 100 KB of a large delta.
const sendBuffer = 2 << 20

// socketPair returns both ends of a stream: the parent's for a poll.Loop where
// there is one and else in the runtime's poller, the child's blocking.
func socketPair() (net.Conn, *os.File, error) {
	// Where a pair cannot be made close-on-exec at once, no process may start
	// between the two steps.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	for _, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // the system may grant less
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "runner"), os.NewFile(uintptr(fds[1]), "parent")
	conn, err := net.FileConn(ours) // has its own copy
	err = errors.Join(err, ours.Close())
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	if c := poll.Take(conn); c != nil {
		conn = c
	}
	return conn, theirs, nil
}
