package partition

import (
	"fmt"
	"math"
)

// Device is the site that a tree's root is called from; clones are 1, 2, ...
const Device = 0

// Limits of a tree.
const (
	MaxNodes = 1 << 20
	MaxSites = 16   // the device included
	maxCost  = 1e30 // one cost, far below where sums lose what matters
)

// Cost is what something takes. Joules are the device's, wherever the call
// runs; Bytes are those that cross the link, both ways together.
type Cost struct {
	Seconds float64 `json:"seconds"`
	Joules  float64 `json:"joules"`
	Bytes   float64 `json:"bytes"`
}

// Add returns the sum.
func (c Cost) Add(d Cost) Cost {
	return Cost{c.Seconds + d.Seconds, c.Joules + d.Joules, c.Bytes + d.Bytes}
}

func (c Cost) valid() bool {
	ok := func(f float64) bool { return f >= 0 && f <= maxCost } // false for NaN
	return ok(c.Seconds) && ok(c.Joules) && ok(c.Bytes)
}

// Node is one call context. Costs are of all its calls in one run.
type Node struct {
	Parent int    // index of the caller's context, which is smaller; -1 for the root
	Func   uint32 // function index in the module
	// Own is the cost at each site without the callees: Own[Device] first.
	Own []Cost
	// Move is the cost of migrating the calls to each site and back, when their
	// caller is on the device. Move[Device] is not used. nil: no call of this
	// context may migrate by itself, as it has no stub; it may be inside one
	// that does.
	Move []Cost
	// Pinned contexts run on the device, and so do all that call them.
	Pinned bool
	// Group, unless 0, names the nodes that must all be at one site.
	Group int
}

// Tree is a profile tree, priced: Nodes[0] is the root, parents come first.
type Tree struct {
	Sites int // the device and the clones, at least 1
	Nodes []Node
}

// Validate reports the first thing that is not as Tree and Node say.
func (t *Tree) Validate() error {
	switch {
	case t.Sites < 1 || t.Sites > MaxSites:
		return fmt.Errorf("profile tree: %d sites, want 1 to %d", t.Sites, MaxSites)
	case len(t.Nodes) == 0 || len(t.Nodes) > MaxNodes:
		return fmt.Errorf("profile tree: %d nodes, want 1 to %d", len(t.Nodes), MaxNodes)
	}
	for i := range t.Nodes {
		n := &t.Nodes[i]
		switch {
		case (i == 0) != (n.Parent == -1) || n.Parent >= i || n.Parent < -1:
			return fmt.Errorf("profile tree: node %d has parent %d, want an earlier node (the root alone has -1)", i, n.Parent)
		case len(n.Own) != t.Sites || (n.Move != nil && len(n.Move) != t.Sites):
			return fmt.Errorf("profile tree: node %d has costs for %d sites and migrations to %d, want %d", i, len(n.Own), len(n.Move), t.Sites)
		case n.Group < 0 || n.Group > MaxNodes:
			return fmt.Errorf("profile tree: node %d has group %d, want 0 to %d", i, n.Group, MaxNodes)
		}
		for s := range t.Sites {
			if !n.Own[s].valid() || (n.Move != nil && !n.Move[s].valid()) {
				return fmt.Errorf("profile tree: node %d has a cost at site %d that is negative, not finite or above %g", i, s, maxCost)
			}
		}
	}
	return nil
}

// Local is the cost of a run that stays on the device.
func (t *Tree) Local() Cost {
	var c Cost
	for i := range t.Nodes {
		c = c.Add(t.Nodes[i].Own[Device])
	}
	return c
}

// Evaluate gives the cost of running each node at its site, or an error if the
// sites break a rule.
func (t *Tree) Evaluate(sites []int) (Cost, error) {
	if len(sites) != len(t.Nodes) {
		return Cost{}, fmt.Errorf("evaluate partition: %d sites for %d nodes", len(sites), len(t.Nodes))
	}
	var c Cost
	groups := map[int]int{}
	for i, s := range sites {
		n := &t.Nodes[i]
		if s < 0 || s >= t.Sites {
			return Cost{}, fmt.Errorf("evaluate partition: node %d is at site %d of %d", i, s, t.Sites)
		}
		caller := Device
		if n.Parent >= 0 {
			caller = sites[n.Parent]
		}
		first, seen := groups[n.Group]
		switch {
		case n.Pinned && s != Device:
			return Cost{}, fmt.Errorf("evaluate partition: node %d is pinned to the device", i)
		case caller != Device && s != caller:
			return Cost{}, fmt.Errorf("evaluate partition: node %d leaves its caller's clone", i)
		case s != caller && n.Move == nil:
			return Cost{}, fmt.Errorf("evaluate partition: node %d cannot migrate by itself", i)
		case n.Group != 0 && seen && first != s:
			return Cost{}, fmt.Errorf("evaluate partition: group %d is at two sites", n.Group)
		}
		groups[n.Group] = s
		c = c.Add(n.Own[s])
		if s != caller {
			c = c.Add(n.Move[s])
		}
	}
	return c, nil
}

// finite says that f is neither infinite nor NaN.
func finite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }

// Subtrees gives, for each node and site, what it and all below it cost there,
// migrations apart.
func (t *Tree) Subtrees() [][]Cost {
	sums := make([][]Cost, len(t.Nodes))
	for i := len(t.Nodes) - 1; i >= 0; i-- {
		n := &t.Nodes[i]
		if sums[i] == nil {
			sums[i] = make([]Cost, t.Sites)
		}
		if n.Parent >= 0 && sums[n.Parent] == nil {
			sums[n.Parent] = make([]Cost, t.Sites)
		}
		for s := range t.Sites {
			sums[i][s] = sums[i][s].Add(n.Own[s])
			if n.Parent >= 0 {
				sums[n.Parent][s] = sums[n.Parent][s].Add(sums[i][s])
			}
		}
	}
	return sums
}
