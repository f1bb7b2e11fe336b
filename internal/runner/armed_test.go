package runner

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/spectest"
)

// unsupportedList is kept by package callgraph's test, which says what the
// module's own legality is; here it says which modules nothing is moved of.
const unsupportedList = "../callgraph/testdata/unsupported.txt"

// sharedTables lists the modules whose table another module of its script
// imports, so that the table is not the clone's to know. It may only shrink.
var sharedTables = []string{
	"v1/elem.38.wasm", "v1/imports.0.wasm", "v1/imports.116.wasm", "v1/linking.9.wasm", "v1/linking.19.wasm", "v1/linking.28.wasm",
	"v2/elem.58.wasm", "v2/imports.0.wasm", "v2/imports.140.wasm", "v2/linking.15.wasm", "v2/linking.25.wasm", "v2/linking.29.wasm", "v2/linking.38.wasm",
}

// TestSpecSuitesBehaveArmedAsLocally runs the specification's scripts as they
// are, then with every call of every supported module moved to a clone: first
// the calls from outside, then those from inside. Every outcome, and the memory
// that every instance is left with, is equal. With -short a sample of the scripts
// is run; nightly, the interpreter runs them too, with clones that compile, and
// with clones that interpret.
func TestSpecSuitesBehaveArmedAsLocally(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	list := readUnsupported(t)
	for _, e := range pairsToTest(t) {
		for _, version := range []string{"v1", "v2", "tail-call"} {
			t.Run(e.String()+"/"+version, func(t *testing.T) {
				armedSuite(t, dir, version, e, list)
			})
		}
	}
}

// sampled chooses scripts by their name: the same ones every time.
func sampled(name string) bool {
	const oneOf = 6
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return !testing.Short() || h.Sum32()%oneOf == 0 ||
		slices.Contains([]string{"linking", "imports", "memory_grow", "call", "start", "return_call", "global", "func"}, name)
}

func armedSuite(t *testing.T, dir, version string, e engines, list map[string]string) {
	scripts, err := spectest.LoadAll(spectest.Suite(dir, version))
	if err != nil {
		t.Fatal(err)
	}
	ran, assertions, text, equal, same := 0, 0, 0, 0, 0
	total := map[which]*stats{outermost: {}, inner: {}}
	var shared []string
	for _, s := range scripts {
		if !sampled(s.Name) {
			continue
		}
		ran++
		plain := newPlainHost(t, dir, e.device)
		want := runScript(t, s, plain)
		for _, w := range []which{outermost, inner} {
			h := newArmedHost(t, dir, version, s, e, w)
			got := runScript(t, s, h)
			n, asserted := compareOutcomes(t, s, e, w, want, got)
			compareMemories(t, s, w, plain.modules, h.modules)
			if version != "tail-call" {
				checkUnsupported(t, s, version, h.pinned, list)
			}
			if w == outermost {
				all := countAssertions(s)
				assertions, equal, same = assertions+all, equal+asserted, same+n
				text += all - asserts(want)
				shared = append(shared, h.shared()...)
			}
			total[w].add(&h.gr.stats)
			h.gr.close()
		}
		plain.Close()
	}
	for _, name := range shared {
		if !slices.Contains(sharedTables, name) {
			t.Errorf("%s: its table is used by another module: not on the list", name)
		}
	}
	for _, name := range sharedTables {
		if !testing.Short() && strings.HasPrefix(name, version+"/") && !slices.Contains(shared, name) {
			t.Errorf("%s moves: take it off the list", name)
		}
	}
	t.Logf("%d of %d scripts with %d assertions: %d are about the text format, which is not read here; of the others %d have an equal outcome, as have %d modules and actions",
		ran, len(scripts), assertions, text, equal, same-equal)
	for _, w := range []which{outermost, inner} {
		t.Logf("%v: %v", w, total[w])
	}
}

// readUnsupported reads the modules of which nothing moves, with the reason.
func readUnsupported(t *testing.T) map[string]string {
	b, err := os.ReadFile(unsupportedList)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		name, reason, _ := strings.Cut(l, ": ")
		if !strings.Contains(reason, " functions: ") {
			list[name] = reason
		}
	}
	return list
}

// checkUnsupported holds the modules of which nothing moved against the list.
func checkUnsupported(t *testing.T, s *spectest.Script, version string, pinned, list map[string]string) {
	t.Helper()
	for name, reason := range pinned {
		if list[name] != reason {
			t.Errorf("%s is not supported: %s; %s says %q", name, reason, unsupportedList, list[name])
		}
	}
	for _, c := range s.Commands {
		name := version + "/" + c.Filename
		if _, ok := pinned[name]; c.Type == "module" && list[name] != "" && !ok {
			t.Errorf("%s moves: take it off the list", name)
		}
	}
}

func runScript(t *testing.T, s *spectest.Script, h spectest.Host) []spectest.Outcome {
	t.Helper()
	out, err := spectest.Run(s, h)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// countAssertions counts the assertions of a script, asserts those of outcomes.
func countAssertions(s *spectest.Script) (n int) {
	for _, c := range s.Commands {
		if strings.HasPrefix(c.Type, "assert_") {
			n++
		}
	}
	return n
}

func asserts(list []spectest.Outcome) (n int) {
	for _, o := range list {
		if strings.HasPrefix(o.Type, "assert_") {
			n++
		}
	}
	return n
}

// compareOutcomes gives how many outcomes are equal, and how many of these are
// of assertions.
func compareOutcomes(t *testing.T, s *spectest.Script, e engines, w which, want, got []spectest.Outcome) (equal, asserted int) {
	t.Helper()
	for i := range want {
		if agree(want[i], got[i], e) {
			equal++
			asserted += asserts(want[i : i+1])
		} else if i-equal < 3 {
			t.Errorf("%s line %d (%s, %s), %v:\n local %s\n armed %s", s.Name, want[i].Line, want[i].Type, want[i].File, w, want[i].Got, got[i].Got)
		}
	}
	if wrong := len(want) - equal; wrong > 3 {
		t.Errorf("%s, %v: %d more differences", s.Name, w, wrong-3)
	}
	return equal, asserted
}

// agree compares two outcomes.
func agree(local, armed spectest.Outcome, e engines) bool {
	if e.device != e.clone && local.Type == "assert_return" && local.Expected && armed.Expected {
		return true // equal, but for the bits of a NaN that each engine chooses
	}
	// Where the stack ends, it depends on the engine what it says before the words.
	const prefix = "wasm error: "
	return strings.TrimPrefix(local.Got, prefix) == strings.TrimPrefix(armed.Got, prefix)
}

func compareMemories(t *testing.T, s *spectest.Script, w which, want []api.Module, got []*linked) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s, %v: %d instances, %d locally", s.Name, w, len(got), len(want))
		return
	}
	for i := range want {
		if _, ok := got[i].g.inst.Memory(); !ok {
			continue
		}
		m := want[i].Memory()
		if local, _ := m.Read(0, m.Size()); !bytes.Equal(local, got[i].g.Bytes()) {
			t.Errorf("%s, %v: the memory of instance %d differs", s.Name, w, i)
		}
	}
}

// plainHost is the engine underneath and nothing else.
type plainHost struct {
	*spectest.Wazero
	modules []api.Module
}

func newPlainHost(t *testing.T, dir string, kind engine.Kind) *plainHost {
	conf := wazero.NewRuntimeConfigCompiler()
	if kind == engine.Interpreter {
		conf = wazero.NewRuntimeConfigInterpreter()
	}
	conf = conf.WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall)
	w, err := spectest.NewWazero(context.Background(), dir, conf)
	if err != nil {
		t.Fatal(err)
	}
	return &plainHost{Wazero: w}
}

func (h *plainHost) Instantiate(bin []byte, name string) (spectest.Instance, error) {
	in, err := h.Wazero.Instantiate(bin, name)
	if err == nil {
		h.modules = append(h.modules, in.(*spectest.WazeroInstance).Module)
	}
	return in, err
}

// armedHost is a device whose calls go to clones.
type armedHost struct {
	gr      *ground
	named   map[string]*linked
	modules []*linked
	files   map[string][]string // names of the script's modules, by content
	pinned  map[string]string   // modules of which nothing moves, and why
}

func newArmedHost(t *testing.T, dir, version string, s *spectest.Script, e engines, w which) *armedHost {
	h := &armedHost{
		gr: newGround(t, e, w, engine.DefaultMaxMemoryPages), named: map[string]*linked{},
		files: map[string][]string{}, pinned: map[string]string{},
	}
	for _, c := range s.Commands {
		if c.Type != "module" {
			continue
		}
		bin, err := s.Module(c.Filename)
		if err != nil {
			t.Fatal(err)
		}
		h.files[string(bin)] = append(h.files[string(bin)], version+"/"+c.Filename)
	}
	bin, err := os.ReadFile(filepath.Join(dir, "internal", "integration_test", "spectest", "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if h.named["spectest"], err = h.gr.instantiate(bin, nil); err != nil {
		t.Fatal(err)
	}
	return h
}

var _ spectest.Host = (*armedHost)(nil)

func (h *armedHost) Instantiate(bin []byte, name string) (spectest.Instance, error) {
	in, err := h.gr.instantiate(bin, h.named)
	if err != nil {
		return nil, &spoken{err}
	}
	if name != "" {
		h.named[name] = in
	}
	h.modules = append(h.modules, in)
	if len(h.files[string(bin)]) > 0 {
		h.gr.count(in.g)
	}
	if in.g.out == nil && len(in.g.module.Bodies) > 0 {
		for _, file := range h.files[string(bin)] {
			h.pinned[file] = in.g.pinned
		}
	}
	return &armedInstance{in}, nil
}

// Close implements spectest.Host; the ground is closed when memory was compared.
func (h *armedHost) Close() error { return nil }

func (h *armedHost) shared() (names []string) {
	for _, in := range h.modules {
		if in.shared && in.g.out != nil {
			names = append(names, h.files[string(in.code)]...)
		}
	}
	return names
}

// spoken is an error in the words of the engine underneath.
type spoken struct{ error }

func (e *spoken) Error() string {
	return strings.TrimPrefix(engineWords(e.error), "instantiate module: ")
}

type armedInstance struct{ *linked }

// Call implements spectest.Instance.
func (i *armedInstance) Call(name string, args []uint64) ([]uint64, error) {
	out, err := i.call(name, args)
	if err != nil {
		return nil, &spoken{err}
	}
	return out, nil
}

// Results implements spectest.Instance.
func (i *armedInstance) Results(name string) (types []string) {
	if fn, ok := i.g.inst.Function(name); ok {
		for _, t := range fn.Type().Results {
			types = append(types, t.String())
		}
	}
	return types
}

// Global implements spectest.Instance.
func (i *armedInstance) Global(name string) ([]uint64, string, error) {
	v, ok := i.g.inst.Global(name)
	if !ok {
		return nil, "", fmt.Errorf("no global %q", name)
	}
	return []uint64{v.Get()}, v.Type().String(), nil
}
