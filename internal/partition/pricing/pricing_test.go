package pricing

import (
	"context"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/profile"
)

const second = uint64(time.Second)

// sample is a profile of two runs. A main of 1 s calls a kernel four times, 8 s
// each, which calls a helper; once everything ran on the clone, in 3.3 s.
func sample() *profile.Tree {
	t := profile.New()
	t.Runs = 2
	main := t.Root.Make(5)
	main.Stats = profile.Stats{
		Calls: 2, Device: profile.Cost{Calls: 1, Nanos: 33 * second, Self: second},
		Clone: profile.Cost{Calls: 1, Nanos: 33 * second / 10, Self: 33 * second / 10}, Up: 9000, Down: 1000,
	}
	kernel := main.Make(7)
	kernel.Stats = profile.Stats{
		Calls: 4, Device: profile.Cost{Calls: 4, Nanos: 32 * second, Self: 24 * second}, DirtyCalls: 4, Dirtied: 80_000,
	}
	kernel.Imports[profile.ImportRead] = 8
	kernel.Make(9).Stats = profile.Stats{Calls: 4, Device: profile.Cost{Calls: 4, Nanos: 8 * second, Self: 8 * second}}
	return t
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(b)) }

func TestAProfileBecomesItsMeanRun(t *testing.T) {
	p, m := FromProfile(sample(), "box")
	if m.Runs != 2 || m.Contexts != 3 || !near(m.Faster, 10) || p.Clones[0] != "box" {
		t.Errorf("%+v, clones %v", m, p.Clones)
	}
	// The device saw 1 of 2 calls of main, so main's own second counts for each,
	// and the four calls of the kernel are those of both runs.
	want := []partition.Context{
		{Parent: -1, Func: profile.Root, Seconds: []float64{0, 0}, Pinned: true, Up: 4096, Down: 4096},
		{Parent: 0, Func: 5, Calls: 1, Seconds: []float64{1, 1.7}, Up: 9000, Down: 1000, Trips: 4, Candidate: true},
		{Parent: 1, Func: 7, Calls: 2, Seconds: []float64{12, 1.2}, Up: 20_000, Down: 20_000, Trips: 2, Candidate: true},
		{Parent: 2, Func: 9, Calls: 2, Seconds: []float64{4, 0.4}, Up: 4096, Down: 4096, Candidate: true},
	}
	for i, w := range want {
		g := p.Contexts[i]
		if g.Parent != w.Parent || g.Func != w.Func || g.Calls != w.Calls || g.Up != w.Up || g.Down != w.Down ||
			g.Trips != w.Trips || g.Candidate != w.Candidate || g.Pinned != w.Pinned ||
			!near(g.Seconds[0], w.Seconds[0]) || !near(g.Seconds[1], w.Seconds[1]) {
			t.Errorf("context %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestWithoutARunAtTheCloneItIsAsFastAsTheDevice(t *testing.T) {
	tree := sample()
	tree.Root.Children[0].Clone = profile.Cost{}
	p, m := FromProfile(tree, "box")
	if m.Faster != 0 {
		t.Errorf("measured %v", m.Faster)
	}
	if down := p.Contexts[1].Down; down != 20_000 {
		t.Errorf("main sends %v bytes back, its kernel 20,000", down)
	}
	for i, c := range p.Contexts {
		if !near(c.Seconds[0], c.Seconds[1]) {
			t.Errorf("context %d: %v", i, c.Seconds)
		}
	}
}

// TestPricesAddUpToTheModel moves one context and compares the tree's sums with
// the model's own estimate.
func TestPricesAddUpToTheModel(t *testing.T) {
	by := Class(partition.LTE, nil)
	p := &partition.Profile{Clones: []string{"box"}, Contexts: []partition.Context{
		{Parent: -1, Seconds: []float64{0, 0}, Pinned: true},
		{Parent: 0, Calls: 2, Seconds: []float64{50, 5}, Up: 1e6, Down: 3e5, Trips: 2, Candidate: true},
	}}
	tree, err := partition.Price(p, by)
	if err != nil {
		t.Fatal(err)
	}
	s, err := partition.Solve(context.Background(), partition.Problem{Tree: tree, Objective: partition.Objective{Kind: partition.Time}})
	if err != nil {
		t.Fatal(err)
	}
	one := cost.Remote(cost.Offload{Compute: 2500 * time.Millisecond, BytesUp: 1e6, BytesDown: 3e5, RoundTrips: 3}, by.Link, by.Power)
	if len(s.Moves) != 1 || !near(s.Cost.Seconds, 2*one.Seconds) || !near(s.Cost.Joules, 2*one.Joules) || s.Cost.Bytes != 2.6e6 {
		t.Errorf("moves %v cost %+v, the model says twice %v s, %v J", s.Moves, s.Cost, one.Seconds, one.Joules)
	}
	here := cost.Local(50*time.Second, by.Power)
	if !near(s.Local.Seconds, here.Seconds) || !near(s.Local.Joules, here.Joules) {
		t.Errorf("local %+v, the model says %+v", s.Local, here)
	}
}

func TestOverNoNetworkNothingMoves(t *testing.T) {
	p, _ := FromProfile(sample(), "box")
	tree, err := partition.Price(p, Class(partition.NoNetwork, nil))
	if err != nil {
		t.Fatal(err)
	}
	s, err := partition.Solve(context.Background(), partition.Problem{Tree: tree, Objective: partition.Objective{Kind: partition.Time}})
	if err != nil || len(s.Moves) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestAnyProfileCanBePriced takes profiles that no program makes too: sums may
// stand at their limit, and counts need not fit one another.
func TestAnyProfileCanBePriced(t *testing.T) {
	number := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64(), rapid.Just(uint64(math.MaxUint64)))
	var grow func(rt *rapid.T, n *profile.Node, depth int)
	grow = func(rt *rapid.T, n *profile.Node, depth int) {
		cost := func() profile.Cost {
			return profile.Cost{Calls: number.Draw(rt, "calls"), Nanos: number.Draw(rt, "nanos"), Self: number.Draw(rt, "self")}
		}
		n.Stats = profile.Stats{
			Calls: number.Draw(rt, "calls"), Reentries: number.Draw(rt, "reentries"), Device: cost(), Clone: cost(), Mixed: cost(),
			DirtyCalls: number.Draw(rt, "dirty"), Dirtied: number.Draw(rt, "dirtied"), Up: number.Draw(rt, "up"), Down: number.Draw(rt, "down"),
		}
		n.Imports[profile.ImportRead] = number.Draw(rt, "reads")
		for i := range rapid.IntRange(0, 3-depth).Draw(rt, "children") {
			grow(rt, n.Make(uint32(i)), depth+1)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		tree := profile.New()
		tree.Runs = number.Draw(rt, "runs")
		grow(rt, tree.Root, 0)
		p, _ := FromProfile(tree, "box")
		for _, class := range partition.Networks() {
			priced, err := partition.Price(p, Class(class, nil))
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := partition.Solve(context.Background(), partition.Problem{Tree: priced, Objective: partition.Objective{Kind: partition.Balanced, Weight: 0.5}}); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
