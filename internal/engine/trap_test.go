package engine_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
)

func TestTrapsAreNamedByKind(t *testing.T) {
	tests := []struct {
		name, export string
		params       []uint64
		want         engine.TrapKind
	}{
		{"unreachable is executed", "unreachable", nil, engine.TrapUnreachable},
		{"a load lies past the end", "load", []uint64{engine.PageSize - 3}, engine.TrapMemoryBounds},
		{"a load at the last address", "load", []uint64{math.MaxUint32}, engine.TrapMemoryBounds},
		{"a fill lies past the end", "fill", []uint64{engine.PageSize - 1, 0, 2}, engine.TrapMemoryBounds},
		{"a table entry is empty", "through", []uint64{1, 1}, engine.TrapTable},
		{"a table index is past the end", "through", []uint64{4, 1}, engine.TrapTable},
		{"an indirect call has another type", "through.void", []uint64{0}, engine.TrapIndirectType},
		{"a division by zero", "divide", []uint64{1, 0}, engine.TrapDivideByZero},
		{"a division overflows", "divide", []uint64{u32(math.MinInt32), u32(-1)}, engine.TrapIntegerOverflow},
		{"a float is too large", "truncate", []uint64{math.Float64bits(1e10)}, engine.TrapIntegerOverflow},
		{"a float is no number", "truncate", []uint64{math.Float64bits(math.NaN())}, engine.TrapBadConversion},
		{"the stack is exhausted", "forever", nil, engine.TrapStack},
	}
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				_, err := h.call(in, tt.export, tt.params...)
				var trap *engine.Trap
				if !errors.As(err, &trap) {
					t.Fatalf("err = %v, want a trap", err)
				}
				if trap.Kind != tt.want {
					t.Errorf("kind = %v, want %v (message %q)", trap.Kind, tt.want, trap.Message)
				}
				if strings.ContainsAny(trap.Error(), "\n\t") {
					t.Errorf("the error has several lines: %q", trap.Error())
				}
				if got := h.must(in, "divide", 6, 3); got != 2 {
					t.Errorf("a call after the trap gave %d", got)
				}
			})
		}
	})
}

func TestATrapCarriesTheGuestsFrames(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		_, err := h.call(in, "through", 1, 1)
		var trap *engine.Trap
		if !errors.As(err, &trap) || len(trap.Backtrace) == 0 {
			t.Fatalf("no backtrace: %v", err)
		}
		for _, frame := range trap.Backtrace {
			if strings.TrimSpace(frame) != frame || frame == "" {
				t.Errorf("frame %q", frame)
			}
		}
	})
}

func TestATrapInsideAReenteredCallKeepsItsKind(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		h.onCall = func(context.Context, int32) int32 {
			_, err := h.call(in, "unreachable")
			engine.Throw(err)
			return 0
		}
		_, err := h.call(in, "reenter", 1)
		var trap *engine.Trap
		if !errors.As(err, &trap) || trap.Kind != engine.TrapUnreachable {
			t.Errorf("err = %v", err)
		}
	})
}

func TestAPanickingHostFunctionIsNoTrapOfTheGuest(t *testing.T) {
	cause := errors.New("out of cheese")
	tests := []struct {
		name  string
		panic func()
		want  engine.TrapKind
	}{
		{"with an error", func() { panic(cause) }, engine.TrapHost},
		{"with a text", func() { panic("unreachable") }, engine.TrapHost},
		{"with a text that looks like a trap", func() { panic("wasm error: unreachable") }, engine.TrapHost},
		{"with a fault of the Go program", func() { _ = kinds[len(kinds)+int(time.Now().Unix()&1)] }, engine.TrapEngine},
	}
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				h.onCall = func(context.Context, int32) int32 { tt.panic(); return 0 }
				_, err := h.call(in, "reenter", 1)
				var trap *engine.Trap
				if !errors.As(err, &trap) || trap.Kind != tt.want {
					t.Fatalf("err = %v, want %v", err, tt.want)
				}
				if tt.want == engine.TrapHost && tt.name == "with an error" && !errors.Is(err, cause) {
					t.Error("the cause is lost")
				}
			})
		}
		h.onCall = func(_ context.Context, arg int32) int32 { return arg }
		if got := h.must(in, "reenter", 4); got != 4 {
			t.Errorf("a call after the panics gave %d", got)
		}
	})
}

// The interpreter allows 2000 by itself.
func TestRecursionOfOrdinaryDepthIsNoTrap(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		if got := h.must(in, "deep", 9_000); got != 9_000 {
			t.Errorf("deep(9000) = %d", got)
		}
	})
}
