package callgraph

import (
	"fmt"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Answer says whether a function may move.
type Answer string

// The answers.
const (
	Yes Answer = "yes"
	// No is certain, or as good as: direct calls lead to what may not move.
	No Answer = "no"
	// Tried is what reading cannot decide: only an indirect call can lead to
	// what may not move. The function may move, and when it does get there, the
	// attempt ends and the call runs on the device.
	Tried Answer = "tried"
)

// Verdict is the answer for one function, and what it is due to.
type Verdict struct {
	Answer    Answer
	Reason    string // for a person, "" when Yes
	Import    string // what it is due to, MODULE.NAME; "" if not an import
	Operation string // what it is due to, by name; "" if not an operation
	// Path is a shortest call path to the import, or to the function with the
	// operation, beginning at the function (an indirect call counts twice); nil
	// if none leads there. Only its first MaxPath steps are given; Length says how
	// many there are.
	Path   []Step
	Length int
}

// Step is a function on a path. Indirect: the step before calls it through a
// table.
type Step struct {
	Func     uint32
	Indirect bool
}

// MaxPath bounds the steps of a path that are given.
const MaxPath = 16

// Verdicts judges functions when the host modules that stateful names keep
// state: handles, hardware, a screen. All functions that are imported from one
// of them are pinned to the device together (CloneCloud's second property, for
// which native methods that share state are colocated), and so is what calls
// them, as there is no nested migration. WASI's own state is known and moves
// with the call: it must not be named.
type Verdicts struct {
	g *Graph
	// direct and any lead, over direct calls or over all, to the nearest pinned
	// import; change leads to the nearest function with an operation that pins
	// the whole module.
	direct, any, change towards
	imports             []int // of each imported function, its place in Module.Imports
}

// Verdicts prepares to judge. stateful is asked once for each host module that
// functions are imported from.
func (g *Graph) Verdicts(stateful func(module string) bool) *Verdicts {
	v := &Verdicts{g: g}
	answers := map[string]bool{}
	var pinned, changes []uint32
	for i, im := range g.m.Imports {
		if im.Kind != wasmbin.KindFunc {
			continue
		}
		v.imports = append(v.imports, i)
		if _, asked := answers[im.Module]; !asked {
			answers[im.Module] = stateful(im.Module)
		}
		if answers[im.Module] {
			pinned = append(pinned, im.Index)
		}
	}
	for i := range g.code.Funcs {
		if g.code.Funcs[i].Ops&g.ops != 0 {
			changes = append(changes, g.m.ImportedFuncs+uint32(i))
		}
	}
	if len(pinned) == 0 && len(changes) == 0 {
		return v
	}
	back := backwards(g.edges(), uint32(len(g.m.Funcs)))
	v.direct = back.towards(pinned, false)
	v.any = back.towards(pinned, true)
	v.change = back.towards(changes, true)
	return v
}

// Of judges function i, which must exist.
func (v *Verdicts) Of(i uint32) Verdict {
	g := v.g
	switch {
	case g.functionReason(i) != "":
		return Verdict{Answer: No, Reason: g.functionReason(i)}
	case g.reason != "":
		d := Verdict{Answer: No, Reason: g.reason, Import: g.imported, Operation: g.operation}
		d.Path, d.Length = v.path(v.change, i)
		return d
	case v.direct.reaches(i):
		return v.pinned(No, "calls", v.direct, i)
	case v.any.reaches(i):
		return v.pinned(Tried, "may call, through a table,", v.any, i)
	}
	return Verdict{Answer: Yes}
}

// Pinned says whether the answer for function i is No; see Options.Pinned.
func (v *Verdicts) Pinned(i uint32) bool { return v.Of(i).Answer == No }

func (v *Verdicts) pinned(a Answer, how string, to towards, i uint32) Verdict {
	im := &v.g.m.Imports[v.imports[to.goal[i]]]
	d := Verdict{Answer: a, Import: im.Module + "." + im.Name}
	d.Reason = fmt.Sprintf("%s %s, which stays on the device with all of %q", how, d.Import, im.Module)
	d.Path, d.Length = v.path(to, i)
	return d
}

// path lists the functions from i on; nodes that are signatures become the mark
// of the function behind them.
func (v *Verdicts) path(to towards, i uint32) (steps []Step, length int) {
	if !to.reaches(i) {
		return nil, 0
	}
	n := uint32(len(v.g.m.Funcs))
	indirect := false
	for at := i; ; at = to.next[at] {
		if at >= n {
			indirect = true
			continue
		}
		steps = append(steps, Step{at, indirect})
		indirect = false
		if to.next[at] == at || len(steps) == MaxPath {
			return steps, int(to.length[i])
		}
	}
}

// backward is a graph with its edges turned round, in one piece of memory. Its
// first nodes are functions, the others signatures.
type backward struct {
	start, from []uint32
	functions   uint32
}

func backwards(succ [][]uint32, functions uint32) backward {
	b := backward{start: make([]uint32, len(succ)+1), functions: functions}
	for _, s := range succ {
		for _, w := range s {
			b.start[w+1]++
		}
	}
	for i := range succ {
		b.start[i+1] += b.start[i]
	}
	b.from = make([]uint32, b.start[len(succ)])
	fill := append([]uint32(nil), b.start...)
	for v, s := range succ {
		for _, w := range s {
			b.from[fill[w]] = uint32(v)
			fill[w]++
		}
	}
	return b
}

// towards has for each node the next one on a shortest way to a target, itself
// for a target; nowhere where no way leads. goal is that target, and length how
// many functions the way has.
type towards struct{ next, goal, length []uint32 }

const nowhere = ^uint32(0)

// towards searches breadth first from the targets, which are functions.
func (b backward) towards(targets []uint32, indirect bool) towards {
	if len(targets) == 0 {
		return towards{}
	}
	n := len(b.start) - 1
	t := towards{make([]uint32, n), make([]uint32, n), make([]uint32, n)}
	for i := range t.next {
		t.next[i] = nowhere
	}
	queue := make([]uint32, 0, n)
	for _, v := range targets {
		t.next[v], t.goal[v], t.length[v] = v, v, 1
		queue = append(queue, v)
	}
	for at := 0; at < len(queue); at++ {
		v := queue[at]
		for _, w := range b.from[b.start[v]:b.start[v+1]] {
			if t.next[w] != nowhere || (!indirect && w >= b.functions) {
				continue
			}
			t.next[w], t.goal[w], t.length[w] = v, t.goal[v], t.length[v]
			if w < b.functions {
				t.length[w]++
			}
			queue = append(queue, w)
		}
	}
	return t
}

func (t towards) reaches(i uint32) bool { return t.next != nil && t.next[i] != nowhere }
