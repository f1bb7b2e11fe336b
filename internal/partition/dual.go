package partition

import "math"

// Rounds of the search for multipliers, per subproblem.
const (
	lineRounds     = 40
	gradientRounds = 25
)

// bound bounds the subproblem that the relaxation is confined to, from below:
// for any multipliers lambda >= 0, the least of value + lambda*(cost - budget)
// is such a bound. It returns the best that it finds, and its multipliers; ok
// is false if nothing is allowed, or a budget cannot be kept.
func (x *search) bound(lambda weights) (bound float64, at weights, ok bool) {
	x.hasOther = false
	value, cost, ok := x.solve(x.w)
	if !ok || !x.p.Budget.any() || x.p.Budget.admits(cost) {
		return value, weights{}, ok
	}
	on, single := 0, 0
	var least Cost
	for i, l := range x.limits {
		if !l.On {
			continue
		}
		on, single = on+1, i
		var w weights
		w[i] = 1
		if _, least, _ = x.solve(w); !(Budget{}).with(i, l).admits(least) {
			return 0, weights{}, false
		}
		copy(x.other, x.sites)
		x.hasOther = true
	}
	if on == 1 {
		bound, at = x.line(single, cost, least)
	} else {
		bound, at = x.gradient(value, lambda)
	}
	return max(bound, value), at, true
}

// with returns b with limit i.
func (b Budget) with(i int, l Limit) Budget {
	*[...]*Limit{&b.Seconds, &b.Joules, &b.Bytes}[i] = l
	return b
}

func (c Cost) at(i int) float64 { return [...]float64{c.Seconds, c.Joules, c.Bytes}[i] }

// lagrangian is the bound that multipliers give.
func (x *search) lagrangian(lambda weights) (bound float64, cost Cost) {
	w := x.w
	for i := range w {
		w[i] += lambda[i]
	}
	bound, cost, _ = x.solve(w)
	large := bound
	for i, l := range x.limits {
		if l.On {
			bound -= lambda[i] * l.Max
			large += lambda[i] * l.Max
		}
	}
	return bound - large*1e-14, cost // what rounding may have added
}

// line finds the best multiplier of the only budget i, between the optimum
// without it (too much of i) and the least of i: where the lines of two
// solutions meet, the optimum is one of them or a third, which replaces one.
func (x *search) line(i int, much, little Cost) (bound float64, at weights) {
	bound = math.Inf(-1)
	for range lineRounds {
		slope := much.at(i) - little.at(i)
		rise := x.w.of(little) - x.w.of(much)
		if !(slope > 0) || !(rise >= 0) || !finite(rise/slope) {
			return bound, at
		}
		var lambda weights
		lambda[i] = rise / slope
		b, cost := x.lagrangian(lambda)
		if b > bound {
			bound, at = b, lambda
		}
		meet := x.w.of(much) + lambda[i]*much.at(i)
		if x.w.of(cost)+lambda[i]*cost.at(i) >= meet-1e-12*meet {
			return bound, at // no third line lies below
		}
		if cost.at(i) > x.limits[i].Max {
			much = cost
		} else {
			little = cost
			copy(x.other, x.sites)
			x.hasOther = true
		}
	}
	return bound, at
}

// gradient improves the multipliers of several budgets step by step (Held and
// Karp's subgradient method with Polyak's step). Any of its rounds gives a
// bound; it need not converge for the search to be exact.
func (x *search) gradient(value float64, lambda weights) (bound float64, at weights) {
	bound = value
	target := x.value
	if !finite(target) {
		target = value + math.Abs(value)*0.1
	}
	step, stalled := 1.0, 0
	for range gradientRounds {
		b, cost := x.lagrangian(lambda)
		if b > bound {
			bound, at, stalled = b, lambda, 0
		} else if stalled++; stalled == 3 {
			step, stalled = step/2, 0
		}
		if x.p.Budget.admits(cost) {
			copy(x.other, x.sites)
			x.hasOther = true
		}
		if x.hopeless(bound) {
			return bound, at
		}
		var g weights
		norm := 0.0
		for i, l := range x.limits {
			if l.On {
				g[i] = (cost.at(i) - l.Max) / max(l.Max, cost.at(i), 1e-30)
				norm += g[i] * g[i]
			}
		}
		if norm == 0 {
			return bound, at
		}
		for i, l := range x.limits {
			if l.On {
				move := step * max(target-b, 1e-9*math.Abs(target)) * g[i] / norm
				lambda[i] = max(0, lambda[i]+move/max(l.Max, cost.at(i), 1e-30))
			}
		}
	}
	return bound, at
}

// choose says what to branch on, and leaves the relaxation solved under the
// multipliers: a group at two sites, a function with two decisions, or, where
// only a budget is in the way, a node.
func (x *search) choose(lambda weights) confinement {
	w := x.w
	for i := range w {
		w[i] += lambda[i]
	}
	_, cost, ok := x.solve(w)
	if !ok {
		return confinement{}
	}
	all := uint16(1)<<x.t.Sites - 1
	for g, members := range x.groups {
		for _, i := range members[1:] {
			if x.sites[i] != x.sites[members[0]] {
				return confinement{byGroup, int32(g), all}
			}
		}
	}
	if f := x.undecided(w); f >= 0 {
		return confinement{byFunction, f, all}
	}
	if !x.p.Budget.any() || (lambda == weights{} && x.p.Budget.admits(cost)) {
		return confinement{}
	}
	i, mask := x.pivot()
	switch {
	case i < 0:
		return confinement{}
	case x.p.PerFunction:
		return confinement{byFunction, x.function[i], all}
	}
	return confinement{byNode, int32(i), mask}
}

// pivot gives a node that still has a choice, and its actions: the topmost
// where the relaxed optimum and another solution part, or the topmost at all.
func (x *search) pivot() (node int, mask uint16) {
	for i := range x.t.Nodes {
		if !x.t.reached(i, x.sites) {
			continue
		}
		m := x.actions(i)
		if m&(m-1) == 0 {
			continue
		}
		if x.hasOther && x.t.reached(i, x.other) && x.sites[i] != x.other[i] {
			return i, m
		}
		if mask == 0 {
			node, mask = i, m
		}
	}
	if mask == 0 {
		return -1, 0
	}
	return node, mask
}

// actions is what node i may do when its caller is on the device.
func (x *search) actions(i int) uint16 {
	var m uint16
	for s := range x.t.Sites {
		if !math.IsInf(x.doing(i, s, x.w), 1) {
			m |= 1 << s
		}
	}
	return m
}

// doing is the value of node i's subtree, solved last, if its action is s.
func (x *search) doing(i, s int, w weights) float64 {
	if s != Device {
		return x.r.crossing(i, s, w)
	}
	if x.r.acts[i]&(1<<Device) == 0 {
		return math.Inf(1)
	}
	return x.r.stay[i]
}

// undecided gives the function with two decisions in the relaxed optimum for
// which one decision costs most, -1 if there is none. It leaves in regret what
// each decision of each function costs beyond the optimum.
func (x *search) undecided(w weights) int32 {
	if !x.p.PerFunction {
		return -1
	}
	clear(x.regret)
	k := x.t.Sites
	for i := range x.t.Nodes {
		if !x.t.reached(i, x.sites) {
			continue
		}
		for s := range k {
			x.regret[int(x.function[i])*k+s] += x.doing(i, s, w) - x.r.best[i]
		}
	}
	worst, most := int32(-1), -1.0
	for f, contexts := range x.functions {
		if x.agrees(contexts, x.sites) {
			continue
		}
		if least := x.regret[f*k+x.cheapest(int32(f))]; least > most {
			worst, most = int32(f), least
		}
	}
	return worst
}

// cheapest is the decision of least regret for a function.
func (x *search) cheapest(f int32) int {
	k := x.t.Sites
	best := Device
	for s := 1; s < k; s++ {
		if x.regret[int(f)*k+s] < x.regret[int(f)*k+best] {
			best = s
		}
	}
	return best
}

// round makes the relaxed optimum obey the rules that couple nodes, for an
// incumbent: groups that are apart stay on the device, functions with two
// decisions take the cheaper.
func (x *search) round(lambda weights) {
	w := x.w
	for i := range w {
		w[i] += lambda[i]
	}
	for range 4 {
		changed := false
		for g, members := range x.groups {
			for _, i := range members[1:] {
				if x.sites[i] != x.sites[members[0]] {
					x.confineOne(confinement{byGroup, int32(g), 1 << Device})
					changed = true
					break
				}
			}
		}
		if x.p.PerFunction {
			x.undecided(w)
			for f, contexts := range x.functions {
				if !x.agrees(contexts, x.sites) {
					x.confineOne(confinement{byFunction, int32(f), 1 << x.cheapest(int32(f))})
					changed = true
				}
			}
		}
		if !changed {
			return
		}
		if _, _, ok := x.solve(w); !ok {
			return
		}
	}
}
