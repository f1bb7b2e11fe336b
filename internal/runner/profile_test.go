package runner

import (
	_ "embed"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/profile"
)

//go:embed testdata/entry.wasm
var entryModule []byte

// BenchmarkArmedEntry gives what a call of an armed function that stays here
// costs: asked for and not watched, and with a profile, which is told of the exit
// too. A disarmed one is measured by package rewrite's BenchmarkStubCall.
func BenchmarkArmedEntry(b *testing.B) {
	for _, watched := range []bool{false, true} {
		name := "asked"
		if watched {
			name = "profiled"
		}
		b.Run(name, func(b *testing.B) {
			best := trackers()[0]
			gr := newGround(b, engines{trackedOnDevice: best, trackedThere: best}, inner, 16)
			defer gr.close()
			gr.pick = func() bool { return false }
			in, err := gr.instantiate(entryModule, nil)
			if err != nil {
				b.Fatal(err)
			}
			if watched {
				in.profile = testProfile(in.deviceRun)
			}
			const calls = 10_000
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.call("run", []uint64{calls}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/entry")
		})
	}
}

// testProfile watches every call.
func testProfile(r *deviceRun) *profiling {
	p := &profiling{r: r, entries: newReentries(r.g), arms: r.arms, tellAt: int64(time.Hour)}
	conf := profile.Config{Clock: r.instant}
	for i := range r.g.out.Candidates {
		conf.Funcs = append(conf.Funcs, r.g.out.Candidates[i].Index)
	}
	p.c = profile.NewCollector(conf)
	return p
}

// TestAnEntryWithAProfileIsSeenOnce runs the benchmark's program.
func TestAnEntryWithAProfileIsSeenOnce(t *testing.T) {
	for _, e := range pairsToTest(t) {
		gr := newGround(t, e, inner, 16)
		gr.pick = func() bool { return false }
		in, err := gr.instantiate(entryModule, nil)
		if err != nil {
			t.Fatal(err)
		}
		in.profile = testProfile(in.deviceRun)
		if _, err := in.call("run", []uint64{1000}); err != nil {
			t.Fatal(err)
		}
		if _, err := in.call("trap", nil); err == nil {
			t.Fatal("it does not trap")
		}
		if d := in.profile.depth(); d != 0 {
			t.Errorf("%d calls are in progress after all have ended", d)
		}
		tree := in.profile.c.Take()
		calls := map[string]profile.Stats{}
		tree.Walk(func(n *profile.Node, context []*profile.Node) {
			name := ""
			for _, c := range context {
				name += "/" + in.g.module.Name(c.Func)
			}
			calls[name] = n.Stats
		})
		if f := calls["/run/f"]; f.Calls != 1000 || f.Device.Calls != 1000 || calls["/run"].Calls != 1 {
			t.Errorf("%v: %+v", e, calls)
		}
		if f := calls["/trap/f"]; f.Calls != 1 || calls["/trap"].Device.Calls != 1 {
			t.Errorf("%v, a call that trapped: %+v", e, calls)
		}
		gr.close()
	}
}

// TestALongRunTellsItsProfileNowAndThen: what was told is not told again.
func TestALongRunTellsItsProfileNowAndThen(t *testing.T) {
	gr := newGround(t, pairsToTest(t)[0], inner, 16)
	defer gr.close()
	gr.pick = func() bool { return false }
	in, err := gr.instantiate(entryModule, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.profile = testProfile(in.deviceRun)
	told := func() bool {
		if _, err := in.call("run", []uint64{100}); err != nil {
			t.Fatal(err)
		}
		return in.profile.tellAt != int64(time.Hour) && in.profile.tellAt > in.instant()
	}
	if told() {
		t.Error("told at once")
	}
	in.profile.tellAt = in.instant()
	if !told() {
		t.Error("not told when it was due")
	}
	if tree := in.profile.c.Take(); tree.Runs != 0 || tree.Root.Children[0].Calls > 100 {
		t.Errorf("what was told is there still: %d runs, %+v", tree.Runs, tree.Root.Children[0].Stats)
	}
}
