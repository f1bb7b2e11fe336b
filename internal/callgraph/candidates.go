package callgraph

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Options choose candidates.
type Options struct {
	// Add names functions to take whatever the estimates say: by NAME (of the
	// name section, an export, or both) or by INDEX.
	Add []string
	// Max bounds the functions chosen by estimate; exports and Add come on top.
	// 0 means 64, which is one arm mask.
	Max int
	// Pinned, unless nil, names further functions that may not move; see
	// Verdicts. They are no candidates, and Add may not name them.
	Pinned func(i uint32) bool
}

// Candidate is one choice.
type Candidate struct {
	Index uint32
	// Entry says to stub the function at its exports only, because the module
	// itself calls it too often for a stub in its body.
	Entry bool
	Why   string
}

// Selection is a set of candidates, by rising index.
type Selection []Candidate

// Indices gives all function indices, for rewrite.Options.Candidates.
func (s Selection) Indices() []uint32 {
	out := make([]uint32, len(s))
	for i, c := range s {
		out[i] = c.Index
	}
	return out
}

// Entries gives the indices of the candidates with Entry set, for
// rewrite.Options.Entries.
func (s Selection) Entries() []uint32 {
	var out []uint32
	for _, c := range s {
		if c.Entry {
			out = append(out, c.Index)
		}
	}
	return out
}

const (
	defaultMax = 64
	// maxExports bounds the exports that are taken without being named.
	maxExports = 512
	// minSize is the least body, in bytes, that gets a stub for its estimate.
	minSize = 256
	// minWork is the least estimated work of one call, in instructions.
	minWork = 1_500
	// minGoWork is the same for the packages of a Go program itself, where the
	// work of the standard library does not blur the estimate.
	minGoWork = 5_000
	// minTurns is the least number of times that one call executes the average
	// instruction of its busiest function: it tells a kernel from a function such
	// as printf, whose many loops are many cases.
	minTurns = 30
	// minRecursiveWork is the least work of one call, without the calls in the
	// recursion, of a function that calls itself: every one passes the stub.
	minRecursiveWork = 8_000
	// minLibraryWork is the same for packages of a standard library.
	minLibraryWork = 1_000_000
	// stubWork is what a stub costs, in instructions.
	stubWork = 8
	// idleShare bounds the stubs' part of the estimated work of a run.
	idleShare = 0.002
)

// Candidates analyzes the module and chooses; see Graph.Candidates.
func Candidates(m *wasmbin.Module, opts Options) (Selection, error) {
	g, err := Analyze(m)
	if err != nil {
		return nil, err
	}
	return g.Candidates(opts)
}

// Candidates chooses the functions to stub: the same for the same module and
// options. A module that may not be offloaded gives none and no error, unless
// Add names something: then the error says why not.
func (g *Graph) Candidates(opts Options) (Selection, error) {
	chosen := map[uint32]Candidate{}
	for _, ref := range opts.Add {
		i, err := g.Lookup(ref)
		if err != nil {
			return nil, err
		}
		if l := g.Legality(i); !l.Movable {
			return nil, fmt.Errorf("function %s cannot be offloaded: %s", ref, l.Reason)
		}
		if opts.Pinned != nil && opts.Pinned(i) {
			return nil, fmt.Errorf("function %s cannot be offloaded: it is pinned to the device", ref)
		}
		chosen[i] = Candidate{Index: i, Entry: g.code.TailCalled[i], Why: "named"}
	}
	if g.reason == "" {
		pinned := opts.Pinned
		if pinned == nil {
			pinned = func(uint32) bool { return false }
		}
		g.byEstimate(chosen, opts.Max, pinned)
		g.byExport(chosen, pinned)
	}
	out := make(Selection, 0, len(chosen))
	for _, c := range chosen {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Candidate) int { return cmp.Compare(a.Index, b.Index) })
	return out, nil
}

// byExport takes the exports that were not taken for their work, at the export.
func (g *Graph) byExport(chosen map[uint32]Candidate, pinned func(uint32) bool) {
	n := 0
	for _, e := range g.m.Exports {
		if e.Kind != wasmbin.KindFunc || n >= maxExports {
			continue
		}
		if _, ok := chosen[e.Index]; ok || !g.Legality(e.Index).Movable || pinned(e.Index) {
			continue
		}
		chosen[e.Index] = Candidate{Index: e.Index, Entry: true, Why: "exported as " + e.Name}
		n++
	}
}

// byEstimate takes the functions with the most work in one call, as long as the
// stubs together stay a small share of the whole run.
func (g *Graph) byEstimate(chosen map[uint32]Candidate, limit int, pinned func(uint32) bool) {
	if limit == 0 {
		limit = defaultMax
	}
	var list []uint32
	total := 0.0
	for i := g.m.ImportedFuncs; int64(i) < int64(len(g.m.Funcs)); i++ {
		total += g.freq[i] * g.code.Of(g.m, i).Work
		if g.worthwhile(i) && !pinned(i) {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b uint32) int { return cmp.Compare(g.work[b], g.work[a]) })
	budget := total * idleShare
	for _, i := range list {
		if limit <= 0 {
			return
		}
		if _, ok := chosen[i]; ok {
			continue
		}
		cost := g.freq[i] * stubWork
		if cost > budget {
			continue
		}
		budget -= cost
		limit--
		chosen[i] = Candidate{Index: i, Why: fmt.Sprintf("about %.0e instructions a call", g.work[i])}
	}
}

// worthwhile says whether function i may be chosen for its estimated work.
func (g *Graph) worthwhile(i uint32) bool {
	if !g.Legality(i).Movable || g.code.TailCalled[i] || g.m.BodyOf(i).Size() < minSize ||
		(g.recursive[i] && g.work[i] < minRecursiveWork) {
		return false
	}
	switch g.kind[i] {
	case housekeeping:
		return false
	case library:
		return g.work[i] >= minLibraryWork && exportedGo(g.m.Names()[i])
	case ordinary:
	}
	switch {
	case g.goModule && g.named:
		// The program's own packages: the runtime's share of the estimate is bounded.
		return g.work[i] >= minGoWork
	case g.goModule:
		// Without names the runtime cannot be told from the program, except by
		// place: the linker writes packages after those that they use.
		own := len(g.m.Bodies)
		return int(i-g.m.ImportedFuncs) >= own-min(own/10, 200) && g.code.Of(g.m, i).Work >= minWork
	}
	if g.recursive[i] {
		return true
	}
	once := g.freq[i] <= 1 && !g.code.AddressTaken[i]
	return g.work[i] >= minWork && (g.turns[i] >= minTurns || once)
}
