//go:build unix

package proc

import (
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// ignoreSignals leaves the terminal's keys to the parent, which decides what
// they mean, and turns a closed pipe into an error that the guest can see.
func ignoreSignals() {
	signal.Ignore(unix.SIGINT, unix.SIGHUP, unix.SIGPIPE)
}

// closeStray closes what the parent's own parent left open: descriptors above
// the stream that would survive another exec. Everything that Go opens would
// not, so the runtime's own are left alone. It returns how many there were.
func closeStray() (closed int) {
	dir := "/proc/self/fd"
	if _, err := os.Stat(dir); err != nil {
		dir = "/dev/fd"
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= connFD {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		if unix.Close(fd) == nil {
			closed++
		}
	}
	return closed
}
