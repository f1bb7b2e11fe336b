package wasmbin

import (
	"bytes"
)

var header = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// Parse reads a module. The module keeps b, which must not change afterwards.
// The error is an *Error. Function bodies are delimited here and read by Scan.
func Parse(b []byte, limits Limits) (*Module, error) {
	l := limits.withDefaults()
	if err := checkHeader(b, l); err != nil {
		return nil, err
	}
	p := &parser{m: &Module{Bytes: b, limits: l}, l: l}
	if err := p.sections(); err != nil {
		return nil, err
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.m, nil
}

func checkHeader(b []byte, l Limits) error {
	r := &reader{b: b}
	switch {
	case len(b) > l.ModuleBytes:
		r.fail(ErrLimit, "%d bytes, at most %d are allowed", len(b), l.ModuleBytes)
	case len(b) == 0:
		r.fail(ErrMagic, "the file is empty")
	case !bytes.HasPrefix(b, header[:min(4, len(b))]):
		r.fail(ErrMagic, "it begins with % x, a module begins with 00 61 73 6d%s", b[:min(4, len(b))], guess(b))
	case len(b) < len(header):
		r.p = len(b)
		r.fail(ErrTruncated, "the header")
	case !bytes.HasPrefix(b, header):
		r.p = 4
		if b[6] == 1 && b[7] == 0 {
			r.unsupported(FeatureComponent, "this is a component, not a core module")
		} else {
			r.fail(ErrInvalid, "version % x, only version 1 is known,", b[4:8])
		}
	}
	return r.err
}

// guess names what a file that is no module looks like.
func guess(b []byte) string {
	for _, k := range []struct{ magic, is string }{
		{"\x7fELF", "; this is a native Linux program"},
		{"(module", "; this is the text format: run wat2wasm on it"},
		{"\x1f\x8b", "; this is compressed with gzip: decompress it"},
		{"(\xb5/\xfd", "; this is compressed with zstd: decompress it"},
		{"MZ", "; this is a Windows program"},
		{"BC\xc0\xde", "; this is LLVM bitcode: link it first"},
	} {
		if bytes.HasPrefix(b, []byte(k.magic)) {
			return k.is
		}
	}
	return ""
}

type parser struct {
	m        *Module
	l        Limits
	exported map[string]bool
	elements int
}

func (p *parser) sections() error {
	m := p.m
	r := &reader{b: m.Bytes, p: len(header)}
	last, customs := 0, 0
	for r.more() {
		s := Section{Start: r.p}
		s.ID = SectionID(r.u8("a section"))
		size := r.u32("a section's size")
		s.Body = r.p
		r.section = s.ID.String()
		r.skip("the section's contents", int(size))
		if r.err != nil {
			return r.err
		}
		s.End = r.p
		if s.ID != SecCustom {
			if s.ID > SecTag {
				r.p = s.Start
				if s.ID == SecTag+1 {
					r.unsupported(FeatureStringRef, "section %d", s.ID)
				} else {
					r.fail(ErrInvalid, "unknown section %d", s.ID)
				}
				return r.err
			}
			if s.ID.Rank() <= last {
				r.p = s.Start
				r.fail(ErrInvalid, "the %s section is repeated or out of order", s.ID)
				return r.err
			}
			last = s.ID.Rank()
		} else if customs++; customs > p.l.CustomBlocks {
			r.fail(ErrLimit, "more than %d custom sections", p.l.CustomBlocks)
			return r.err
		}
		if err := p.section(&s); err != nil {
			return err
		}
		m.Sections = append(m.Sections, s)
		r.section = ""
	}
	return r.err
}

func (p *parser) section(s *Section) error {
	r := &reader{b: p.m.Bytes[:s.End], p: s.Body, section: s.ID.String()}
	switch s.ID {
	case SecCustom:
		s.Name = r.name("a custom section's name", p.l.NameBytes)
		return r.err
	case SecType:
		p.vector(r, s, "types", p.l.Types, p.typ)
	case SecImport:
		p.vector(r, s, "imports", p.l.Imports, p.imp)
	case SecFunction:
		p.vector(r, s, "functions", p.l.Functions, p.function)
	case SecTable:
		p.vector(r, s, "tables", p.l.Tables, p.table)
	case SecMemory:
		p.vector(r, s, "memories", p.l.Tables, p.memory)
	case SecGlobal:
		p.vector(r, s, "globals", p.l.Globals, p.global)
	case SecExport:
		p.exported = map[string]bool{}
		p.vector(r, s, "exports", p.l.Exports, p.export)
	case SecStart:
		p.m.HasStart, p.m.Start = true, r.u32("the start function")
	case SecElement:
		p.m.ElemSegments = p.vector(r, s, "element segments", p.l.Segments, p.element)
	case SecDataCount:
		p.m.HasDataCount, p.m.DataCount = true, r.u32("the number of data segments")
	case SecCode:
		p.vector(r, s, "function bodies", p.l.Functions, p.body)
	case SecData:
		p.m.DataSegments = p.vector(r, s, "data segments", p.l.Segments, p.data)
	case SecTag:
		r.unsupported(FeatureEH, "a tag section")
	}
	if r.err == nil && r.p != s.End {
		r.fail(ErrInvalid, "%d bytes left over", s.End-r.p)
	}
	return r.err
}

func (p *parser) vector(r *reader, s *Section, what string, limit int, one func(*reader)) uint32 {
	s.EntryCount = r.count(what, limit)
	s.Entries = r.p
	for i := uint32(0); i < s.EntryCount && r.err == nil; i++ {
		one(r)
	}
	return s.EntryCount
}

// finish checks what only the whole module can show.
func (p *parser) finish() error {
	m := p.m
	r := &reader{p: len(m.Bytes)}
	own := len(m.Funcs) - int(m.ImportedFuncs)
	if own != len(m.Bodies) {
		r.fail(ErrInvalid, "%d functions are declared and %d have bodies,", own, len(m.Bodies))
	}
	if m.HasDataCount && m.DataCount != m.DataSegments {
		r.fail(ErrInvalid, "%d data segments are announced and %d are there,", m.DataCount, m.DataSegments)
	}
	if len(m.Memories) > 1 {
		r.unsupported(FeatureMultiMemory, "%d memories", len(m.Memories))
	}
	if m.HasStart {
		switch {
		case int64(m.Start) >= int64(len(m.Funcs)):
			r.fail(ErrInvalid, "the start function %d does not exist,", m.Start)
		case len(m.FuncType(m.Start).Params)+len(m.FuncType(m.Start).Results) != 0:
			r.fail(ErrInvalid, "the start function %d has type %s,", m.Start, m.FuncType(m.Start))
		}
	}
	return r.err
}
