package runner

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// TestRandomProgramsBehaveArmedAsLocally makes programs of a few functions that
// compute, store, grow memory, set globals of every type, call each other, call a
// host function that counts its calls, and trap; calls them in sequences; moves
// any of the calls inside to the clone or not, at random; loses the clone between
// calls, so that the next one has no base, and cuts the link within them. Results,
// traps, memory, globals and the host's count are those of a program that never
// left.
func TestRandomProgramsBehaveArmedAsLocally(t *testing.T) {
	for _, e := range pairsToTest(t) {
		if e.device != e.clone {
			continue // a NaN's bits may reach memory, and differ
		}
		t.Run(e.String(), func(t *testing.T) {
			var all stats
			lost := 0
			rounds := 1 // of 100 programs
			if nightly {
				rounds = 100
			}
			for range rounds {
				rapid.Check(t, func(t *rapid.T) { randomProgram(t, e, &all, &lost) })
			}
			t.Logf("%v; clones lost: %d", &all, lost)
			if all.committed == 0 {
				t.Error("nothing was moved")
			}
		})
	}
}

func randomProgram(t *rapid.T, e engines, all *stats, lost *int) {
	p := newProgram(t)
	code := p.encode()
	var ins [2]*linked
	var counts [2]int
	e.trackedOnDevice = rapid.SampledFrom(trackers()).Draw(t, "tracker of the device")
	e.trackedThere = rapid.SampledFrom(trackers()).Draw(t, "tracker of the clone")
	for i, w := range []which{nothing, outermost} {
		gr := newGround(t, e, w, smallMemory)
		defer gr.close()
		err := gr.room.eng.Host(gr.ctx, "env", []engine.HostFunc{{
			Name: "count", Params: []engine.ValType{engine.I32}, Results: []engine.ValType{engine.I32},
			Call: func(_ context.Context, stack []uint64) {
				counts[i]++
				stack[0] = uint64(uint32(stack[0])*3 + uint32(counts[i]))
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed of choices"), 0))
		gr.pick = func() bool { return rnd.IntN(3) > 0 }
		if ins[i], err = gr.instantiate(code, nil); (err == nil) != (ins[0] != nil) || err != nil && ins[0] != nil {
			t.Fatalf("instantiate, %v: %v", w, err)
		}
		if err == nil {
			gr.count(ins[i].g)
		}
	}
	if ins[0] == nil {
		return // its start function traps, in both
	}
	same := func(what string) {
		if !bytes.Equal(ins[0].g.Bytes(), ins[1].g.Bytes()) {
			t.Fatalf("%s: memory differs", what)
		}
		if a, b := ins[0].g.readGlobals(), ins[1].g.readGlobals(); !slices.Equal(a, b) {
			t.Fatalf("%s: globals differ: local %#x, armed %#x", what, a, b)
		}
		if counts[0] != counts[1] {
			t.Fatalf("%s: the host was called %d times, locally %d", what, counts[1], counts[0])
		}
	}
	same("start")
	for range rapid.IntRange(1, 10).Draw(t, "calls") {
		switch rapid.IntRange(0, 7).Draw(t, "fault") {
		case 0:
			ins[1].loseClone()
			*lost++
		case 1:
			// A Call without pages is some 300 bytes, an Applied 80, a Return 150.
			ins[1].cutAfter(rapid.Int64Range(0, 1500).Draw(t, "cut"))
		}
		f := rapid.IntRange(0, len(p.funcs)-1).Draw(t, "function")
		var args []uint64
		for _, typ := range p.funcs[f].params {
			args = append(args, drawBits(t, typ))
		}
		what := fmt.Sprintf("f%d%#x", f, args)
		want, wantErr := ins[0].call(fmt.Sprint("f", f), args)
		got, err := ins[1].call(fmt.Sprint("f", f), args)
		if (err == nil) != (wantErr == nil) || err != nil && engineWords(err) != engineWords(wantErr) {
			t.Fatalf("%s: local error %v, armed %v", what, wantErr, err)
		}
		if !slices.Equal(want, got) {
			t.Fatalf("%s: local %#x, armed %#x", what, want, got)
		}
		same(what)
	}
	all.add(&ins[1].gr.stats)
}

// scalars are the types of everything in a program.
var scalars = []wasmbin.ValType{wasmbin.I32, wasmbin.I64, wasmbin.F32, wasmbin.F64}

func drawType(t *rapid.T) wasmbin.ValType { return rapid.SampledFrom(scalars).Draw(t, "type") }

func drawBits(t *rapid.T, typ wasmbin.ValType) uint64 {
	v := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 200), rapid.SampledFrom([]uint64{1 << 31, 1 << 63, 0x7fc00001, 0x7ff8000000000001})).Draw(t, "bits")
	if typ == wasmbin.I32 || typ == wasmbin.F32 {
		v &= 1<<32 - 1
	}
	return v
}

// program is a module in the making.
type program struct {
	t       *rapid.T
	memory  bool
	min     uint32
	max     uint32
	globals []wasmbin.ValType
	inits   []uint64
	funcs   []function
	start   bool // the last function is the start section
	data    []byte
}

type function struct {
	params, results []wasmbin.ValType
	body            []byte
}

func newProgram(t *rapid.T) *program {
	p := &program{t: t, memory: rapid.IntRange(0, 4).Draw(t, "memory") > 0}
	if p.memory {
		p.min = rapid.Uint32Range(0, 3).Draw(t, "min")
		p.max = p.min + rapid.Uint32Range(0, 6).Draw(t, "max")
		if p.min > 0 {
			p.data = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data")
		}
	}
	for range rapid.IntRange(0, 5).Draw(t, "globals") {
		typ := drawType(t)
		p.globals, p.inits = append(p.globals, typ), append(p.inits, drawBits(t, typ))
	}
	for range rapid.IntRange(1, 5).Draw(t, "functions") {
		f := function{}
		for range rapid.IntRange(0, 3).Draw(t, "params") {
			f.params = append(f.params, drawType(t))
		}
		for range rapid.IntRange(0, 3).Draw(t, "results") {
			f.results = append(f.results, drawType(t))
		}
		p.define(f)
	}
	if p.start = rapid.IntRange(0, 3).Draw(t, "start") == 0; p.start {
		p.define(function{})
	}
	return p
}

// define gives a function its body; it may call those defined before.
func (p *program) define(f function) {
	f.body = append(f.body, 1, 1, byte(wasmbin.I32)) // one local: the counter of its loop
	g := &generator{program: p, f: &f, loop: true}
	g.statements(4, 2)
	for _, typ := range f.results {
		g.expr(typ, 3)
	}
	f.body = append(f.body, 0x0b)
	p.funcs = append(p.funcs, f)
}

// generator writes one body.
type generator struct {
	*program
	f    *function
	loop bool // the function's loop is yet to be had
}

func (g *generator) op(b ...byte)                  { g.f.body = append(g.f.body, b...) }
func (g *generator) u32(v uint32)                  { g.f.body = wasmbin.AppendU32(g.f.body, v) }
func (g *generator) i32(v int32)                   { g.f.body = wasmbin.AppendS64(append(g.f.body, 0x41), int64(v)) }
func (g *generator) choice(what string, n int) int { return rapid.IntRange(0, n-1).Draw(g.t, what) }

// address pushes an address: mostly in bounds of a page.
func (g *generator) address() {
	g.expr(wasmbin.I32, 1)
	if g.choice("wild", 8) > 0 {
		g.i32(0xfff8)
		g.op(0x71) // i32.and
	}
}

func (g *generator) statements(most, depth int) {
	for range g.choice("statements", most+1) {
		g.statement(depth)
	}
}

func (g *generator) statement(depth int) {
	switch g.choice("statement", 8) {
	case 0, 1:
		if len(g.globals) > 0 {
			i := g.choice("global", len(g.globals))
			g.expr(g.globals[i], 2)
			g.op(0x24)
			g.u32(uint32(i))
		}
	case 2, 3:
		if g.memory {
			typ := drawType(g.t)
			g.address()
			g.expr(typ, 2)
			g.op(map[wasmbin.ValType]byte{wasmbin.I32: 0x36, wasmbin.I64: 0x37, wasmbin.F32: 0x38, wasmbin.F64: 0x39}[typ], 0)
			g.u32(uint32(g.choice("offset", 3) * 4096))
		}
	case 4:
		if depth > 0 {
			g.expr(wasmbin.I32, 1)
			g.op(0x04, 0x40)
			g.statements(2, depth-1)
			if g.choice("trap", 4) == 0 {
				g.op(0x00)
			}
			g.op(0x0b)
		}
	case 5:
		if g.loop && depth > 0 {
			g.loop = false
			counter := uint32(len(g.f.params))
			g.i32(int32(1 + g.choice("turns", 4)))
			g.op(0x21)
			g.u32(counter)
			g.op(0x03, 0x40)
			g.statements(3, depth-1)
			g.op(0x20)
			g.u32(counter)
			g.i32(1)
			g.op(0x6b, 0x22)
			g.u32(counter)
			g.op(0x0d, 0, 0x0b)
		}
	case 6:
		if g.memory {
			g.address()
			g.expr(wasmbin.I32, 0)
			g.i32(int32(g.choice("length", 9000)))
			g.op(0xfc, 0x0b, 0) // memory.fill
		}
	case 7:
		g.call()
	}
}

// call calls a function, directly or through the table, and drops its results.
func (g *generator) call() {
	n := g.choice("callee", len(g.funcs)+1)
	if n == len(g.funcs) {
		if g.choice("host", 3) == 0 {
			g.expr(wasmbin.I32, 1)
			g.op(0x10, 0, 0x1a)
		}
		return
	}
	callee := &g.funcs[n]
	for _, typ := range callee.params {
		g.expr(typ, 1)
	}
	if g.choice("indirect", 3) == 0 {
		g.i32(int32(n))
		g.op(0x11)
		g.u32(uint32(n) + 1) // its type
		g.op(0)
	} else {
		g.op(0x10)
		g.u32(uint32(n) + 1)
	}
	for range callee.results {
		g.op(0x1a)
	}
}

// expr pushes a value.
func (g *generator) expr(typ wasmbin.ValType, depth int) {
	at := slices.Index(scalars, typ)
	pick := g.choice("expression", 8)
	switch {
	case pick <= 1:
		for i, have := range g.f.params {
			if have == typ && (pick == 0 || i > 0) {
				g.op(0x20)
				g.u32(uint32(i))
				return
			}
		}
	case pick == 2:
		for i, have := range g.globals {
			if have == typ {
				g.op(0x23)
				g.u32(uint32(i))
				return
			}
		}
	case pick == 3 && g.memory && depth > 0:
		g.address()
		g.op([]byte{0x28, 0x29, 0x2a, 0x2b}[at], 0, 0)
		return
	case pick == 4 && depth > 0: // a sum; of integers also a quotient, which may trap
		g.expr(typ, depth-1)
		g.expr(typ, depth-1)
		if at < 2 && g.choice("divide", 4) == 0 {
			g.op([]byte{0x6d, 0x7f}[at])
		} else {
			g.op([]byte{0x6a, 0x7c, 0x92, 0xa0}[at])
		}
		return
	case pick == 5 && depth > 0: // a conversion, which leaves odd bits in a slot
		from := []wasmbin.ValType{wasmbin.I64, wasmbin.I32, wasmbin.F64, wasmbin.F32}[at]
		g.expr(from, depth-1)
		g.op([]byte{0xa7, 0xac, 0xb6, 0xbb}[at])
		return
	case pick == 6 && typ == wasmbin.I32 && g.memory:
		if g.choice("grow", 3) > 0 {
			g.op(0x3f, 0)
		} else {
			g.i32(int32(g.choice("pages", 4)))
			g.op(0x40, 0)
		}
		return
	}
	g.op(constant(typ, drawBits(g.t, typ))...)
}

func constant(typ wasmbin.ValType, bits uint64) []byte {
	b := encodeGlobal(typ, bits)
	return b[2 : len(b)-1] // without the global's type and the end
}

// encode writes the module: function 0 is the host's, and type i+1 is that of
// function i.
func (p *program) encode() []byte {
	types := vec(encodeType(wasmbin.FuncType{Params: scalars[:1], Results: scalars[:1]}))
	imports := vec(append(wasmbin.AppendName(wasmbin.AppendName(nil, "env"), "count"), 0, 0))
	var funcs, tables, memories, globals, exports, elems, bodies, data section
	elem := []byte{0, 0x41, 0, 0x0b}
	elem = wasmbin.AppendU32(elem, uint32(len(p.funcs)))
	for i, f := range p.funcs {
		types.add(encodeType(wasmbin.FuncType{Params: f.params, Results: f.results}))
		funcs.add(wasmbin.AppendU32(nil, uint32(i)+1))
		exports.add(wasmbin.AppendU32(append(wasmbin.AppendName(nil, fmt.Sprint("f", i)), 0), uint32(i)+1))
		bodies.add(append(wasmbin.AppendU32(nil, uint32(len(f.body))), f.body...))
		elem = wasmbin.AppendU32(elem, uint32(i)+1)
	}
	elems.add(elem)
	tables.add(wasmbin.AppendU32([]byte{byte(wasmbin.FuncRef), 0}, uint32(len(p.funcs))))
	if p.memory {
		memories.add([]byte{1, byte(p.min), byte(p.max)})
	}
	for i, typ := range p.globals {
		b := encodeGlobal(typ, p.inits[i])
		b[1] = 1 // mutable
		globals.add(b)
	}
	if len(p.data) > 0 {
		data.add(append(wasmbin.AppendU32([]byte{0, 0x41, 0xf0, 0x1f, 0x0b}, uint32(len(p.data))), p.data...))
	}
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = types.append(b, wasmbin.SecType)
	b = imports.append(b, wasmbin.SecImport)
	b = funcs.append(b, wasmbin.SecFunction)
	b = tables.append(b, wasmbin.SecTable)
	b = memories.append(b, wasmbin.SecMemory)
	b = globals.append(b, wasmbin.SecGlobal)
	b = exports.append(b, wasmbin.SecExport)
	if p.start {
		index := wasmbin.AppendU32(nil, uint32(len(p.funcs)))
		b = append(b, byte(wasmbin.SecStart), byte(len(index)))
		b = append(b, index...)
	}
	b = elems.append(b, wasmbin.SecElement)
	b = bodies.append(b, wasmbin.SecCode)
	return data.append(b, wasmbin.SecData)
}

func vec(entry []byte) (s section) {
	s.add(entry)
	return s
}
