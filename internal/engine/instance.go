package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"
)

// wazeroInstance implements Instance.
type wazeroInstance struct {
	owner  *wazeroEngine
	module api.Module
	memory LinearMemory // nil without a memory
	closed atomic.Bool

	mu    sync.Mutex
	funcs map[string]*function
}

var _ Instance = (*wazeroInstance)(nil)

func newInstance(e *wazeroEngine, m *wazeroModule, mod api.Module, own *guestMemory) *wazeroInstance {
	in := &wazeroInstance{owner: e, module: mod, funcs: map[string]*function{}}
	switch {
	case own != nil:
		in.memory = ownMemory{guest: own, mem: mod.Memory()}
	case len(m.compiled.ImportedMemories()) > 0:
		in.memory = importedMemory{mod.Memory()}
	}
	return in
}

func (in *wazeroInstance) Name() string { return in.module.Name() }

func (in *wazeroInstance) Memory() (LinearMemory, bool) { return in.memory, in.memory != nil }

// Function caches: looking an export up costs a hundred calls of it.
func (in *wazeroInstance) Function(export string) (Function, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if f, ok := in.funcs[export]; ok {
		return f, true
	}
	af := in.module.ExportedFunction(export)
	if af == nil {
		return nil, false
	}
	f := &function{instance: in, export: export, typ: typeOf(af.Definition())}
	f.slots, f.narrowIn, f.narrowOut = f.typ.slots(), narrow(f.typ.Params), narrow(f.typ.Results)
	f.first.Store(&callable{af})
	in.funcs[export] = f
	return f, true
}

func (in *wazeroInstance) Global(export string) (Global, bool) {
	g := in.module.ExportedGlobal(export)
	if g == nil {
		return nil, false
	}
	return global{g}, true
}

func (in *wazeroInstance) Close(ctx context.Context) (err error) {
	if in.closed.Swap(true) {
		return nil
	}
	defer recoverEngine("close instance", &err)
	return in.module.Close(ctx)
}

// function implements Function. The engine's function value holds the guest's
// stack, so a call that re-enters needs another one: free ones are kept.
type function struct {
	instance *wazeroInstance
	export   string
	typ      FuncType
	slots    int
	// The slots of 32-bit values. The engine leaves what it finds in their upper
	// halves, so two equal results could differ in the bits of their slots.
	narrowIn, narrowOut []int

	first atomic.Pointer[callable]
	mu    sync.Mutex
	free  []*callable
}

// callable makes the engine's function value a thing to point at.
type callable struct{ api.Function }

var _ Function = (*function)(nil)

func (f *function) Type() FuncType { return f.typ }

func (f *function) Call(ctx context.Context, stack []uint64) error {
	if len(stack) < f.slots {
		return fmt.Errorf("call %s: the stack has %d slots, it needs %d", f.export, len(stack), f.slots)
	}
	if f.instance.closed.Load() {
		return fmt.Errorf("call %s: %w", f.export, ErrClosed)
	}
	for _, i := range f.narrowIn {
		stack[i] &= 1<<32 - 1
	}
	af := f.take()
	if err := callRecovered(ctx, af, stack[:f.slots]); err != nil {
		// The function value is dropped: after an overflow it would hold on to
		// hundreds of megabytes of stack.
		if f.instance.closed.Load() {
			return fmt.Errorf("call %s: %w", f.export, ErrClosed)
		}
		return normalise(err)
	}
	f.give(af)
	for _, i := range f.narrowOut {
		stack[i] &= 1<<32 - 1
	}
	return nil
}

// callRecovered calls, and turns a panic that left the engine into an error.
func callRecovered(ctx context.Context, af *callable, stack []uint64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	return af.CallWithStack(ctx, stack)
}

func panicError(r any) error {
	switch r := r.(type) {
	case thrown:
		return r
	case error:
		return &Trap{Kind: TrapEngine, Message: r.Error(), cause: r}
	default:
		return &Trap{Kind: TrapEngine, Message: fmt.Sprint(r)}
	}
}

// maxFree bounds the function values kept for re-entry, each with its stack.
const maxFree = 4

// take returns a function value that no call uses. The first costs an exchange,
// those of re-entered calls a lock.
func (f *function) take() *callable {
	if c := f.first.Swap(nil); c != nil {
		return c
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.free); n > 0 {
		c := f.free[n-1]
		f.free = f.free[:n-1]
		return c
	}
	return &callable{f.instance.module.ExportedFunction(f.export)}
}

func (f *function) give(c *callable) {
	if f.first.CompareAndSwap(nil, c) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.free) < maxFree {
		f.free = append(f.free, c)
	}
}

// global implements Global.
type global struct{ g api.Global }

var _ Global = global{}

func (g global) Type() ValType { return ValType(g.g.Type()) }

func (g global) Mutable() bool { _, ok := g.g.(api.MutableGlobal); return ok }

func (g global) Get() uint64 {
	if t := g.Type(); t == I32 || t == F32 {
		return g.g.Get() & (1<<32 - 1)
	}
	return g.g.Get()
}

func (g global) Set(v uint64) error {
	m, ok := g.g.(api.MutableGlobal)
	if !ok {
		return errors.New("set global: it is immutable")
	}
	if g.Type() == V128 {
		return errors.New("set global: a vector does not fit 64 bits")
	}
	m.Set(v)
	return nil
}

// importedMemory is a memory that another instance defines.
type importedMemory struct{ mem api.Memory }

var _ LinearMemory = importedMemory{}

func (m importedMemory) Bytes() []byte {
	b, _ := m.mem.Read(0, m.mem.Size())
	return b
}

func (m importedMemory) Pages() uint32 {
	return m.mem.Size() / PageSize
}

func (m importedMemory) Grow(delta uint32) (uint32, bool) { return m.mem.Grow(delta) }
