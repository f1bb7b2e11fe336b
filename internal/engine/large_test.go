//go:build (linux || darwin) && (amd64 || arm64)

package engine_test

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/engine"
)

// reserved is memory that reserves its maximum and never moves.
type reserved struct{ all []byte }

func reserve(_, maxBytes uint64) engine.Memory {
	b, err := unix.Mmap(-1, 0, int(maxBytes), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	return &reserved{b}
}

func (r *reserved) Reallocate(size uint64) []byte {
	if size > 0 && unix.Mprotect(r.all[:size], unix.PROT_READ|unix.PROT_WRITE) != nil {
		return nil
	}
	return r.all[:size]
}

func (r *reserved) Free() { _ = unix.Munmap(r.all) }

// With one page more the compiler's code would refuse every address, because it
// keeps the size in 32 bits.
func TestAllButTheLastPageOfFourGigabytesCanBeUsed(t *testing.T) {
	eachKindConfig(t, engine.Config{Allocate: reserve}, func(t *testing.T, h *harness) {
		in := h.instance("unbounded")
		mem, _ := in.Memory()
		start := &mem.Bytes()[0]
		if before, ok := mem.Grow(65534); !ok || before != 1 {
			t.Skip("the system does not commit so much")
		}
		h.must(in, "poke", 0xfffe_ffff, 7)
		h.must(in, "poke", 0x8000_0000, 8)
		b := mem.Bytes()
		if mem.Pages() != 65535 || uint64(len(b)) != 1<<32-1<<16 || b[0xfffe_ffff] != 7 || b[0x8000_0000] != 8 {
			t.Errorf("%d pages, %d bytes", mem.Pages(), len(b))
		}
		if &b[0] != start {
			t.Error("the memory moved")
		}
		if int32(h.must(in, "grow", 1)) != -1 {
			t.Error("it grew to 4 GiB")
		}
	})
}

// A snapshot is mapped over the memory's pages behind the engine's back.
func TestPagesMayBeReplacedUnderAnInstance(t *testing.T) {
	eachKindConfig(t, engine.Config{Allocate: reserve}, func(t *testing.T, h *harness) {
		in := h.instance("suite")
		mem, _ := in.Memory()
		h.must(in, "store", 4096, 1)
		h.onCall = nilSafe(func() {
			page := mem.Bytes()[4096:8192]
			if err := unix.Mprotect(page, unix.PROT_NONE); err != nil {
				t.Error(err)
			}
			if err := unix.Mprotect(page, unix.PROT_READ|unix.PROT_WRITE); err != nil {
				t.Error(err)
			}
			page[0] = 99
		})
		h.must(in, "reenter", 0)
		if got := h.must(in, "load", 4096); got != 99 {
			t.Errorf("load = %d, want 99", got)
		}
	})
}

// Many goroutines, each with instances of one compiled module.
func TestManyInstancesOfOneModuleRunAtOnce(t *testing.T) {
	eachKindConfig(t, engine.Config{Allocate: reserve}, func(t *testing.T, h *harness) {
		m := h.compile("suite")
		want := h.must(h.instance("suite"), "mix", 300)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					in, err := h.engine.Instantiate(h.ctx, m, "")
					if err != nil {
						t.Error(err)
						return
					}
					f, _ := in.Function("mix")
					stack := []uint64{300}
					if err := f.Call(h.ctx, stack); err != nil || stack[0] != want {
						t.Errorf("mix = %#x, %v, want %#x", stack[0], err, want)
					}
					if err := in.Close(h.ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}
