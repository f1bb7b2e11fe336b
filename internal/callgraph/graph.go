package callgraph

import (
	"fmt"
	"math/bits"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Graph is a module's call graph.
type Graph struct {
	m    *wasmbin.Module
	code *wasmbin.Code

	obstacle // why nothing of the module may move
	types    []uint32
	// imports has one row of words for every node: the imported functions that
	// it can reach, as bits.
	imports [][]uint64

	recursive []bool    // calls itself, through direct calls
	work      []float64 // estimated instructions of one call, callees included
	freq      []float64 // estimated calls in one run
	turns     []float64 // how often the average executed instruction below happens in one call
	sites     []uint32  // direct call sites
	exported  []bool

	goModule bool
	named    bool   // has a name section
	kind     []kind // what the names tell
}

// Info is what is known about one function.
type Info struct {
	Index        uint32
	Name         string
	Type         wasmbin.FuncType
	Imported     bool
	Exported     bool
	AddressTaken bool
	Recursive    bool   // through direct calls
	Size         int    // bytes of the body
	Instructions uint32 // of the body
	Loops        uint32
	LoopDepth    int
	CallSites    uint32  // direct calls of it in the module
	Work         float64 // estimated instructions of one call, callees included
	Turns        float64 // estimated times that the average executed instruction happens in one call
}

// Analyze scans the module and builds its graph. The error is what
// wasmbin.Module.Scan returns.
func Analyze(m *wasmbin.Module) (*Graph, error) {
	code, err := m.Scan()
	if err != nil {
		return nil, fmt.Errorf("analyze calls: %w", err)
	}
	g := &Graph{m: m, code: code, exported: make([]bool, len(m.Funcs))}
	for _, e := range m.Exports {
		if e.Kind == wasmbin.KindFunc {
			g.exported[e.Index] = true
		}
	}
	g.obstacle = findObstacle(m, code)
	g.canonicalTypes()
	g.reach()
	g.estimate()
	return g, nil
}

// Module gives the module of the graph.
func (g *Graph) Module() *wasmbin.Module { return g.m }

// Func gives what is known about function i, which must exist.
func (g *Graph) Func(i uint32) Info {
	c := g.code.Of(g.m, i)
	f := Info{
		Index: i, Name: g.m.Name(i), Type: g.m.FuncType(i), Imported: g.m.Imported(i),
		Exported: g.exported[i], AddressTaken: g.code.AddressTaken[i], Recursive: g.recursive[i],
		Instructions: c.Instructions, Loops: c.Loops, LoopDepth: int(c.LoopDepth),
		CallSites: g.sites[i], Work: g.work[i], Turns: g.turns[i],
	}
	if !f.Imported {
		f.Size = g.m.BodyOf(i).Size()
	}
	return f
}

// Imports gives the imported functions that a call of function i can reach, by
// rising index. It is an over-estimate: an indirect call reaches every function
// of its type whose address is taken.
func (g *Graph) Imports(i uint32) []uint32 {
	var out []uint32
	for w, set := range g.imports[i] {
		for b := range 64 {
			if set&(1<<b) != 0 {
				out = append(out, uint32(w*64+b))
			}
		}
	}
	return out
}

// ImportCount is the number of them.
func (g *Graph) ImportCount(i uint32) int {
	n := 0
	for _, set := range g.imports[i] {
		n += bits.OnesCount64(set)
	}
	return n
}

// canonicalTypes numbers equal signatures equally: call_indirect compares
// signatures, not indices.
func (g *Graph) canonicalTypes() {
	first := map[string]uint32{}
	g.types = make([]uint32, len(g.m.Types))
	for i, t := range g.m.Types {
		k := t.Key()
		if _, ok := first[k]; !ok {
			first[k] = uint32(i)
		}
		g.types[i] = first[k]
	}
}

// edges gives the successors of every node: functions first, then signatures.
func (g *Graph) edges() [][]uint32 {
	n := uint32(len(g.m.Funcs))
	succ := make([][]uint32, int(n)+len(g.m.Types))
	seen := make([]uint32, len(succ)) // the last node, plus one, that has it as successor
	for i := g.m.ImportedFuncs; i < n; i++ {
		var s []uint32
		for _, c := range g.code.Of(g.m, i).Calls {
			to := c.Target
			if c.Indirect {
				to = n + g.types[c.Target]
			}
			if seen[to] != i+1 {
				seen[to] = i + 1
				s = append(s, to)
			}
		}
		succ[i] = s
	}
	for f, taken := range g.code.AddressTaken {
		if taken {
			t := n + g.types[g.m.Funcs[f]]
			succ[t] = append(succ[t], uint32(f))
		}
	}
	return succ
}

// maxReach bounds the rows of reach, in words of 8 bytes. A program has tens of
// imports; a module made to have many would otherwise take gigabytes.
const maxReach = 8 << 20

// reach computes the imports that every node can reach. Components come callees
// first, so each row is the union of rows that are complete. Where the rows
// would get too many, a node reaches all imports: Imports is an over-estimate.
func (g *Graph) reach() {
	succ := g.edges()
	words := int(g.m.ImportedFuncs+63) / 64
	g.imports = make([][]uint64, len(succ))
	var all []uint64
	made := 0
	components(succ, func(members []uint32) {
		if made += words; made > maxReach {
			if all == nil {
				all = g.allImports()
			}
			for _, v := range members {
				g.imports[v] = all
			}
			return
		}
		row := make([]uint64, words)
		for _, v := range members {
			if v < g.m.ImportedFuncs {
				row[v/64] |= 1 << (v % 64)
			}
			g.imports[v] = row
			for _, w := range succ[v] {
				for i, set := range g.imports[w] {
					row[i] |= set
				}
			}
		}
	})
}

func (g *Graph) allImports() []uint64 {
	all := make([]uint64, int(g.m.ImportedFuncs+63)/64)
	for i := range g.m.ImportedFuncs {
		all[i/64] |= 1 << (i % 64)
	}
	return all
}

// components calls yield for every strongly connected component, successors
// before predecessors (Tarjan, without recursion: graphs are deep). The slice is
// only valid during the call.
func components(succ [][]uint32, yield func([]uint32)) {
	n := len(succ)
	order := make([]uint32, n) // 0: not visited, else number of visit
	low := make([]uint32, n)
	onStack := make([]bool, n)
	var stack []uint32
	type frame struct {
		v    uint32
		next int
	}
	var frames []frame
	count := uint32(0)
	visit := func(v uint32) {
		count++
		order[v], low[v] = count, count
		stack, onStack[v] = append(stack, v), true
		frames = append(frames, frame{v: v})
	}
	for root := range n {
		if order[root] != 0 {
			continue
		}
		visit(uint32(root))
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			v := f.v
			if f.next < len(succ[v]) {
				w := succ[v][f.next]
				f.next++
				if order[w] == 0 {
					visit(w)
				} else if onStack[w] {
					low[v] = min(low[v], order[w])
				}
				continue
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				parent := frames[len(frames)-1].v
				low[parent] = min(low[parent], low[v])
			}
			if low[v] == order[v] {
				at := len(stack) - 1
				for stack[at] != v {
					at--
				}
				for _, w := range stack[at:] {
					onStack[w] = false
				}
				yield(stack[at:])
				stack = stack[:at]
			}
		}
	}
}
