package engine_test

import (
	"context"
	"embed"
	"math"
	"testing"

	"github.com/clonecloud/clonecloud/internal/engine"
)

//go:embed testdata/*.wasm
var modules embed.FS

func module(t testing.TB, name string) []byte {
	t.Helper()
	b, err := modules.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kinds are the engines that every conformance test runs on.
var kinds = []engine.Kind{engine.Compiler, engine.Interpreter}

// eachKind runs a conformance test on every engine.
func eachKind(t *testing.T, test func(t *testing.T, h *harness)) {
	eachKindConfig(t, engine.Config{}, test)
}

func eachKindConfig(t *testing.T, c engine.Config, test func(t *testing.T, h *harness)) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			requireKind(t, kind)
			c := c
			c.Kind = kind
			test(t, newHarness(t, c))
		})
	}
}

func requireKind(t testing.TB, kind engine.Kind) {
	t.Helper()
	if best, why := engine.DefaultKind(); kind == engine.Compiler && best != engine.Compiler {
		t.Skipf("no compiler here: %s", why)
	}
}

// harness is an engine with the host module that the test modules import.
type harness struct {
	t      testing.TB
	ctx    context.Context
	engine engine.Engine
	onCall func(ctx context.Context, arg int32) int32 // host.call
}

func newHarness(t testing.TB, c engine.Config) *harness {
	t.Helper()
	h := &harness{t: t, ctx: t.Context(), onCall: func(_ context.Context, arg int32) int32 { return arg + 1000 }}
	e, err := engine.New(h.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	h.engine = e
	err = e.Host(h.ctx, "host", []engine.HostFunc{
		{
			Name: "add", Params: []engine.ValType{engine.I32, engine.I64}, Results: []engine.ValType{engine.I64},
			Call: func(_ context.Context, s []uint64) { s[0] = uint64(int64(int32(s[0])) + int64(s[1])) },
		},
		{
			Module: "host", Name: "call", Params: []engine.ValType{engine.I32}, Results: []engine.ValType{engine.I32},
			Call: func(ctx context.Context, s []uint64) { s[0] = uint64(uint32(h.onCall(ctx, int32(s[0])))) },
		},
		{
			Name: "two", Results: []engine.ValType{engine.F32, engine.F64},
			Call: func(_ context.Context, s []uint64) {
				s[0], s[1] = uint64(math.Float32bits(1.5)), math.Float64bits(2.5)
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) compile(name string) engine.Module {
	h.t.Helper()
	m, err := h.engine.Compile(h.ctx, module(h.t, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *harness) instance(name string, links ...engine.Link) engine.Instance {
	h.t.Helper()
	in, err := h.engine.Instantiate(h.ctx, h.compile(name), "", links...)
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

// call calls an export that must exist.
func (h *harness) call(in engine.Instance, export string, params ...uint64) ([]uint64, error) {
	h.t.Helper()
	f, ok := in.Function(export)
	if !ok {
		h.t.Fatalf("no export %q", export)
	}
	stack := make([]uint64, 8)
	copy(stack, params)
	err := f.Call(h.ctx, stack)
	return stack[:len(f.Type().Results)], err
}

// must is call for calls that must succeed; it returns the first result.
func (h *harness) must(in engine.Instance, export string, params ...uint64) uint64 {
	h.t.Helper()
	out, err := h.call(in, export, params...)
	if err != nil {
		h.t.Fatalf("%s%v: %v", export, params, err)
	}
	if len(out) == 0 {
		return 0
	}
	return out[0]
}

func u32(v int32) uint64 { return uint64(uint32(v)) }
