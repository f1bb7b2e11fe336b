package partition

import "math"

// minCut solves a tree with colocation groups and one clone: the clone is the
// sink's side. Subtrees without a member of a group are solved by the tree
// optimum and folded into the node above them, so the network has only nodes
// with a member below, and its members of a group are one vertex.
func minCut(t *Tree, w weights) []int {
	r := newRelaxation(t)
	r.solve(w)
	c := contract(t, r, w)
	side := c.network().cut(c.source(), c.sink())
	sites := make([]int, len(t.Nodes))
	for i := range t.Nodes {
		caller := Device
		if p := t.Nodes[i].Parent; p >= 0 {
			caller = sites[p]
		}
		switch {
		case c.vertex[i] >= 0:
			sites[i] = Device
			if side[c.vertex[i]] {
				sites[i] = 1
			}
		case caller != Device:
			sites[i] = caller
		default:
			sites[i] = int(r.act[i])
		}
	}
	return sites
}

// contraction is the network before capacities are made integers. Infinite
// costs are +Inf.
type contraction struct {
	vertex        []int32 // of each node of the tree, -1 for a folded one
	device, clone []float64
	arcs          []arc
}

// arc charges for its first vertex on the device and its second on the clone;
// the opposite is forbidden.
type arc struct {
	above, below int32 // above is -1 for the caller of the root
	cost         float64
}

func (c *contraction) source() int32 { return int32(len(c.device)) }
func (c *contraction) sink() int32   { return int32(len(c.device)) + 1 }

func contract(t *Tree, r *relaxation, w weights) *contraction {
	n := len(t.Nodes)
	c := &contraction{vertex: make([]int32, n)}
	member := make([]bool, n) // has a member of a group in its subtree
	for i := n - 1; i >= 0; i-- {
		if t.Nodes[i].Group != 0 {
			member[i] = true
		}
		if p := t.Nodes[i].Parent; p >= 0 && member[i] {
			member[p] = true
		}
	}
	groups := map[int]int32{}
	for i := range t.Nodes {
		node := &t.Nodes[i]
		if !member[i] { // its parent, a vertex or folded, comes first
			c.vertex[i] = -1
			if p := node.Parent; p >= 0 && c.vertex[p] >= 0 {
				c.device[c.vertex[p]] += r.best[i]
				c.clone[c.vertex[p]] += r.there[i*t.Sites+1]
			}
			continue
		}
		v, ok := groups[node.Group]
		if !ok || node.Group == 0 {
			v = int32(len(c.device))
			c.device, c.clone = append(c.device, 0), append(c.clone, 0)
			groups[node.Group] = v
		}
		c.vertex[i] = v
		c.device[v] += w.of(node.Own[Device])
		c.clone[v] += w.of(node.Own[1])
		if node.Pinned {
			c.clone[v] = math.Inf(1)
		}
		a := arc{above: -1, below: v, cost: math.Inf(1)}
		if node.Parent >= 0 {
			a.above = c.vertex[node.Parent]
		}
		if node.Move != nil {
			a.cost = w.of(node.Move[1])
		}
		c.arcs = append(c.arcs, a)
	}
	return c
}

// network makes capacities integers by a power of two, such that their sum
// stays below 2^61. The rounding is at most half a unit each, so the cut is
// optimal up to nodes x 2^-60 of the sum of all costs; for costs that are
// multiples of a power of two it is optimal to the bit.
func (c *contraction) network() *network {
	total := 0.0
	each := func(f func(float64)) {
		for v := range c.device {
			f(c.device[v])
			f(c.clone[v])
		}
		for _, a := range c.arcs {
			f(a.cost)
		}
	}
	each(func(v float64) {
		if finite(v) {
			total += v
		}
	})
	_, exponent := math.Frexp(total)
	endless := int64(1) << 61 // more than all that is finite together
	integer := func(v float64) int64 {
		if !finite(v) {
			return endless
		}
		return int64(math.Round(math.Ldexp(v, 60-exponent)))
	}
	g := newNetwork(len(c.device) + 2)
	s, t := int(c.source()), int(c.sink())
	for v := range c.device {
		// On the source's side the edge to the sink is cut, and the other way round.
		g.connect(v, t, integer(c.device[v]), 0)
		g.connect(s, v, integer(c.clone[v]), 0)
	}
	for _, a := range c.arcs {
		above := s
		back := int64(0) // nothing flows into the source
		if a.above >= 0 {
			above, back = int(a.above), endless
		}
		g.connect(above, int(a.below), integer(a.cost), back)
	}
	return g
}
