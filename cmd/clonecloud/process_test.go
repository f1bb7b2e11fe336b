//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests. It is no measure of anything: a
// busy machine needs most of it, an idle one little.
const patience = 60 * time.Second

// bench is a device and a clone as processes of their own.
type bench struct {
	t    *testing.T
	dir  string
	home string
	node *served
}

func newBench(t *testing.T, pair bool) *bench {
	t.Helper()
	t.Parallel() // they mostly wait
	b := &bench{t: t, dir: t.TempDir()}
	b.home = filepath.Join(b.dir, "home")
	if err := linkPrograms(b.dir); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Under this name the test binary is the command.
	if err := os.Symlink(self, filepath.Join(b.dir, "clonecloud")); err != nil {
		t.Fatal(err)
	}
	if pair {
		b.serve()
		if out, err := b.command("pair", b.node.url).CombinedOutput(); err != nil {
			t.Fatalf("pair: %v\n%s", err, out)
		}
	}
	return b
}

// command is one invocation in the bench's folder.
func (b *bench) command(args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command(filepath.Join(b.dir, "clonecloud"), args...)
	cmd.Args[0] = "clonecloud"
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "CLONECLOUD_HOME="+b.home)
	return cmd
}

func (b *bench) serve(args ...string) {
	b.t.Helper()
	cmd := b.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--name", "box", "--data", filepath.Join(b.dir, "node")}, args...)...)
	s, err := startNode(cmd)
	if err != nil {
		b.t.Fatal(err)
	}
	b.node = s
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// running is a program that runs in the background.
type running struct {
	b        *bench
	cmd      *exec.Cmd
	out, err lockedBuffer
	done     chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (b *bench) start(args ...string) *running {
	b.t.Helper()
	r := &running{b: b, cmd: b.command(args...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	if err := r.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.done)
	}()
	b.t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	return r
}

// printed waits until the program has printed text.
func (r *running) printed(text string) {
	r.b.t.Helper()
	r.b.eventually("the program prints "+text, func() bool { return strings.Contains(r.out.String(), text) })
}

// ends waits for the end and compares the exit code.
func (r *running) ends(code int) {
	r.b.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.b.t.Fatalf("the run has not ended; stdout %q, stderr %q", r.out.String(), r.err.String())
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.b.t.Fatalf("exit code %d, want %d; stdout %q, stderr %q", got, code, r.out.String(), r.err.String())
	}
}

func (r *running) signal(s os.Signal) {
	r.b.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.b.t.Fatal(err)
	}
}

func (b *bench) eventually(what string, f func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// children lists the live children of a process; zombies are dead.
func children(pid int) []int {
	var all []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(data), ") ") // a name may hold anything
		f := strings.Fields(rest)
		if len(f) < 2 || f[0] == "Z" || f[0] == "X" || f[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// alive reports whether a process runs.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func (b *bench) clones() []int { return children(b.node.cmd.Process.Pid) }

// local is what a program prints when it runs on the device alone.
func (b *bench) local(args ...string) string {
	b.t.Helper()
	out, err := b.command(append([]string{"run", "--where", "device"}, args...)...).Output()
	if err != nil {
		b.t.Fatalf("local run: %v", err)
	}
	return string(out)
}

// Programs by the number of their steps, each of which is a tenth of a second
// or so; output is released as it comes. The long one is never waited for.
var (
	long   = []string{"steps.wasm", "5000", "60"}
	medium = []string{"steps.wasm", "12", "60"}
)

var mediumOutput struct {
	once sync.Once
	text string
}

// mediumLocal is what the medium program prints on the device alone.
func (b *bench) mediumLocal() string {
	b.t.Helper()
	mediumOutput.once.Do(func() { mediumOutput.text = b.local(medium...) })
	return mediumOutput.text
}

func onClone(program ...string) []string {
	return append([]string{"run", "--where", "clone"}, program...)
}

func TestAnInterruptEndsTheClonesPart(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			b := newBench(t, true)
			r := b.start(onClone(long...)...)
			r.printed("step 1 ")
			if len(b.clones()) != 1 {
				t.Fatalf("clones %v", b.clones())
			}
			r.signal(sig)
			r.ends(130)
			b.eventually("the clone's runner ends", func() bool { return len(b.clones()) == 0 })
			if s := r.err.String(); s != "" {
				t.Errorf("stderr %q", s)
			}
		})
	}
}

// The grace of 5 s must not be what ends it.
func TestAnInterruptedCloneEndsAtOnceAndNotAfterTheGrace(t *testing.T) {
	b := newBench(t, true)
	r := b.start(onClone(long...)...)
	r.printed("step 1 ")
	r.signal(os.Interrupt)
	r.ends(130)
	began := time.Now()
	b.eventually("the clone's runner ends", func() bool { return len(b.clones()) == 0 })
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the clone's runner lived for %v more", took)
	}
}

func TestAnInterruptOfALocalRunEndsIt(t *testing.T) {
	b := newBench(t, false)
	r := b.start("run", "spin.wasm")
	r.printed("spinning")
	runners := children(r.cmd.Process.Pid)
	r.signal(os.Interrupt)
	r.ends(130)
	b.eventually("the runner ends", func() bool { return !slices.ContainsFunc(runners, alive) })
}

func TestAnInterruptWhileTheCloneIsBeingReachedEndsTheRun(t *testing.T) {
	b := newBench(t, true)
	if err := b.node.cmd.Process.Signal(syscall.SIGSTOP); err != nil { // it answers nothing
		t.Fatal(err)
	}
	r := b.start(onClone(long...)...)
	b.eventually("the runner is started", func() bool { return len(children(r.cmd.Process.Pid)) == 1 })
	r.signal(os.Interrupt)
	r.ends(130)
	if s := r.err.String(); s != "" {
		t.Errorf("stderr %q", s)
	}
}

func TestAClosedStdoutEndsTheClonesPart(t *testing.T) {
	b := newBench(t, true)
	cmd := b.command(onClone(long...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil { // as head -1 does
		t.Fatal(err)
	}
	_ = out.Close()
	b.eventually("the clone's runner ends", func() bool { return len(b.clones()) == 0 })
}

func TestAKilledDeviceLeavesNoRunnersBehind(t *testing.T) {
	b := newBench(t, true)
	r := b.start(onClone(long...)...)
	r.printed("step 1 ")
	runners := children(r.cmd.Process.Pid)
	if len(runners) != 1 || len(b.clones()) != 1 {
		t.Fatalf("runners %v, clones %v", runners, b.clones())
	}
	r.signal(syscall.SIGKILL)
	b.eventually("the device's runner ends itself", func() bool { return !alive(runners[0]) })
	b.eventually("the clone's runner ends after its grace", func() bool { return len(b.clones()) == 0 })
}

func TestAKilledNodeLeavesNoRunnersAndTheRunEndsOnTheDevice(t *testing.T) {
	b := newBench(t, true)
	want := b.mediumLocal()
	r := b.start(onClone(medium...)...)
	r.printed("step 1 ")
	clones := b.clones()
	if err := b.node.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	b.eventually("the node's runners end themselves", func() bool { return !slices.ContainsFunc(clones, alive) })
	r.ends(0)
	if got := r.out.String(); got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
}

func TestAKilledCloneEndsInTheResultOfALocalRun(t *testing.T) {
	b := newBench(t, true)
	want := b.mediumLocal()
	r := b.start(onClone(medium...)...)
	r.printed("step 1 ")
	for _, pid := range b.clones() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	r.ends(0)
	if got := r.out.String(); got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
}

func TestANodeThatIsToldToStopLetsARunningCallEnd(t *testing.T) {
	b := newBench(t, true)
	want := b.mediumLocal()
	report := filepath.Join(b.dir, "r.json")
	r := b.start(append([]string{"run", "--where", "clone", "--report", report}, medium...)...)
	r.printed("step 1 ")
	stopped := make(chan error, 1)
	go func() { stopped <- b.node.stop() }()
	r.ends(0)
	if got := r.out.String(); got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"callsClone": 1`) {
		t.Errorf("the call did not end on the clone: %s", data)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestANodeThatIsStoppingTakesNothingNew(t *testing.T) {
	b := newBench(t, true)
	r := b.start(onClone(long...)...)
	r.printed("step 1 ")
	if err := b.node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // the signal arrives; later is as good
	other := b.start("run", "--where", "clone", "c-exits.wasm", "return", "3")
	other.ends(exitNoClone)
	if s := other.err.String(); !strings.Contains(s, "no clone can be reached") || !strings.Contains(s, "hint:") {
		t.Errorf("stderr %q", s)
	}
	r.signal(os.Interrupt)
	r.ends(130)
}

func TestOffEndsTheOffloadOfARunThatGoesOnHere(t *testing.T) {
	b := newBench(t, true)
	want := b.mediumLocal()
	r := b.start(onClone(medium...)...)
	r.printed("step 1 ")
	if out, err := b.command("off").CombinedOutput(); err != nil {
		t.Fatalf("off: %v\n%s", err, out)
	}
	b.eventually("the clone's runner ends", func() bool { return len(b.clones()) == 0 })
	r.ends(0)
	if got := r.out.String(); got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
}

func TestTwoRunsBesideEachOtherDoNotDisturbEachOther(t *testing.T) {
	b := newBench(t, true)
	if err := os.Mkdir(filepath.Join(b.dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	var all []*running
	for i := range 4 {
		where := []string{"clone", "clone", "auto", "device"}[i]
		all = append(all, b.start("run", "--where", where, "--dir", "d", "steps.wasm", strconv.Itoa(3+i), "20", fmt.Sprintf("d/%d.txt", i), "20"))
	}
	for i, r := range all {
		r.ends(0)
		if want := b.local("steps.wasm", strconv.Itoa(3+i), "20"); r.out.String() != want {
			t.Errorf("run %d: stdout %q, want %q", i, r.out.String(), want)
		}
		if info, err := os.Stat(filepath.Join(b.dir, fmt.Sprintf("d/%d.txt", i))); err != nil || info.Size() != 9+20*64 {
			t.Errorf("run %d: its file: %v, %v", i, info, err)
		}
	}
	// One of them killed takes nothing from the other.
	one, two := b.start(onClone(long...)...), b.start(onClone(medium...)...)
	one.printed("step 1 ")
	two.printed("step 1 ")
	one.signal(os.Interrupt)
	one.ends(130)
	two.ends(0)
	if want := b.mediumLocal(); two.out.String() != want {
		t.Errorf("stdout %q, want %q", two.out.String(), want)
	}
	left, err := filepath.Glob(filepath.Join(b.home, "commits", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the home: %v, %v", left, err)
	}
}

// exitOf runs a command to its end.
func exitOf(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
