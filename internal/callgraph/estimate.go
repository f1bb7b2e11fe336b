package callgraph

const (
	// most bounds estimates, far below where a float64 would lose an addition.
	most = 1e30
	// indirectWork stands for the callee of an indirect call, in instructions.
	indirectWork = 50
)

// estimate computes work, freq, sites and recursive over direct calls. Indirect
// calls would join nearly all functions into one component.
func (g *Graph) estimate() {
	n := len(g.m.Funcs)
	g.recursive = make([]bool, n)
	g.work, g.freq = make([]float64, n), make([]float64, n)
	g.sites, g.turns = make([]uint32, n), make([]float64, n)
	succ := make([][]uint32, n)
	for i := int(g.m.ImportedFuncs); i < n; i++ {
		for _, c := range g.code.Of(g.m, uint32(i)).Calls {
			if !c.Indirect {
				succ[i] = append(succ[i], c.Target)
				g.sites[c.Target]++
			}
		}
	}
	g.classify()
	component := make([]uint32, n)
	order := make([]uint32, 0, n) // callees before callers
	number := uint32(0)
	components(succ, func(members []uint32) {
		number++
		for _, v := range members {
			component[v] = number
			order = append(order, v)
		}
	})
	for _, v := range order {
		g.estimateWork(v, component)
	}
	g.estimateFreq(order, component)
}

func (g *Graph) estimateWork(v uint32, component []uint32) {
	f := g.code.Of(g.m, v)
	w := f.Work
	turns := f.Work / float64(max(f.Instructions, 1))
	for _, c := range f.Calls {
		switch {
		case c.Indirect:
			w += c.Weight * indirectWork
		case component[c.Target] == component[v]:
			g.recursive[v] = true
		default:
			w += c.Weight * g.work[c.Target]
			turns = max(turns, c.Weight*g.turns[c.Target])
		}
	}
	if g.kind[v] != housekeeping {
		g.turns[v] = min(turns, most)
	}
	g.work[v] = min(g.kind[v].workOf(w), most)
}

// estimateFreq passes calls down from what the outside and tables can call.
// Calls within a component count once.
func (g *Graph) estimateFreq(order, component []uint32) {
	for v := range g.freq {
		if g.exported[v] || g.code.AddressTaken[v] || (g.m.HasStart && g.m.Start == uint32(v)) {
			g.freq[v] = 1
		}
	}
	for i := len(order) - 1; i >= 0; i-- {
		v := order[i]
		for _, c := range g.code.Of(g.m, v).Calls {
			if c.Indirect || component[c.Target] == component[v] {
				continue
			}
			g.freq[c.Target] = min(g.freq[c.Target]+g.freq[v]*c.Weight, most)
		}
	}
}

// classify judges every function by its name.
func (g *Graph) classify() {
	g.goModule = g.m.Custom("go:buildid") != nil
	g.named = len(g.m.Names()) > 0
	g.kind = make([]kind, len(g.m.Funcs))
	if !g.named {
		return
	}
	if !g.goModule { // linked without an id
		for _, name := range g.m.Names() {
			if name == "runtime.mallocgc" {
				g.goModule = true
			}
		}
	}
	for i := range g.kind {
		g.kind[i] = kindOf(g.m.Names()[uint32(i)], g.goModule)
	}
}
