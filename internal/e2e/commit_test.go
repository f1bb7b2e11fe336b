package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprocs"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// awaitHeld waits until a runner stands at the point of its hold.
func awaitHeld(tb testing.TB, h *runner.Hold) {
	tb.Helper()
	testprocs.Eventually(tb, patience, "the commit comes to: "+string(h.Point), func() bool {
		_, err := os.Stat(filepath.Join(h.Dir, runner.HeldFile))
		return err == nil
	})
}

func letGo(tb testing.TB, h *runner.Hold) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(h.Dir, runner.GoFile), nil, 0o600); err != nil {
		tb.Error(err)
	}
}

// TestRule16ACommitThatHasBegunHoldsWhateverFailsAround strikes the clone and
// the link while the device's runner stands inside the commit: the Return is
// there, so nothing that happens elsewhere is of any consequence.
func TestRule16ACommitThatHasBegunHoldsWhateverFailsAround(t *testing.T) {
	p := effectsProgram()
	local := NewWorld(t).Run(p, OnDevice)
	for _, at := range stage.Points {
		for _, what := range faults {
			t.Run(string(at)+"/"+what.name, func(t *testing.T) {
				t.Parallel()
				remote := strikeInCommit(t, p, at, what)
				if same(t, p, local, remote); t.Failed() {
					t.Log(calls(remote.Report.Calls))
				}
				if c := remote.Report.Totals; c.CallsClone != 1 || c.Fallbacks != 0 {
					t.Errorf("%d calls committed, %d fell back: calls:%s", c.CallsClone, c.Fallbacks, calls(remote.Report.Calls))
				}
			})
		}
	}
}

// strikeInCommit runs a program with one fault inside the commit of its call.
func strikeInCommit(t *testing.T, p *testprogs.Program, at stage.Point, what fault) *Outcome {
	t.Helper()
	var mu sync.Mutex
	kill, killed := func() {}, false
	w := newWorld(t, World{OnClone: func(k func()) {
		mu.Lock()
		defer mu.Unlock()
		kill = k
	}})
	net, err := shape.New(shape.Profile{Name: "test", OneWay: time.Millisecond, Up: 40_000_000, Down: 40_000_000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	hold := &runner.Hold{Point: at, Dir: t.TempDir()}
	var striker sync.WaitGroup
	striker.Go(func() {
		testprocs.Eventually(quiet{t}, patience, "the commit comes to: "+string(at), func() bool {
			_, err := os.Stat(filepath.Join(hold.Dir, runner.HeldFile))
			return err == nil
		})
		what.strike(net, func() {
			mu.Lock()
			defer mu.Unlock()
			kill()
			killed = true
		})
		time.Sleep(20 * time.Millisecond) // for a manager to notice first; that it does is not needed
		letGo(t, hold)
	})
	out := w.Run(p, Only("work"), func(o *device.Options) {
		o.Net, o.Hold = net, hold
		o.Tap = func(bool, *wire.Frame) bool { return true } // whole frames pass, as in the other tests
	})
	striker.Wait()
	if _, err := os.Stat(filepath.Join(hold.Dir, runner.HeldFile)); err != nil {
		t.Errorf("the commit never came to this point: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if what.name == "the clone is killed" && !killed {
		t.Error("the clone was not killed")
	}
	return out
}

// quiet is a testing.TB for another goroutine than the test's: it reports and
// does not end the test.
type quiet struct{ testing.TB }

func (q quiet) Fatalf(format string, args ...any) { q.Errorf(format, args...) }

// TestRule19ADeviceKilledInsideACommitRecovers kills the device's runner, or its
// manager, at every point of a commit: the next start finds files as before the
// call or as after it, and output is what a run on the device had printed by
// then, once.
func TestRule19ADeviceKilledInsideACommitRecovers(t *testing.T) {
	p := effectsProgram()
	local := NewWorld(t).Run(p, OnDevice)
	before := filesOf(t, p)
	for _, at := range stage.Points {
		for _, victim := range []string{"runner", "manager"} {
			t.Run(string(at)+"/the device's "+victim+" is killed", func(t *testing.T) {
				t.Parallel()
				w := NewWorld(t)
				hold := &runner.Hold{Point: at, Dir: t.TempDir()}
				d := w.spawn(p, order{Where: device.WhereClone, Only: []string{"work"}, Hold: hold})
				guest := d.runner()
				awaitHeld(t, hold)
				pid := guest
				if victim == "manager" {
					pid = d.cmd.Process.Pid
				}
				if err := kill(pid); err != nil {
					t.Fatal(err)
				}
				testprocs.Eventually(t, patience, "the runner is gone", func() bool { return !testprocs.Alive(guest) })
				out := d.outcome()
				if victim == "runner" && (out.Exit.Code != 1 || !strings.Contains(out.Exit.Error, "killed")) {
					t.Errorf("the manager reports %d %q", out.Exit.Code, out.Exit.Error)
				}
				want := before
				if at == stage.PointDone {
					want = local.Files
				}
				if files := d.next(); !maps.Equal(files, want) {
					t.Errorf("after the next start there is\n%q\nwant\n%q", files, want)
				}
				// Everything up to the file changes, and nothing that follows them.
				if seen, _, _ := strings.Cut(local.Stdout, "three"); out.Stdout != seen {
					t.Errorf("printed\n%s\nwant\n%s", out.Stdout, seen)
				}
			})
		}
	}
}

// filesOf is what a program's folder holds before it runs.
func filesOf(t *testing.T, p *testprogs.Program) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := populate(dir, p.Files); err != nil {
		t.Fatal(err)
	}
	return tree(t, dir)
}
