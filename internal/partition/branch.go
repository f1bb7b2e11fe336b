package partition

import (
	"container/heap"
	"context"
	"fmt"
	"math"
)

// maxBranches bounds the open subproblems that are kept.
const maxBranches = 200_000

// search is branch and bound, best bound first. A subproblem confines groups to
// sites, and functions or nodes to actions; its bound is the tree optimum under
// these confinements, with multipliers on the budgets (Lagrangian relaxation).
// Where the relaxed optimum breaks no rule it is the subproblem's optimum.
type search struct {
	p      Problem
	t      *Tree
	w      weights
	r      *relaxation
	limits [3]Limit

	groups    [][]int32 // members of each group
	functions [][]int32 // contexts of each function, for PerFunction
	group     []int32   // of each node, index into groups, -1 for none
	function  []int32   // of each node, index into functions

	open     branches
	best     []int // incumbent
	value    float64
	work     int64
	looked   int
	sites    []int // scratch: of the relaxed optimum
	other    []int // scratch: of another solution, which chooses the next node
	hasOther bool
	regret   []float64 // scratch
}

// confinement allows the members of a group the sites of mask, or the contexts
// of a function, or one node, the actions of mask.
type confinement struct {
	kind confined
	id   int32
	mask uint16
}

type confined uint8

const (
	nothing confined = iota
	byGroup
	byFunction
	byNode
)

// branch is a subproblem: its parent's confinements and one more.
type branch struct {
	parent *branch
	more   confinement
	bound  float64
	depth  int32
	lambda weights // multipliers of the budgets, a good start for the next
}

type branches []*branch

func (b branches) Len() int { return len(b) }
func (b branches) Less(i, j int) bool {
	if b[i].bound != b[j].bound {
		return b[i].bound < b[j].bound
	}
	return b[i].depth > b[j].depth
}
func (b branches) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b *branches) Push(x any)   { *b = append(*b, x.(*branch)) }
func (b *branches) Pop() any {
	old := *b
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return x
}

func branchAndBound(ctx context.Context, p Problem, w weights) (*Solution, error) {
	x := newSearch(p, w)
	limit := p.Work
	if limit <= 0 {
		limit = DefaultWork
	}
	x.consider(make([]int, len(x.t.Nodes))) // everything on the device
	heap.Push(&x.open, &branch{bound: math.Inf(-1)})
	proved := true
	lower := math.Inf(1)
	for len(x.open) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("partition: %w", err)
		}
		b := heap.Pop(&x.open).(*branch)
		if x.hopeless(b.bound) {
			break // the others are no better
		}
		if x.work > limit || len(x.open) > maxBranches {
			proved, lower = false, b.bound
			break
		}
		x.looked++
		x.expand(b)
	}
	if x.best == nil {
		if !proved {
			return nil, fmt.Errorf("partition: no solution within the budgets was found in %d subproblems, and none is excluded", x.looked)
		}
		return nil, x.infeasible()
	}
	return &Solution{
		Sites: x.best, Method: ByBranch, Proved: proved, Branches: x.looked,
		Bound: max(0, min(lower, x.value)),
	}, nil
}

func newSearch(p Problem, w weights) *search {
	n := len(p.Tree.Nodes)
	x := &search{
		p: p, t: p.Tree, w: w, r: newRelaxation(p.Tree), limits: p.Budget.limits(),
		group: make([]int32, n), function: make([]int32, n), value: math.Inf(1),
		sites: make([]int, n), other: make([]int, n),
	}
	groups, functions := map[int]int32{}, map[uint32]int32{}
	for i := range p.Tree.Nodes {
		node := &p.Tree.Nodes[i]
		x.group[i] = -1
		if node.Group != 0 {
			x.group[i] = member(&x.groups, groups, node.Group, i)
		}
		if p.PerFunction {
			x.function[i] = member(&x.functions, functions, node.Func, i)
		}
	}
	x.regret = make([]float64, len(x.functions)*p.Tree.Sites)
	return x
}

// member puts node i into the set of that key and returns the set's index.
func member[K comparable](sets *[][]int32, index map[K]int32, key K, i int) int32 {
	at, ok := index[key]
	if !ok {
		at = int32(len(*sets))
		index[key] = at
		*sets = append(*sets, nil)
	}
	(*sets)[at] = append((*sets)[at], int32(i))
	return at
}

// hopeless says whether nothing below a bound can beat the incumbent.
func (x *search) hopeless(bound float64) bool {
	return bound >= x.value-rounding*math.Abs(x.value) || math.IsInf(bound, 1)
}

// confine sets the masks of a subproblem.
func (x *search) confine(b *branch) {
	x.r.free()
	x.work += int64(len(x.t.Nodes))
	for ; b != nil; b = b.parent {
		x.confineOne(b.more)
	}
}

func (x *search) confineOne(c confinement) {
	switch c.kind {
	case nothing:
	case byGroup:
		for _, i := range x.groups[c.id] {
			x.r.where[i] &= c.mask
		}
	case byFunction:
		for _, i := range x.functions[c.id] {
			x.r.acts[i] &= c.mask
		}
	case byNode:
		x.r.acts[c.id] &= c.mask
	}
}

// expand bounds a subproblem, takes what it finds and opens what it leaves.
func (x *search) expand(b *branch) {
	x.confine(b)
	bound, lambda, ok := x.bound(b.lambda)
	bound = max(bound, b.bound)
	if !ok || x.hopeless(bound) {
		return
	}
	next := x.choose(lambda)
	if next.kind == nothing {
		return // the relaxed optimum is all there is, and was considered
	}
	x.round(lambda)
	for s := range x.t.Sites {
		if next.mask&(1<<s) != 0 {
			c := confinement{next.kind, next.id, 1 << s}
			heap.Push(&x.open, &branch{parent: b, more: c, bound: bound, depth: b.depth + 1, lambda: lambda})
		}
	}
}

// solve finds the relaxed optimum under weights, considers it, and returns its
// weighted value and its cost. ok is false if the confinements allow nothing.
func (x *search) solve(w weights) (value float64, cost Cost, ok bool) {
	x.work += int64(len(x.t.Nodes) * x.t.Sites)
	value = x.r.solve(w)
	if math.IsInf(value, 1) {
		return value, cost, false
	}
	x.r.place(x.sites)
	return value, x.consider(x.sites), true
}

// consider takes sites as the incumbent if they break no rule and are better.
// Sites must be from a relaxed optimum, so that only the rules that couple
// nodes are looked at.
func (x *search) consider(sites []int) Cost {
	var c Cost
	for i := range x.t.Nodes {
		n := &x.t.Nodes[i]
		c = c.Add(n.Own[sites[i]])
		if sites[i] != Device && x.t.reached(i, sites) {
			c = c.Add(n.Move[sites[i]])
		}
	}
	if v := x.w.of(c); v < x.value && x.p.Budget.admits(c) && x.together(sites) && x.uniform(sites) {
		x.value = v
		x.best = append(x.best[:0], sites...)
	}
	return c
}

// together says whether each group is at one site.
func (x *search) together(sites []int) bool {
	for _, g := range x.groups {
		for _, i := range g[1:] {
			if sites[i] != sites[g[0]] {
				return false
			}
		}
	}
	return true
}

// uniform says whether each function does the same wherever it is called on
// the device.
func (x *search) uniform(sites []int) bool {
	for _, f := range x.functions {
		if !x.agrees(f, sites) {
			return false
		}
	}
	return true
}

// agrees says whether the contexts that are called on the device do the same.
func (x *search) agrees(contexts []int32, sites []int) bool {
	act := -1
	for _, i := range contexts {
		if !x.t.reached(int(i), sites) {
			continue
		}
		if act >= 0 && sites[i] != act {
			return false
		}
		act = sites[i]
	}
	return true
}

// infeasible says which budgets cannot be kept, each for itself, or that they
// cannot be kept together.
func (x *search) infeasible() error {
	x.r.free()
	for i, l := range x.limits {
		if !l.On {
			continue
		}
		var w weights
		w[i] = 1
		if least := x.r.solve(w); least > l.Max {
			return fmt.Errorf("%w: at least %.4g %s are needed, %.4g are allowed", ErrInfeasible, least, budgetNames[i], l.Max)
		}
	}
	return fmt.Errorf("%w: each can be kept, but not all together", ErrInfeasible)
}
