package rewrite

import (
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// assemble writes the module: the original's sections in their order, with what
// was appended at the end of each, and sections that the original lacks where
// they belong.
func (e *editor) assemble() []byte {
	pending := []struct {
		id wasmbin.SectionID
		v  *vector
	}{
		{wasmbin.SecType, &e.types},
		{wasmbin.SecFunction, &e.funcs},
		{wasmbin.SecTable, &e.tables},
		{wasmbin.SecGlobal, &e.globals},
		{wasmbin.SecExport, &e.exports},
		{wasmbin.SecCode, &e.bodies},
	}
	last := -1 // the last section that is not custom
	for i, s := range e.m.Sections {
		if s.ID != wasmbin.SecCustom {
			last = i
		}
	}
	b := make([]byte, 0, e.size())
	b = append(b, e.m.Bytes[:8]...)
	flush := func(before int) {
		for len(pending) > 0 && pending[0].id.Rank() < before {
			if p := pending[0]; p.v.n > 0 {
				b = appendSection(b, p.id, *p.v)
			}
			pending = pending[1:]
		}
	}
	const all = 1 << 20
	if last < 0 {
		flush(all)
	}
	for i := range e.m.Sections {
		s := &e.m.Sections[i]
		if s.ID == wasmbin.SecCustom {
			b = e.custom(b, s)
			continue
		}
		flush(s.ID.Rank())
		if len(pending) > 0 && pending[0].id == s.ID {
			b = e.extend(b, s, pending[0].v)
			pending = pending[1:]
		} else if s.ID != wasmbin.SecStart {
			b = append(b, e.m.Bytes[s.Start:s.End]...)
		}
		if i == last {
			flush(all)
		}
	}
	payload := wasmbin.AppendName(nil, marker)
	payload = append(payload, 1, byte(e.opts.Role)) // the scheme's version
	b = wasmbin.AppendU32(append(b, byte(wasmbin.SecCustom)), uint32(len(payload)))
	return append(b, payload...)
}

// size is an upper bound of the output's, to allocate once.
func (e *editor) size() int {
	n := len(e.m.Bytes) + 256
	for _, v := range []vector{e.types, e.funcs, e.tables, e.globals, e.exports, e.bodies} {
		n += len(v.bytes) + 16
	}
	for _, s := range e.stubs {
		n += len(s)
	}
	for _, f := range e.names {
		n += len(f.name) + 10
	}
	return n + 10*len(e.redirect)
}

// extend writes a section of the original with v appended.
func (e *editor) extend(b []byte, s *wasmbin.Section, v *vector) []byte {
	var chunks [][]byte
	switch {
	case s.ID == wasmbin.SecCode:
		chunks = e.oldBodies()
	case s.ID == wasmbin.SecExport && len(e.redirect) > 0:
		chunks = [][]byte{e.redirected()}
	case v.n == 0:
		return append(b, e.m.Bytes[s.Start:s.End]...)
	default:
		chunks = [][]byte{e.m.Bytes[s.Entries:s.End]}
	}
	count := wasmbin.AppendU32(nil, s.EntryCount+v.n)
	size := len(count) + len(v.bytes)
	for _, c := range chunks {
		size += len(c)
	}
	b = wasmbin.AppendU32(append(b, byte(s.ID)), uint32(size))
	b = append(b, count...)
	for _, c := range chunks {
		b = append(b, c...)
	}
	return append(b, v.bytes...)
}

// oldBodies gives the bodies of the original's functions, the candidates' exchanged
// for their stubs, as slices of the original wherever nothing changes.
func (e *editor) oldBodies() [][]byte {
	s := e.m.Section(wasmbin.SecCode)
	var chunks [][]byte
	from := s.Entries
	for i, body := range e.m.Bodies {
		if stub, ok := e.stubs[e.m.ImportedFuncs+uint32(i)]; ok {
			chunks = append(chunks, e.m.Bytes[from:body.Entry], stub)
			from = body.End
		}
	}
	return append(chunks, e.m.Bytes[from:s.End])
}

// redirected gives the original's exports with those of Entries at their stubs.
func (e *editor) redirected() []byte {
	var b []byte
	for _, x := range e.m.Exports {
		index := x.Index
		if stub, ok := e.redirect[index]; ok && x.Kind == wasmbin.KindFunc {
			index = stub
		}
		b = wasmbin.AppendName(b, x.Name)
		b = wasmbin.AppendU32(append(b, byte(x.Kind)), index)
	}
	return b
}

// custom writes a custom section, unless rewriting makes it untrue: debugging
// information and hints hold offsets into the code section.
func (e *editor) custom(b []byte, s *wasmbin.Section) []byte {
	moved := e.bodies.n > 0
	switch {
	case moved && positional(s.Name):
		return b
	case s.Name == "name" && len(e.names) > 0:
		return e.nameSection(b, s)
	}
	return append(b, e.m.Bytes[s.Start:s.End]...)
}

func positional(name string) bool {
	for _, p := range []string{".debug_", "reloc.", "metadata.code."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return name == "linking" || name == "sourceMappingURL" || name == "external_debug_info"
}

// nameSection writes the name section with the appended functions' names. The
// names must rise by index: where the original's do not, or where the section is
// broken, it is copied.
func (e *editor) nameSection(b []byte, s *wasmbin.Section) []byte {
	whole := e.m.Bytes[s.Start:s.End]
	list := e.m.NameList()
	if list.Section != s || !list.Appendable {
		return append(b, whole...)
	}
	more := []byte(nil)
	for _, f := range e.names {
		more = wasmbin.AppendName(wasmbin.AppendU32(more, f.index), f.name)
	}
	count := wasmbin.AppendU32(nil, list.Count+uint32(len(e.names)))
	sub := wasmbin.AppendU32([]byte{1}, uint32(len(count)+list.End-list.Entries+len(more)))
	before, after := e.m.Bytes[s.Body:list.Header], e.m.Bytes[list.End:s.End]
	size := len(before) + len(sub) + len(count) + list.End - list.Entries + len(more) + len(after)
	b = wasmbin.AppendU32(append(b, byte(wasmbin.SecCustom)), uint32(size))
	for _, part := range [][]byte{before, sub, count, e.m.Bytes[list.Entries:list.End], more, after} {
		b = append(b, part...)
	}
	return b
}
