package engine_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/sys"

	"github.com/clonecloud/clonecloud/internal/engine"
)

func TestHostFunctionsGetParametersAndGiveResults(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		if got := int64(h.must(in, "add", u32(-5), 12)); got != 7 {
			t.Errorf("add(-5, 12) = %d, want 7", got)
		}
		if got := math.Float64frombits(h.must(in, "two")); got != 1.5 {
			t.Errorf("two() = %v, want 1.5", got)
		}
		out, err := h.call(in, "multi", u32(-3))
		if err != nil {
			t.Fatal(err)
		}
		if int32(out[0]) != -3 || int64(out[1]) != -3 || math.Float64frombits(out[2]) != -3 {
			t.Errorf("multi(-3) = %v", out)
		}
	})
}

func TestImportsAndExportsAreListedWithTheirTypes(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		m := h.compile("suite")
		imports := m.Imports()
		if len(imports) != 3 || imports[0].Module != "host" || imports[0].Name != "add" {
			t.Fatalf("imports = %+v", imports)
		}
		if got := imports[0].Type; len(got.Params) != 2 || got.Params[1] != engine.I64 || got.Results[0] != engine.I64 {
			t.Errorf("type of host.add = %+v", got)
		}
		found := map[string]engine.ExternKind{}
		for _, x := range m.Exports() {
			found[x.Name] = x.Kind
		}
		if k, ok := found["memory"]; !ok || k != engine.ExternMemory {
			t.Errorf("the exported memory is not listed: %v", found)
		}
		if k, ok := found["multi"]; !ok || k != engine.ExternFunc {
			t.Errorf("the exported function multi is not listed: %v", found)
		}
		borrow := h.compile("borrow").Imports()
		if len(borrow) != 1 || borrow[0].Kind != engine.ExternMemory || borrow[0].Module != "main" {
			t.Errorf("imports of borrow = %+v", borrow)
		}
	})
}

func TestAMissingImportIsAnErrorThatNamesIt(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		_, err := h.engine.Instantiate(h.ctx, h.compile("borrow"), "")
		if err == nil || !strings.Contains(err.Error(), "main") {
			t.Errorf("err = %v, want one that names module main", err)
		}
	})
}

func TestGlobalsAreReadAndSet(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		counter, ok := in.Global("counter")
		if !ok || counter.Get() != 7 || !counter.Mutable() || counter.Type() != engine.I64 {
			t.Fatalf("counter = %v, %v", counter, ok)
		}
		h.must(in, "bump")
		if counter.Get() != 8 {
			t.Errorf("after bump: %d, want 8", counter.Get())
		}
		if err := counter.Set(1 << 40); err != nil {
			t.Fatal(err)
		}
		if got := h.must(in, "bump"); got != 1<<40+1 {
			t.Errorf("bump = %d, want 2^40+1", got)
		}
		limit, ok := in.Global("limit")
		if !ok || limit.Get() != 99 || limit.Mutable() {
			t.Fatalf("limit = %v, %v", limit, ok)
		}
		if err := limit.Set(1); err == nil {
			t.Error("an immutable global was set")
		}
		if _, ok := in.Global("nothing"); ok {
			t.Error("a global that does not exist was found")
		}
	})
}

func TestAGlueModuleFillsTheTableOfAnother(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		first, second := h.instance("suite"), h.instance("suite")
		h.instance("glue", engine.Link{Name: "main", Instance: first})
		for i, want := range map[uint64]uint64{0: 42, 2: 63, 3: 1021} {
			if got := h.must(first, "through", i, 21); got != want {
				t.Errorf("entry %d of 21 = %d, want %d", i, got, want)
			}
		}
		var trap *engine.Trap
		if _, err := h.call(second, "through", 2, 21); !errors.As(err, &trap) || trap.Kind != engine.TrapTable {
			t.Errorf("the other instance's table: %v, want an empty entry", err)
		}
	})
}

func TestAnInstanceIsFoundByName(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		main, err := h.engine.Instantiate(h.ctx, h.compile("suite"), "main")
		if err != nil {
			t.Fatal(err)
		}
		if main.Name() != "main" {
			t.Errorf("name = %q", main.Name())
		}
		borrow := h.instance("borrow")
		h.must(main, "store", 128, 77)
		if got := h.must(borrow, "load", 128); got != 77 {
			t.Errorf("through the imported memory: %d, want 77", got)
		}
		mem, ok := borrow.Memory()
		if !ok || mem.Pages() != 1 || mem.Bytes()[128] != 77 {
			t.Errorf("the imported memory is not seen by the host")
		}
		if _, ok := mem.Grow(1); !ok || len(mem.Bytes()) != 2*engine.PageSize {
			t.Errorf("the imported memory does not grow")
		}
	})
}

func TestStartFunctionsThatAreExportedDoNotRun(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("plain")
		if g, _ := in.Global("ran"); g.Get() != 0 {
			t.Errorf("start function %d ran", g.Get())
		}
	})
}

// The engine runs a start section whatever it is told; the rewriter removes it.
func TestAnErrorOfTheStartSectionIsTheInstantiationsError(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		boom := errors.New("boom")
		h.onCall = func(context.Context, int32) int32 { engine.Throw(boom); return 0 }
		if _, err := h.engine.Instantiate(h.ctx, h.compile("start"), ""); !errors.Is(err, boom) {
			t.Errorf("err = %v, want boom", err)
		}
		h.onCall = func(context.Context, int32) int32 { engine.Throw(&engine.Exit{Code: 3}); return 0 }
		var exit *engine.Exit
		if _, err := h.engine.Instantiate(h.ctx, h.compile("start"), ""); !errors.As(err, &exit) || exit.Code != 3 {
			t.Errorf("err = %v, want exit 3", err)
		}
	})
}

func TestInstancesShareNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		m := h.compile("suite")
		a, err := h.engine.Instantiate(h.ctx, m, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := h.engine.Instantiate(h.ctx, m, "")
		if err != nil {
			t.Fatal(err)
		}
		h.must(a, "store", 100, 1)
		h.must(a, "bump")
		h.must(a, "grow", 2)
		if h.must(b, "load", 100) != 0 || h.must(b, "bump") != 8 || h.must(b, "size") != 1 {
			t.Error("one instance sees the other's state")
		}
		if err := a.Close(h.ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := h.call(a, "bump"); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("call on a closed instance: %v", err)
		}
		if got := h.must(b, "bump"); got != 9 {
			t.Errorf("the other instance after the close: %d, want 9", got)
		}
	})
}

func TestAHostFunctionMayReenterItsCaller(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		const depth = 500
		h.onCall = func(_ context.Context, arg int32) int32 {
			if arg == 0 {
				return 0
			}
			return int32(h.must(in, "reenter", u32(arg-1))) + 1
		}
		if got := h.must(in, "reenter", depth); got != depth {
			t.Errorf("reenter(%d) = %d", depth, got)
		}
		// The memory that the inner call changes is the outer call's memory.
		h.onCall = func(_ context.Context, arg int32) int32 {
			h.must(in, "store", 64, 5)
			return arg
		}
		if got := h.must(in, "touch.then.call", 9); got != 14 {
			t.Errorf("touch.then.call(9) = %d, want 14", got)
		}
	})
}

func TestThrowUnwindsToTheCallerAndLeavesTheInstanceUsable(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		boom := errors.New("boom")
		h.onCall = func(context.Context, int32) int32 { engine.Throw(boom); return 0 }
		for range 3 {
			if _, err := h.call(in, "touch.then.call", 9); err != boom { //nolint:errorlint // exactly it
				t.Fatalf("err = %v, want exactly what was thrown", err)
			}
		}
		if got := h.must(in, "load", 64); got != 9 {
			t.Errorf("the store before the throw: %d, want 9", got)
		}
		// Through an inner call: each level passes it on.
		h.onCall = func(_ context.Context, arg int32) int32 {
			if arg == 0 {
				engine.Throw(boom)
			}
			if _, err := h.call(in, "reenter", u32(arg-1)); err != nil {
				engine.Throw(err)
			}
			return 0
		}
		if _, err := h.call(in, "reenter", 50); err != boom { //nolint:errorlint // exactly it
			t.Errorf("through 50 levels: %v", err)
		}
	})
}

func TestExitCarriesTheCodeAndIsNoTrap(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		for _, code := range []uint32{0, 1, 255, math.MaxUint32} {
			h.onCall = func(context.Context, int32) int32 { engine.Throw(&engine.Exit{Code: code}); return 0 }
			_, err := h.call(in, "reenter", 1)
			var exit *engine.Exit
			if !errors.As(err, &exit) || exit.Code != code {
				t.Errorf("exit %d: %v", code, err)
			}
		}
		// Host modules written for the engine itself end a program this way.
		h.onCall = func(context.Context, int32) int32 { panic(sys.NewExitError(5)) }
		var exit *engine.Exit
		if _, err := h.call(in, "reenter", 1); !errors.As(err, &exit) || exit.Code != 5 {
			t.Errorf("exit by the engine's own error: %v", err)
		}
		h.must(in, "bump") // the memory and the globals can still be looked at
	})
}

func TestTheEnginesAgreeOnResultsMemoryAndGlobals(t *testing.T) {
	type outcome struct {
		results []uint64
		memory  []byte
		global  uint64
	}
	var first *outcome
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		var o outcome
		for n := uint64(0); n < 4000; n += 371 {
			o.results = append(o.results, h.must(in, "mix", n), h.must(in, "bump"), h.must(in, "even", n))
		}
		h.must(in, "grow", 1)
		h.must(in, "fill", 70000, 0xab, 3000)
		mem, _ := in.Memory()
		o.memory = bytes.Clone(mem.Bytes())
		g, _ := in.Global("counter")
		o.global = g.Get()
		if first == nil {
			first = &o
			return
		}
		if !bytes.Equal(o.memory, first.memory) || o.global != first.global {
			t.Error("memory or globals differ between the engines")
		}
		for i := range o.results {
			if o.results[i] != first.results[i] {
				t.Errorf("result %d: %#x, the other engine has %#x", i, o.results[i], first.results[i])
			}
		}
	})
}

func TestTailCallsUseNoStack(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		if got := h.must(h.instance("suite"), "even", 100_001); got != 0 {
			t.Errorf("even(100001) = %d", got)
		}
	})
}

func TestTheStackMustFitParametersAndResults(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		f, ok := h.instance("suite").Function("multi")
		if !ok {
			t.Fatal("no export multi")
		}
		if err := f.Call(h.ctx, make([]uint64, 1)); err == nil {
			t.Error("a stack of one slot was accepted for three results")
		}
		if err := f.Call(h.ctx, make([]uint64, 3)); err != nil {
			t.Error(err)
		}
	})
}

func TestTheUpperHalvesOf32BitValuesDoNotMatter(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		const dirt = 0xdead << 32
		in := h.instance("suite")
		h.must(in, "store", 8|dirt, 77|dirt)
		if got := h.must(in, "load", 8|dirt); got != 77 {
			t.Errorf("load gives %#x, want 77", got)
		}
		// The parameter leaves its upper half in the slot of the result.
		if got := h.must(in, "even", 10|dirt); got != 1 {
			t.Errorf("even gives %#x, want 1", got)
		}
		if got, err := h.call(in, "multi", 5|dirt); err != nil || got[0]>>32 != 0 {
			t.Errorf("multi gives %#x, %v", got, err)
		}
		if got := h.must(in, "truncate", math.Float64bits(-2.5)); got != u32(-2) {
			t.Errorf("truncate gives %#x, want %#x", got, u32(-2))
		}
		ran, ok := h.instance("plain").Global("ran")
		if !ok {
			t.Fatal("no global")
		}
		if err := ran.Set(3 | dirt); err != nil {
			t.Fatal(err)
		}
		if got := ran.Get(); got != 3 {
			t.Errorf("the global is %#x, want 3", got)
		}
	})
}
