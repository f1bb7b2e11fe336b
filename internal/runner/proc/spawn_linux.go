package proc

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// selfExe is the running binary, even after an upgrade replaced its file.
const selfExe = "/proc/self/exe"

func ownBinary() (string, error) {
	if _, err := os.Stat(selfExe); err == nil {
		return selfExe, nil
	}
	return os.Executable()
}

// prepareThread makes what this thread starts unable to gain privileges, from
// the child's first instruction on.
func prepareThread() {
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// namespaceRefused remembers that the system allows no network namespace.
var namespaceRefused atomic.Bool

// startConfined starts the child in a network namespace of its own if it may,
// and else without one.
func startConfined(path string, c Config, attr *os.ProcAttr) (*os.Process, error) {
	refused := false
	if !namespaceRefused.Load() {
		attr.Sys = namespaced(c)
		p, err := os.StartProcess(path, argv(c, ","+optionNetwork), attr)
		if err == nil {
			return p, nil
		}
		refused = errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS)
	}
	attr.Sys = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err := os.StartProcess(path, argv(c, ""), attr)
	if err == nil && refused {
		namespaceRefused.Store(true) // it was the namespace, not the command
	}
	return p, err
}

// namespaced asks for an empty network. Only root may have one without a user
// namespace; in a user namespace the child keeps its own id and, as that is not
// root's there, loses all capabilities when it starts.
func namespaced(c Config) *syscall.SysProcAttr {
	sys := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: unix.CLONE_NEWNET}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 && !c.Isolate {
		return sys
	}
	sys.Cloneflags |= unix.CLONE_NEWUSER
	inside := func(id int) int {
		if id == 0 {
			return nobody
		}
		return id
	}
	sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside(uid), HostID: uid, Size: 1}}
	sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: inside(gid), HostID: gid, Size: 1}}
	return sys
}

// nobody is the id that root has inside its user namespace.
const nobody = 65534
