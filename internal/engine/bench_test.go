package engine_test

import (
	"context"
	"testing"

	"github.com/clonecloud/clonecloud/internal/engine"
)

func eachKindBench(b *testing.B, bench func(b *testing.B, h *harness, in engine.Instance)) {
	for _, kind := range kinds {
		b.Run(kind.String(), func(b *testing.B) {
			requireKind(b, kind)
			h := newHarness(b, engine.Config{Kind: kind})
			bench(b, h, h.instance("suite"))
		})
	}
}

// The price of entering a guest and leaving it.
func BenchmarkCall(b *testing.B) {
	eachKindBench(b, func(b *testing.B, h *harness, in engine.Instance) {
		f, _ := in.Function("size")
		stack := make([]uint64, 1)
		for b.Loop() {
			if err := f.Call(h.ctx, stack); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The price of that and of one host call inside.
func BenchmarkCallWithHostCall(b *testing.B) {
	eachKindBench(b, func(b *testing.B, h *harness, in engine.Instance) {
		h.onCall = func(context.Context, int32) int32 { return 0 }
		f, _ := in.Function("reenter")
		stack := make([]uint64, 1)
		for b.Loop() {
			if err := f.Call(h.ctx, stack); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInstantiate(b *testing.B) {
	eachKindBench(b, func(b *testing.B, h *harness, _ engine.Instance) {
		m := h.compile("suite")
		for b.Loop() {
			in, err := h.engine.Instantiate(h.ctx, m, "")
			if err != nil {
				b.Fatal(err)
			}
			_ = in.Close(h.ctx)
		}
	})
}

// A mixed loop: what the compiler is worth.
func BenchmarkMix(b *testing.B) {
	eachKindBench(b, func(b *testing.B, h *harness, in engine.Instance) {
		f, _ := in.Function("mix")
		stack := make([]uint64, 1)
		for b.Loop() {
			stack[0] = 10_000
			if err := f.Call(h.ctx, stack); err != nil {
				b.Fatal(err)
			}
		}
	})
}
