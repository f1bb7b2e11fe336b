package partition

import (
	"context"
	"fmt"
	"math"
)

// rounding is the relative difference below which two values count as equal.
const rounding = 1e-12

// DefaultWork is how much branch and bound may do unless Problem.Work says
// otherwise: node visits of the tree relaxation, about a second or two.
const DefaultWork = 100_000_000

// Problem is a tree with an objective and what constrains it.
type Problem struct {
	Tree      *Tree
	Objective Objective
	Budget    Budget
	// PerFunction wants one decision for a function in all contexts: wherever
	// it is called on the device, it stays, or it moves to one and the same
	// clone. It is CloneCloud's own rule, kept for comparison.
	PerFunction bool
	// Work bounds branch and bound, in node visits; 0 means DefaultWork.
	Work int64
}

// Method says how a solution was found.
type Method string

// The methods.
const (
	ByTree   Method = "tree"   // dynamic programming
	ByCut    Method = "cut"    // minimum cut
	ByBranch Method = "branch" // branch and bound
)

// Solution is where every node runs.
type Solution struct {
	Sites []int // of every node
	Moves []int // the nodes whose calls migrate, rising
	Cost  Cost  // of one run
	Local Cost  // of one run that stays on the device
	Value float64
	// Bound is a value below which there is no partition; it is Value when
	// Proved, up to rounding.
	Bound float64
	// Proved says that no partition is better. Only ByBranch can lack it.
	Proved   bool
	Method   Method
	Branches int // subproblems that ByBranch looked at
}

// Solve finds the best partition. It returns ErrInfeasible (wrapped) when the
// budgets admit none, ctx's error when ctx ends first, and other errors for a
// problem that is not well formed. When branch and bound meets its limit
// without any partition that keeps within the budgets, the error says so.
func Solve(ctx context.Context, p Problem) (*Solution, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	local := p.Tree.Local()
	w := p.Objective.weights(local)
	groups := p.Tree.grouped()
	var s *Solution
	var err error
	switch {
	case p.Budget.any() || p.PerFunction || (groups && p.Tree.Sites > 2):
		s, err = branchAndBound(ctx, p, w)
	case groups && p.Tree.Sites == 2:
		s = &Solution{Sites: minCut(p.Tree, w), Method: ByCut, Proved: true}
	default:
		r := newRelaxation(p.Tree)
		r.solve(w)
		s = &Solution{Sites: make([]int, len(p.Tree.Nodes)), Method: ByTree, Proved: true}
		r.place(s.Sites)
	}
	if err != nil {
		return nil, err
	}
	s.Local = local
	if s.Cost, err = p.Tree.Evaluate(s.Sites); err != nil {
		return nil, fmt.Errorf("the solver broke a rule: %w", err) // an assertion that stays on
	}
	s.Value = w.of(s.Cost)
	if s.Proved {
		s.Bound = s.Value
	}
	for i, at := range s.Sites {
		if at != Device && p.Tree.reached(i, s.Sites) {
			s.Moves = append(s.Moves, i)
		}
	}
	return s, nil
}

// Gap is how far above the optimum the solution may be, as a share of Bound: 0
// when Proved.
func (s *Solution) Gap() float64 {
	if s.Proved || s.Value <= s.Bound {
		return 0
	}
	if s.Bound <= 0 {
		return math.Inf(1)
	}
	return s.Value/s.Bound - 1
}

func (p *Problem) validate() error {
	if p.Tree == nil {
		return fmt.Errorf("partition: no profile tree")
	}
	if err := p.Tree.Validate(); err != nil {
		return err
	}
	if err := p.Objective.Validate(); err != nil {
		return err
	}
	return p.Budget.validate()
}

func (t *Tree) grouped() bool {
	for i := range t.Nodes {
		if t.Nodes[i].Group != 0 {
			return true
		}
	}
	return false
}
