package offload

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// The model world that the simulation runs in: a guest is a few cells of
// memory, two globals and a descriptor table; a program is a list of
// operations; the device has files, a stdout that may break, and a stdin.

type opKind uint8

const (
	opCompute opKind = iota // memory only
	opGrow
	opPrint    // output
	opPrintVol // output of the last clock or random value
	opWrite    // file change
	opRead     // file read
	opStdin    // immediate
	opClock    // quiet
	opRandom   // quiet, from the seed
	opOpen     // descriptor
	opPinned   // runs on the device only
	opPrivate  // a private file
	opExit
	opTrap
)

type op struct {
	kind opKind
	a, b int
}

// item is one step of a program: an operation of the caller, or a call.
type item struct {
	call bool
	ops  []op
}

type guest struct {
	mem  []uint64
	glob uint64
	vol  uint64 // a clock or random value: differs between runs by nature
	fds  []int
	last uint64 // last clock value seen
}

func newGuest() *guest { return &guest{mem: make([]uint64, 4)} }

func (g *guest) wasi() []byte { return []byte(fmt.Sprint(g.fds)) }

func (g *guest) setWASI(b []byte) {
	g.fds = nil
	for _, f := range strings.Fields(strings.Trim(string(b), "[]")) {
		var n int
		_, _ = fmt.Sscan(f, &n)
		g.fds = append(g.fds, n)
	}
}

func mix(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ (b + 0x632be59bd9b4e019)
	return x ^ x>>29
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// exec is one run of a list of operations on a guest.
type exec struct {
	g    *guest
	ops  []op
	pc   int
	end  string // "", "returned", "exited", "trapped"
	code uint32
	acc  uint64
}

// imp is an import that a guest makes.
type imp struct {
	kind opKind
	file int
	text string
}

func (i imp) args() string { return fmt.Sprintf("%d %d %q", i.kind, i.file, i.text) }

// next runs to the next import, or to the end.
func (e *exec) next() (imp, bool) {
	for e.end == "" {
		if e.pc == len(e.ops) {
			e.end = "returned"
			break
		}
		o := e.ops[e.pc]
		cell := o.a % len(e.g.mem)
		switch o.kind {
		case opCompute:
			e.g.mem[cell] = mix(e.g.mem[cell], uint64(o.b))
			e.g.glob++
			e.acc = mix(e.acc, e.g.mem[cell])
		case opGrow:
			if len(e.g.mem) < 12 {
				e.g.mem = append(e.g.mem, uint64(o.b))
			}
		case opExit:
			e.end, e.code = "exited", uint32(o.b)
		case opTrap:
			e.end = "trapped"
		default:
			return e.imp(o, cell), true
		}
		e.pc++
	}
	return imp{}, false
}

func (e *exec) imp(o op, cell int) imp {
	i := imp{kind: o.kind, file: o.a % 3}
	switch o.kind {
	case opPrint:
		i.text = fmt.Sprintf("p%x\n", e.g.mem[cell]&0xffff)
	case opPrintVol:
		i.text = fmt.Sprintf("v%x\n", e.g.vol)
	case opWrite:
		i.text = fmt.Sprintf("%x/%d", e.g.mem[cell], o.b)
	}
	return i
}

// give completes the import that next returned.
func (e *exec) give(val uint64) {
	o := e.ops[e.pc]
	cell := o.a % len(e.g.mem)
	switch o.kind {
	case opClock:
		if val < e.g.last {
			panic(fmt.Sprintf("the clock went back from %d to %d", e.g.last, val))
		}
		e.g.vol, e.g.last = val, val
	case opRandom:
		e.g.vol = val
	case opOpen:
		e.g.fds = append(e.g.fds, o.a%3)
		e.g.mem[cell] = mix(e.g.mem[cell], val+uint64(len(e.g.fds)))
	default:
		e.g.mem[cell] = mix(e.g.mem[cell], val)
	}
	e.pc++
}

type file struct {
	content string
	version int
}

// world is what lies outside of the guest on the device.
type world struct {
	files   [3]file
	room    int      // bytes that stdout still takes
	trace   []string // output and input, in order
	hist    []string // these and file changes, in order
	stdin   uint64
	changes int
}

func newWorld(room int) *world {
	w := &world{room: room}
	for i := range w.files {
		w.files[i] = file{fmt.Sprintf("initial %d", i), 1}
	}
	w.changes = 1
	return w
}

func (w *world) print(s string) int {
	n := min(len(s), w.room)
	w.room -= n
	if n > 0 {
		// The first letter says whether the text may differ between runs.
		w.note("out:" + s[:n])
	}
	return n
}

func (w *world) note(s string) {
	w.trace = append(w.trace, s)
	w.hist = append(w.hist, s)
}

func (w *world) write(f int, s string) {
	w.changes++
	w.files[f] = file{s, w.changes}
	w.hist = append(w.hist, fmt.Sprintf("file:%d=%s", f, s))
}

func (w *world) read(f int) uint64 { return hashOf(w.files[f].content) }

func (w *world) input() uint64 {
	w.stdin++
	w.note(fmt.Sprintf("in:%d", w.stdin))
	return mix(7, w.stdin)
}

// do performs an import on the device.
func (w *world) do(i imp, clock, random func() uint64) uint64 {
	switch i.kind {
	case opPrint, opPrintVol:
		return uint64(w.print(i.text))
	case opWrite:
		w.write(i.file, i.text)
		return uint64(len(i.text))
	case opRead:
		return w.read(i.file)
	case opStdin:
		return w.input()
	case opClock:
		return clock()
	case opRandom:
		return random()
	case opPinned, opPrivate:
		return 99
	}
	return 0 // opOpen
}

// result is all that a person or another program could see of a run.
type result struct {
	end   string
	code  uint32
	mem   []uint64
	glob  uint64
	fds   []int
	trace []string
	files [3]string
	accs  []uint64
}

func mask(trace []string) []string {
	out := make([]string, len(trace))
	for i, t := range trace {
		if strings.HasPrefix(t, "out:v") {
			t = "out:v" // its length may differ: see runLocally
		}
		out[i] = t
	}
	return out
}

func (r result) String() string {
	r.trace = mask(r.trace)
	return fmt.Sprintf("%s code %d mem %x glob %d fds %v\naccs %x\nfiles %q\ntrace %q",
		r.end, r.code, r.mem, r.glob, r.fds, r.accs, r.files, r.trace)
}

// reference runs the program on the device alone, and also returns the
// history of its effects.
func reference(prog []item, room int) (result, []string) {
	w, g := newWorld(room), newGuest()
	tick := uint64(0)
	clock := func() uint64 { tick++; return 1<<40 + tick }
	random := func() uint64 { return 1 << 40 }
	r := result{end: "returned"}
	for _, it := range prog {
		e := &exec{g: g, ops: it.ops}
		for {
			i, ok := e.next()
			if !ok {
				break
			}
			e.give(w.do(i, clock, random))
		}
		if it.call {
			r.accs = append(r.accs, e.acc)
		}
		if e.end != "returned" {
			r.end, r.code = e.end, e.code
			break
		}
	}
	return r.fill(g, w), w.hist
}

func (r result) fill(g *guest, w *world) result {
	r.mem, r.glob, r.fds, r.trace = g.mem, g.glob, g.fds, w.trace
	if r.end == "trapped" {
		r.mem = nil
	}
	for i := range w.files {
		r.files[i] = w.files[i].content
	}
	return r
}

// randomProgram makes calls between a few operations of the caller. Values
// of clocks and randomness are 11 hexadecimal digits wide in every run, so
// that a stdout that breaks, breaks at the same byte.
func randomProgram(r *rand.Rand) []item {
	var prog []item
	for range 1 + r.IntN(4) {
		if r.IntN(2) == 0 {
			prog = append(prog, item{ops: randomOps(r, 1+r.IntN(3), false)})
		}
		prog = append(prog, item{call: true, ops: randomOps(r, 1+r.IntN(10), true)})
	}
	return prog
}

func randomOps(r *rand.Rand, n int, call bool) []op {
	kinds := []opKind{
		opCompute, opCompute, opCompute, opGrow, opPrint, opPrint, opPrint, opWrite, opRead, opRead,
		opStdin, opClock, opRandom, opPrintVol, opOpen,
	}
	if r.IntN(3) == 0 { // mostly without file changes, so that output is released early
		kinds = append(kinds, opWrite, opWrite)
	} else {
		kinds[7] = opCompute
	}
	ops := make([]op, 0, n)
	for range n {
		k := kinds[r.IntN(len(kinds))]
		if x := r.IntN(120); call {
			switch x {
			case 0:
				k = opPinned
			case 1:
				k = opPrivate
			case 2:
				k = opExit
			case 3:
				k = opTrap
			}
		}
		ops = append(ops, op{k, r.IntN(8), r.IntN(100)})
	}
	return ops
}

// Memory on the wire: length, changed cells against the base, hash of the
// whole. Hashes: one of each cell.

func memHash(mem []uint64) uint64 {
	h := uint64(len(mem))
	for _, v := range mem {
		h = mix(h, v)
	}
	return h
}

func encodeDelta(mem, base []uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(mem)))
	for i, v := range mem {
		old := uint64(0)
		if i < len(base) {
			old = base[i]
		}
		if v != old {
			b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, uint64(i)), v^old)
		}
	}
	return binary.LittleEndian.AppendUint64(b, memHash(mem))
}

func decodeDelta(b []byte, base []uint64) ([]uint64, error) {
	if len(b) < 16 || len(b)%16 != 0 {
		return nil, fmt.Errorf("a delta of %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > 64 {
		return nil, fmt.Errorf("a memory of %d cells", n)
	}
	mem := make([]uint64, n)
	copy(mem, base)
	for p := b[8 : len(b)-8]; len(p) > 0; p = p[16:] {
		i := binary.LittleEndian.Uint64(p)
		if i >= n {
			return nil, fmt.Errorf("cell %d of %d", i, n)
		}
		mem[i] ^= binary.LittleEndian.Uint64(p[8:])
	}
	if got := memHash(mem); got != binary.LittleEndian.Uint64(b[len(b)-8:]) {
		return nil, fmt.Errorf("hash %x", got)
	}
	return mem, nil
}
