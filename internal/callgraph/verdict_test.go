package callgraph_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

func stateful(module string) bool { return module != "wasi_snapshot_preview1" }

// pathText writes a path as NAME > NAME, with >> for an indirect call.
func pathText(g *callgraph.Graph, d callgraph.Verdict) string {
	var b strings.Builder
	for i, s := range d.Path {
		switch {
		case s.Indirect:
			b.WriteString(" >> ")
		case i > 0:
			b.WriteString(" > ")
		}
		b.WriteString(g.Func(s.Func).Name)
	}
	return b.String()
}

func TestVerdictsNameTheImportAndTheShortestPath(t *testing.T) {
	g := analyze(t, "verdict")
	v := g.Verdicts(stateful)
	for name, want := range map[string]struct {
		answer       callgraph.Answer
		imports, way string
	}{
		"pure":   {callgraph.Yes, "", ""},
		"yields": {callgraph.Yes, "", ""},
		"shoot":  {callgraph.No, "camera.take", "shoot > take"},
		"quiet":  {callgraph.Yes, "", ""},
		"far":    {callgraph.No, "camera.zoom", "far > far2 > zoom"},
		"table":  {callgraph.Tried, "camera.take", "table >> shoot > take"},
		"where":  {callgraph.Tried, "gps.fix", "where >> fix"},
		"both":   {callgraph.No, "camera.zoom", "both > far > far2 > zoom"},
		"outer":  {callgraph.Yes, "", ""},
		"vector": {callgraph.No, "", ""},
	} {
		d := v.Of(index(t, g, name))
		way := pathText(g, d)
		if d.Answer != want.answer || d.Import != want.imports || way != want.way || d.Length != len(d.Path) {
			t.Errorf("%s: %s by %q, path %q of %d", name, d.Answer, d.Import, way, d.Length)
		}
		if (d.Reason == "") != (d.Answer == callgraph.Yes) || v.Pinned(index(t, g, name)) != (d.Answer == callgraph.No) {
			t.Errorf("%s: reason %q", name, d.Reason)
		}
	}
	// Nobody is asked about the state of a module that is not imported from, and
	// a host module without state pins nothing.
	v = g.Verdicts(func(module string) bool { return module == "gps" })
	if d := v.Of(index(t, g, "shoot")); d.Answer != callgraph.Yes {
		t.Errorf("shoot: %+v", d)
	}
}

func TestVerdictsNameTheOperation(t *testing.T) {
	for name, want := range map[string]callgraph.Verdict{
		"tableset": {Operation: "table.set, table.grow"},
		"drop":     {Operation: "data.drop"},
		"memory":   {Import: "env.memory"},
		"global":   {Import: "env.sp"},
	} {
		g := analyze(t, name)
		v := g.Verdicts(stateful)
		for i := range uint32(len(g.Module().Funcs)) {
			if g.Module().Imported(i) {
				continue
			}
			d := v.Of(i)
			if d.Answer != callgraph.No || d.Operation != want.Operation || d.Import != want.Import || d.Reason != g.Reason() {
				t.Errorf("%s, function %d: %+v", name, i, d)
			}
			if last := len(d.Path) - 1; last >= 0 && (d.Path[0].Func != i || !strings.Contains(g.Reason(), fmt.Sprint("function ", d.Path[last].Func))) {
				t.Errorf("%s, function %d: path %v", name, i, d.Path)
			}
		}
	}
}

func TestPinnedFunctionsAreNoCandidates(t *testing.T) {
	g := analyze(t, "verdict")
	v := g.Verdicts(stateful)
	sel, err := g.Candidates(callgraph.Options{Pinned: v.Pinned})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range sel {
		names = append(names, g.Func(c.Index).Name)
	}
	slices.Sort(names)
	if want := []string{"outer", "pure", "quiet", "table", "where", "yields"}; !slices.Equal(names, want) {
		t.Errorf("candidates %v, want %v", names, want)
	}
	if _, err := g.Candidates(callgraph.Options{Add: []string{"shoot"}, Pinned: v.Pinned}); err == nil {
		t.Error("a pinned function is taken when it is named")
	}
	inside := g.Inside(sel)
	outer, quiet, pure := index(t, g, "outer"), index(t, g, "quiet"), index(t, g, "pure")
	want := []uint32{pure, quiet}
	slices.Sort(want)
	if !slices.Equal(inside[outer], want) || !slices.Equal(inside[quiet], []uint32{pure}) || inside[pure] != nil {
		t.Errorf("inside: %v", inside)
	}
}

// madeModule has functions whose bodies are the given calls, and imports
// functions from "host".
func madeModule(imports, functions int, calls func(i int) []int) []byte {
	section := func(id byte, n int, body []byte) []byte {
		body = append(wasmbin.AppendU32(nil, uint32(n)), body...)
		return append(wasmbin.AppendU32([]byte{id}, uint32(len(body))), body...)
	}
	var b bytes.Buffer
	b.WriteString("\x00asm\x01\x00\x00\x00")
	b.Write(section(1, 1, []byte{0x60, 0, 0}))
	var names []byte
	for range imports {
		names = append(wasmbin.AppendName(wasmbin.AppendName(names, "host"), ""), 0, 0)
	}
	b.Write(section(2, imports, names))
	b.Write(section(3, functions, make([]byte, functions)))
	var code []byte
	for i := range functions {
		body := []byte{0}
		for _, c := range calls(i) {
			body = wasmbin.AppendU32(append(body, 0x10), uint32(c))
		}
		body = append(body, 0x0b)
		code = append(wasmbin.AppendU32(code, uint32(len(body))), body...)
	}
	b.Write(section(10, functions, code))
	return b.Bytes()
}

func analyzed(t *testing.T, bin []byte) *callgraph.Graph {
	t.Helper()
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestPathsAreShortest compares with a search from each function by itself.
func TestPathsAreShortest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		const imports, functions = 3, 30
		graph := make([][]int, functions)
		for i := range graph {
			for range r.IntN(4) {
				c := imports + r.IntN(functions)
				if r.IntN(20) == 0 {
					c = r.IntN(imports)
				}
				graph[i] = append(graph[i], c)
			}
		}
		g := analyzed(t, madeModule(imports, functions, func(i int) []int { return graph[i] }))
		v := g.Verdicts(stateful)
		for i := range functions {
			d := v.Of(uint32(imports + i))
			want := distance(graph, imports, i)
			if d.Length != want || (want > 0) != (d.Answer == callgraph.No) {
				t.Fatalf("function %d: %+v, want %d", i, d, want)
			}
			for k := 1; k < len(d.Path); k++ {
				if from := int(d.Path[k-1].Func) - imports; !slices.Contains(graph[from], int(d.Path[k].Func)) {
					t.Fatalf("function %d: no such path %v", i, d.Path)
				}
			}
		}
	}
}

// distance is how many functions a shortest path from i to an import has, 0 if
// there is none.
func distance(graph [][]int, imports, i int) int {
	at, seen := []int{imports + i}, map[int]bool{}
	for steps := 1; len(at) > 0; steps++ {
		var next []int
		for _, f := range at {
			if f < imports {
				return steps
			}
			if !seen[f] {
				seen[f] = true
				next = append(next, graph[f-imports]...)
			}
		}
		at = next
	}
	return 0
}

// TestModulesMadeToBeExpensiveAreJudgedAllTheSame has a chain of 300,000
// functions, and 50,000 imports that as many functions could reach: tables of
// both would take gigabytes, paths of all an hour.
func TestModulesMadeToBeExpensiveAreJudgedAllTheSame(t *testing.T) {
	const imports, functions = 50_000, 300_000
	began := time.Now()
	g := analyzed(t, madeModule(imports, functions, func(i int) []int {
		if i == functions-1 {
			return []int{0}
		}
		return []int{imports + i + 1}
	}))
	v := g.Verdicts(stateful)
	for i := range uint32(functions) {
		d := v.Of(imports + i)
		if d.Answer != callgraph.No || d.Length != functions-int(i)+1 || len(d.Path) != min(d.Length, callgraph.MaxPath) {
			t.Fatalf("function %d: %+v", i, d)
		}
	}
	if n := g.ImportCount(imports); n < 1 || !slices.Contains(g.Imports(imports), 0) {
		t.Errorf("function 0 reaches %d imports", n)
	}
	t.Logf("judged in %v", time.Since(began))
}
