package rewrite_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Where compiled code comes to lie changes a program's time by percents: loops
// and branches share cache lines, prediction tables and pages with others or do
// not (Mytkowicz et al., "Producing wrong data without doing anything obviously
// wrong!", ASPLOS 2009). A stub moves its candidate's code to the end, so one
// compilation of each form compares two addresses rather than two programs.
// What follows gives a program many places in memory, after Curtsinger and
// Berger's Stabilizer (ASPLOS 2013), by code that is never executed.

const (
	// paddedShare is one in how many functions gets such code, so that functions
	// move against each other too; the first always does, and at least fewestSites.
	paddedShare = 10
	fewestSites = 8
	// mostPadding is the most stores in one site, some 12 bytes of code each:
	// most of a page.
	mostPadding = 300
)

// padded gives the module with code that never runs at the start of the functions
// in sites, of a length that sizes draws. The same sites with other sizes are the
// same program at other addresses: functions keep their indices.
func padded(m *wasmbin.Module, sites []uint32, sizes *rand.Rand) []byte {
	s := m.Section(wasmbin.SecCode)
	code := wasmbin.AppendU32(nil, s.EntryCount)
	for i, body := range m.Bodies {
		if !slices.Contains(sites, m.ImportedFuncs+uint32(i)) {
			code = append(code, m.Bytes[body.Entry:body.End]...)
			continue
		}
		at := body.Start + localsSize(m.Bytes[body.Start:body.End])
		pad := unreached(sizes.IntN(mostPadding))
		code = wasmbin.AppendU32(code, uint32(body.Size()+len(pad)))
		code = append(code, m.Bytes[body.Start:at]...)
		code = append(append(code, pad...), m.Bytes[at:body.End]...)
	}
	out := append([]byte(nil), m.Bytes[:s.Start]...)
	out = wasmbin.AppendU32(append(out, byte(wasmbin.SecCode)), uint32(len(code)))
	return append(append(out, code...), m.Bytes[s.End:]...)
}

// localsSize is the length of a body's local declarations.
func localsSize(body []byte) int {
	groups, p := binary.Uvarint(body)
	for range groups {
		_, n := binary.Uvarint(body[p:])
		p += n + 1
	}
	return p
}

// unreached is code of n stores for memories without a page.
func unreached(n int) []byte {
	const (
		memorySize, i32Eqz, ifOp, void, end = 0x3f, 0x45, 0x04, 0x40, 0x0b
		i32Const, i32Store                  = 0x41, 0x36
	)
	b := []byte{memorySize, 0, i32Eqz, ifOp, void}
	for i := range n {
		b = wasmbin.AppendS64(append(b, i32Const, 0, i32Const), int64(i))
		b = append(b, i32Store, 2, 0)
	}
	return append(b, end)
}

// padSites draws the functions to pad: the first, and others.
func padSites(m *wasmbin.Module, r *rand.Rand) []uint32 {
	sites := []uint32{m.ImportedFuncs}
	for len(sites) < min(max(fewestSites, len(m.Bodies)/paddedShare), len(m.Bodies)) {
		if i := m.ImportedFuncs + uint32(r.IntN(len(m.Bodies))); !slices.Contains(sites, i) {
			sites = append(sites, i)
		}
	}
	return sites
}

// arena is the memory of one instance after the other, so that all have the same
// pages, which are there already.
type arena struct{ buf, used []byte }

// arenaSize is more than any of the programs asks for.
const arenaSize = 512 << 20

var _ experimental.MemoryAllocator = (*arena)(nil)

// Allocate implements experimental.MemoryAllocator.
func (a *arena) Allocate(uint64, uint64) experimental.LinearMemory {
	if a.buf == nil {
		a.buf = make([]byte, arenaSize)
	}
	return a
}

// Reallocate implements experimental.LinearMemory.
func (a *arena) Reallocate(size uint64) []byte {
	if size > arenaSize {
		return nil
	}
	a.used = a.buf[:size:size]
	return a.used
}

// Free implements experimental.LinearMemory.
func (a *arena) Free() {
	clear(a.used)
	a.used = nil
}

func TestPaddedProgramsWriteWhatTheOriginalWrites(t *testing.T) {
	for _, p := range programs(t) {
		if p.name != "fib.wasm" && p.name != "shapes.wasm" {
			continue
		}
		m := parse(t, p.bin)
		r := rand.New(rand.NewPCG(1, 2))
		sites := padSites(m, r)
		_, want := newRunner(t, p.bin, nil).run(t)
		a, b := padded(m, sites, r), padded(m, sites, r)
		if len(a) == len(b) {
			t.Errorf("%s: two paddings have %d bytes", p.name, len(a))
		}
		for _, bin := range [][]byte{a, b} {
			if _, got := newRunner(t, bin, nil).run(t); got != want {
				t.Errorf("%s: the original wrote %q, padded %q", p.name, want, got)
			}
		}
	}
}
