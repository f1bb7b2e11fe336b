package wasmbin

// This file holds one method for each kind of section entry.

func (p *parser) typ(r *reader) {
	switch form := r.u8("a type"); form {
	case 0x60:
	case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
		r.p--
		r.unsupported(FeatureGC, "type form %#x", form)
		return
	case 0x5d:
		r.p--
		r.unsupported(FeatureStackSwitching, "type form %#x", form)
		return
	default:
		r.fail(ErrInvalid, "unknown type form %#x", form)
		return
	}
	t := FuncType{Params: p.valTypes(r, "parameters"), Results: p.valTypes(r, "results")}
	p.m.Types = append(p.m.Types, t)
}

func (p *parser) valTypes(r *reader, what string) []ValType {
	n := r.count(what, p.l.Params)
	if n == 0 {
		return nil
	}
	ts := make([]ValType, n)
	for i := range ts {
		ts[i] = r.valType(what)
	}
	return ts
}

func (p *parser) imp(r *reader) {
	m := p.m
	i := Import{
		Module: r.name("an import's module", p.l.NameBytes),
		Name:   r.name("an import's name", p.l.NameBytes),
	}
	kind := r.u8("an import's kind")
	i.Kind = ExternKind(kind)
	switch {
	case r.err != nil:
	case i.Kind == KindFunc:
		i.Index, i.Type = uint32(len(m.Funcs)), p.typeIndex(r)
		m.Funcs = append(m.Funcs, i.Type)
		m.ImportedFuncs++
	case i.Kind == KindTable:
		i.Index = uint32(len(m.Tables))
		p.table(r)
		if r.err == nil {
			m.Tables[i.Index].Imported = true
		}
	case i.Kind == KindMemory:
		i.Index = uint32(len(m.Memories))
		p.memory(r)
		if r.err == nil {
			m.Memories[i.Index].Imported = true
		}
	case i.Kind == KindGlobal:
		i.Index = uint32(len(m.Globals))
		g := p.globalType(r)
		g.Imported = true
		m.Globals = append(m.Globals, g)
	case kind == 4:
		r.unsupported(FeatureEH, "an imported tag")
	default:
		r.fail(ErrInvalid, "unknown kind %d of import", kind)
	}
	m.Imports = append(m.Imports, i)
}

func (p *parser) typeIndex(r *reader) uint32 {
	i := r.u32("a type index")
	if r.err == nil && int64(i) >= int64(len(p.m.Types)) {
		r.fail(ErrInvalid, "type %d does not exist,", i)
		return 0
	}
	return i
}

func (p *parser) function(r *reader) {
	if len(p.m.Funcs) >= p.l.Functions {
		r.fail(ErrLimit, "more than %d functions", p.l.Functions)
		return
	}
	p.m.Funcs = append(p.m.Funcs, p.typeIndex(r))
}

func (p *parser) sizeLimits(r *reader, memory bool) SizeLimits {
	var l SizeLimits
	flags := r.u8("limits")
	switch {
	case r.err != nil || flags <= 1:
	case flags&8 != 0:
		r.unsupported(FeaturePageSizes, "limits flag %#x", flags)
	case flags < 8 && flags&4 != 0:
		r.unsupported(FeatureMemory64, "limits flag %#x", flags)
	case memory && flags < 4:
		r.unsupported(FeatureThreads, "a shared memory, limits flag %#x", flags)
	default:
		r.fail(ErrInvalid, "unknown limits flag %#x", flags)
	}
	l.Min = r.u32("a minimum size")
	if l.HasMax = flags&1 != 0; l.HasMax {
		l.Max = r.u32("a maximum size")
	}
	return l
}

func (p *parser) table(r *reader) {
	if r.more() && r.b[r.p] == 0x40 {
		r.unsupported(FeatureTypedFuncRefs, "a table with an initial value")
	}
	t := Table{Type: r.refType("a table's type")}
	t.Limits = p.sizeLimits(r, false)
	p.m.Tables = append(p.m.Tables, t)
}

func (p *parser) memory(r *reader) {
	p.m.Memories = append(p.m.Memories, Memory{Limits: p.sizeLimits(r, true)})
}

func (p *parser) globalType(r *reader) Global {
	g := Global{Type: r.valType("a global's type")}
	switch mut := r.u8("a global's mutability"); {
	case mut <= 1:
		g.Mutable = mut == 1
	case mut <= 3:
		r.unsupported(FeatureThreads, "a shared global")
	default:
		r.fail(ErrInvalid, "unknown mutability %#x", mut)
	}
	return g
}

func (p *parser) global(r *reader) {
	g := p.globalType(r)
	start := r.p
	p.constExpr(r, true)
	if r.err == nil {
		g.Init = r.b[start:r.p:r.p]
	}
	p.m.Globals = append(p.m.Globals, g)
}

// mark notes a function that something outside of bodies refers to. The bool
// slices are made on first use: the number of functions is known by then.
func (p *parser) mark(r *reader, f uint32, taken bool) {
	m := p.m
	if r.err != nil {
		return
	}
	if int64(f) >= int64(len(m.Funcs)) {
		r.fail(ErrInvalid, "function %d does not exist,", f)
		return
	}
	if m.declared == nil {
		m.declared = make([]bool, len(m.Funcs))
		m.AddressTaken = make([]bool, len(m.Funcs))
	}
	m.declared[f] = true
	if taken {
		m.AddressTaken[f] = true
	}
}

// constExpr skips a constant expression and its end, checking its indices.
// taken says whether functions that it names can be called through a table.
func (p *parser) constExpr(r *reader, taken bool) {
	for r.err == nil {
		switch op := r.u8("a constant expression"); op {
		case 0x0b:
			return
		case 0x41:
			r.skipS("a constant", 32)
		case 0x42:
			r.skipS("a constant", 64)
		case 0x43:
			r.skip("a constant", 4)
		case 0x44:
			r.skip("a constant", 8)
		case 0x23:
			if g := r.u32("a global index"); r.err == nil && int64(g) >= int64(len(p.m.Globals)) {
				r.fail(ErrInvalid, "global %d does not exist,", g)
			}
		case 0xd0:
			r.refType("a null reference")
		case 0xd2:
			p.mark(r, r.u32("a function index"), taken)
		case 0xfd:
			if sub := r.u32("a vector constant"); r.err == nil && sub != 12 {
				r.fail(ErrInvalid, "vector instruction %d in a constant expression", sub)
			}
			r.skip("a vector constant", 16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e:
			r.unsupported(FeatureExtendedConst, "instruction %#x", op)
		case 0xfb:
			r.unsupported(FeatureGC, "instruction %#x in a constant expression", op)
		default:
			r.fail(ErrInvalid, "instruction %#x in a constant expression", op)
		}
	}
}

func (p *parser) export(r *reader) {
	m := p.m
	e := Export{Name: r.name("an export's name", p.l.NameBytes)}
	kind := r.u8("an export's kind")
	e.Kind, e.Index = ExternKind(kind), r.u32("an export's index")
	if r.err != nil {
		return
	}
	var space int
	switch e.Kind {
	case KindFunc:
		space = len(m.Funcs)
	case KindTable:
		space = len(m.Tables)
	case KindMemory:
		space = len(m.Memories)
	case KindGlobal:
		space = len(m.Globals)
	default:
		if kind == 4 {
			r.unsupported(FeatureEH, "an exported tag")
		} else {
			r.fail(ErrInvalid, "unknown kind %d of export", kind)
		}
		return
	}
	switch {
	case int64(e.Index) >= int64(space):
		r.fail(ErrInvalid, "export %q names %s %d, which does not exist,", e.Name, e.Kind, e.Index)
	case p.exported[e.Name]:
		r.fail(ErrInvalid, "two exports are named %q,", e.Name)
	}
	p.exported[e.Name] = true
	m.Exports = append(m.Exports, e)
	if e.Kind == KindFunc {
		p.mark(r, e.Index, false)
	}
}

func (p *parser) element(r *reader) {
	flags := r.u32("an element segment")
	if r.err == nil && flags > 7 {
		r.fail(ErrInvalid, "unknown flags %#x of an element segment", flags)
	}
	active, declarative := flags&1 == 0, flags&3 == 3
	if active {
		table := uint32(0)
		if flags&2 != 0 {
			table = r.u32("a table index")
		}
		if r.err == nil && int64(table) >= int64(len(p.m.Tables)) {
			r.fail(ErrInvalid, "table %d does not exist,", table)
		}
		p.constExpr(r, true)
	}
	exprs := flags&4 != 0
	if flags&3 != 0 {
		if exprs {
			r.refType("an element segment's type")
		} else if k := r.u8("an element kind"); k != 0 {
			r.fail(ErrInvalid, "unknown element kind %#x", k)
		}
	}
	n := r.count("elements", p.l.Elements)
	if p.elements += int(n); p.elements > p.l.Elements {
		r.fail(ErrLimit, "more than %d elements", p.l.Elements)
	}
	for ; n > 0 && r.err == nil; n-- {
		if exprs {
			p.constExpr(r, !declarative)
		} else {
			p.mark(r, r.u32("a function index"), !declarative)
		}
	}
}

func (p *parser) body(r *reader) {
	b := Body{Entry: r.p}
	size := r.u32("a function body's size")
	if int64(size) > int64(p.l.BodyBytes) {
		r.fail(ErrLimit, "a function body of %d bytes, at most %d are allowed,", size, p.l.BodyBytes)
	}
	b.Start = r.p
	r.skip("a function body", int(size))
	b.End = r.p
	p.m.Bodies = append(p.m.Bodies, b)
}

func (p *parser) data(r *reader) {
	flags := r.u32("a data segment")
	switch {
	case r.err != nil:
		return
	case flags > 2:
		r.fail(ErrInvalid, "unknown flags %#x of a data segment", flags)
	case flags == 2:
		if mem := r.u32("a memory index"); r.err == nil && mem != 0 {
			r.unsupported(FeatureMultiMemory, "a data segment of memory %d", mem)
		}
	}
	if flags != 1 {
		p.constExpr(r, true)
	}
	n := r.u32("a data segment's size")
	r.skip("a data segment", int(n))
}
