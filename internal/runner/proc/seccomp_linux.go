//go:build amd64 || arm64

package proc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// denied are the system calls that a child never needs. They fail with EPERM:
// what opens the network, starts or touches other processes, reaches into the
// kernel, or changes the view of the system. io_uring is among them because its
// operations pass no filter.
//
// sendmsg and recvmsg stay allowed: descriptors travel over the stream by them,
// and there is no other socket. userfaultfd and memfd_create carry the guest's
// memory.
var denied = append([]uintptr{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN,
	unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_SENDTO, unix.SYS_SENDMMSG, unix.SYS_RECVFROM, unix.SYS_RECVMMSG,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE,
	unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_SECCOMP, unix.SYS_FANOTIFY_INIT,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SYSLOG,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_PERSONALITY, unix.SYS_LOOKUP_DCOOKIE,
}, deniedHere...)

// Offsets in the structure that a filter reads.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16 // eight bytes each, low half first
)

const (
	refuse  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	missing = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	// maxFilter is the kernel's bound on instructions.
	maxFilter = 4096
)

// filter assembles classic BPF. Each rule is a test that skips the rule when it
// does not hold, so that no jump is longer than a rule.
type filter []unix.SockFilter

func (f *filter) emit(code uint16, k uint32, yes, no uint8) {
	*f = append(*f, unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no})
}

func (f *filter) load(offset uint32) { f.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }
func (f *filter) ret(action uint32)  { f.emit(unix.BPF_RET|unix.BPF_K, action, 0, 0) }

// loadArg loads the low half of an argument; nothing here needs the high one.
func (f *filter) loadArg(n uint32) { f.load(offsetArgs + 8*n) }

// skipUnless skips the next n instructions unless the loaded word equals k.
func (f *filter) skipUnless(k uint32, n uint8) {
	f.emit(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 0, n)
}

// systemCallFilter assembles the filter for the process with this id, which may
// signal itself and no other.
func systemCallFilter(pid int) ([]unix.SockFilter, error) {
	var f filter
	f.load(offsetArch)
	f.emit(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, auditArch, 1, 0)
	f.ret(unix.SECCOMP_RET_KILL_PROCESS)
	f.load(offsetNumber)
	if foreignNumbers != 0 { // a second table of calls with the same arch
		f.emit(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, foreignNumbers, 0, 1)
		f.ret(refuse)
	}
	for _, nr := range denied {
		f.skipUnless(uint32(nr), 1)
		f.ret(refuse)
	}
	// clone3 keeps its flags where a filter cannot see them; all callers know how
	// to do without it.
	f.skipUnless(unix.SYS_CLONE3, 1)
	f.ret(missing)
	// Threads yes, processes and namespaces no.
	f.skipUnless(unix.SYS_CLONE, 4)
	f.loadArg(0)
	f.emit(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, unix.CLONE_THREAD, 1, 0)
	f.ret(refuse)
	f.ret(unix.SECCOMP_RET_ALLOW)
	for _, nr := range []uint32{unix.SYS_KILL, unix.SYS_TGKILL} {
		f.skipUnless(nr, 4)
		f.loadArg(0)
		f.emit(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, uint32(pid), 1, 0)
		f.ret(refuse)
		f.ret(unix.SECCOMP_RET_ALLOW)
	}
	// Terminals take no typed input from a child.
	f.skipUnless(unix.SYS_IOCTL, 6)
	f.loadArg(1)
	f.skipUnless(unix.TIOCSTI, 1)
	f.ret(refuse)
	f.skipUnless(tioclinux, 1)
	f.ret(refuse)
	f.ret(unix.SECCOMP_RET_ALLOW)
	f.ret(unix.SECCOMP_RET_ALLOW)
	if len(f) > maxFilter {
		return nil, fmt.Errorf("the filter has %d instructions, at most %d", len(f), maxFilter)
	}
	return f, nil
}

// tioclinux is the console's own way to insert input.
const tioclinux = 0x541c
