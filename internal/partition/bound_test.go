package partition

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMultipliersBoundFromBelow holds the relaxation to what branch and bound
// relies on: whatever the multipliers, no partition within the budgets has a
// lower value.
func TestMultipliersBoundFromBelow(t *testing.T) {
	bounded := 0
	rapid.Check(t, func(rt *rapid.T) {
		d := fromRapid(rt)
		p := Problem{Tree: randomTree(d, shape{nodes: 8, sites: 2, functions: 8}), Objective: Objective{Kind: Time}}
		p.Budget = randomBudget(d, p.Tree)
		want := brute(p)
		if math.IsInf(want, 1) || !p.Budget.any() {
			return
		}
		x := newSearch(p, p.Objective.weights(p.Tree.Local()))
		lambda := weights{}
		for i, l := range p.Budget.limits() {
			if l.On {
				lambda[i] = float64(d(12)) / 4
			}
		}
		if b, _ := x.lagrangian(lambda); b > want {
			rt.Fatalf("multipliers %v bound by %v, optimum %v", lambda, b, want)
		}
		if b, _, ok := x.bound(weights{}); !ok || b > want+1e-9 {
			rt.Fatalf("bound %v (%v), optimum %v", b, ok, want)
		} else if b > 0 {
			bounded++
		}
	})
	if bounded == 0 {
		t.Error("no bound was above 0")
	}
}

// TestTightBudgetsEqualBruteForce puts budgets where they bind: between the
// least that is possible and what the free optimum takes.
func TestTightBudgetsEqualBruteForce(t *testing.T) {
	binding := 0
	for seed := range uint64(300) {
		d := fromSeed(seed)
		p := Problem{Tree: randomTree(d, shape{nodes: 13, sites: 2, functions: 13}), Objective: Objective{Kind: Time}}
		free, err := Solve(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if free.Cost.Bytes == 0 {
			continue
		}
		p.Budget.Bytes = AtMost(float64(d(int(free.Cost.Bytes))))
		p.Budget.Joules = AtMost(free.Local.Joules)
		s, err := agrees(p)
		if err != nil {
			t.Fatalf("tree %d: %v", seed, err)
		}
		if s != nil && s.Value > free.Value {
			binding++
		}
	}
	if binding < 50 {
		t.Errorf("the budgets bound %d trees only", binding)
	}
}

func TestALimitOfWorkIsAdmitted(t *testing.T) {
	d := fromSeed(7)
	tree := randomTree(d, shape{nodes: 400, sites: 3, functions: 20})
	for len(tree.Nodes) < 300 {
		tree = randomTree(d, shape{nodes: 400, sites: 3, functions: 20})
	}
	p := Problem{Tree: tree, Objective: Objective{Kind: Time}, PerFunction: true, Work: 1}
	s, err := Solve(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if s.Proved || s.Bound > s.Value || s.Gap() <= 0 {
		t.Errorf("with hardly any work: proved %v, value %v, bound %v, gap %v", s.Proved, s.Value, s.Bound, s.Gap())
	}
	p.Work = 0
	full, err := Solve(context.Background(), p)
	if err != nil || !full.Proved {
		t.Fatalf("%+v, %v", full, err)
	}
	if s.Bound > full.Value || full.Value > s.Value {
		t.Errorf("optimum %v is not between the bound %v and the value %v", full.Value, s.Bound, s.Value)
	}
}

func TestBudgetsThatCannotBeKeptSayBy(t *testing.T) {
	tree := &Tree{Sites: 2, Nodes: []Node{{
		Parent: -1, Own: []Cost{{10, 5, 0}, {1, 1, 0}}, Move: []Cost{{}, {2, 4, 100}},
	}}}
	for _, tc := range []struct {
		b    Budget
		says string
		site int
	}{
		{Budget{Seconds: AtMost(3)}, "", 1},
		{Budget{Bytes: AtMost(99)}, "", 0},
		{Budget{Bytes: AtMost(0)}, "", 0},
		{Budget{Seconds: AtMost(2)}, "at least 3 seconds are needed, 2 are allowed", 0},
		{Budget{Joules: AtMost(4)}, "at least 5 joules are needed", 0},
		{Budget{Seconds: AtMost(9), Bytes: AtMost(99)}, "not all together", 0},
	} {
		s, err := Solve(context.Background(), Problem{Tree: tree, Objective: Objective{Kind: Time}, Budget: tc.b})
		switch {
		case tc.says != "":
			if !errors.Is(err, ErrInfeasible) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%+v: %v", tc.b, err)
			}
		case err != nil:
			t.Errorf("%+v: %v", tc.b, err)
		case s.Sites[0] != tc.site:
			t.Errorf("%+v: site %d, want %d", tc.b, s.Sites[0], tc.site)
		}
	}
}

func TestMalformedTreesAreRefused(t *testing.T) {
	good := func() *Tree {
		return &Tree{Sites: 2, Nodes: []Node{
			{Parent: -1, Own: make([]Cost, 2)},
			{Parent: 0, Own: make([]Cost, 2), Move: make([]Cost, 2)},
		}}
	}
	for name, spoil := range map[string]func(*Tree){
		"no nodes":       func(t *Tree) { t.Nodes = nil },
		"no sites":       func(t *Tree) { t.Sites = 0 },
		"many sites":     func(t *Tree) { t.Sites = 99 },
		"two roots":      func(t *Tree) { t.Nodes[1].Parent = -1 },
		"a cycle":        func(t *Tree) { t.Nodes[1].Parent = 1 },
		"a rootless":     func(t *Tree) { t.Nodes[0].Parent = 0 },
		"a short cost":   func(t *Tree) { t.Nodes[1].Own = nil },
		"a short move":   func(t *Tree) { t.Nodes[1].Move = make([]Cost, 1) },
		"NaN":            func(t *Tree) { t.Nodes[1].Own[1].Joules = math.NaN() },
		"infinity":       func(t *Tree) { t.Nodes[1].Move[1].Bytes = math.Inf(1) },
		"negative cost":  func(t *Tree) { t.Nodes[0].Own[0].Seconds = -1 },
		"negative group": func(t *Tree) { t.Nodes[0].Group = -1 },
	} {
		tree := good()
		spoil(tree)
		if _, err := Solve(context.Background(), Problem{Tree: tree, Objective: Objective{Kind: Time}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, p := range []Problem{
		{Tree: nil, Objective: Objective{Kind: Time}},
		{Tree: good(), Objective: Objective{Kind: "money"}},
		{Tree: good(), Objective: Objective{Kind: Balanced, Weight: math.NaN()}},
		{Tree: good(), Objective: Objective{Kind: Time}, Budget: Budget{Bytes: AtMost(math.NaN())}},
	} {
		if _, err := Solve(context.Background(), p); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
	if _, err := Solve(context.Background(), Problem{Tree: good(), Objective: Objective{Kind: Time}}); err != nil {
		t.Error(err)
	}
}

func TestACancelledSearchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tree := randomTree(fromSeed(1), shape{nodes: 8, sites: 2, functions: 2})
	if _, err := Solve(ctx, Problem{Tree: tree, Objective: Objective{Kind: Time}, PerFunction: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// profileLike is a tree such as a profile gives: a bushy program whose costs
// span decades. Every 50th context is in a group if grouped.
func profileLike(nodes, sites int, grouped bool) *Tree {
	d := fromSeed(11)
	span := func() float64 { return math.Exp(float64(d(1000))/100) * 1e-4 }
	t := &Tree{Sites: sites}
	for i := range nodes {
		n := Node{Parent: -1, Func: uint32(d(800)), Pinned: i == 1}
		if i > 0 {
			n.Parent = max(0, i-1-d(min(i-1, 60)))
		}
		local := span()
		n.Own = append(n.Own, Cost{local, 2 * local, 0})
		for s := 1; s < sites; s++ {
			n.Own = append(n.Own, Cost{local / float64(4+s), local / 8, 0})
		}
		if d(3) == 0 {
			n.Move = make([]Cost, sites)
			for s := 1; s < sites; s++ {
				n.Move[s] = Cost{0.05 + span(), 0.1 + span(), 1e5 * span()}
			}
		}
		if grouped && i%50 == 7 {
			n.Group = 1 + d(9)
		}
		t.Nodes = append(t.Nodes, n)
	}
	return t
}

func BenchmarkTenThousandNodes(b *testing.B) {
	for _, c := range []struct {
		name   string
		tree   *Tree
		change func(*Problem)
	}{
		{"tree", profileLike(10_000, 2, false), nil},
		{"tree, 4 sites", profileLike(10_000, 4, false), nil},
		{"cut, 200 nodes in 10 groups", profileLike(10_000, 2, true), nil},
		{"budget of bytes", profileLike(10_000, 2, false), func(p *Problem) {
			free, err := Solve(context.Background(), *p)
			if err != nil {
				b.Fatal(err)
			}
			p.Budget.Bytes = AtMost(free.Cost.Bytes / 2)
		}},
		{"one decision per function", profileLike(10_000, 2, false), func(p *Problem) { p.PerFunction = true }},
	} {
		p := Problem{Tree: c.tree, Objective: Objective{Kind: Balanced, Weight: 0.5}}
		if c.change != nil {
			c.change(&p)
		}
		b.Run(c.name, func(b *testing.B) {
			var s *Solution
			for b.Loop() {
				var err error
				if s, err = Solve(context.Background(), p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(s.Value, "of-local")
			b.ReportMetric(100*s.Gap(), "%gap")
			b.ReportMetric(float64(s.Branches), "subproblems")
		})
	}
}
