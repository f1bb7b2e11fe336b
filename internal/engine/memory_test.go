package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/clonecloud/clonecloud/internal/engine"
)

// countingMemory is an allocator's memory that can refuse and that moves on
// every growth, as it is allowed to.
type countingMemory struct {
	buf   []byte
	limit uint64
	calls []uint64
	freed int
}

func (m *countingMemory) Reallocate(size uint64) []byte {
	m.calls = append(m.calls, size)
	if size > m.limit {
		return nil
	}
	b := make([]byte, size)
	copy(b, m.buf)
	m.buf = b
	return b
}

func (m *countingMemory) Free() { m.freed++ }

func TestMemoryComesFromTheAllocator(t *testing.T) {
	var made []*countingMemory
	var maxima []uint64
	config := engine.Config{Allocate: func(_, maxBytes uint64) engine.Memory {
		m := &countingMemory{limit: 4 * engine.PageSize}
		made, maxima = append(made, m), append(maxima, maxBytes)
		return m
	}}
	eachKindConfig(t, config, func(t *testing.T, h *harness) {
		made, maxima = nil, nil
		in := h.instance("suite")
		if len(made) != 1 || maxima[0] != 8*engine.PageSize {
			t.Fatalf("allocated %d memories with maxima %v", len(made), maxima)
		}
		mem, _ := in.Memory()
		if string(mem.Bytes()[16:21]) != "clone" || &mem.Bytes()[0] != &made[0].buf[0] {
			t.Error("the host does not see the allocator's bytes")
		}
		if got := int32(h.must(in, "grow", 2)); got != 1 {
			t.Errorf("grow(2) = %d, want 1", got)
		}
		h.must(in, "store", 2*engine.PageSize, 11) // in the memory as it moved
		if made[0].buf[2*engine.PageSize] != 11 || mem.Bytes()[2*engine.PageSize] != 11 {
			t.Error("a store after the growth went elsewhere")
		}
		if got := int32(h.must(in, "grow", 2)); got != -1 {
			t.Errorf("the allocator refused, the guest saw %d", got)
		}
		if before, ok := mem.Grow(1); !ok || before != 3 || h.must(in, "size") != 4 {
			t.Error("the host cannot grow the memory")
		}
		if _, ok := mem.Grow(1); ok {
			t.Error("the host grew the memory past the allocator's limit")
		}
		if err := in.Close(h.ctx); err != nil || made[0].freed != 1 {
			t.Errorf("close: %v, freed %d times", err, made[0].freed)
		}
		if err := h.engine.Close(h.ctx); err != nil || made[0].freed != 1 {
			t.Errorf("close engine: %v, freed %d times", err, made[0].freed)
		}
	})
}

func TestGrowthStopsAtTheDeclaredMaximum(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		if int32(h.must(in, "grow", 8)) != -1 || h.must(in, "grow", 7) != 1 || int32(h.must(in, "grow", 1)) != -1 {
			t.Error("the declared maximum of 8 pages does not hold")
		}
		if got := h.must(in, "grow", 0); got != 8 {
			t.Errorf("grow(0) = %d, want 8", got)
		}
	})
}

func TestAMemoryWithoutMaximumIsCappedByTheConfiguration(t *testing.T) {
	eachKindConfig(t, engine.Config{MaxMemoryPages: 3}, func(t *testing.T, h *harness) {
		for _, name := range []string{"unbounded", "suite"} {
			in := h.instance(name)
			if int32(h.must(in, "grow", 3)) != -1 || h.must(in, "grow", 2) != 1 || int32(h.must(in, "grow", 1)) != -1 {
				t.Errorf("%s: the cap of 3 pages does not hold", name)
			}
			for _, n := range []int32{-1, -65536, 65536, 65535} {
				if got := int32(h.must(in, "grow", u32(n))); got != -1 {
					t.Errorf("%s: grow(%d) = %d, want -1", name, n, got)
				}
			}
		}
	})
}

func TestTheHostSeesAMemoryThatIsNotExported(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("unbounded")
		h.must(in, "poke", 5, 200)
		mem, ok := in.Memory()
		if !ok || mem.Bytes()[5] != 200 || mem.Pages() != 1 {
			t.Error("the memory is not seen")
		}
		if _, ok := h.instance("plain").Memory(); ok {
			t.Error("a module without memory has one")
		}
	})
}

func TestTheHostGrowsTheMemoryInsideACall(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		mem, _ := in.Memory()
		h.onCall = nilSafe(func() {
			if _, ok := mem.Grow(3); !ok {
				t.Error("grow was refused")
			}
			mem.Bytes()[3*engine.PageSize] = 77
		})
		h.must(in, "touch.then.call", 1)
		if h.must(in, "size") != 4 || h.must(in, "load", 3*engine.PageSize) != 77 {
			t.Error("the guest does not see what the host grew")
		}
	})
}

func TestAnAllocatorThatRefusesFailsTheInstantiation(t *testing.T) {
	tests := map[string]func(_, _ uint64) engine.Memory{
		"with no memory":  func(_, _ uint64) engine.Memory { return nil },
		"the first bytes": func(_, _ uint64) engine.Memory { return &countingMemory{} },
	}
	for name, allocate := range tests {
		t.Run(name, func(t *testing.T) {
			eachKindConfig(t, engine.Config{Allocate: allocate}, func(t *testing.T, h *harness) {
				m := h.compile("suite")
				for range 2 { // the name stays free
					if _, err := h.engine.Instantiate(h.ctx, m, "main"); !errors.Is(err, engine.ErrMemory) {
						t.Errorf("err = %v, want ErrMemory", err)
					}
				}
			})
		})
	}
}

func TestAModuleThatNeedsMoreThanTheCapDoesNotCompile(t *testing.T) {
	eachKindConfig(t, engine.Config{MaxMemoryPages: 3}, func(t *testing.T, h *harness) {
		// (module (memory 4))
		big := []byte{0, 'a', 's', 'm', 1, 0, 0, 0, 5, 3, 1, 0, 4}
		if _, err := h.engine.Compile(h.ctx, big); err == nil {
			t.Error("it compiled")
		}
	})
}

// nilSafe makes a host.call of a function without parameters.
func nilSafe(f func()) func(context.Context, int32) int32 {
	return func(context.Context, int32) int32 { f(); return 0 }
}
