package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Version is raised when stubs, or what package callgraph chooses for them,
// change so that calls seen before and after cannot be counted together.
const Version = 1

// Role says which side a module is rewritten for.
type Role int

const (
	// Device has stubs for the candidates.
	Device Role = iota
	// Clone has no stubs and exports every function with a scalar signature. A
	// sibling on the device uses it too.
	Clone
)

// String names the role.
func (r Role) String() string {
	switch r {
	case Device:
		return "device"
	case Clone:
		return "clone"
	}
	return "role " + strconv.Itoa(int(r))
}

// Limits of one rewriting.
const (
	// MaxCandidates bounds Options.Candidates.
	MaxCandidates = 4096
	// MaxMasks bounds the arm masks; further candidates share bits.
	MaxMasks = 2
)

var (
	// ErrRewritten means that the module is one of ours, rewritten before.
	ErrRewritten = errors.New("the module is already rewritten by CloneCloud: give the original")
	// ErrCandidate means that a function cannot be a candidate.
	ErrCandidate = errors.New("cannot be a candidate")
	// ErrNames means that the module leaves no names for what rewriting adds.
	ErrNames = errors.New("the module uses every name prefix that rewriting could take")
)

// Options choose what to do.
type Options struct {
	Role Role
	// Candidates are function indices of the original module, Device only. Their
	// order decides K; repetitions are refused.
	Candidates []uint32
	// Entries are those of Candidates that are stubbed at their exports only.
	Entries []uint32
	// AppModule is the name under which the rewritten module will be
	// instantiated: the glue imports from it. "" means "app".
	AppModule string
	// HostModule is the name of the host module that the glue imports from. ""
	// means "cc", or the first of "cc1", "cc2" that the module does not use.
	HostModule string
}

// Signature lists value types.
type Signature struct {
	Params, Results []wasmbin.ValType
}

// HostFunc is a function that the host provides to the glue module, from module
// Output.HostModule. Its WebAssembly type is (Params..., i32 k) -> (Results..., i32 status).
type HostFunc struct {
	Name string
	Sig  Signature // of the candidates that it serves
}

// Candidate is one stubbed function.
type Candidate struct {
	K      int    // its number, as the stub passes it
	Index  uint32 // in the original module
	Name   string // decoration
	Slot   int    // index into Output.Hosts
	Sig    Signature
	Mask   int    // index into Output.Masks
	Bit    uint   // of that mask
	Export string // under which the original body can be called, past the stub
	Entry  bool   // stubbed at its exports only
}

// Global is a mutable global of the module.
type Global struct {
	Index  uint32
	Type   wasmbin.ValType
	Export string
}

// Output is a rewritten module and what a host must know to drive it.
type Output struct {
	Module []byte
	// Glue fills the table; nil when there are no candidates.
	Glue []byte

	Prefix     string // of every added export, "cc." unless the module uses it
	AppModule  string // the name to instantiate Module under
	HostModule string // the name of the host module that provides Hosts and ExitHost

	Candidates []Candidate
	Hosts      []HostFunc
	ExitHost   string // (i32 k) -> (), called after the original of a call that the host answered with 2
	Masks      []string

	Globals      []Global
	MemoryExport string // "" when the module has no memory
	StartExport  string // "" when the module had no start section

	// Functions gives, for Clone, the export of every function that has a body
	// and a scalar signature.
	Functions map[uint32]string
	// Trampolines gives, for Device, an export that calls each imported function
	// with a scalar signature from inside the module.
	Trampolines map[uint32]string
}

// Status is a host function's last result.
type Status = int32

// The answers of a host.
const (
	Done       Status = 0 // the results are the call's
	Local      Status = 1 // run the original
	LocalWatch Status = 2 // run the original, then call ExitHost
)

// marker is the custom section that a rewritten module carries.
const marker = "clonecloud.rewritten"

// Rewritten says whether the module is an output of Rewrite.
func Rewritten(m *wasmbin.Module) bool { return m.Custom(marker) != nil }

// Rewrite rewrites a module. Errors are ErrRewritten, ErrNames, one that wraps
// ErrCandidate, or a *wasmbin.Error from scanning the bodies.
func Rewrite(m *wasmbin.Module, opts Options) (*Output, error) {
	if Rewritten(m) {
		return nil, ErrRewritten
	}
	code, err := m.Scan()
	if err != nil {
		return nil, fmt.Errorf("rewrite: %w", err)
	}
	e := &editor{m: m, code: code, opts: opts, out: &Output{AppModule: opts.AppModule}}
	if e.out.AppModule == "" {
		e.out.AppModule = "app"
	}
	if err := e.pickPrefix(); err != nil {
		return nil, err
	}
	switch opts.Role {
	case Device:
		err = e.device()
	case Clone:
		err = e.clone()
	default:
		err = fmt.Errorf("rewrite: unknown %s", opts.Role)
	}
	if err != nil {
		return nil, err
	}
	e.out.Module = e.assemble()
	return e.out, nil
}

// editor collects what is appended to each section.
type editor struct {
	m    *wasmbin.Module
	code *wasmbin.Code
	opts Options
	out  *Output

	types, funcs, tables, globals, exports vector
	bodies                                 vector // appended to the code section
	typeIndex                              map[string]uint32
	stubs                                  map[uint32][]byte // body, with its size, that replaces the function's
	redirect                               map[uint32]uint32 // exports of the function go to another
	names                                  []funcName        // of appended functions, by rising index
}

type funcName struct {
	index uint32
	name  string
}

// vector is a number of encoded entries.
type vector struct {
	n     uint32
	bytes []byte
}

func (e *editor) pickPrefix() error {
	for n := range 100 {
		p := "cc"
		if n > 0 {
			p += strconv.Itoa(n)
		}
		if e.prefixFree(p) {
			e.out.Prefix, e.out.HostModule = p+".", p
			if e.opts.HostModule != "" {
				e.out.HostModule = e.opts.HostModule
			}
			return nil
		}
	}
	return ErrNames
}

func (e *editor) prefixFree(p string) bool {
	for _, x := range e.m.Exports {
		if strings.HasPrefix(x.Name, p+".") {
			return false
		}
	}
	for _, i := range e.m.Imports {
		if i.Module == p {
			return false
		}
	}
	return true
}

// common adds what both roles need: the exports of the state that moves.
func (e *editor) common() {
	if len(e.m.Memories) > 0 {
		e.out.MemoryExport = e.export("mem", wasmbin.KindMemory, 0)
	}
	for i, g := range e.m.Globals {
		if g.Mutable {
			name := e.export("m"+strconv.Itoa(i), wasmbin.KindGlobal, uint32(i))
			e.out.Globals = append(e.out.Globals, Global{Index: uint32(i), Type: g.Type, Export: name})
		}
	}
	if e.m.HasStart {
		e.out.StartExport = e.export("start", wasmbin.KindFunc, e.m.Start)
	}
}

func (e *editor) export(name string, kind wasmbin.ExternKind, index uint32) string {
	name = e.out.Prefix + name
	e.exports.n++
	e.exports.bytes = wasmbin.AppendName(e.exports.bytes, name)
	e.exports.bytes = append(e.exports.bytes, byte(kind))
	e.exports.bytes = wasmbin.AppendU32(e.exports.bytes, index)
	return name
}

func (e *editor) clone() error {
	if len(e.opts.Candidates) > 0 {
		return fmt.Errorf("rewrite: candidates for a clone: its form depends on the module alone")
	}
	e.common()
	e.out.Functions = make(map[uint32]string, len(e.m.Bodies))
	for i := e.m.ImportedFuncs; int64(i) < int64(len(e.m.Funcs)); i++ {
		if e.m.FuncType(i).Scalar() {
			e.out.Functions[i] = e.export("f"+strconv.FormatUint(uint64(i), 10), wasmbin.KindFunc, i)
		}
	}
	return nil
}

func (e *editor) device() error {
	if err := e.checkCandidates(); err != nil {
		return err
	}
	e.common()
	e.trampolines()
	if len(e.opts.Candidates) == 0 {
		return nil
	}
	e.stubs, e.redirect = map[uint32][]byte{}, map[uint32]uint32{}
	e.masks()
	e.hosts()
	for k := range e.out.Candidates {
		e.candidate(&e.out.Candidates[k])
	}
	e.out.Glue = e.glue()
	return nil
}

func (e *editor) checkCandidates() error {
	if len(e.opts.Candidates) > MaxCandidates {
		return fmt.Errorf("rewrite: %d functions: %w: at most %d", len(e.opts.Candidates), ErrCandidate, MaxCandidates)
	}
	seen := map[uint32]bool{}
	for k, i := range e.opts.Candidates {
		entry := slices.Contains(e.opts.Entries, i)
		reason := e.reason(i, entry)
		if seen[i] {
			reason = "it is named twice"
		}
		if reason != "" {
			return fmt.Errorf("rewrite: function %d %w: %s", i, ErrCandidate, reason)
		}
		seen[i] = true
		t := e.m.FuncType(i)
		e.out.Candidates = append(e.out.Candidates, Candidate{
			K: k, Index: i, Name: e.m.Name(i), Entry: entry,
			Sig: Signature{Params: t.Params, Results: t.Results},
		})
	}
	return nil
}

// reason says why a function cannot be stubbed, "" when it can.
func (e *editor) reason(i uint32, entry bool) string {
	switch {
	case int64(i) >= int64(len(e.m.Funcs)):
		return "it does not exist"
	case e.m.Imported(i):
		return "it is imported"
	case !e.m.FuncType(i).Scalar():
		return "its type is " + e.m.FuncType(i).String()
	case len(e.m.FuncType(i).Params) >= 1000 || len(e.m.FuncType(i).Results) >= 1000:
		return "it has too many parameters or results"
	case entry && !e.exported(i):
		return "it is to be stubbed at its exports and has none"
	case e.code.TailCalled[i] && !entry:
		return "it is reached by a tail call, where a stub would keep its frame"
	}
	return ""
}

func (e *editor) exported(i uint32) bool {
	return slices.ContainsFunc(e.m.Exports, func(x wasmbin.Export) bool {
		return x.Kind == wasmbin.KindFunc && x.Index == i
	})
}
