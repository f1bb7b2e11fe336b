package wasmbin

import "fmt"

// Ops is a set of instructions that matter to what may be moved.
type Ops uint16

// The instructions of Ops.
const (
	OpTableSet Ops = 1 << iota
	OpTableGrow
	OpTableFill
	OpTableCopy
	OpTableInit
	OpElemDrop
	OpDataDrop
	OpMemoryInit
	OpMemoryGrow
	OpTailCall
	OpVector
)

// Names gives the text format's names of the instructions in o.
func (o Ops) Names() []string {
	var s []string
	for i, n := range [...]string{
		"table.set", "table.grow", "table.fill", "table.copy", "table.init",
		"elem.drop", "data.drop", "memory.init", "memory.grow", "return_call", "v128",
	} {
		if o&(1<<i) != 0 {
			s = append(s, n)
		}
	}
	return s
}

// Call is one call site.
type Call struct {
	Target   uint32 // a function; of an indirect call a type
	Indirect bool
	Tail     bool
	Depth    uint8   // loops around it in its function
	Weight   float64 // how often it happens in one call of its function, estimated
}

// FuncCode is what the scan of one body found.
type FuncCode struct {
	Instructions uint32
	Loops        uint32 // loop instructions, less Go's dispatch loop
	LoopDepth    uint8  // loops nested in one another, at most 255
	Ops          Ops
	// Work estimates the instructions of one call, callees apart; see weights.go.
	Work     float64
	Calls    []Call // in the order of the body
	RefFuncs []uint32
}

// Code is the scan of a whole module.
type Code struct {
	Funcs []FuncCode // one for each body
	Ops   Ops        // of all functions
	// AddressTaken is Module.AddressTaken with the functions of ref.func added.
	AddressTaken []bool
	// TailCalled marks the functions that a return_call names, or that a
	// return_call_indirect of their type can reach.
	TailCalled []bool
}

// Of gives what was found in function i, which must exist; an imported function
// has nothing.
func (c *Code) Of(m *Module, i uint32) *FuncCode {
	if i < m.ImportedFuncs {
		return &FuncCode{}
	}
	return &c.Funcs[i-m.ImportedFuncs]
}

// Scan reads every function body once and keeps the result. The error is an *Error.
func (m *Module) Scan() (*Code, error) {
	m.scanOnce.Do(func() { m.code, m.scanErr = scan(m) })
	return m.code, m.scanErr
}

func scan(m *Module) (*Code, error) {
	c := &Code{
		Funcs:        make([]FuncCode, len(m.Bodies)),
		AddressTaken: make([]bool, len(m.Funcs)),
		TailCalled:   make([]bool, len(m.Funcs)),
	}
	copy(c.AddressTaken, m.AddressTaken)
	s := &scanner{m: m}
	for i := range m.Bodies {
		if err := s.body(m.ImportedFuncs+uint32(i), m.Bodies[i], &c.Funcs[i]); err != nil {
			return nil, err
		}
		c.Ops |= c.Funcs[i].Ops
		for _, f := range c.Funcs[i].RefFuncs {
			c.AddressTaken[f] = true
		}
	}
	if c.Ops&OpTailCall != 0 {
		c.markTailCalled(m)
	}
	return c, nil
}

func (c *Code) markTailCalled(m *Module) {
	types := map[string]bool{}
	for i := range c.Funcs {
		for _, call := range c.Funcs[i].Calls {
			switch {
			case !call.Tail:
			case call.Indirect:
				types[m.Types[call.Target].Key()] = true
			default:
				c.TailCalled[call.Target] = true
			}
		}
	}
	if len(types) == 0 {
		return
	}
	for f, taken := range c.AddressTaken {
		if taken && types[m.FuncType(uint32(f)).Key()] {
			c.TailCalled[f] = true
		}
	}
}

// scanner holds the buffers that bodies share, and where it is.
type scanner struct {
	m  *Module
	b  []byte // ends with the body
	p  int
	op int // where the instruction being read began
	fn uint32
	f  *FuncCode

	open   []block
	depth  int     // loops among them
	weight float64 // how often the instruction being read happens in one call, estimated
	calls  []Call
	refs   []uint32
	labels []uint32 // of the br_table being read
	get0   int      // where the last local.get 0 ended
	d      dispatch
	err    error
}

func (s *scanner) fail(kind error, feature, format string, args ...any) {
	if s.err == nil {
		detail := fmt.Sprintf(format, args...)
		if detail != "" {
			detail += ", "
		}
		s.err = &Error{
			Kind: kind, Feature: feature, Section: SecCode.String(), Offset: s.op,
			Detail: fmt.Sprintf("%sin function %d", detail, s.fn),
		}
	}
}

func (s *scanner) body(fn uint32, body Body, f *FuncCode) error {
	s.b, s.p, s.op, s.fn, s.f = s.m.Bytes[:body.End], body.Start, body.Start, fn, f
	s.open, s.depth, s.weight = s.open[:0], 0, 1
	s.calls, s.refs = s.calls[:0], s.refs[:0]
	s.get0, s.d.on, s.d.constantEnd, s.d.jumpEnd = 0, false, 0, 0
	s.locals()
	if s.err == nil {
		s.instructions()
	}
	if s.err != nil {
		return s.err
	}
	if s.d.on {
		s.d.finish(s)
	}
	f.Calls = append([]Call(nil), s.calls...)
	f.RefFuncs = append([]uint32(nil), s.refs...)
	return nil
}

func (s *scanner) locals() {
	total := uint64(0)
	for n := s.u32(); n > 0 && s.err == nil; n-- {
		if total += uint64(s.u32()); total > uint64(s.m.limits.Locals) {
			s.fail(ErrLimit, "", "%d locals, at most %d are allowed", total, s.m.limits.Locals)
			return
		}
		t := s.byte()
		switch ValType(t) {
		case I32, I64, F32, F64, FuncRef, ExternRef:
		case V128:
			s.f.Ops |= OpVector
		default:
			s.badType(t)
		}
	}
}

func (s *scanner) badType(t byte) {
	if s.err != nil {
		return
	}
	if f := typeFeature(t); f != "" {
		s.fail(ErrUnsupported, f, "type %#x", t)
	} else {
		s.fail(ErrInvalid, "", "%#x is no value type", t)
	}
}

// instructions reads to the end of the body, which must be the end that closes
// the function.
func (s *scanner) instructions() {
	f := s.f
	for {
		s.op = s.p
		if s.p >= len(s.b) {
			s.fail(ErrTruncated, "", "a function body without its end")
			return
		}
		op := s.b[s.p]
		s.p++
		f.Instructions++
		f.Work += s.weight
		switch kind := opcodes[op]; kind {
		case immNone:
			if op == 0x00 || op == 0x0f { // unreachable, return
				s.weight = 0
			}
		case immLocal:
			if i := s.u32(); i == 0 {
				if op == 0x20 {
					s.get0 = s.p
				} else if s.d.constantEnd == s.op {
					s.d.jumpEnd = s.p
				}
			}
		case immLabel:
			label := s.u32()
			if s.d.on && s.d.jumpEnd == s.op {
				s.d.jump(s, label)
			}
			s.branch(label, op == 0x0d)
		case immI32:
			s.d.constant = s.signed(32)
			s.d.constantEnd = s.p
		case immMemArg:
			s.memArg()
		case immEnd:
			if len(s.open) == 0 {
				if s.p != len(s.b) {
					s.fail(ErrInvalid, "", "%d bytes after the end", len(s.b)-s.p)
				}
				return
			}
			s.close()
		case immBlock, immLoop:
			s.begin(op)
		default:
			s.rare(op, kind)
		}
		if s.err != nil {
			return
		}
	}
}

func (s *scanner) blockType() {
	if s.p >= len(s.b) {
		s.fail(ErrTruncated, "", "a block type")
		return
	}
	switch c := s.b[s.p]; {
	case c == 0x40:
		s.p++
	case c < 0x40 || c >= 0x80:
		if v := s.signed(33); s.err == nil && (v < 0 || v >= int64(len(s.m.Types))) {
			s.fail(ErrInvalid, "", "type %d does not exist", v)
		}
	default:
		s.p++
		switch ValType(c) {
		case I32, I64, F32, F64, V128, FuncRef, ExternRef:
		default:
			s.badType(c)
		}
	}
}

func (s *scanner) rare(op byte, kind imm) {
	switch kind {
	case immElse:
		s.otherwise()
	case immCall, immReturnCall:
		s.call(s.index("function", len(s.m.Funcs)), false, kind == immReturnCall)
	case immCallIndirect, immReturnCallIndirect:
		t := s.index("type", len(s.m.Types))
		s.index("table", len(s.m.Tables))
		s.call(t, true, kind == immReturnCallIndirect)
	case immGlobal:
		s.index("global", len(s.m.Globals))
	case immI64:
		s.signed(64)
	case imm4:
		s.skip(4)
	case imm8:
		s.skip(8)
	case immBrTable:
		s.brTable()
	case immSelect:
		for n := s.u32(); n > 0 && s.err == nil; n-- {
			if t := s.byte(); !ValType(t).known() {
				s.badType(t)
			}
		}
	case immTable:
		s.index("table", len(s.m.Tables))
		if op == 0x26 {
			s.f.Ops |= OpTableSet
		}
	case immMemory:
		s.memoryIndex()
		if op == 0x40 {
			s.f.Ops |= OpMemoryGrow
		}
	case immRefNull:
		if t := s.byte(); s.err == nil && ValType(t) != FuncRef && ValType(t) != ExternRef {
			s.nullType(t)
		}
	case immRefFunc:
		if f := s.index("function", len(s.m.Funcs)); s.err == nil {
			if s.m.declared == nil || !s.m.declared[f] {
				s.fail(ErrInvalid, "", "ref.func %d without a declaration", f)
				return
			}
			s.refs = append(s.refs, f)
		}
	case immFC:
		s.prefixFC()
	case immFD:
		s.prefixFD()
	case immInvalid:
		s.fail(ErrInvalid, "", "unknown instruction %#x", op)
	default:
		s.fail(ErrUnsupported, features[kind], "instruction %#x", op)
	}
}

func (s *scanner) brTable() {
	afterGet0 := s.get0 == s.op
	s.labels = s.labels[:0]
	for n := int64(s.u32()) + 1; n > 0 && s.err == nil; n-- {
		s.labels = append(s.labels, s.u32())
	}
	if s.err == nil {
		s.d.enter(s, s.labels, afterGet0)
		s.choose(s.labels)
	}
}

func (t ValType) known() bool {
	return t.Scalar() || t == V128 || t == FuncRef || t == ExternRef
}

func (s *scanner) nullType(t byte) {
	if t < 0x40 {
		s.fail(ErrUnsupported, FeatureTypedFuncRefs, "ref.null of type %d", t)
		return
	}
	s.badType(t)
}

func (s *scanner) prefixFC() {
	sub := s.u32()
	if s.err != nil {
		return
	}
	switch {
	case sub <= 7: // saturating conversions
	case sub == 8:
		s.u32()
		s.memoryIndex()
		s.f.Ops |= OpMemoryInit
	case sub == 9:
		s.u32()
		s.f.Ops |= OpDataDrop
	case sub == 10:
		s.memoryIndex()
		s.memoryIndex()
	case sub == 11:
		s.memoryIndex()
	case sub == 12:
		s.index("element segment", int(s.m.ElemSegments))
		s.index("table", len(s.m.Tables))
		s.f.Ops |= OpTableInit
	case sub == 13:
		s.index("element segment", int(s.m.ElemSegments))
		s.f.Ops |= OpElemDrop
	case sub == 14:
		s.index("table", len(s.m.Tables))
		s.index("table", len(s.m.Tables))
		s.f.Ops |= OpTableCopy
	case sub == 15, sub == 16, sub == 17:
		s.index("table", len(s.m.Tables))
		s.f.Ops |= [...]Ops{OpTableGrow, 0, OpTableFill}[sub-15]
	case sub == 18:
		s.fail(ErrUnsupported, FeatureMemoryControl, "instruction 0xfc %d", sub)
	case sub <= 22:
		s.fail(ErrUnsupported, FeatureWideArithmetic, "instruction 0xfc %d", sub)
	default:
		s.fail(ErrInvalid, "", "unknown instruction 0xfc %d", sub)
	}
}

func (s *scanner) prefixFD() {
	sub := s.u32()
	if s.err != nil {
		return
	}
	s.f.Ops |= OpVector
	switch {
	case sub >= 0x114:
		s.fail(ErrInvalid, "", "unknown instruction 0xfd %d", sub)
		return
	case sub >= 0x100:
		s.fail(ErrUnsupported, FeatureRelaxedSIMD, "instruction 0xfd %d", sub)
		return
	}
	memArg, extra := vectorImm(sub)
	if memArg {
		s.memArg()
	}
	s.skip(extra)
}

func (s *scanner) call(target uint32, indirect, tail bool) {
	if s.err != nil {
		return
	}
	if tail {
		s.f.Ops |= OpTailCall
		defer func() { s.weight = 0 }()
	}
	if s.d.on {
		s.d.calls = append(s.d.calls, s.d.block)
	}
	s.calls = append(s.calls, Call{Target: target, Indirect: indirect, Tail: tail, Depth: uint8(min(s.depth, 255)), Weight: s.weight})
}
