package proc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/runner/proc"
)

// start starts a child of this test binary and ends it with the test.
func start(t *testing.T, c proc.Config) *proc.Process {
	t.Helper()
	p, err := proc.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		_ = p.Conn().Close()
	})
	return p
}

// within fails the test if f takes far longer than anything here may.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: not within a minute", what)
	}
}

func readFacts(t *testing.T, p *proc.Process) (f facts) {
	t.Helper()
	if err := json.NewDecoder(p.Conn()).Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBytesTravelBothWays(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"echo"}})
	for _, n := range []int{1, 100, 70_000, 1 << 20} {
		want := bytes.Repeat([]byte{byte(n), 1, 2}, n/3+1)
		go func() { _, _ = p.Conn().Write(want) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(p.Conn(), got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back altered", n)
		}
	}
}

func TestTheChildEndsWithTheProgramsCode(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"exit"}})
	if st := p.Wait(); st.Code != 7 || st.Killed || st.TimedOut {
		t.Errorf("status = %+v", st)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill after the end: %v", err)
	}
	if st := p.Wait(); st.Killed {
		t.Error("a child that ended by itself counts as killed")
	}
}

func TestTheChildHasOnlyWhatItIsGiven(t *testing.T) {
	t.Setenv("CLONECLOUD_TEST_SECRET", "do not pass")
	stray, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stray.Close() }()
	leak(t, stray)
	p := start(t, proc.Config{Args: []string{"facts", "a", "b c"}, Stderr: os.Stderr})
	f := readFacts(t, p)
	if len(f.Env) > 0 && runtime.GOOS != "windows" {
		t.Errorf("environment %q, want none", f.Env)
	}
	if strings.Join(f.Args, "|") != "facts|a|b c" {
		t.Errorf("arguments %q", f.Args)
	}
	checkFiles(t, f)
	if f.MaxProcs < 2 || f.GCPercent != -1 || f.MemoryLimit != 1<<63-1 || !f.Ignored {
		t.Errorf("settings: %+v", f)
	}
	if got, want := fmt.Sprint(f.Confinement), fmt.Sprint(p.Confinement()); got != want {
		t.Errorf("the child found %s, the parent was told %s", got, want)
	}
}

func TestOnlyListedVariablesReachTheChild(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"facts"}, Env: []string{"TZ=UTC", "LANG="}})
	if f := readFacts(t, p); strings.Join(f.Env, "|") != "TZ=UTC|LANG=" && runtime.GOOS != "windows" {
		t.Errorf("environment %q", f.Env)
	}
}

func TestAConfigurationThatWouldHarmIsRefused(t *testing.T) {
	for _, c := range []proc.Config{
		{Env: []string{"GOMEMLIMIT=1GiB"}},
		{Env: []string{"GOGC=50"}},
		{Env: []string{"noequals"}},
		{Args: make([]string, 1000)},
		{TimeLimit: -1},
	} {
		if p, err := proc.Start(c); err == nil {
			_ = p.Kill()
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestStandardFilesAreTheOnesGiven(t *testing.T) {
	dir := t.TempDir()
	in, err1 := os.CreateTemp(dir, "in")
	out, err2 := os.CreateTemp(dir, "out")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = in.Close(), out.Close() }()
	fmt.Fprintln(in, "hello")
	_, _ = in.Seek(0, io.SeekStart)
	if st := start(t, proc.Config{Args: []string{"stdio"}, Stdin: in, Stdout: out, Stderr: out}).Wait(); st.Code != 0 {
		t.Fatalf("status = %+v", st)
	}
	if b, _ := os.ReadFile(out.Name()); string(b) != `out "hello\n" <nil>err` {
		t.Errorf("output %q", b)
	}
}

func TestKillEndsAChildThatSpins(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"spin"}})
	if _, err := io.ReadFull(p.Conn(), make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	within(t, "kill", func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if st := p.Wait(); !st.Killed || st.Code == 0 || st.TimedOut {
		t.Errorf("status = %+v", st)
	}
	if n, err := p.Conn().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read after the kill: %d, %v", n, err)
	}
}

func TestTheTimeLimitEndsAChildThatSpins(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"spin"}, TimeLimit: 100 * time.Millisecond})
	within(t, "the time limit", func() { p.Wait() })
	if st := p.Wait(); !st.TimedOut || !st.Killed {
		t.Errorf("status = %+v", st)
	}
	q := start(t, proc.Config{Args: []string{"echo"}, TimeLimit: time.Hour})
	q.SetTimeLimit(time.Millisecond)
	within(t, "the changed time limit", func() { q.Wait() })
	r := start(t, proc.Config{Args: []string{"echo"}, TimeLimit: 200 * time.Millisecond})
	r.SetTimeLimit(0)
	time.Sleep(400 * time.Millisecond)
	if _, err := r.Conn().Write([]byte{5}); err != nil {
		t.Errorf("the lifted limit ended the child: %v", err)
	}
}

func TestAChildThatSpinsEndsWhenItsStreamCloses(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"spin"}})
	if _, err := io.ReadFull(p.Conn(), make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	closed := time.Now()
	_ = p.Conn().Close()
	within(t, "the end after the close", func() { p.Wait() })
	t.Logf("ended %v after the close", time.Since(closed))
	if st := p.Wait(); st.Killed || st.Code != proc.ExitOrphan {
		t.Errorf("status = %+v", st)
	}
}

func TestACommandThatIsNoChildIsAnError(t *testing.T) {
	for name, command := range map[string][]string{
		"it ends":            {"/bin/true"},
		"it fails":           {"/bin/false"},
		"it says other":      {"/bin/sh", "-c", "echo 0123456789012345678901234567890 >&3"},
		"it is not there":    {"/nowhere/at/all"},
		"it is another verb": {"/bin/echo"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("no such commands")
			}
			before := namespaces()
			p, err := proc.Start(proc.Config{Command: command, Args: []string{"echo"}})
			if err == nil {
				_ = p.Kill()
				t.Fatal("it was taken for a child")
			}
			if command[0] != "/nowhere/at/all" && !errors.Is(err, proc.ErrNoChild) {
				t.Errorf("err = %v, want ErrNoChild", err)
			}
			if before != namespaces() {
				t.Error("a bad command was taken for a refused namespace")
			}
		})
	}
	t.Run("it says nothing", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("no such commands")
		}
		within(t, "start", func() {
			_, err := proc.Start(proc.Config{Command: []string{"/bin/sleep", "1000"}, StartTimeout: 100 * time.Millisecond})
			if !errors.Is(err, proc.ErrNoChild) {
				t.Errorf("err = %v, want ErrNoChild", err)
			}
		})
	})
}

func TestManyChildrenMayRunAtOnce(t *testing.T) {
	var all []*proc.Process
	for range 6 {
		all = append(all, start(t, proc.Config{Args: []string{"echo"}}))
	}
	for i, p := range all {
		if _, err := p.Conn().Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	_ = all[2].Kill()
	for i, p := range all {
		b := make([]byte, 1)
		_, err := io.ReadFull(p.Conn(), b)
		if i != 2 && (err != nil || b[0] != byte(i)) {
			t.Errorf("child %d: %v, %v", i, b, err)
		}
	}
}

func TestGarbageIsCollectedOnlyWhenAskedFor(t *testing.T) {
	p := start(t, proc.Config{Args: []string{"collect"}, Stderr: os.Stderr})
	var times, grown, idle, end, percent int
	if _, err := fmt.Fscan(p.Conn(), &times, &grown, &idle, &end, &percent); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d collections, heap %d MB, %d MB after idling, %d MB at the end", times, grown, idle, end)
	if times < 10 || grown > 300 || idle > 60 || end > 400 || percent != -1 {
		t.Errorf("%d collections, heap %d MB, %d MB after idling, %d MB at the end, percent %d", times, grown, idle, end, percent)
	}
}

func TestTheVerbIsNotForPeople(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs descriptors")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"runner", "1"}, {"runner", "99"}, {"runner", "x", "echo"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		q, err := os.StartProcess(self, append([]string{self}, args...), &os.ProcAttr{Files: []*os.File{nil, nil, w}})
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		text, _ := io.ReadAll(r)
		_ = r.Close()
		st, err := q.Wait()
		if err != nil || st.ExitCode() != proc.ExitUsage || !strings.Contains(string(text), "not a command for people") {
			t.Errorf("%q: %v, %v, %q", args, st, err, text)
		}
	}
}
