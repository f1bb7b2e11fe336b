package rewrite

import (
	"slices"
	"strconv"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// The few instructions that stubs are made of.
const (
	opIf           = 0x04
	opEnd          = 0x0b
	opBrIf         = 0x0d
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opLocalGet     = 0x20
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opI32Const     = 0x41
	opI64Const     = 0x42
	opI32Eqz       = 0x45
	opI32Eq        = 0x46
	opI64Eqz       = 0x50
	opI64And       = 0x83
	blockVoid      = 0x40
)

// Suffixes of the names that the backtraces of a rewritten module show. A
// candidate whose body has moved keeps its name for the stub, and its body has
// OriginalSuffix; a stub before an export has StubSuffix.
const (
	StubSuffix     = ".cc_stub"
	OriginalSuffix = ".cc_orig"
)

// appendType gives the index of a function type that is appended once.
func (e *editor) appendType(t wasmbin.FuncType) uint32 {
	if e.typeIndex == nil {
		e.typeIndex = map[string]uint32{}
	}
	key := t.Key()
	if i, ok := e.typeIndex[key]; ok {
		return i
	}
	i := uint32(len(e.m.Types)) + e.types.n
	e.types.n++
	b := append(e.types.bytes, 0x60)
	for _, list := range [][]wasmbin.ValType{t.Params, t.Results} {
		b = wasmbin.AppendU32(b, uint32(len(list)))
		for _, v := range list {
			b = append(b, byte(v))
		}
	}
	e.types.bytes = b
	e.typeIndex[key] = i
	return i
}

// appendFunc adds a function and gives its index. The body has no size yet.
func (e *editor) appendFunc(typ uint32, body []byte) uint32 {
	return e.appendEntry(typ, sized(body))
}

// appendEntry adds a function whose body carries its size.
func (e *editor) appendEntry(typ uint32, entry []byte) uint32 {
	i := uint32(len(e.m.Funcs)) + e.funcs.n
	e.funcs.n++
	e.funcs.bytes = wasmbin.AppendU32(e.funcs.bytes, typ)
	e.bodies.n++
	e.bodies.bytes = append(e.bodies.bytes, entry...)
	return i
}

func sized(body []byte) []byte {
	return append(wasmbin.AppendU32(make([]byte, 0, len(body)+3), uint32(len(body))), body...)
}

// trampolines make every imported function callable from outside in the
// module's own context.
func (e *editor) trampolines() {
	e.out.Trampolines = map[uint32]string{}
	for i := range e.m.ImportedFuncs {
		t := e.m.FuncType(i)
		if !t.Scalar() {
			continue
		}
		body := appendArgs([]byte{0}, len(t.Params))
		body = wasmbin.AppendU32(append(body, opCall), i)
		f := e.appendFunc(e.m.Funcs[i], append(body, opEnd))
		e.out.Trampolines[i] = e.export("i"+strconv.FormatUint(uint64(i), 10), wasmbin.KindFunc, f)
		e.names = append(e.names, funcName{f, e.m.Name(i) + ".cc_import"})
	}
}

func (e *editor) masks() {
	n := min((len(e.out.Candidates)+63)/64, MaxMasks)
	for i := range n {
		g := uint32(len(e.m.Globals)) + e.globals.n
		e.globals.n++
		e.globals.bytes = append(e.globals.bytes, byte(wasmbin.I64), 1, opI64Const, 0, opEnd)
		e.out.Masks = append(e.out.Masks, e.export("mask"+strconv.Itoa(i), wasmbin.KindGlobal, g))
	}
	for k := range e.out.Candidates {
		c := &e.out.Candidates[k]
		c.Mask, c.Bit = k/64%n, uint(k%64)
	}
}

// hosts gives a table slot to every distinct signature, and the last slot to
// the report of an exit.
func (e *editor) hosts() {
	slots := map[string]int{}
	for k := range e.out.Candidates {
		c := &e.out.Candidates[k]
		key := wasmbin.FuncType(c.Sig).Key()
		slot, ok := slots[key]
		if !ok {
			slot = len(e.out.Hosts)
			slots[key] = slot
			e.out.Hosts = append(e.out.Hosts, HostFunc{Name: "s" + strconv.Itoa(slot), Sig: c.Sig})
		}
		c.Slot = slot
	}
	e.out.ExitHost = "exit"
	e.export("tab", wasmbin.KindTable, uint32(len(e.m.Tables)))
	e.tables.n++
	e.tables.bytes = appendTableType(e.tables.bytes, len(e.out.Hosts)+1)
}

func appendTableType(b []byte, size int) []byte {
	b = append(b, byte(wasmbin.FuncRef), 1)
	b = wasmbin.AppendU32(b, uint32(size))
	return wasmbin.AppendU32(b, uint32(size))
}

// hostType is the type of the host function that serves a signature.
func hostType(s Signature) wasmbin.FuncType {
	return wasmbin.FuncType{
		Params:  append(slices.Clone(s.Params), wasmbin.I32),
		Results: append(slices.Clone(s.Results), wasmbin.I32),
	}
}

// exitType is the type of the host function that hears of an exit.
var exitType = wasmbin.FuncType{Params: []wasmbin.ValType{wasmbin.I32}}

func (e *editor) candidate(c *Candidate) {
	typ := e.m.Funcs[c.Index]
	body := e.m.BodyOf(c.Index)
	name := e.m.Names()[c.Index]
	original := c.Index
	if c.Entry {
		stub := e.appendFunc(typ, e.stub(c, original))
		e.redirect[c.Index] = stub
		if name != "" {
			e.names = append(e.names, funcName{stub, name + StubSuffix})
		}
	} else {
		original = e.appendEntry(typ, e.m.Bytes[body.Entry:body.End])
		e.stubs[c.Index] = sized(e.stub(c, original))
		if name != "" {
			e.names = append(e.names, funcName{original, name + OriginalSuffix})
		}
	}
	c.Export = e.export("o"+strconv.Itoa(c.K), wasmbin.KindFunc, original)
}

// stub gives the body that decides whether a call of the candidate goes to the
// host. The package's documentation shows it in words. The idle path ends in a
// return of its own so that nothing of the other path lives across its call.
func (e *editor) stub(c *Candidate, original uint32) []byte {
	n, st := len(c.Sig.Params), uint32(len(c.Sig.Params))
	table := uint32(len(e.m.Tables))
	mask := uint32(len(e.m.Globals) + c.Mask)

	b := []byte{1, 1, byte(wasmbin.I32)} // one local: the status
	b = wasmbin.AppendU32(append(b, opGlobalGet), mask)
	b = wasmbin.AppendS64(append(b, opI64Const), int64(uint64(1)<<c.Bit))
	b = append(b, opI64And, opI64Eqz, opIf, blockVoid)
	b = appendArgs(b, n)
	b = wasmbin.AppendU32(append(b, opCall), original)
	b = append(b, opReturn, opEnd)

	b = appendArgs(b, n)
	b = appendI32(b, c.K)
	b = e.appendHostCall(b, c.Slot, table, hostType(c.Sig))
	b = wasmbin.AppendU32(append(b, opLocalTee), st)
	b = append(b, opI32Eqz, opBrIf, 0) // to the function's own label: return
	for range c.Sig.Results {
		b = append(b, opDrop)
	}
	b = appendArgs(b, n)
	b = wasmbin.AppendU32(append(b, opCall), original)
	b = wasmbin.AppendU32(append(b, opLocalGet), st)
	b = appendI32(b, int(LocalWatch))
	b = append(b, opI32Eq, opIf, blockVoid)
	b = appendI32(b, c.K)
	b = e.appendHostCall(b, len(e.out.Hosts), table, exitType)
	return append(b, opEnd, opEnd)
}

func (e *editor) appendHostCall(b []byte, slot int, table uint32, t wasmbin.FuncType) []byte {
	b = appendI32(b, slot)
	b = wasmbin.AppendU32(append(b, opCallIndirect), e.appendType(t))
	return wasmbin.AppendU32(b, table)
}

func appendArgs(b []byte, n int) []byte {
	for i := range n {
		b = wasmbin.AppendU32(append(b, opLocalGet), uint32(i))
	}
	return b
}

func appendI32(b []byte, v int) []byte {
	return wasmbin.AppendS64(append(b, opI32Const), int64(v))
}

// glue builds the module that fills the table with the host's functions.
func (e *editor) glue() []byte {
	var types, imports, elems vector
	add := func(name string, t wasmbin.FuncType) {
		types.bytes = append(types.bytes, 0x60)
		for _, list := range [][]wasmbin.ValType{t.Params, t.Results} {
			types.bytes = wasmbin.AppendU32(types.bytes, uint32(len(list)))
			for _, v := range list {
				types.bytes = append(types.bytes, byte(v))
			}
		}
		imports.bytes = wasmbin.AppendName(imports.bytes, e.out.HostModule)
		imports.bytes = wasmbin.AppendName(imports.bytes, name)
		imports.bytes = wasmbin.AppendU32(append(imports.bytes, byte(wasmbin.KindFunc)), types.n)
		elems.bytes = wasmbin.AppendU32(elems.bytes, imports.n)
		types.n, imports.n, elems.n = types.n+1, imports.n+1, elems.n+1
	}
	for _, h := range e.out.Hosts {
		add(h.Name, hostType(h.Sig))
	}
	add(e.out.ExitHost, exitType)

	imports.bytes = wasmbin.AppendName(imports.bytes, e.out.AppModule)
	imports.bytes = wasmbin.AppendName(imports.bytes, e.out.Prefix+"tab")
	imports.bytes = appendTableType(append(imports.bytes, byte(wasmbin.KindTable)), int(elems.n))
	imports.n++
	segment := append([]byte{0, opI32Const, 0, opEnd}, wasmbin.AppendU32(nil, elems.n)...)
	segment = append(segment, elems.bytes...)

	b := append([]byte(nil), e.m.Bytes[:8]...)
	b = appendSection(b, wasmbin.SecType, types)
	b = appendSection(b, wasmbin.SecImport, imports)
	return appendSection(b, wasmbin.SecElement, vector{1, segment})
}

func appendSection(b []byte, id wasmbin.SectionID, v vector) []byte {
	count := wasmbin.AppendU32(nil, v.n)
	b = wasmbin.AppendU32(append(b, byte(id)), uint32(len(count)+len(v.bytes)))
	return append(append(b, count...), v.bytes...)
}
