package proc_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/runner/proc"
)

func namespaces() bool { return proc.NamespaceRefused() }

// systemFacts tries what a child must not be able to do.
func systemFacts(f *facts) {
	f.Files = map[string]string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			f.Files[e.Name()] = target
		}
	}
	score, _ := os.ReadFile("/proc/self/oom_score_adj")
	f.OOMScore = strings.TrimSpace(string(score))
	f.Status = map[string]string{}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			f.Status[name] = strings.TrimSpace(value)
		}
	}
	dev, _ := os.ReadFile("/proc/self/net/dev")
	for _, line := range strings.Split(string(dev), "\n")[min(2, strings.Count(string(dev), "\n")):] {
		if name, _, ok := strings.Cut(line, ":"); ok {
			f.Interfaces = append(f.Interfaces, strings.TrimSpace(name))
		}
	}
	f.Refused = map[string]string{}
	for name, try := range deeds() {
		// Without the filter some of these would happen.
		if !f.Confinement.SystemCallFilter && name != "tcp socket" && name != "dial" {
			continue
		}
		f.Refused[name] = fmt.Sprint(try())
	}
}

func deeds() map[string]func() error {
	raw := func(nr uintptr, args ...uintptr) func() error {
		return func() error {
			var a [6]uintptr
			copy(a[:], args)
			_, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
			if errno != 0 {
				return errno
			}
			return nil
		}
	}
	return map[string]func() error{
		"tcp socket":     func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
		"unix socket":    func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"netlink":        func() error { _, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0); return err },
		"connect":        raw(unix.SYS_CONNECT, 3),
		"bind":           raw(unix.SYS_BIND, 3),
		"listen":         raw(unix.SYS_LISTEN, 3),
		"accept":         raw(unix.SYS_ACCEPT4, 3),
		"sendto":         raw(unix.SYS_SENDTO, 3),
		"io_uring":       raw(unix.SYS_IO_URING_SETUP, 1),
		"exec":           func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"fork":           func() error { return exec.Command("/bin/true").Run() },
		"ptrace":         raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid())),
		"mount":          raw(unix.SYS_MOUNT),
		"bpf":            raw(unix.SYS_BPF),
		"kexec":          raw(unix.SYS_KEXEC_LOAD),
		"load module":    raw(unix.SYS_INIT_MODULE),
		"setns":          raw(unix.SYS_SETNS, 3),
		"unshare":        raw(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"signal parent":  func() error { return unix.Kill(os.Getppid(), 0) },
		"signal thread":  raw(unix.SYS_TGKILL, uintptr(os.Getppid()), uintptr(os.Getppid()), 0),
		"signal group":   func() error { return unix.Kill(0, 0) },
		"type for user":  raw(unix.SYS_IOCTL, 0, unix.TIOCSTI),
		"another filter": raw(unix.SYS_SECCOMP),
		"dial":           func() error { _, err := net.Dial("tcp", "127.0.0.1:1"); return err },
	}
}

// leak makes f survive an exec, as a careless program's descriptors do.
func leak(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
}

func checkFiles(t *testing.T, f facts) {
	t.Helper()
	for fd, target := range f.Files {
		n, _ := strconv.Atoi(fd)
		switch {
		case n == 2: // the tests lend it
		case n < 2 && target == "/dev/null":
		case n == 3 && strings.HasPrefix(target, "socket:"):
		case n > 3 && strings.HasPrefix(target, "anon_inode:"): // the runtime's poller
		case n > 3 && strings.HasPrefix(target, "/sys/fs/cgroup/"): // the runtime reads its quota
		case n > 3 && strings.HasSuffix(target, "/fd"): // the listing itself
		default:
			t.Errorf("descriptor %s is %s", fd, target)
		}
	}
	if f.Confinement.Descriptors == 0 {
		t.Error("the leaked descriptor was not noticed")
	}
}

func TestTheChildIsConfined(t *testing.T) {
	for _, isolate := range []bool{false, true} {
		t.Run(fmt.Sprintf("isolate %v", isolate), func(t *testing.T) {
			p := start(t, proc.Config{Args: []string{"facts"}, Isolate: isolate, Stderr: os.Stderr})
			f, c := readFacts(t, p), p.Confinement()
			t.Logf("%+v", c)
			if !c.NoNewPrivileges || f.Status["NoNewPrivs"] != "1" {
				t.Errorf("no_new_privs: told %v, status %q", c.NoNewPrivileges, f.Status["NoNewPrivs"])
			}
			if !c.SystemCallFilter || f.Status["Seccomp"] != "2" {
				t.Errorf("filter: told %v, status %q", c.SystemCallFilter, f.Status["Seccomp"])
			}
			if f.OOMScore != "500" {
				t.Errorf("oom score adjustment %q", f.OOMScore)
			}
			if !c.ParentDeathSignal {
				t.Error("the parent's death would go unnoticed")
			}
			for deed, err := range f.Refused {
				if !strings.Contains(err, unix.EPERM.Error()) {
					t.Errorf("%s: %q, want %q", deed, err, unix.EPERM.Error())
				}
			}
			if c.NetworkNamespace && strings.Join(f.Interfaces, "") != "lo" {
				t.Errorf("network interfaces %q", f.Interfaces)
			}
			if isolate && c.NetworkNamespace && f.Status["CapEff"] != "0000000000000000" {
				t.Errorf("capabilities %s", f.Status["CapEff"])
			}
		})
	}
}

// One processor means GOMAXPROCS 1 by default: the guest would be all that runs.
func TestOnOneProcessorTheGuestDoesNotStallItsProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("computes for seconds")
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		t.Skip("taskset is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, proc.Config{
		Command: []string{taskset, "-c", "0", self}, Args: []string{"guest"},
		Stderr: os.Stderr, TimeLimit: 2 * time.Minute,
	})
	pings, ran := ping(t, p, 1500*time.Millisecond, func(int) {})
	checkPings(t, pings, ran)
}

// The runtime re-reads the processors it may use, and stops the world to adapt,
// unless it was told a number.
func TestAChangeOfProcessorsDuringACallDoesNotStallTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("computes for seconds")
	}
	p := start(t, proc.Config{Args: []string{"guest"}, Stderr: os.Stderr, TimeLimit: 2 * time.Minute})
	pings, ran := ping(t, p, 2500*time.Millisecond, func(i int) {
		var set unix.CPUSet
		set.Set(0)
		if i/100%2 == 0 {
			set.Set(1)
		}
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Pid()))
		for _, task := range tasks {
			if tid, err := strconv.Atoi(task.Name()); err == nil && i%100 == 0 {
				_ = unix.SchedSetaffinity(tid, &set)
			}
		}
	})
	checkPings(t, pings, ran)
}

// A command may start the runner as a process of its own and wait for it.
func TestAKillReachesARunnerBehindAWrapper(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, proc.Config{
		Command: []string{"/bin/sh", "-c", `"$0" "$@"; exit $?`, self}, Args: []string{"spin"}, Stderr: os.Stderr,
	})
	if _, err := io.ReadFull(p.Conn(), make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, "the end of the runner", func() {
		if n, err := p.Conn().Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d, %v", n, err)
		}
	})
}

// Every thread must have it, not only the one that asked.
func TestAllThreadsOfTheChildAreConfined(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"echo"}})
	if _, err := p.Conn().Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Pid()))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads %v, %v", tasks, err)
	}
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
}

// TestHelperParent is not a test: it is the parent that dies in the next one.
func TestHelperParent(t *testing.T) {
	mode := os.Getenv("CLONECLOUD_TEST_PARENT")
	if mode == "" {
		t.Skip("only a helper of TestAChildEndsWhenItsParentIsKilled")
	}
	p, err := proc.Start(proc.Config{Args: []string{mode}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child %d\n", p.Pid())
	time.Sleep(time.Hour)
}

func TestAChildEndsWhenItsParentIsKilled(t *testing.T) {
	for _, program := range []string{"spin", "echo"} {
		t.Run(program, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			parent := exec.Command(self, "-test.run=^TestHelperParent$", "-test.v")
			parent.Env = append(os.Environ(), "CLONECLOUD_TEST_PARENT="+program)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = parent.Process.Kill(); _ = parent.Wait() }()
			pid := 0
			for s := bufio.NewScanner(out); pid == 0 && s.Scan(); {
				_, _ = fmt.Sscanf(s.Text(), "child %d", &pid)
			}
			if pid == 0 {
				t.Fatal("the helper started no child")
			}
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Close(pidfd) }()
			killed := time.Now()
			if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if !waitPidfd(pidfd, time.Minute) {
				_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
				t.Fatal("the child outlived its parent by a minute")
			}
			t.Logf("the child ended %v after its parent", time.Since(killed))
		})
	}
}

func waitPidfd(fd int, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if err == nil && n > 0 {
			return true
		}
	}
	return false
}
