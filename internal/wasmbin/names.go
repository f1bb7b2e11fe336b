package wasmbin

import (
	"strconv"
	"unicode/utf8"
)

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

// Plain gives the module's bytes as an engine should get them: Bytes, without
// name sections that are broken or repeated. wazero refuses such modules, or
// allocates for whatever number of names the section promises.
func (m *Module) Plain() []byte {
	out := m.Bytes[:len(header):len(header)]
	whole := true
	for i := range m.Sections {
		if s := &m.Sections[i]; m.BrokenNames(s) {
			whole = false
		} else {
			out = append(out, m.Bytes[s.Start:s.End]...)
		}
	}
	if whole {
		return m.Bytes
	}
	return out
}

// BrokenNames says whether a section is a name section that Plain leaves out.
func (m *Module) BrokenNames(s *Section) bool {
	m.readNames()
	return s.ID == SecCustom && s.Name == "name" && s != m.soundNames
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
		sound := true
		for r.more() {
			header := r.p
			id, size := r.u8(""), r.u32("")
			sub := &reader{b: m.Bytes, p: r.p}
			r.skip("", int(size))
			if r.err != nil {
				break
			}
			sub.b = m.Bytes[:r.p]
			switch id {
			case 0:
				m.soundName(sub)
			case 1:
				first := m.nameList.Section == nil
				sound = sound && first
				if first {
					m.nameList = NameList{Section: s, Header: header, End: r.p}
					m.functionNames(sub)
				}
			case 2:
				m.localNames(sub)
			default:
				sub.p = r.p
			}
			sound = sound && sub.err == nil && sub.p == r.p
		}
		if sound && r.err == nil {
			m.soundNames = s
		} else {
			m.nameList.Appendable = false
		}
	})
}

// soundName reads a name that an engine will want to be UTF-8.
func (m *Module) soundName(r *reader) string {
	name := r.name("a name", m.limits.NameBytes)
	if !utf8.ValidString(name) {
		r.fail(ErrInvalid, "a name that is no UTF-8")
	}
	return name
}

func (m *Module) functionNames(r *reader) {
	l := &m.nameList
	l.Count = r.count("names", len(r.b))
	l.Entries = r.p
	inOrder, next := true, uint32(0)
	for n := l.Count; n > 0 && r.err == nil; n-- {
		i, name := r.u32("a function index"), m.soundName(r)
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

// localNames reads names that nothing here needs, to see whether they are sound.
func (m *Module) localNames(r *reader) {
	for n := r.count("functions", len(r.b)); n > 0 && r.err == nil; n-- {
		r.u32("a function index")
		for k := r.count("locals", len(r.b)); k > 0 && r.err == nil; k-- {
			r.u32("a local index")
			m.soundName(r)
		}
	}
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
