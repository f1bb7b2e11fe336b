package rewrite_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// hosted runs a golden module, rewritten, with a host made of one function.
type hosted struct {
	out   *rewrite.Output
	mod   api.Module
	exits []int32
}

// host instantiates name with the candidates; call answers every offered call:
// it gets k and the arguments and writes the results.
func host(t *testing.T, name string, opts rewrite.Options, call func(k int32, args, results []uint64) rewrite.Status) *hosted {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features))
	t.Cleanup(func() { r.Close(ctx) })
	h := &hosted{}
	var err error
	if h.out, err = rewrite.Rewrite(goldenModule(t, name), opts); err != nil {
		t.Fatal(err)
	}
	if h.mod, err = r.InstantiateWithConfig(ctx, h.out.Module, wazero.NewModuleConfig().WithName(h.out.AppModule)); err != nil {
		t.Fatal(err)
	}
	b := r.NewHostModuleBuilder(h.out.HostModule)
	for _, f := range h.out.Hosts {
		n, res := len(f.Sig.Params), len(f.Sig.Results)
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			args, k, results := slices.Clone(stack[:n]), int32(stack[n]), make([]uint64, res)
			status := call(k, args, results)
			copy(stack, results)
			stack[res] = uint64(uint32(status))
		}), append(apiTypes(f.Sig.Params), api.ValueTypeI32), append(apiTypes(f.Sig.Results), api.ValueTypeI32)).Export(f.Name)
	}
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
		h.exits = append(h.exits, int32(stack[0]))
	}), []api.ValueType{api.ValueTypeI32}, nil).Export(h.out.ExitHost)
	if _, err := b.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.InstantiateWithConfig(ctx, h.out.Glue, wazero.NewModuleConfig().WithName("glue")); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hosted) arm(t *testing.T, c rewrite.Candidate) {
	t.Helper()
	g, ok := h.mod.ExportedGlobal(h.out.Masks[c.Mask]).(api.MutableGlobal)
	if !ok {
		t.Fatal("no mask")
	}
	g.Set(g.Get() | 1<<c.Bit)
}

func (h *hosted) call(t *testing.T, name string, args ...uint64) []uint64 {
	t.Helper()
	res, err := h.mod.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestStubFollowsTheHostsAnswer(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  rewrite.Status
		want    uint64
		calls   int
		watched int
	}{
		{"results that the host leaves are returned", rewrite.Done, 1000, 2, 0},
		{"a declined call runs the original", rewrite.Local, 12, 2, 0},
		{"a watched call runs the original and reports its exit", rewrite.LocalWatch, 12, 2, 2},
		{"any other answer runs the original", 9, 12, 2, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := 0
			h := host(t, "call", rewrite.Options{Candidates: []uint32{0}}, func(k int32, args, results []uint64) rewrite.Status {
				calls++
				if k != 0 {
					t.Errorf("candidate %d", k)
				}
				results[0] = 1000
				return tc.status
			})
			if got := h.call(t, "quad", 3)[0]; got != 12 || calls != 0 {
				t.Errorf("not armed: quad(3) = %d with %d calls", got, calls)
			}
			h.arm(t, h.out.Candidates[0])
			if got := h.call(t, "quad", 3)[0]; got != tc.want {
				t.Errorf("quad(3) = %d, want %d", got, tc.want)
			}
			if calls != tc.calls || len(h.exits) != tc.watched {
				t.Errorf("%d calls, %d exits", calls, len(h.exits))
			}
			if got := h.call(t, h.out.Candidates[0].Export, 3)[0]; got != 6 || calls != tc.calls {
				t.Errorf("past the stub: %d with %d calls", got, calls)
			}
		})
	}
}

func TestSeveralResultsPassThroughTheStubInOrder(t *testing.T) {
	m := goldenModule(t, "multi")
	swap := m.ImportedFuncs
	for _, status := range []rewrite.Status{rewrite.Done, rewrite.Local, rewrite.LocalWatch} {
		out, err := rewrite.Rewrite(m, rewrite.Options{Candidates: []uint32{swap}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Hosts) != 1 || out.StartExport != "cc.start" {
			t.Fatalf("hosts %v, start %q", out.Hosts, out.StartExport)
		}
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features))
		defer r.Close(ctx)
		var logged []uint64
		_, err = r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func(a uint32, b uint64) {
			logged = append(logged, uint64(a), b)
		}).Export("log").Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		a := &answerer{answer: status}
		mod, err := load(ctx, r, out, wazero.NewModuleConfig(), a, true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(logged, []uint64{1, 2}) {
			t.Errorf("the start function logged %v", logged)
		}
		got, err := mod.ExportedFunction("run").Call(ctx, 1, 2, 3, 4)
		if err != nil {
			t.Fatal(err)
		}
		want := []uint64{4, 3, 2, 1}
		if status == rewrite.Done {
			want = []uint64{0xdead, 0xdead, 0xdead, 0xdead}
		}
		if !slices.Equal(got, want) || a.offered != 1 {
			t.Errorf("answer %d: %v after %d calls", status, got, a.offered)
		}
		if _, err := mod.ExportedFunction(out.Trampolines[0]).Call(ctx, 8, 9); err != nil || !slices.Equal(logged, []uint64{1, 2, 8, 9}) {
			t.Errorf("through the trampoline: %v, logged %v", err, logged)
		}
	}
}

func TestStateIsExported(t *testing.T) {
	for _, role := range []rewrite.Role{rewrite.Device, rewrite.Clone} {
		out, err := rewrite.Rewrite(goldenModule(t, "multi"), rewrite.Options{Role: role})
		if err != nil {
			t.Fatal(err)
		}
		want := []rewrite.Global{{Index: 0, Type: wasmbin.I64, Export: "cc.m0"}, {Index: 1, Type: wasmbin.F64, Export: "cc.m1"}}
		if !slices.Equal(out.Globals, want) || out.MemoryExport != "" {
			t.Errorf("%s: globals %v, memory %q", role, out.Globals, out.MemoryExport)
		}
		m := parse(t, out.Module)
		if m.HasStart {
			t.Errorf("%s: the start section is still there", role)
		}
		for _, g := range out.Globals {
			if !slices.Contains(m.Exports, wasmbin.Export{Name: g.Export, Kind: wasmbin.KindGlobal, Index: g.Index}) {
				t.Errorf("%s: no export %q", role, g.Export)
			}
		}
	}
}

func TestCloneExportsEveryFunctionThatCouldMove(t *testing.T) {
	m := goldenModule(t, "multi")
	out, err := rewrite.Rewrite(m, rewrite.Options{Role: rewrite.Clone})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Functions) != 3 || out.Functions[1] != "cc.f1" || out.Functions[0] != "" {
		t.Errorf("functions %v", out.Functions)
	}
	if out.Glue != nil || out.Masks != nil || out.Candidates != nil {
		t.Error("a clone has stubs")
	}
	again := parse(t, out.Module)
	if len(again.Funcs) != len(m.Funcs) || len(again.Globals) != len(m.Globals) || len(again.Tables) != len(m.Tables) {
		t.Error("a clone's index spaces have changed")
	}
	if _, err := rewrite.Rewrite(m, rewrite.Options{Role: rewrite.Clone, Candidates: []uint32{1}}); err == nil {
		t.Error("candidates for a clone are accepted")
	}
}

func TestNamesThatTheModuleUsesAreAvoided(t *testing.T) {
	out, err := rewrite.Rewrite(goldenModule(t, "taken"), rewrite.Options{Candidates: []uint32{0}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Prefix != "cc2." || out.HostModule != "cc2" || out.Candidates[0].Export != "cc2.o0" {
		t.Errorf("prefix %q, host module %q, original %q", out.Prefix, out.HostModule, out.Candidates[0].Export)
	}
}

func TestRewrittenModulesAreRefused(t *testing.T) {
	for _, role := range []rewrite.Role{rewrite.Device, rewrite.Clone} {
		out, err := rewrite.Rewrite(goldenModule(t, "call"), rewrite.Options{Role: role})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rewrite.Rewrite(parse(t, out.Module), rewrite.Options{}); !errors.Is(err, rewrite.ErrRewritten) {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestFunctionsThatCannotBeCandidatesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, module string
		opts         rewrite.Options
	}{
		{"an imported function", "multi", rewrite.Options{Candidates: []uint32{0}}},
		{"a function that does not exist", "multi", rewrite.Options{Candidates: []uint32{99}}},
		{"a function named twice", "call", rewrite.Options{Candidates: []uint32{1, 1}}},
		{"an entry without an export", "multi", rewrite.Options{Candidates: []uint32{1}, Entries: []uint32{1}}},
		{"the body of a function that is tail called", "tail", rewrite.Options{Candidates: []uint32{0}}},
		{"more than there may be", "call", rewrite.Options{Candidates: make([]uint32, rewrite.MaxCandidates+1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := rewrite.Rewrite(goldenModule(t, tc.module), tc.opts); !errors.Is(err, rewrite.ErrCandidate) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEntryStubsLeaveInnerCallsAlone(t *testing.T) {
	calls := 0
	h := host(t, "recurse", rewrite.Options{Candidates: []uint32{0}, Entries: []uint32{0}}, func(int32, []uint64, []uint64) rewrite.Status {
		calls++
		return rewrite.LocalWatch
	})
	h.arm(t, h.out.Candidates[0])
	for i, name := range []string{"fac", "factorial"} {
		if got := h.call(t, name, 10)[0]; got != 3628800 || calls != i+1 || len(h.exits) != i+1 {
			t.Errorf("%s(10) = %d, %d calls, %d exits", name, got, calls, len(h.exits))
		}
	}
}

func TestTailCallsDoNotGrowTheStackThroughAStub(t *testing.T) {
	calls := 0
	h := host(t, "tail", rewrite.Options{Candidates: []uint32{0}, Entries: []uint32{0}}, func(int32, []uint64, []uint64) rewrite.Status {
		calls++
		return rewrite.Local
	})
	h.arm(t, h.out.Candidates[0])
	if got := h.call(t, "count", 3_000_000)[0]; got != 7 || calls != 1 {
		t.Errorf("count = %d after %d calls", got, calls)
	}
}

func TestRewritingIsDeterministic(t *testing.T) {
	var first *rewrite.Output
	for range 5 {
		m := goldenModule(t, "multi")
		out, err := rewrite.Rewrite(m, rewrite.Options{Candidates: []uint32{3, 1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
		}
		if !bytes.Equal(out.Module, first.Module) || !bytes.Equal(out.Glue, first.Glue) {
			t.Fatal("two rewritings differ")
		}
	}
	for k, c := range first.Candidates {
		if c.K != k || c.Index != []uint32{3, 1, 2}[k] {
			t.Errorf("candidate %d is %+v", k, c)
		}
	}
}

func TestCandidatesBeyondTheMasksShareBits(t *testing.T) {
	m := manyFunctions(t, 200)
	all := make([]uint32, 200)
	for i := range all {
		all[i] = uint32(i)
	}
	out, err := rewrite.Rewrite(m, rewrite.Options{Candidates: all})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Masks) != rewrite.MaxMasks {
		t.Fatalf("masks %v", out.Masks)
	}
	used := map[[2]int]int{}
	for _, c := range out.Candidates {
		used[[2]int{c.Mask, int(c.Bit)}]++
	}
	if len(used) != 128 || used[[2]int{0, 0}] != 2 || used[[2]int{1, 63}] != 1 {
		t.Errorf("%d bits are used", len(used))
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features))
	defer r.Close(ctx)
	a := &answerer{answer: rewrite.Local}
	mod, err := load(ctx, r, out, wazero.NewModuleConfig(), a, false)
	if err != nil {
		t.Fatal(err)
	}
	// The sign bit of the first mask arms candidate 63 and 191, nothing else.
	mod.ExportedGlobal(out.Masks[0]).(api.MutableGlobal).Set(1 << 63)
	for i := range all {
		before := a.offered
		res, err := mod.ExportedFunction(functionName(i)).Call(ctx)
		if err != nil || res[0] != uint64(i) {
			t.Fatalf("function %d gave %v, %v", i, res, err)
		}
		if offered := a.offered > before; offered != (i == 63 || i == 191) {
			t.Errorf("function %d was offered: %v", i, offered)
		}
	}
}

func TestNamesFollowTheBodies(t *testing.T) {
	out, err := rewrite.Rewrite(goldenModule(t, "call"), rewrite.Options{Candidates: []uint32{0, 1}, Entries: []uint32{1}})
	if err != nil {
		t.Fatal(err)
	}
	m := parse(t, out.Module)
	if m.Name(0) != "twice" || m.Name(2) != "twice.cc_orig" {
		t.Errorf("names %v", m.Names())
	}
	if !bytes.Equal(body(m, 2), body(goldenModule(t, "call"), 0)) {
		t.Error("the original's body has changed")
	}
}

func body(m *wasmbin.Module, i uint32) []byte {
	b := m.BodyOf(i)
	return m.Bytes[b.Start:b.End]
}

func TestSectionsThatWouldBeWrongAreDropped(t *testing.T) {
	bin := slices.Clone(goldenModule(t, "call").Bytes)
	for _, name := range []string{".debug_line", "target_features", "reloc.CODE", "sourceMappingURL"} {
		payload := append(wasmbin.AppendName(nil, name), 1, 2, 3)
		bin = wasmbin.AppendU32(append(bin, 0), uint32(len(payload)))
		bin = append(bin, payload...)
	}
	names := func(opts rewrite.Options) (out []string) {
		o, err := rewrite.Rewrite(parse(t, bin), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range parse(t, o.Module).Sections {
			if s.ID == wasmbin.SecCustom {
				out = append(out, s.Name)
			}
		}
		return out
	}
	if got := names(rewrite.Options{Candidates: []uint32{0}}); !slices.Equal(got, []string{"name", "target_features", "clonecloud.rewritten"}) {
		t.Errorf("device: %q", got)
	}
	if got := names(rewrite.Options{Role: rewrite.Clone}); len(got) != 6 {
		t.Errorf("clone, whose bodies have not moved: %q", got)
	}
}
