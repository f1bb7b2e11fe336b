package callgraph

import (
	"fmt"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Legality says whether a call of a function may move to a clone, and if not,
// why, in words for a person.
type Legality struct {
	Movable bool
	Reason  string // "" when Movable
}

// Reason says why no function of the module may move: it runs, but is not
// offloaded. It is "" when its functions may.
func (g *Graph) Reason() string { return g.reason }

// Legality judges function i, which must exist.
func (g *Graph) Legality(i uint32) Legality {
	if r := g.functionReason(i); r != "" {
		return Legality{Reason: r}
	}
	if g.reason != "" {
		return Legality{Reason: g.reason}
	}
	return Legality{Movable: true}
}

func (g *Graph) functionReason(i uint32) string {
	if g.m.Imported(i) {
		return "imported function"
	}
	t := g.m.FuncType(i)
	for n, v := range t.Params {
		if !v.Scalar() {
			return fmt.Sprintf("parameter %d is %s", n+1, v)
		}
	}
	for n, v := range t.Results {
		if !v.Scalar() {
			return fmt.Sprintf("result %d is %s", n+1, v)
		}
	}
	if g.code.TailCalled[i] && !g.exported[i] {
		return "reached by a tail call, where a stub would keep its frame"
	}
	return ""
}

// obstacle is why no function of a module may move.
type obstacle struct {
	reason    string      // "" when they may
	imported  string      // the import that is in the way, MODULE.NAME
	operation string      // the operations that are, by name
	ops       wasmbin.Ops // the same
}

const (
	mutates = wasmbin.OpTableSet | wasmbin.OpTableGrow | wasmbin.OpTableFill | wasmbin.OpTableCopy | wasmbin.OpTableInit
	drops   = wasmbin.OpElemDrop | wasmbin.OpDataDrop
)

// findObstacle finds what makes the state at a call boundary more than memory
// and scalar mutable globals.
func findObstacle(m *wasmbin.Module, code *wasmbin.Code) obstacle {
	for _, i := range m.Imports {
		from := fmt.Sprintf("from %q.%q", i.Module, i.Name)
		by := func(reason string) obstacle {
			return obstacle{reason: reason + from, imported: i.Module + "." + i.Name}
		}
		switch i.Kind {
		case wasmbin.KindMemory:
			return by("module imports its memory ")
		case wasmbin.KindTable:
			return by("module imports a table ")
		case wasmbin.KindGlobal:
			if m.Globals[i.Index].Mutable {
				return by("module imports a mutable global ")
			}
			if !m.Globals[i.Index].Type.Scalar() {
				return by(fmt.Sprintf("module imports a %s global ", m.Globals[i.Index].Type))
			}
		case wasmbin.KindFunc:
		}
	}
	for i, gl := range m.Globals {
		if gl.Mutable && !gl.Type.Scalar() {
			return obstacle{reason: fmt.Sprintf("mutable global %d is %s", i, gl.Type)}
		}
	}
	if code.Ops&(mutates|drops) == 0 {
		return obstacle{}
	}
	for i := range code.Funcs {
		f := m.ImportedFuncs + uint32(i)
		ops := code.Funcs[i].Ops
		switch {
		case ops&mutates != 0:
			names := strings.Join((ops & mutates).Names(), ", ")
			return obstacle{fmt.Sprintf("module mutates its table by %s in %s", names, describe(m, f)), "", names, mutates}
		case ops&drops != 0:
			names := strings.Join((ops & drops).Names(), ", ")
			return obstacle{fmt.Sprintf("module drops a segment by %s in %s", names, describe(m, f)), "", names, drops}
		}
	}
	return obstacle{}
}

// describe gives "function 12" or "function 12 (name)".
func describe(m *wasmbin.Module, i uint32) string {
	s := fmt.Sprintf("function %d", i)
	if n := m.Names()[i]; n != "" {
		s += " (" + n + ")"
	}
	return s
}
