package e2e

import (
	"crypto/sha256"
	_ "embed"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Watched has every call of a candidate looked at.
func Watched(o *device.Options) { o.Profile, o.Trace = runner.ProfileFull, true }

// Profiled is what `clonecloud run --trace` asks for.
func Profiled(o *device.Options) { o.Profile, o.Trace = runner.ProfileOnline, true }

// Offering has these functions stubbed too.
func Offering(functions ...string) Setup {
	return func(o *device.Options) { o.Offload = functions }
}

// byName sums a profile over contexts.
func byName(t *testing.T, p *testprogs.Program, tree *profile.Tree) map[string]profile.Stats {
	t.Helper()
	m, err := wasmbin.Parse(p.Wasm, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]profile.Stats{}
	tree.Walk(func(n *profile.Node, _ []*profile.Node) {
		if n.Func == profile.Other {
			return
		}
		s := out[m.Name(n.Func)]
		s.Add(&n.Stats)
		out[m.Name(n.Func)] = s
	})
	return out
}

// checkTree fails where a profile says what cannot be.
func checkTree(t *testing.T, tree *profile.Tree, seconds float64) {
	t.Helper()
	if tree.Runs != 1 {
		t.Errorf("a profile of %d runs", tree.Runs)
	}
	self := uint64(0)
	tree.Walk(func(n *profile.Node, context []*profile.Node) {
		self += n.Device.Self
		if n.Device.Self > n.Device.Nanos+n.Mixed.Nanos {
			t.Errorf("function %d: more time of its own than in all: %+v", n.Func, n.Stats)
		}
		if slices.ContainsFunc(context[:len(context)-1], func(c *profile.Node) bool { return c.Func == n.Func }) {
			t.Errorf("function %d is below itself", n.Func)
		}
	})
	if s := float64(self) / 1e9; s > seconds {
		t.Errorf("calls took %v s of a run of %v s", s, seconds)
	}
}

func TestWatchedProgramsEndAsTheyDoUnwatched(t *testing.T) {
	w := NewWorld(t)
	seen := 0
	for _, p := range testprogs.All() {
		t.Run(p.Name, func(t *testing.T) {
			w.tb = t
			plain := w.Run(&p, OnDevice)
			watched := w.Run(&p, OnDevice, Watched)
			same(t, &p, plain, watched)
			checkTree(t, watched.Profile, watched.Report.Totals.Seconds)
			if !plain.Profile.Empty() {
				t.Errorf("a run without a profile has one: %+v", plain.Profile)
			}
			seen += watched.Profile.Len()
		})
	}
	w.tb = t
	if seen < 100 {
		t.Errorf("%d contexts in all programs: nobody watched", seen)
	}
}

func TestAProfileCountsTheCallsOfAProgram(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Named("c-recursion")
	out := w.Run(&p, OnDevice, Watched, func(o *device.Options) { o.Only = []string{"hanoi", "queens", "_start"} })
	got := byName(t, &p, out.Profile)
	for name, s := range got {
		t.Logf("%s: %+v", name, s)
	}
	if s := got["_start"]; s.Calls+got["_start.command_export"].Calls != 1 {
		t.Errorf("the program began %d times", s.Calls)
	}
	if s := got["queens"]; s.Calls == 0 || s.Device.Calls == 0 || s.Device.Calls > s.Calls {
		t.Errorf("queens: %+v", s)
	}
	if len(out.Trace.Spans) == 0 {
		t.Error("the trace has no span")
	}
}

// TestAGoFunctionThatWaitsIsCalledOnce: each sleep unwinds the goroutine's stack
// and enters its functions again.
func TestAGoFunctionThatWaitsIsCalledOnce(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Named("goprog/sleep")
	out := w.Run(&p, OnDevice, Watched, Offering("main.sleeps", "main.main"))
	got := byName(t, &p, out.Profile)
	s := got["main.sleeps"]
	if s.Calls != 1 || s.Device.Calls != 1 || s.Reentries == 0 {
		t.Errorf("main.sleeps: %+v", s)
	}
	if m := got["main.main"]; m.Calls != 1 || m.Device.Nanos < s.Device.Nanos {
		t.Errorf("main.main takes %+v, and what it calls %+v", m.Device, s.Device)
	}
	checkTree(t, out.Profile, out.Report.Totals.Seconds)
}

//go:embed testdata/asyncify.wasm
var asyncify []byte

func TestAnAsyncifyFunctionThatUnwindsIsCalledOnce(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Program{Name: "asyncify", Wasm: asyncify, Deterministic: true}
	out := w.Run(&p, OnDevice, Watched, Offering("step", "work"))
	if out.Exit.Error != "" {
		t.Fatal(out.Exit.Error)
	}
	got := byName(t, &p, out.Profile)
	for _, name := range []string{"step", "work"} {
		if s := got[name]; s.Calls != 1 || s.Reentries != 2 || s.Device.Calls != 1 {
			t.Errorf("%s: %+v, want one call with two re-entries", name, s)
		}
	}
	if s := got["_start"]; s.Imports[profile.ImportQuiet] != 2 {
		t.Errorf("_start called %v imports, want two quiet ones", s.Imports)
	}
}

func TestTheProfileOfMovedCallsIsThatOfTheReport(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Named("c-numbers")
	out := w.Run(&p, Only("matrix", "primes", "crc32"), Profiled)
	totals := &out.Report.Totals
	if totals.CallsClone == 0 || totals.Fallbacks > 0 {
		t.Fatalf("%+v", totals)
	}
	var all profile.Stats
	out.Profile.Walk(func(n *profile.Node, _ []*profile.Node) { all.Add(&n.Stats) })
	if all.Clone.Calls != uint64(totals.CallsClone) || all.Up != uint64(totals.BytesUp) || all.Down != uint64(totals.BytesDown) {
		t.Errorf("the profile has %d calls, %d up, %d down; the report %+v", all.Clone.Calls, all.Up, all.Down, totals)
	}
	if all.Clone.Nanos == 0 || all.Away < all.Clone.Nanos || all.DirtyCalls != all.Clone.Calls {
		t.Errorf("%+v", all)
	}
	for _, c := range out.Trace.Calls {
		f := c.Phases
		if c.Where != device.WhereClone || f == nil {
			t.Errorf("%+v has no phases", c)
			continue
		}
		sum := f.Capture + f.Upload + f.Enter + f.Compute + f.Download + f.Apply
		if min(f.Capture, f.Upload, f.Enter, f.Compute, f.Download, f.Apply) < 0 || sum > c.Seconds*1.001 || sum < c.Seconds/2 {
			t.Errorf("phases %+v of a call of %v s", *f, c.Seconds)
		}
	}
}

func TestOnlyFunctionsToBeReplayedMove(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Named("c-numbers")
	m, err := wasmbin.Parse(p.Wasm, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var matrix uint32
	for i, name := range m.Names() {
		if name == "matrix" {
			matrix = i
		}
	}
	out := w.Run(&p, OnClone, Profiled, Offering("matrix"), func(o *device.Options) { o.Replay = []uint32{matrix} })
	if out.Report.Totals.CallsClone == 0 {
		t.Fatal("nothing moved")
	}
	for _, c := range out.Report.Calls {
		if c.Where == device.WhereClone && (c.Function != "matrix" || !strings.Contains(c.Context, "main")) {
			t.Errorf("%s moved, called by %q", c.Function, c.Context)
		}
	}
	if s := byName(t, &p, out.Profile)["_start.command_export"]; s.Mixed.Calls != 1 || s.Device.Calls != 0 {
		t.Errorf("what it was called by is not known to have run in part elsewhere: %+v", s)
	}
}

func TestTwoRunsAtOnceKeepWhatBothLearnt(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Named("goprog/stack")
	const runs = 3
	var wg sync.WaitGroup
	for range runs {
		wg.Go(func() { w.Run(&p, OnDevice, Watched) })
	}
	wg.Wait()
	if n := stored(t, w, &p).Runs; n != runs {
		t.Errorf("%d runs are stored, %d ran", n, runs)
	}
}

func stored(t *testing.T, w *World, p *testprogs.Program) *profile.Tree {
	t.Helper()
	tree, err := device.Profiles(w.Home, func(err error) { t.Error(err) }).Load(device.ProfileKey(sha256.Sum256(p.Wasm)))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestADamagedProfileNeitherStopsARunNorStays(t *testing.T) {
	w := NewWorld(t)
	p := testprogs.Named("goprog/stack")
	w.Run(&p, OnDevice, Watched)
	files, err := filepath.Glob(filepath.Join(w.Home, "profiles", "*.profile"))
	if err != nil || len(files) != 1 {
		t.Fatalf("profiles: %v, %v", files, err)
	}
	if err := os.Truncate(files[0], 30); err != nil {
		t.Fatal(err)
	}
	var warned []string
	out := w.Run(&p, OnDevice, Watched, func(o *device.Options) {
		o.OnEvent = func(e runner.Event) {
			if e.Warn != "" {
				warned = append(warned, e.Warn)
			}
		}
	})
	if out.Stdout != p.Stdout || out.Exit.Error != "" {
		t.Errorf("the run: %+v", out.Exit)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "damaged") {
		t.Errorf("warnings: %q", warned)
	}
	if n := stored(t, w, &p).Runs; n != 1 {
		t.Errorf("%d runs are stored after it, want 1", n)
	}
}
