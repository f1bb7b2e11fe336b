package proc

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// confine applies what the system allows and notes what it does not. It runs
// before any guest and before any goroutine but the watcher of the parent.
func confine(c *Confinement, _ *rawConn, network bool) {
	// no_new_privs and the filter belong to threads; the filter's installation
	// carries both to the others.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ignoreSignals()
	c.Descriptors = closeStray()
	c.NetworkNamespace = network
	if !network {
		c.note("the system gave no network namespace")
	}
	// When memory runs out, a guest goes before its manager.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	// A core file would hold the guest's memory.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})

	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		c.note("no_new_privs: %v", err)
	}
	if err := installFilter(systemCallFilter(os.Getpid())); err != nil {
		c.note("system call filter: %v", err)
	}
	c.NoNewPrivileges = prctlValue(unix.PR_GET_NO_NEW_PRIVS) == 1
	c.SystemCallFilter = refusesSockets()
	// The parent asked for it on the first thread, which need not be this one.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	c.ParentDeathSignal = parentDeathSignal() == int(unix.SIGKILL)
	if !c.ParentDeathSignal {
		c.note("the system does not tell of the parent's death")
	}
}

// refusesSockets tries what the filter refuses: an emulator may take a filter
// and ignore it.
func refusesSockets() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
		return false
	}
	return err == unix.EPERM //nolint:errorlint // an Errno
}

func prctlValue(option int) int {
	v, err := unix.PrctlRetInt(option, 0, 0, 0, 0)
	if err != nil {
		return -1
	}
	return v
}
