package wasmbin

import (
	"strings"
	"sync"
)

// ValType is a value type as the binary format encodes it.
type ValType byte

// The value types of WebAssembly 2.0.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

// Scalar says whether a host can pass a value of the type as one 64-bit word
// that means the same in another process: numbers, but no vector or reference.
func (t ValType) Scalar() bool { return t >= F64 && t <= I32 }

// String gives the name that the text format uses.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return "unknown type"
}

// FuncType is a function's signature.
type FuncType struct {
	Params, Results []ValType
}

// Key is equal for equal signatures only. Lengths are part of it because every
// byte, printable separators included, may be a type (0x7c is f64 and '|').
func (t FuncType) Key() string {
	b := make([]byte, 0, len(t.Params)+len(t.Results)+5)
	b = AppendU32(b, uint32(len(t.Params)))
	for _, v := range t.Params {
		b = append(b, byte(v))
	}
	for _, v := range t.Results {
		b = append(b, byte(v))
	}
	return string(b)
}

// String gives for example "(i32, f64) -> (i64)".
func (t FuncType) String() string {
	list := func(ts []ValType) string {
		s := make([]string, len(ts))
		for i, t := range ts {
			s[i] = t.String()
		}
		return "(" + strings.Join(s, ", ") + ")"
	}
	return list(t.Params) + " -> " + list(t.Results)
}

// Scalar says whether all parameters and results are scalar.
func (t FuncType) Scalar() bool {
	for _, v := range t.Params {
		if !v.Scalar() {
			return false
		}
	}
	for _, v := range t.Results {
		if !v.Scalar() {
			return false
		}
	}
	return true
}

// SectionID numbers the sections of the binary format.
type SectionID byte

// The sections that are known; tag, of exception handling, only to be refused.
const (
	SecCustom SectionID = iota
	SecType
	SecImport
	SecFunction
	SecTable
	SecMemory
	SecGlobal
	SecExport
	SecStart
	SecElement
	SecCode
	SecData
	SecDataCount
	SecTag
)

// String names the section.
func (id SectionID) String() string {
	if int(id) < len(sectionNames) {
		return sectionNames[id]
	}
	return "unknown"
}

var sectionNames = [...]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export",
	"start", "element", "code", "data", "data count", "tag",
}

// Rank orders the sections that are not custom as a module must hold them.
func (id SectionID) Rank() int {
	const dataCountAfter, tagAfter = int(SecElement), int(SecMemory)
	switch id {
	case SecDataCount:
		return 2*dataCountAfter + 1
	case SecTag:
		return 2*tagAfter + 1
	}
	return 2 * int(id)
}

// Section is one section; the offsets are bytes from the module's first.
type Section struct {
	ID         SectionID
	Name       string // custom sections only
	Start      int    // the id byte
	Body, End  int    // the contents, after the size
	Entries    int    // offset of the first entry after the count, in sections that are vectors
	EntryCount uint32
}

// ExternKind says what an import or export is.
type ExternKind byte

// The kinds of imports and exports.
const (
	KindFunc ExternKind = iota
	KindTable
	KindMemory
	KindGlobal
)

// String names the kind.
func (k ExternKind) String() string {
	switch k {
	case KindFunc:
		return "function"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	}
	return "unknown kind"
}

// Import is one import; Index is its place in the index space of its kind.
type Import struct {
	Module, Name string
	Kind         ExternKind
	Index        uint32
	Type         uint32 // functions only: index into Module.Types
}

// Export is one export.
type Export struct {
	Name  string
	Kind  ExternKind
	Index uint32
}

// SizeLimits bound a table, in elements, or a memory, in pages of 64 KiB.
type SizeLimits struct {
	Min    uint32
	Max    uint32
	HasMax bool
}

// Table is a table of the module, imported or its own.
type Table struct {
	Type     ValType
	Limits   SizeLimits
	Imported bool
}

// Memory is a memory of the module, imported or its own.
type Memory struct {
	Limits   SizeLimits
	Imported bool
}

// Global is a global of the module, imported or its own.
type Global struct {
	Type     ValType
	Mutable  bool
	Imported bool
	Init     []byte // the constant expression with its end; nil when imported
}

// Body is where one function's body lies.
type Body struct {
	Entry int // the size field before the body
	Start int // the first local declaration
	End   int // after the last instruction
}

// Size is the body's length in bytes.
func (b Body) Size() int { return b.End - b.Start }

// Module is a parsed module. It keeps the bytes it was parsed from, which must
// not change afterwards, and is safe for concurrent reading.
type Module struct {
	Bytes    []byte
	Sections []Section

	Types    []FuncType
	Imports  []Import
	Funcs    []uint32 // type index of every function, imported ones first
	Tables   []Table
	Memories []Memory
	Globals  []Global
	Exports  []Export
	Bodies   []Body // one for each function that is not imported

	ImportedFuncs uint32
	HasStart      bool
	Start         uint32
	ElemSegments  uint32
	DataSegments  uint32
	HasDataCount  bool
	DataCount     uint32

	// AddressTaken marks the functions of active and passive element segments
	// and of global initialisers: call_indirect can reach them. Scan adds the
	// functions that a ref.func in a body names (Code.AddressTaken).
	AddressTaken []bool

	declared []bool // functions that a ref.func in a body may name
	limits   Limits

	namesOnce sync.Once
	names     map[uint32]string
	nameList  NameList

	fallbackOnce sync.Once
	fallback     map[uint32]string // names from exports and imports

	scanOnce sync.Once
	code     *Code
	scanErr  error
}

// FuncType gives the signature of function i, which must exist.
func (m *Module) FuncType(i uint32) FuncType { return m.Types[m.Funcs[i]] }

// Imported says whether function i is imported.
func (m *Module) Imported(i uint32) bool { return i < m.ImportedFuncs }

// BodyOf gives the body of function i, which must exist and not be imported.
func (m *Module) BodyOf(i uint32) Body { return m.Bodies[i-m.ImportedFuncs] }

// Section gives the section of that id, nil when the module has none. Of
// custom sections it would give the first.
func (m *Module) Section(id SectionID) *Section {
	for i := range m.Sections {
		if m.Sections[i].ID == id {
			return &m.Sections[i]
		}
	}
	return nil
}

// Custom gives the first custom section of that name, nil when there is none.
func (m *Module) Custom(name string) *Section {
	for i := range m.Sections {
		if s := &m.Sections[i]; s.ID == SecCustom && s.Name == name {
			return s
		}
	}
	return nil
}

// Limits bound what Parse accepts. A zero field means its default.
type Limits struct {
	ModuleBytes  int // default 256 MiB
	Types        int // 1,000,000
	Functions    int // imported and own, 1,000,000
	Imports      int // 100,000
	Exports      int // 1,000,000
	Globals      int // 1,000,000
	Tables       int // 10,000
	Elements     int // elements of all segments together, 10,000,000
	Segments     int // element and data segments, each 1,000,000
	Params       int // parameters or results of one type, 1,000
	NameBytes    int // one name, 100,000
	BodyBytes    int // one function body, 64 MiB
	Nesting      int // of blocks in a body, 100,000
	CustomBlocks int // custom sections, 10,000
}

func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.ModuleBytes, 256<<20)
	def(&l.Types, 1_000_000)
	def(&l.Functions, 1_000_000)
	def(&l.Imports, 100_000)
	def(&l.Exports, 1_000_000)
	def(&l.Globals, 1_000_000)
	def(&l.Tables, 10_000)
	def(&l.Elements, 10_000_000)
	def(&l.Segments, 1_000_000)
	def(&l.Params, 1_000)
	def(&l.NameBytes, 100_000)
	def(&l.BodyBytes, 64<<20)
	def(&l.Nesting, 100_000)
	def(&l.CustomBlocks, 10_000)
	return l
}
