package partition

// network is a flow network with integer capacities, solved by Dinic's method.
//
// Why Dinic and why integers: a tree with groups contracts to a sparse, shallow
// network, where Dinic's phases are few and push-relabel's heuristics buy
// nothing. On floats a method that augments can go on for ever with residues of
// rounding; on integers it ends, and the cut is exact for the capacities that
// it is given.
type network struct {
	head []int32 // first edge of each node, -1 for none
	edge []flowEdge
	// level and next are Dinic's distances and the edge to try next.
	level, next []int32
	queue       []int32
	path        []int32 // edges
}

// flowEdge e has its reverse at e^1.
type flowEdge struct {
	to, after int32
	left      int64 // residual capacity
}

func newNetwork(nodes int) *network {
	g := &network{head: make([]int32, nodes), level: make([]int32, nodes), next: make([]int32, nodes)}
	for i := range g.head {
		g.head[i] = -1
	}
	return g
}

// connect adds a capacity from u to v, and one from v to u.
func (g *network) connect(u, v int, forth, back int64) {
	if u == v || (forth == 0 && back == 0) {
		return
	}
	n := int32(len(g.edge))
	g.edge = append(g.edge, flowEdge{int32(v), g.head[u], forth}, flowEdge{int32(u), g.head[v], back})
	g.head[u], g.head[v] = n, n+1
}

// levels numbers the nodes by their distance from s; false if t is not reached.
func (g *network) levels(s, t int32) bool {
	for i := range g.level {
		g.level[i] = -1
	}
	g.level[s] = 0
	g.queue = append(g.queue[:0], s)
	for at := 0; at < len(g.queue); at++ {
		u := g.queue[at]
		for e := g.head[u]; e >= 0; e = g.edge[e].after {
			if v := g.edge[e].to; g.edge[e].left > 0 && g.level[v] < 0 {
				g.level[v] = g.level[u] + 1
				g.queue = append(g.queue, v)
			}
		}
	}
	return g.level[t] >= 0
}

// augment fills all shortest paths from s to t: a depth-first walk with its own
// stack, because trees can be as deep as they are large.
func (g *network) augment(s, t int32) {
	copy(g.next, g.head)
	g.path = g.path[:0]
	u := s
	for {
		if u == t {
			u = g.push(s)
			continue
		}
		e := g.next[u]
		if e < 0 { // a dead end: step back, and past the edge that led here
			if u == s {
				return
			}
			last := g.path[len(g.path)-1]
			g.path = g.path[:len(g.path)-1]
			u = g.edge[last^1].to
			g.next[u] = g.edge[last].after
			continue
		}
		if v := g.edge[e].to; g.edge[e].left > 0 && g.level[v] == g.level[u]+1 {
			g.path = append(g.path, e)
			u = v
		} else {
			g.next[u] = g.edge[e].after
		}
	}
}

// push sends what the path holds and returns the node behind its first edge
// that is now full.
func (g *network) push(s int32) int32 {
	flow := int64(1<<63 - 1)
	for _, e := range g.path {
		flow = min(flow, g.edge[e].left)
	}
	cut := -1
	for i, e := range g.path {
		g.edge[e].left -= flow
		g.edge[e^1].left += flow
		if cut < 0 && g.edge[e].left == 0 {
			cut = i
		}
	}
	full := g.path[cut]
	g.path = g.path[:cut]
	return g.edge[full^1].to
}

// cut saturates the network and marks the nodes on t's side, as few as there
// can be: those from which t is still reached.
func (g *network) cut(s, t int32) []bool {
	for g.levels(s, t) {
		g.augment(s, t)
	}
	side := make([]bool, len(g.head))
	side[t] = true
	g.queue = append(g.queue[:0], t)
	for at := 0; at < len(g.queue); at++ {
		for e := g.head[g.queue[at]]; e >= 0; e = g.edge[e].after {
			// e^1 leads from v to here
			if v := g.edge[e].to; g.edge[e^1].left > 0 && !side[v] {
				side[v] = true
				g.queue = append(g.queue, v)
			}
		}
	}
	return side
}
