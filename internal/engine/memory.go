package engine

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// guestMemory is the engine's view of one memory: it adapts the caller's
// allocator, holds it to the limits, and remembers the bytes, so that its host
// sees them without asking the engine.
type guestMemory struct {
	under Memory
	max   uint64
	buf   []byte
	freed bool
}

var _ experimental.LinearMemory = (*guestMemory)(nil)

// Reallocate implements experimental.LinearMemory.
func (g *guestMemory) Reallocate(size uint64) []byte {
	if g.freed || size > g.max || size < uint64(len(g.buf)) {
		return nil
	}
	b := g.under.Reallocate(size)
	if uint64(len(b)) < size || b == nil {
		return nil
	}
	g.buf = b[:size:size]
	return g.buf
}

// Free implements experimental.LinearMemory.
func (g *guestMemory) Free() {
	if g.freed {
		return
	}
	g.freed = true
	g.buf = nil
	g.under.Free()
}

// allocator creates the memory of the one instance that it is made for.
type allocator struct {
	allocate func(capBytes, maxBytes uint64) Memory
	mem      *guestMemory // nil until the module asked for a memory
}

// Allocate implements experimental.MemoryAllocator. It panics where it cannot
// provide the minimum, because the engine lets it return no error; Instantiate
// recovers.
func (a *allocator) Allocate(capBytes, maxBytes uint64) experimental.LinearMemory {
	var under Memory
	if a.allocate != nil {
		under = a.allocate(capBytes, maxBytes)
	} else {
		under = &heapMemory{max: maxBytes}
	}
	if under == nil {
		panic(fmt.Errorf("%w: %d bytes, at most %d", ErrMemory, capBytes, maxBytes))
	}
	a.mem = &guestMemory{under: under, max: maxBytes}
	return &firstAllocation{guestMemory: a.mem}
}

// firstAllocation turns a refusal of the initial size into a panic that says
// what happened; later refusals are the guest's to handle.
type firstAllocation struct {
	*guestMemory
	done bool
}

// Reallocate implements experimental.LinearMemory.
func (f *firstAllocation) Reallocate(size uint64) []byte {
	b := f.guestMemory.Reallocate(size)
	if b == nil && !f.done {
		panic(fmt.Errorf("%w: the allocator refused %d bytes", ErrMemory, size))
	}
	f.done = true
	return b
}

// heapMemory is memory on the Go heap. It grows by at least a quarter, so that
// a guest that grows page by page does not copy its memory each time.
type heapMemory struct {
	buf []byte
	max uint64
}

// Reallocate implements Memory.
func (h *heapMemory) Reallocate(size uint64) []byte {
	if h.buf != nil && size <= uint64(cap(h.buf)) {
		h.buf = h.buf[:size]
		return h.buf
	}
	capacity := size
	if h.buf != nil {
		capacity = min(max(size, uint64(cap(h.buf))+uint64(cap(h.buf))/4), h.max)
	}
	if capacity > maxSlice {
		return nil
	}
	b := make([]byte, size, capacity)
	copy(b, h.buf)
	h.buf = b
	return b
}

// Free implements Memory.
func (h *heapMemory) Free() { h.buf = nil }

// maxSlice is the largest slice that this platform can hold.
const maxSlice = uint64(^uint(0) >> 1)

// ownMemory is the memory that an instance defines.
type ownMemory struct {
	guest *guestMemory
	mem   api.Memory
}

var _ LinearMemory = ownMemory{}

func (m ownMemory) Bytes() []byte { return m.guest.buf }

func (m ownMemory) Pages() uint32 { return uint32(uint64(len(m.guest.buf)) / PageSize) }

func (m ownMemory) Grow(delta uint32) (uint32, bool) {
	if m.guest.freed {
		return 0, false
	}
	return m.mem.Grow(delta)
}
