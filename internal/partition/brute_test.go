package partition

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// brute is the oracle: it tries every site for every node, keeps what obeys the
// rules as the package documents them, and shares no code with the solvers. The
// least value is +Inf if nothing is left.
func brute(p Problem) (least float64) {
	t := p.Tree
	least = math.Inf(1)
	sites := make([]int, len(t.Nodes))
	local := [2]float64{}
	for _, n := range t.Nodes {
		local[0] += n.Own[0].Seconds
		local[1] += n.Own[0].Joules
	}
	var try func(i int)
	try = func(i int) {
		if i == len(sites) {
			least = min(least, judge(p, sites, local))
			return
		}
		for s := range t.Sites {
			sites[i] = s
			try(i + 1)
		}
	}
	try(0)
	return least
}

// judge is the value of sites, or +Inf if they break a rule.
func judge(p Problem, sites []int, local [2]float64) float64 {
	seconds, joules, bytes := 0.0, 0.0, 0.0
	group, decision := map[int]int{}, map[uint32]int{}
	inf := math.Inf(1)
	for i, n := range p.Tree.Nodes {
		above := 0
		if i > 0 {
			above = sites[n.Parent]
		}
		if above != 0 && sites[i] != above { // nested migration
			return inf
		}
		if n.Pinned && sites[i] != 0 {
			return inf
		}
		if g, ok := group[n.Group]; n.Group != 0 && ok && g != sites[i] {
			return inf
		}
		group[n.Group] = sites[i]
		own := n.Own[sites[i]]
		seconds, joules, bytes = seconds+own.Seconds, joules+own.Joules, bytes+own.Bytes
		if above != 0 {
			continue
		}
		if d, ok := decision[n.Func]; p.PerFunction && ok && d != sites[i] {
			return inf
		}
		decision[n.Func] = sites[i]
		if sites[i] != 0 {
			if n.Move == nil {
				return inf
			}
			m := n.Move[sites[i]]
			seconds, joules, bytes = seconds+m.Seconds, joules+m.Joules, bytes+m.Bytes
		}
	}
	if b := p.Budget; (b.Seconds.On && seconds > b.Seconds.Max) || (b.Joules.On && joules > b.Joules.Max) || (b.Bytes.On && bytes > b.Bytes.Max) {
		return inf
	}
	switch p.Objective.Kind {
	case Time:
		return seconds
	case Energy:
		return joules
	}
	v := 0.0
	if local[0] > 0 {
		v += p.Objective.Weight * seconds / local[0]
	}
	if local[1] > 0 {
		v += (1 - p.Objective.Weight) * joules / local[1]
	}
	return v
}

// drawer gives whole numbers from 0 to n: rapid's, which shrink, or a generator's.
type drawer func(n int) int

func fromRapid(t *rapid.T) drawer {
	return func(n int) int { return rapid.IntRange(0, n).Draw(t, "n") }
}

func fromSeed(seed uint64) drawer {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(n int) int { return r.IntN(n + 1) }
}

// shape says what a random tree may have.
type shape struct {
	nodes, sites, functions, groups int
}

// randomTree has whole costs, so that sums are exact and values can be compared
// with ==.
func randomTree(d drawer, s shape) *Tree {
	t := &Tree{Sites: s.sites}
	cost := func(most int) Cost {
		return Cost{float64(d(most)), float64(d(most)), float64(d(most))}
	}
	for i := range 1 + d(s.nodes-1) {
		n := Node{Parent: -1, Func: uint32(d(s.functions - 1)), Pinned: d(9) == 0}
		if i > 0 {
			n.Parent = d(i - 1)
		}
		n.Own = append(n.Own, cost(20))
		n.Own[0].Bytes = 0
		for range s.sites - 1 {
			n.Own = append(n.Own, cost(8))
		}
		if d(7) != 0 {
			for range s.sites {
				n.Move = append(n.Move, cost(12))
			}
		}
		if s.groups > 0 && d(1) == 0 {
			n.Group = d(s.groups)
		}
		t.Nodes = append(t.Nodes, n)
	}
	return t
}

func randomObjective(d drawer) Objective {
	return Objective{Kind: Kinds[d(2)], Weight: float64(d(4)) / 4}
}

// agrees solves p and compares with the oracle.
func agrees(p Problem) (*Solution, error) {
	want := brute(p)
	s, err := Solve(context.Background(), p)
	if math.IsInf(want, 1) {
		if !errors.Is(err, ErrInfeasible) {
			return s, fmt.Errorf("nothing keeps the rules, but Solve gives %+v, %v", s, err)
		}
		return nil, nil
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("want %v, got error %w", want, err)
	case !s.Proved:
		return s, fmt.Errorf("not proved after %d subproblems", s.Branches)
	case !same(s.Value, want) || !same(s.Bound, want):
		return s, fmt.Errorf("by %s: value %v, bound %v, oracle %v", s.Method, s.Value, s.Bound, want)
	}
	local := s.Local
	if judged := judge(p, s.Sites, [2]float64{local.Seconds, local.Joules}); !same(judged, s.Value) {
		return s, fmt.Errorf("by %s: sites %v are worth %v, not %v", s.Method, s.Sites, judged, s.Value)
	}
	return s, nil
}

func same(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func randomBudget(d drawer, t *Tree) Budget {
	var b Budget
	l := t.Local()
	for i, most := range []float64{l.Seconds, l.Joules, 40} {
		if d(1) == 0 {
			b = b.with(i, AtMost(float64(d(int(most)))))
		}
	}
	return b
}

func check(t *testing.T, s shape, more func(drawer, *Problem), methods ...Method) {
	t.Helper()
	seen := map[Method]int{}
	rapid.Check(t, func(rt *rapid.T) {
		d := fromRapid(rt)
		p := Problem{Tree: randomTree(d, s), Objective: randomObjective(d)}
		if more != nil {
			more(d, &p)
		}
		sol, err := agrees(p)
		if err != nil {
			rt.Fatal(err)
		}
		if sol != nil {
			seen[sol.Method]++
		}
	})
	for _, m := range methods {
		if seen[m] == 0 {
			t.Errorf("no tree was solved by %s: %v", m, seen)
		}
	}
}

func TestTreeOptimumEqualsBruteForce(t *testing.T) {
	check(t, shape{nodes: 8, sites: 2, functions: 8}, nil, ByTree)
}

func TestEachSubtreeTakesTheBestOfSeveralClones(t *testing.T) {
	check(t, shape{nodes: 6, sites: 4, functions: 6}, nil, ByTree)
}

func TestCutWithColocationEqualsBruteForce(t *testing.T) {
	check(t, shape{nodes: 9, sites: 2, functions: 9, groups: 3}, nil, ByCut)
}

func TestColocationOverSeveralClonesEqualsBruteForce(t *testing.T) {
	check(t, shape{nodes: 6, sites: 3, functions: 6, groups: 3}, nil, ByBranch)
}

func TestOneDecisionPerFunctionEqualsBruteForce(t *testing.T) {
	per := func(_ drawer, p *Problem) { p.PerFunction = true }
	check(t, shape{nodes: 9, sites: 2, functions: 3}, per, ByBranch)
	check(t, shape{nodes: 6, sites: 3, functions: 2, groups: 2}, per, ByBranch)
}

func TestBudgetsEqualBruteForce(t *testing.T) {
	budget := func(d drawer, p *Problem) { p.Budget = randomBudget(d, p.Tree) }
	check(t, shape{nodes: 9, sites: 2, functions: 9}, budget, ByBranch)
	check(t, shape{nodes: 6, sites: 3, functions: 9}, budget, ByBranch)
}

func TestBudgetsWithEveryOtherRuleEqualBruteForce(t *testing.T) {
	check(t, shape{nodes: 8, sites: 2, functions: 3, groups: 2}, func(d drawer, p *Problem) {
		p.Budget, p.PerFunction = randomBudget(d, p.Tree), true
	}, ByBranch)
	check(t, shape{nodes: 6, sites: 3, functions: 6, groups: 2}, func(d drawer, p *Problem) {
		p.Budget = randomBudget(d, p.Tree)
	}, ByBranch)
}

// TestThreeMethodsAgree solves the same tree by dynamic programming, by the cut
// and by branch and bound, at sizes that brute force cannot reach.
func TestThreeMethodsAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := fromRapid(rt)
		tree := randomTree(d, shape{nodes: 60, sites: 2, functions: 60, groups: d(4)})
		p := Problem{Tree: tree, Objective: randomObjective(d)}
		w := p.Objective.weights(tree.Local())
		value := func(sites []int) float64 {
			c, err := tree.Evaluate(sites)
			if err != nil {
				rt.Fatal(err)
			}
			return w.of(c)
		}
		cut := value(minCut(tree, w))
		s, err := branchAndBound(context.Background(), p, w)
		if err != nil || !s.Proved {
			rt.Fatalf("%+v, %v", s, err)
		}
		if v := value(s.Sites); !same(v, cut) {
			rt.Fatalf("cut %v, branch and bound %v", cut, v)
		}
		if !tree.grouped() {
			r := newRelaxation(tree)
			r.solve(w)
			sites := make([]int, len(tree.Nodes))
			r.place(sites)
			if v := value(sites); !same(v, cut) {
				rt.Fatalf("cut %v, tree %v", cut, v)
			}
		}
	})
}

// TestTenThousandRandomTreesEqualBruteForce is the count that the goals name:
// small trees of every kind of problem, all equal to the oracle.
func TestTenThousandRandomTreesEqualBruteForce(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 1_000
	}
	equal, methods := 0, map[Method]int{}
	for seed := range uint64(count) {
		d := fromSeed(seed)
		s := shape{nodes: 7, sites: 2, functions: 3, groups: max(0, d(5)-2)}
		if d(3) == 0 {
			s.nodes, s.sites = 5, 3
		}
		p := Problem{Tree: randomTree(d, s), Objective: randomObjective(d), PerFunction: d(4) == 0}
		if d(3) == 0 {
			p.Budget = randomBudget(d, p.Tree)
		}
		sol, err := agrees(p)
		if err != nil {
			t.Errorf("tree %d: %v", seed, err)
			continue
		}
		equal++
		if sol != nil {
			methods[sol.Method]++
		} else {
			methods["infeasible"]++
		}
	}
	t.Logf("%d of %d random trees equal brute force: %v", equal, count, methods)
	for _, m := range []Method{ByTree, ByCut, ByBranch, "infeasible"} {
		if methods[m] < count/50 {
			t.Errorf("only %d trees were solved by %s", methods[m], m)
		}
	}
}

func TestOneDecisionPerFunctionIsNeverBetterThanOnePerContext(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := fromRapid(rt)
		p := Problem{Tree: randomTree(d, shape{nodes: 40, sites: 3, functions: 6}), Objective: Objective{Kind: Time}}
		context_, err := Solve(context.Background(), p)
		if err != nil {
			rt.Fatal(err)
		}
		p.PerFunction = true
		function, err := Solve(context.Background(), p)
		if err != nil || !function.Proved {
			rt.Fatalf("%+v, %v", function, err)
		}
		if function.Value < context_.Value || context_.Value > p.Tree.Local().Seconds {
			rt.Fatalf("per function %v, per context %v, local %v", function.Value, context_.Value, p.Tree.Local().Seconds)
		}
		if !slices.IsSorted(function.Moves) {
			rt.Fatalf("moves %v", function.Moves)
		}
	})
}
