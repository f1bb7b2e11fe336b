package partition

import "math"

// relaxation is the tree optimum under given weights, where every node may be
// confined to some sites, and every node whose caller is on the device to some
// actions. Its arrays are used again and again.
type relaxation struct {
	t     *Tree
	sites int
	// where and acts are masks of sites: where the node may be at all, and what
	// it may do when its caller is on the device (bit Device: stay).
	where, acts []uint16

	best  []float64 // of the subtree, when the caller is on the device
	stay  []float64 // the same if the node itself stays
	there []float64 // [node*sites+site]: of the whole subtree at a clone
	act   []uint8   // the choice behind best
}

func newRelaxation(t *Tree) *relaxation {
	n := len(t.Nodes)
	r := &relaxation{
		t: t, sites: t.Sites, where: make([]uint16, n), acts: make([]uint16, n),
		best: make([]float64, n), stay: make([]float64, n), there: make([]float64, n*t.Sites), act: make([]uint8, n),
	}
	r.free()
	return r
}

// free allows each node all that the tree allows it.
func (r *relaxation) free() {
	all := uint16(1)<<r.sites - 1
	for i := range r.t.Nodes {
		n := &r.t.Nodes[i]
		r.where[i], r.acts[i] = all, all
		if n.Pinned {
			r.where[i] = 1 << Device
		}
		if n.Move == nil {
			r.acts[i] = 1 << Device
		}
	}
}

// solve computes the optimum and returns its value, +Inf if nothing is allowed.
// Of equals it prefers to stay, then the clone of lower number.
func (r *relaxation) solve(w weights) float64 {
	clear(r.stay)
	clear(r.there)
	k := r.sites
	inf := math.Inf(1)
	for i := len(r.t.Nodes) - 1; i >= 0; i-- {
		n := &r.t.Nodes[i]
		there := r.there[i*k : i*k+k]
		if r.where[i]&(1<<Device) != 0 {
			r.stay[i] += w.of(n.Own[Device])
		} else {
			r.stay[i] = inf
		}
		best, act := inf, Device
		if r.acts[i]&(1<<Device) != 0 {
			best = r.stay[i]
		}
		for s := 1; s < k; s++ {
			if r.where[i]&(1<<s) == 0 {
				there[s] = inf
				continue
			}
			there[s] += w.of(n.Own[s])
			if r.acts[i]&(1<<s) != 0 {
				if v := there[s] + w.of(n.Move[s]); v < best {
					best, act = v, s
				}
			}
		}
		r.best[i], r.act[i] = best, uint8(act)
		if p := n.Parent; p >= 0 {
			r.stay[p] += best
			up := r.there[p*k : p*k+k]
			for s := 1; s < k; s++ {
				up[s] += there[s]
			}
		}
	}
	return r.best[0]
}

// place writes the site of every node of the last solution.
func (r *relaxation) place(sites []int) {
	for i := range r.t.Nodes {
		caller := Device
		if p := r.t.Nodes[i].Parent; p >= 0 {
			caller = sites[p]
		}
		if caller == Device {
			caller = int(r.act[i])
		}
		sites[i] = caller
	}
}

// crossing is the value of moving node i to site s in the last solution, +Inf
// if it may not.
func (r *relaxation) crossing(i, s int, w weights) float64 {
	n := &r.t.Nodes[i]
	if n.Move == nil || r.acts[i]&(1<<s) == 0 {
		return math.Inf(1)
	}
	return r.there[i*r.sites+s] + w.of(n.Move[s])
}

// reached says whether node i, placed as in sites, has its caller on the device.
func (t *Tree) reached(i int, sites []int) bool {
	p := t.Nodes[i].Parent
	return p < 0 || sites[p] == Device
}
