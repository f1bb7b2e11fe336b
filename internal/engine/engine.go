// Package engine runs WebAssembly modules behind one small interface, so that
// the rest of CloneCloud does not know which engine runs a guest.
//
// Two engines exist, both wazero: the compiler (machine code, about twice the
// time of native code) and the interpreter (some eighty times native, for
// platforms that forbid executable memory). One conformance suite is run by
// both; they must give equal results, equal memory and equal kinds of traps.
//
// Invariants:
//
//   - A guest's memory comes from the caller's allocator when there is one; its
//     size never exceeds Config.MaxMemoryPages, whatever the module declares.
//   - No call is interrupted: compiled code cannot be preempted, and the
//     engine's own cure makes it several times slower. A call is cancelled by
//     ending the process it runs in, which is why guests live in runners.
//   - Whatever ends a call is one of: nil, *Trap, *Exit, ErrClosed, or exactly
//     the error that a host function threw. A panic of the engine is a *Trap
//     with kind TrapEngine, never a panic of the caller.
//   - The compile cache is an optimisation: a folder that is full, unwritable,
//     absent, or holds entries that were cut off or altered, costs time and a
//     warning and fails nothing.
//   - Function values are cached and may be re-entered (a host function may call
//     an export of the instance that called it); an instance belongs to one
//     goroutine at a time.
//
// The accepted language is WebAssembly 2.0 and tail calls. The package imports
// nothing else of CloneCloud and does no I/O except in the cache folder.
package engine

import (
	"context"
	"errors"
	"fmt"
)

// PageSize is the size of a WebAssembly memory page, in bytes.
const PageSize = 65536

// Defaults for Config.
const (
	// DefaultMaxMemoryPages is one page short of 4 GiB. With all of it the
	// compiler's code, which keeps the size in 32 bits, takes every access for one
	// out of bounds.
	DefaultMaxMemoryPages = 65535
	// DefaultMaxModuleBytes bounds what Compile accepts.
	DefaultMaxModuleBytes = 256 << 20
	// DefaultMaxCacheBytes bounds the compile cache's folder.
	DefaultMaxCacheBytes = 1 << 30
)

// Errors that callers branch on.
var (
	// ErrClosed is returned by a call on an instance or engine that was closed.
	ErrClosed = errors.New("engine: instance is closed")
	// ErrTooLarge is returned by Compile for a module above MaxModuleBytes, or one
	// with a table of more than ten million elements.
	ErrTooLarge = errors.New("engine: module is too large")
	// ErrMemory is returned by Instantiate when the allocator cannot provide the
	// module's initial memory.
	ErrMemory = errors.New("engine: no memory for the guest")
)

// ValType is a WebAssembly value type, encoded as in the binary format.
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

// String returns the type's name in the text format.
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
	return fmt.Sprintf("type(0x%02x)", byte(t))
}

// FuncType is a function's signature. A v128 value takes two stack slots, every
// other value one.
type FuncType struct {
	Params, Results []ValType
}

// slots returns how many 64-bit stack slots a call of this type needs.
func (t FuncType) slots() int {
	return max(slotsOf(t.Params), slotsOf(t.Results))
}

// narrow returns the slots of 32-bit values.
func narrow(types []ValType) (slots []int) {
	at := 0
	for _, t := range types {
		switch t {
		case I32, F32:
			slots = append(slots, at)
		case V128:
			at++
		default:
		}
		at++
	}
	return slots
}

func slotsOf(types []ValType) int {
	n := len(types)
	for _, t := range types {
		if t == V128 {
			n++
		}
	}
	return n
}

// Memory backs one linear memory. The allocator's side of the contract:
//
// Reallocate returns the memory resized to size bytes (a multiple of PageSize,
// never smaller than before, never above the maximum given to the allocator),
// old content kept and new bytes zero, or nil to refuse. The returned bytes may
// move, unless the implementation promises otherwise to its own callers. Free is
// called once, when the instance or its engine is closed; no guest code runs on
// the memory after it.
type Memory interface {
	Reallocate(size uint64) []byte
	Free()
}

// Config describes an engine. The zero value is a plain
// default: the kind is Compiler, memory comes from the Go heap, nothing is
// cached. It must not change after New.
type Config struct {
	// Kind selects the engine; see DefaultKind for what this machine can run.
	Kind Kind
	// CacheDir holds compiled code between processes, on one machine or shared
	// by several kinds of them. Empty means no cache. It must be writable only by
	// those who may run code as this user: compiled code in it is executed.
	CacheDir string
	// MaxCacheBytes bounds CacheDir; the longest unused entries go first.
	// Zero means DefaultMaxCacheBytes.
	MaxCacheBytes int64
	// Allocate provides an instance's memory: capBytes is the suggested capacity,
	// maxBytes all that will ever be asked for. It returns nil to refuse. A nil
	// Allocate means memory on the Go heap.
	Allocate func(capBytes, maxBytes uint64) Memory
	// MaxMemoryPages caps every memory, with or without a declared maximum.
	// A module whose minimum is larger does not compile. Zero, or more than it,
	// means DefaultMaxMemoryPages.
	MaxMemoryPages uint32
	// MaxModuleBytes bounds what Compile accepts; zero means DefaultMaxModuleBytes.
	MaxModuleBytes int
	// CompileWorkers is the number of goroutines that compile one module. Zero
	// means one. With more, a panic inside the compiler ends the process.
	CompileWorkers int
	// DebugInfo adds source lines from DWARF sections to backtraces.
	DebugInfo bool
	// Warn is told of lasting conditions that cost speed and nothing else, such
	// as a cache folder that cannot be written. Nil means they are dropped.
	Warn func(error)
}

// HostFunc is a function that a host module offers to guests.
//
// Call gets the parameters in stack, one slot each (the low 32 bits for i32 and
// f32), and leaves the results there. It ends the guest's call early by Throw.
type HostFunc struct {
	// Module is the module's name, or empty to take the one given to Host.
	Module          string
	Name            string
	Params, Results []ValType
	Call            func(ctx context.Context, stack []uint64)
}

// Link names an instance that satisfies imports of one module name, ahead of
// the instances and host modules that the engine knows by name.
type Link struct {
	Name     string
	Instance Instance
}

// Engine compiles and runs modules. Its methods may be called by several
// goroutines at once, except Close.
type Engine interface {
	// Kind tells which engine this is.
	Kind() Kind
	// Compile validates a module and prepares it to run. It is bound by the CPU
	// (about 0.4 s per MB in the compiler) and cannot be cancelled midway.
	Compile(ctx context.Context, wasm []byte) (Module, error)
	// Host makes a host module available to the instances created later. A name
	// can be taken once.
	Host(ctx context.Context, moduleName string, funcs []HostFunc) error
	// Instantiate creates an instance. An empty name keeps it out of the
	// engine's name space, so that one module may have many instances. No
	// exported start function is run; the module's own start section is, because
	// the engine cannot skip it: CloneCloud's rewriter turns it into an export.
	Instantiate(ctx context.Context, m Module, name string, links ...Link) (Instance, error)
	// Close frees everything: instances, compiled code, memory.
	Close(ctx context.Context) error
}

// Module is a compiled module. It may be instantiated many times.
type Module interface {
	// Imports returns the functions and memories that the module imports, in the
	// module's order, functions first. Imported tables and globals are not listed.
	Imports() []Import
	// Exports returns the exported functions and memories, sorted by name.
	Exports() []Export
	// Cached tells whether the machine code came from the compile cache.
	Cached() bool
	// Close releases the compiled code when no instance uses it any more.
	Close(ctx context.Context) error
}

// ExternKind tells functions from memories in imports and exports.
type ExternKind byte

// The kinds of Import and Export.
const (
	ExternFunc ExternKind = iota
	ExternMemory
)

// Import is one import of a module. Type is set for functions.
type Import struct {
	Module, Name string
	Kind         ExternKind
	Type         FuncType
}

// Export is one export of a module. Type is set for functions.
type Export struct {
	Name string
	Kind ExternKind
	Type FuncType
}

// Instance is a running module: its memory, globals and functions.
type Instance interface {
	Name() string
	// Memory returns the instance's memory, exported or not.
	Memory() (LinearMemory, bool)
	// Function returns an exported function; the same value each time.
	Function(export string) (Function, bool)
	// Global returns an exported global.
	Global(export string) (Global, bool)
	// Close frees the instance's memory. No function of it may be reachable
	// through another instance's table afterwards.
	Close(ctx context.Context) error
}

// LinearMemory is an instance's memory, as its host sees it.
type LinearMemory interface {
	// Bytes returns the whole memory; writes go through. The slice is stale
	// after any growth.
	Bytes() []byte
	// Pages returns the size in pages of PageSize.
	Pages() uint32
	// Grow adds pages, as memory.grow does, and returns the size before.
	Grow(delta uint32) (before uint32, ok bool)
}

// Function is an exported function.
type Function interface {
	Type() FuncType
	// Call runs the function. stack holds the parameters and then the results; it
	// needs a slot for each, whichever are more. Of a 32-bit parameter the upper
	// half of the slot is ignored, of a 32-bit result it is zero. Context values
	// reach host functions; cancellation does not stop the guest.
	Call(ctx context.Context, stack []uint64) error
}

// Global is an exported global. Values are raw bits, as on the call stack.
type Global interface {
	Type() ValType
	Mutable() bool
	Get() uint64
	// Set stores a value; it returns an error if the global is immutable or a
	// vector.
	Set(v uint64) error
}

// New starts an engine.
func New(ctx context.Context, c Config) (Engine, error) {
	c, err := c.populate()
	if err != nil {
		return nil, err
	}
	return newWazero(ctx, c)
}

// populate fills in defaults and validates.
func (c Config) populate() (Config, error) {
	if c.Kind != Compiler && c.Kind != Interpreter {
		return c, fmt.Errorf("engine: unknown kind %d", c.Kind)
	}
	if c.MaxMemoryPages == 0 || c.MaxMemoryPages > DefaultMaxMemoryPages {
		c.MaxMemoryPages = DefaultMaxMemoryPages
	}
	if c.MaxModuleBytes <= 0 {
		c.MaxModuleBytes = DefaultMaxModuleBytes
	}
	if c.MaxCacheBytes <= 0 {
		c.MaxCacheBytes = DefaultMaxCacheBytes
	}
	if c.CompileWorkers <= 0 {
		c.CompileWorkers = 1
	}
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	return c, nil
}
