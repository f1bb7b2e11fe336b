package wasmbin

import "strconv"

// NameList is the place of the function names in the name section, as offsets
// into Module.Bytes.
type NameList struct {
	Section *Section
	Header  int // the subsection's id byte
	Entries int // the first entry, after the count
	End     int
	Count   uint32
	// Appendable says that the list is whole and in order, so that names of
	// higher indices may be appended to it.
	Appendable bool
}

// Names gives the function names of the name section. A broken name section
// gives the names before the break: names are decoration, never identity.
func (m *Module) Names() map[uint32]string {
	m.readNames()
	return m.names
}

// NameList gives the place of the function names; its Section is nil when the
// module has none.
func (m *Module) NameList() NameList {
	m.readNames()
	return m.nameList
}

func (m *Module) readNames() {
	m.namesOnce.Do(func() {
		m.names = map[uint32]string{}
		s := m.Custom("name")
		if s == nil {
			return
		}
		r := &reader{b: m.Bytes[:s.End], p: s.Body}
		r.name("", m.limits.NameBytes)
		for r.more() {
			header := r.p
			id, size := r.u8(""), r.u32("")
			body := r.p
			r.skip("", int(size))
			if r.err == nil && id == 1 {
				m.nameList = NameList{Section: s, Header: header, End: r.p}
				m.functionNames(&reader{b: m.Bytes[:r.p], p: body})
				return
			}
		}
	})
}

func (m *Module) functionNames(r *reader) {
	l := &m.nameList
	l.Count = r.u32("names")
	l.Entries = r.p
	inOrder, next := true, uint32(0)
	for n := l.Count; n > 0 && r.err == nil; n-- {
		i, name := r.u32("a function index"), r.name("a name", m.limits.NameBytes)
		if r.err != nil {
			break
		}
		if i < next || int64(i) >= int64(len(m.Funcs)) {
			inOrder = false
			continue
		}
		next = i + 1
		m.names[i] = name
	}
	l.Appendable = inOrder && r.err == nil && r.p == l.End
}

// Name gives the best name known for function i: the name section's, else its
// export's, else its import's, else "function 12".
func (m *Module) Name(i uint32) string {
	if n := m.Names()[i]; n != "" {
		return n
	}
	m.fallbackOnce.Do(func() {
		m.fallback = map[uint32]string{}
		for _, im := range m.Imports {
			if im.Kind == KindFunc {
				m.fallback[im.Index] = im.Module + "." + im.Name
			}
		}
		for k := len(m.Exports) - 1; k >= 0; k-- {
			if e := m.Exports[k]; e.Kind == KindFunc && e.Name != "" {
				m.fallback[e.Index] = e.Name
			}
		}
	})
	if n := m.fallback[i]; n != "" {
		return n
	}
	return "function " + strconv.FormatUint(uint64(i), 10)
}
