// Package wasitest runs WASI programs for tests: real modules on a real
// engine, over whichever [wasi.Host] the test is about.
//
// It knows the layout of the public WebAssembly/wasi-testsuite, of which
// nothing is kept here: the environment variable WASI_TESTSUITE names a
// folder that holds it. One [Program] is one run; one [Case] is one module of
// the suite with what its specification expects. What a Host is made of is a
// parameter, so that the same suite holds the device and a clone to the same
// behaviour.
package wasitest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Program is one run of a module.
type Program struct {
	Module []byte
	Args   []string // the first is the program's name
	Env    []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Dirs   []Dir

	// Host makes the Host and opens the folders on it. Nil is
	// [LocalHost].
	Host HostFunc
	// Tap, if any, sees every import.
	Tap wasi.Tap
	// System, if any, is called with the System before the program starts.
	System func(*wasi.System)
}

// Dir is a folder that the program finds open.
type Dir struct {
	Host, Guest string
	ReadOnly    bool
}

// HostFunc makes what a program stands on: a Host with every folder opened,
// in order, and what closes it all.
type HostFunc func(p *Program) (h wasi.Host, folders []wasi.Handle, done func(), err error)

// LocalHost is the device's own Host.
func LocalHost(p *Program) (wasi.Host, []wasi.Handle, func(), error) {
	l := wasi.NewLocal(p.Stdin, p.Stdout, p.Stderr)
	var folders []wasi.Handle
	for _, d := range p.Dirs {
		h, err := l.AddFolder(d.Host, d.ReadOnly)
		if err != nil {
			l.CloseAll()
			return nil, nil, nil, err
		}
		folders = append(folders, h)
	}
	return l, folders, l.CloseAll, nil
}

// compiled keeps compiled modules for the life of the test binary. The cache
// forgets a module with the last runtime that uses it, so one keeps them all.
var compiled struct {
	sync.Mutex
	cache  wazero.CompilationCache
	keeper wazero.Runtime
	seen   map[[sha256.Size]byte]bool
}

func newRuntime(ctx context.Context, module []byte) (wazero.Runtime, error) {
	compiled.Lock()
	defer compiled.Unlock()
	config := func() wazero.RuntimeConfig {
		return wazero.NewRuntimeConfigCompiler().WithCompilationCache(compiled.cache)
	}
	if compiled.cache == nil {
		compiled.cache = wazero.NewCompilationCache()
		compiled.keeper = wazero.NewRuntimeWithConfig(context.Background(), config())
		compiled.seen = make(map[[sha256.Size]byte]bool)
	}
	if sum := sha256.Sum256(module); !compiled.seen[sum] {
		if _, err := compiled.keeper.CompileModule(context.Background(), module); err != nil {
			return nil, fmt.Errorf("wasitest: compile: %w", err)
		}
		compiled.seen[sum] = true
	}
	return wazero.NewRuntimeWithConfig(ctx, config()), nil
}

// Run runs the program and returns its exit code. An error is anything else
// that ended it: a trap, an Abort, a Divergence.
func (p *Program) Run(ctx context.Context) (uint32, error) {
	makeHost := p.Host
	if makeHost == nil {
		makeHost = LocalHost
	}
	host, folders, done, err := makeHost(p)
	if err != nil {
		return 0, fmt.Errorf("wasitest: make host: %w", err)
	}
	defer done()
	cfg := wasi.Config{
		Args: p.Args, Env: p.Env, Host: host,
		Stdin: wasi.StreamType(p.Stdin), Stdout: wasi.StreamType(p.Stdout), Stderr: wasi.StreamType(p.Stderr),
	}
	for i, d := range p.Dirs {
		cfg.Preopens = append(cfg.Preopens, wasi.Preopen{GuestPath: d.Guest, Handle: folders[i], ReadOnly: d.ReadOnly})
	}
	sys, err := wasi.New(cfg)
	if err != nil {
		return 0, err
	}
	sys.SetTap(p.Tap)
	if p.System != nil {
		p.System(sys)
	}
	return Start(ctx, p.Module, sys)
}

// Start runs a module's _start on a System.
func Start(ctx context.Context, module []byte, sys *wasi.System) (uint32, error) {
	r, err := newRuntime(ctx, module)
	if err != nil {
		return 0, err
	}
	defer r.Close(ctx)
	if err := Bind(ctx, r, sys); err != nil {
		return 0, err
	}
	m, err := r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStartFunctions().WithName(""))
	if err != nil {
		return 0, fmt.Errorf("wasitest: instantiate: %w", err)
	}
	start := m.ExportedFunction("_start")
	if start == nil {
		return 0, errors.New("wasitest: the module exports no _start")
	}
	_, err = start.Call(ctx)
	var exit wasi.Exit
	switch {
	case errors.As(err, &exit):
		return exit.Code, nil
	case err != nil:
		return 0, fmt.Errorf("wasitest: run: %w", err)
	}
	return 0, nil
}

// Bind makes a System's functions importable.
func Bind(ctx context.Context, r wazero.Runtime, sys *wasi.System) error {
	b := r.NewHostModuleBuilder(wasi.ModuleName)
	for _, f := range sys.Funcs() {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
			f.Call(memory{m.Memory()}, stack)
		}), valTypes(f.Params), valTypes(f.Results)).Export(f.Name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("wasitest: bind: %w", err)
	}
	return nil
}

type memory struct{ m api.Memory }

func (m memory) Bytes() []byte {
	if m.m == nil {
		return nil
	}
	b, _ := m.m.Read(0, m.m.Size())
	return b
}

func valTypes(ts []wasi.ValType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		out[i] = api.ValueType(t)
	}
	return out
}
