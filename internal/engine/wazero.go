package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// features is the accepted language: what the module scanner accepts.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall

// wazeroEngine is both engines: wazero's compiler and its interpreter.
type wazeroEngine struct {
	config  Config
	runtime wazero.Runtime
	cache   *codeCache // nil without a cache

	mu      sync.Mutex
	closed  bool
	orphans []*guestMemory // of instantiations that failed midway
}

var _ Engine = (*wazeroEngine)(nil)

func newWazero(ctx context.Context, c Config) (_ Engine, err error) {
	// The compiler panics where the processor cannot run its code.
	defer recoverEngine("start", &err)
	rc := wazero.NewRuntimeConfigInterpreter()
	if c.Kind == Compiler {
		rc = wazero.NewRuntimeConfigCompiler()
	}
	rc = rc.WithCoreFeatures(features).
		WithMemoryLimitPages(c.MaxMemoryPages).
		WithDebugInfoEnabled(c.DebugInfo)
	e := &wazeroEngine{config: c}
	if c.Kind == Compiler && c.CacheDir != "" {
		if e.cache, err = openCache(c); err != nil {
			c.Warn(fmt.Errorf("compile without a cache: %w", err))
		} else {
			rc = rc.WithCompilationCache(e.cache.wazero)
		}
	}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, rc)
	return e, nil
}

// Kind implements Engine.
func (e *wazeroEngine) Kind() Kind { return e.config.Kind }

// Compile implements Engine.
func (e *wazeroEngine) Compile(ctx context.Context, wasm []byte) (Module, error) {
	if len(wasm) > e.config.MaxModuleBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(wasm), e.config.MaxModuleBytes)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkCounts(wasm); err != nil {
		return nil, fmt.Errorf("compile module: %w", err)
	}
	wasm, err := capTables(wasm)
	if err != nil {
		return nil, fmt.Errorf("compile module: %w", err)
	}
	ctx = experimental.WithCompilationWorkers(ctx, e.config.CompileWorkers)
	compile := func() (wazero.CompiledModule, error) { return e.compile(ctx, wasm) }
	var cm wazero.CompiledModule
	var hit bool
	if e.cache != nil {
		cm, hit, err = e.cache.compile(wasm, compile)
	} else {
		cm, err = compile()
	}
	if err != nil {
		return nil, fmt.Errorf("compile module: %w", err)
	}
	return &wazeroModule{owner: e, compiled: cm, cached: hit}, nil
}

func (e *wazeroEngine) compile(ctx context.Context, wasm []byte) (cm wazero.CompiledModule, err error) {
	defer recoverEngine("compile module", &err)
	return e.runtime.CompileModule(ctx, wasm)
}

// Host implements Engine.
func (e *wazeroEngine) Host(ctx context.Context, moduleName string, funcs []HostFunc) (err error) {
	defer recoverEngine("define host module", &err)
	b := e.runtime.NewHostModuleBuilder(moduleName)
	seen := make(map[string]bool, len(funcs))
	for _, f := range funcs {
		switch {
		case f.Module != "" && f.Module != moduleName:
			return fmt.Errorf("define host module %q: function %s belongs to module %q", moduleName, f.Name, f.Module)
		case f.Call == nil:
			return fmt.Errorf("define host module %q: function %s has no code", moduleName, f.Name)
		case seen[f.Name]:
			return fmt.Errorf("define host module %q: function %s is defined twice", moduleName, f.Name)
		}
		seen[f.Name] = true
		b = b.NewFunctionBuilder().
			WithGoFunction(api.GoFunc(f.Call), apiTypes(f.Params), apiTypes(f.Results)).
			Export(f.Name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("define host module %q: %w", moduleName, err)
	}
	return nil
}

// Instantiate implements Engine.
func (e *wazeroEngine) Instantiate(ctx context.Context, m Module, name string, links ...Link) (Instance, error) {
	wm, ok := m.(*wazeroModule)
	if !ok || wm.owner != e {
		return nil, errors.New("instantiate module: it was compiled by another engine")
	}
	resolve := make(map[string]api.Module, len(links))
	for _, l := range links {
		in, ok := l.Instance.(*wazeroInstance)
		if !ok || in.owner != e {
			return nil, fmt.Errorf("instantiate module: the instance linked as %q is of another engine", l.Name)
		}
		resolve[l.Name] = in.module
	}
	alloc := &allocator{allocate: e.config.Allocate}
	mod, err := e.instantiate(ctx, wm, name, resolve, alloc)
	if err != nil {
		e.keepOrphan(alloc.mem)
		return nil, fmt.Errorf("instantiate module: %w", normalise(err))
	}
	return newInstance(e, wm, mod, alloc.mem), nil
}

func (e *wazeroEngine) instantiate(ctx context.Context, m *wazeroModule, name string,
	resolve map[string]api.Module, alloc *allocator,
) (_ api.Module, err error) {
	defer recoverEngine("instantiate module", &err)
	ctx = experimental.WithMemoryAllocator(ctx, alloc)
	if len(resolve) > 0 {
		ctx = experimental.WithImportResolver(ctx, func(name string) api.Module { return resolve[name] })
	}
	cfg := wazero.NewModuleConfig().WithName(name).WithStartFunctions()
	return e.runtime.InstantiateModule(ctx, m.compiled, cfg)
}

// keepOrphan keeps the memory of an instantiation that failed until the engine
// closes: by the specification its functions may already stand in a shared
// table, so freeing it now could pull the memory from under a later call.
func (e *wazeroEngine) keepOrphan(m *guestMemory) {
	if m == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.orphans = append(e.orphans, m)
}

// Close implements Engine.
func (e *wazeroEngine) Close(ctx context.Context) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	defer recoverEngine("close engine", &err)
	err = e.runtime.Close(ctx)
	for _, m := range e.orphans {
		m.Free()
	}
	if e.cache != nil {
		err = errors.Join(err, e.cache.close(ctx))
	}
	return err
}

// recoverEngine turns a panic into an error. ErrMemory and what a host function
// threw pass as they are.
func recoverEngine(operation string, err *error) {
	switch r := recover().(type) {
	case nil:
	case thrown:
		*err = r.err
	case error:
		if errors.Is(r, ErrMemory) {
			*err = r
			return
		}
		*err = &Trap{Kind: TrapEngine, Message: operation + ": " + r.Error(), cause: r}
	default:
		*err = &Trap{Kind: TrapEngine, Message: fmt.Sprintf("%s: %v", operation, r)}
	}
}

// wazeroModule implements Module.
type wazeroModule struct {
	owner    *wazeroEngine
	compiled wazero.CompiledModule
	cached   bool
}

var _ Module = (*wazeroModule)(nil)

func (m *wazeroModule) Cached() bool { return m.cached }

func (m *wazeroModule) Imports() []Import {
	var out []Import
	for _, f := range m.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		out = append(out, Import{Module: module, Name: name, Kind: ExternFunc, Type: typeOf(f)})
	}
	for _, mem := range m.compiled.ImportedMemories() {
		module, name, _ := mem.Import()
		out = append(out, Import{Module: module, Name: name, Kind: ExternMemory})
	}
	return out
}

func (m *wazeroModule) Exports() []Export {
	var out []Export
	for name, f := range m.compiled.ExportedFunctions() {
		out = append(out, Export{Name: name, Kind: ExternFunc, Type: typeOf(f)})
	}
	for name := range m.compiled.ExportedMemories() {
		out = append(out, Export{Name: name, Kind: ExternMemory})
	}
	slices.SortFunc(out, func(a, b Export) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (m *wazeroModule) Close(ctx context.Context) error { return m.compiled.Close(ctx) }

func typeOf(f api.FunctionDefinition) FuncType {
	return FuncType{Params: valTypes(f.ParamTypes()), Results: valTypes(f.ResultTypes())}
}

func valTypes(in []api.ValueType) []ValType {
	out := make([]ValType, len(in))
	for i, t := range in {
		out[i] = ValType(t)
	}
	return out
}

func apiTypes(in []ValType) []api.ValueType {
	out := make([]api.ValueType, len(in))
	for i, t := range in {
		out[i] = api.ValueType(t)
	}
	return out
}
