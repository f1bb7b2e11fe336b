package callgraph_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// analyze reads testdata/NAME.wasm, made from NAME.wat with -update.
func analyze(t *testing.T, name string) *callgraph.Graph {
	t.Helper()
	base := filepath.Join("testdata", name)
	if *update {
		if msg, err := exec.Command("wat2wasm", "--enable-tail-call", "--debug-names", "-o", base+".wasm", base+".wat").CombinedOutput(); err != nil {
			t.Fatalf("wat2wasm: %v\n%s", err, msg)
		}
	}
	b, err := os.ReadFile(base + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasmbin.Parse(b, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func index(t *testing.T, g *callgraph.Graph, name string) uint32 {
	t.Helper()
	i, err := g.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestReachableImportsFollowDirectAndIndirectCalls(t *testing.T) {
	g := analyze(t, "reach")
	for name, want := range map[string][]uint32{
		"pure":     nil,
		"direct":   {0},
		"deep":     {0, 1},
		"cycle_a":  {1},
		"cycle_b":  {1},
		"through":  {2},    // by the table, to a function of the type
		"other":    nil,    // by the table, by a type that nothing in it has
		"same":     {2},    // by an equal type of another index
		"by_ref":   {0, 2}, // ref.func puts "direct" within reach
		"imported": {3},    // an imported function in the table
	} {
		if got := g.Imports(index(t, g, name)); !slices.Equal(got, want) {
			t.Errorf("%s reaches %v, want %v", name, got, want)
		}
	}
}

func TestFunctionsThatCannotMoveSayWhy(t *testing.T) {
	g := analyze(t, "legal")
	for name, want := range map[string]string{
		"scalar":   "",
		"log":      "imported function",
		"vector":   "parameter 2 is v128",
		"gives":    "result 1 is externref",
		"tail":     "reached by a tail call, where a stub would keep its frame",
		"exported": "",
	} {
		l := g.Legality(index(t, g, name))
		if l.Reason != want || l.Movable != (want == "") {
			t.Errorf("%s: %+v, want %q", name, l, want)
		}
	}
	if g.Reason() != "" {
		t.Errorf("the module: %q", g.Reason())
	}
}

func TestModulesThatCannotMoveSayWhy(t *testing.T) {
	for name, want := range map[string]string{
		"tableset":  "module mutates its table by table.set, table.grow in function 1 (change)",
		"drop":      "module drops a segment by data.drop in function 0 (drop)",
		"memory":    `module imports its memory from "env"."memory"`,
		"table":     `module imports a table from "env"."table"`,
		"global":    `module imports a mutable global from "env"."sp"`,
		"refglobal": "mutable global 0 is externref",
		"constant":  "", // an immutable imported global is fine
	} {
		g := analyze(t, name)
		if g.Reason() != want {
			t.Errorf("%s: %q, want %q", name, g.Reason(), want)
		}
		sel, err := g.Candidates(callgraph.Options{})
		if err != nil || (want != "") != (len(sel) == 0) {
			t.Errorf("%s: %d candidates, %v", name, len(sel), err)
		}
		_, err = g.Candidates(callgraph.Options{Add: []string{"run"}})
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: naming a function gave %v", name, err)
		}
	}
}

func TestLookupHelpsWithUnknownNames(t *testing.T) {
	g := analyze(t, "choose")
	if i, err := g.Lookup("3"); err != nil || i != 3 {
		t.Errorf("by index: %d, %v", i, err)
	}
	for ref, says := range map[string]string{
		"kernal":  "near it: kernel",
		"Kernel":  "near it: kernel",
		"fib_rec": "near it: fib",
		"zzzzzz":  "clonecloud inspect lists the functions",
		"99":      "the module has functions 0 to",
		"-1":      "no function is named",
		"":        "no function is named",
	} {
		if _, err := g.Lookup(ref); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func TestChoiceTakesKernelsAndExportsAndSparesSmallFunctions(t *testing.T) {
	g := analyze(t, "choose")
	sel, err := g.Candidates(callgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{} // whether at the export only
	for _, c := range sel {
		got[g.Func(c.Index).Name] = c.Entry
		if c.Why == "" {
			t.Errorf("candidate %d has no reason", c.Index)
		}
	}
	want := map[string]bool{"kernel": false, "run": false, "fib": true, "tiny": true}
	for name, entry := range want {
		if e, ok := got[name]; !ok || e != entry {
			t.Errorf("%s: chosen %v, at its export only %v", name, ok, e)
		}
	}
	if len(got) != len(want) {
		t.Errorf("chosen: %v", got)
	}
	for range 5 {
		again, err := analyze(t, "choose").Candidates(callgraph.Options{})
		if err != nil || !slices.Equal(again, sel) {
			t.Fatalf("another choice: %v, %v", again, err)
		}
	}
}

func TestNamedFunctionsAreAlwaysTaken(t *testing.T) {
	g := analyze(t, "choose")
	sel, err := g.Candidates(callgraph.Options{Add: []string{"leaf", "fib"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"leaf", "fib"} {
		i := index(t, g, name)
		if !slices.Contains(sel, callgraph.Candidate{Index: i, Why: "named"}) {
			t.Errorf("%s is not taken in its body: %v", name, sel)
		}
	}
	if !slices.IsSorted(sel.Indices()) || slices.Contains(sel.Entries(), index(t, g, "fib")) {
		t.Errorf("indices %v, entries %v", sel.Indices(), sel.Entries())
	}
	if _, err := g.Candidates(callgraph.Options{Add: []string{"nothing_like_it"}}); err == nil {
		t.Error("an unknown name is accepted")
	}
}
