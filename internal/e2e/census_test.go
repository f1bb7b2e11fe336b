package e2e

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// census tells which functions of a module a program calls: the module as it is,
// on wazero in this process, with a listener at every function. It stands beside
// everything of ours but the WASI layer, so that a stub that is not reached, or
// does not ask, is found out.
type census struct {
	t        *testing.T
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	movable  []string          // functions that may move, by index
	fixed    map[uint32]string // why each of the others may not
	names    map[uint32]string

	sys  *wasi.System // of the program that runs
	seen map[uint32]int
}

// newCensus compiles a module for counting.
func newCensus(t *testing.T, module []byte) *census {
	t.Helper()
	c := &census{t: t, fixed: map[uint32]string{}}
	m, err := wasmbin.Parse(module, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	c.names = m.Names()
	for i := range uint32(len(m.Funcs)) {
		if l := g.Legality(i); l.Movable {
			c.movable = append(c.movable, strconv.Itoa(int(i)))
		} else {
			c.fixed[i] = l.Reason
		}
	}
	ctx := experimental.WithFunctionListenerFactory(t.Context(), c)
	c.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall))
	t.Cleanup(func() { _ = c.runtime.Close(context.Background()) })
	c.bind(ctx)
	if c.compiled, err = c.runtime.CompileModule(ctx, module); err != nil {
		t.Fatal(err)
	}
	return c
}

// bind offers the WASI functions of the program that runs.
func (c *census) bind(ctx context.Context) {
	shape, err := wasi.New(wasi.Config{Host: wasi.NewLocal(nil, nil, nil)})
	if err != nil {
		c.t.Fatal(err)
	}
	types := func(in []wasi.ValType) (out []api.ValueType) {
		for _, t := range in {
			out = append(out, api.ValueType(t))
		}
		return out
	}
	b := c.runtime.NewHostModuleBuilder(wasi.ModuleName)
	for i, f := range shape.Funcs() {
		call := func(_ context.Context, m api.Module, stack []uint64) {
			c.sys.Funcs()[i].Call(memoryOf{m}, stack)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(call), types(f.Params), types(f.Results)).Export(f.Name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		c.t.Fatal(err)
	}
}

// memoryOf is the memory of a module for WASI.
type memoryOf struct{ m api.Module }

func (m memoryOf) Bytes() []byte {
	mem := m.m.Memory()
	if mem == nil {
		return nil
	}
	data, _ := mem.Read(0, mem.Size())
	return data
}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (c *census) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	if f.GoFunction() != nil {
		return nil
	}
	return counter{c, f.Index()}
}

// counter listens at one function.
type counter struct {
	c *census
	i uint32
}

func (l counter) Before(context.Context, api.Module, api.FunctionDefinition, []uint64, experimental.StackIterator) {
	l.c.seen[l.i]++
}
func (counter) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}
func (counter) Abort(context.Context, api.Module, api.FunctionDefinition, error)    {}

// called counts the calls of each function that a program calls, by index.
func (c *census) called(w *World, p *testprogs.Program) map[uint32]int {
	c.t.Helper()
	c.seen = map[uint32]int{}
	scratch := w.tb.TempDir()
	if err := populate(scratch, p.Files); err != nil {
		c.t.Fatal(err)
	}
	io := w.streams(p.Stdin)
	defer io.close()
	local := wasi.NewLocal(io.in, io.out, io.err)
	local.StandStill()
	defer local.CloseAll()
	root, err := local.AddFolder(scratch, false)
	if err != nil {
		c.t.Fatal(err)
	}
	c.sys, err = wasi.New(wasi.Config{
		Args: append([]string{p.Module()}, p.Args...), Env: p.Env, Host: local, Repeatable: true,
		Preopens: []wasi.Preopen{{GuestPath: "/", Handle: root}},
		Stdin:    wasi.StreamType(io.in), Stdout: wasi.StreamType(io.out), Stderr: wasi.StreamType(io.err),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := c.runtime.InstantiateModule(c.t.Context(), c.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		c.t.Fatal(err)
	}
	defer m.Close(context.Background())
	_, err = m.ExportedFunction("_start").Call(c.t.Context())
	if err != nil && !p.Traps && !errors.As(err, new(wasi.Exit)) {
		c.t.Fatal(err)
	}
	if out := io.text(io.out); p.Stdout != "" && out != p.Stdout {
		c.t.Fatalf("%s prints while its calls are counted:\n%s\nwant\n%s", p.Name, out, p.Stdout)
	}
	return c.seen
}
