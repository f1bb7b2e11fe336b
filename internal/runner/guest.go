package runner

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Unsupported says why a module cannot run at all, or cannot be offloaded.
type Unsupported struct {
	Reason string
	Advice string // what to do about it; empty: nothing general
}

func (u *Unsupported) Error() string { return "module is not supported: " + u.Reason }

// Hint says what to do about it.
func (u *Unsupported) Hint() string { return u.Advice }

// Malformed is what a module is that cannot be read.
func Malformed(err error) *Unsupported {
	u := &Unsupported{Reason: err.Error(), Advice: "give a complete .wasm file, built for WASI preview 1 (wasm32-wasip1)"}
	if errors.Is(err, wasmbin.ErrUnsupported) {
		u.Advice = "build it for WASI preview 1 (wasm32-wasip1), with features of WebAssembly 2.0"
	}
	return u
}

// badFunction is a function that was asked for and cannot be offered.
type badFunction struct{ error }

func (badFunction) Hint() string {
	return "clonecloud inspect --all APP.wasm lists the functions, by index and name"
}
func (b badFunction) Unwrap() error { return b.error }

// guest is one program: its module as read, its rewriting, and while it lives
// its engine, memory and instance.
type guest struct {
	original []byte
	module   *wasmbin.Module
	sum      [32]byte
	out      *rewrite.Output // nil: the module runs as it is and is not offloaded
	pinned   string          // why out is nil

	room     *room
	links    []engine.Link // what provides imports that the room has no name for
	compiled engine.Module
	inst     engine.Instance
	space    *pagestate.Space // nil for a module without a memory of its own
	globals  []engine.Global  // the module's mutable globals, in index order

	sys   *wasi.System
	funcs []wasi.Func
	// enter, if set, is called before each import, with its arguments.
	enter func(fn wasi.Fn, stack []uint64)
}

// Bytes implements wasi.Memory.
func (g *guest) Bytes() []byte {
	m, ok := g.inst.Memory()
	if !ok {
		return nil
	}
	return m.Bytes()
}

// loading says how a module becomes a guest.
type loading struct {
	role rewrite.Role
	// choose picks the functions to stub, and those of them to stub at their
	// exports only; device role only.
	choose func(*callgraph.Graph) (all, entries []uint32, err error)
	// hostModule names what the stubs call; "" is for a room of one guest.
	hostModule string
}

// loadGuest parses and rewrites a module. A module that cannot be offloaded is
// kept as it is, with the reason.
func loadGuest(original []byte, how loading) (*guest, error) {
	g := &guest{original: original, sum: sha256.Sum256(original)}
	m, err := wasmbin.Parse(original, wasmbin.Limits{})
	if err != nil {
		return nil, Malformed(err)
	}
	g.module = m
	if rewrite.Rewritten(m) {
		return nil, AlreadyRewritten()
	}
	graph, err := callgraph.Analyze(m)
	if err != nil {
		return nil, Malformed(err)
	}
	opts := rewrite.Options{Role: how.role, HostModule: how.hostModule}
	if how.role == rewrite.Device {
		if opts.Candidates, opts.Entries, err = how.choose(graph); err != nil {
			return nil, err
		}
	}
	if g.pinned = graph.Reason(); g.pinned != "" {
		return g, nil
	}
	if g.out, err = rewrite.Rewrite(m, opts); err != nil {
		return nil, fmt.Errorf("rewrite module: %w", err)
	}
	return g, nil
}

// AlreadyRewritten refuses a module that has been through the rewriter.
func AlreadyRewritten() *Unsupported {
	return &Unsupported{Reason: rewrite.ErrRewritten.Error(), Advice: "give the original module: it is rewritten each time it starts"}
}

// candidates chooses the functions to stub, and those of them to stub at their
// exports only.
func candidates(graph *callgraph.Graph, offload, only []string) (all, entries []uint32, err error) {
	if len(only) > 0 {
		for _, ref := range only {
			i, err := graph.Lookup(ref)
			if err != nil {
				return nil, nil, badFunction{err}
			}
			if l := graph.Legality(i); !l.Movable {
				return nil, nil, badFunction{fmt.Errorf("function %s cannot be offloaded: %s", ref, l.Reason)}
			}
			all = append(all, i)
		}
		return all, nil, nil
	}
	chosen, err := graph.Candidates(callgraph.Options{Add: offload})
	if err != nil {
		return nil, nil, badFunction{err}
	}
	return chosen.Indices(), chosen.Entries(), nil
}

// CheckImports names every import that nothing here provides.
func CheckImports(m *wasmbin.Module) error {
	known := map[string]wasi.Func{}
	for _, f := range wasi.FuncsOf(nil) {
		known[f.Name] = f
	}
	var missing []string
	for _, im := range m.Imports {
		if f, ok := known[im.Name]; ok && im.Module == wasi.ModuleName && im.Kind == wasmbin.KindFunc {
			if sameSignature(f, m.Types[im.Type]) {
				continue
			}
			return &Unsupported{
				Reason: fmt.Sprintf("it imports %s.%s with another signature than WASI preview 1 gives it", im.Module, im.Name),
				Advice: "the program, or the library it was linked with, is built wrongly: build it for wasm32-wasip1 with a current toolchain",
			}
		}
		missing = append(missing, im.Module+"."+im.Name+providerHint(im.Module))
	}
	if len(missing) == 0 {
		return nil
	}
	const show = 8
	more := ""
	if len(missing) > show {
		more = fmt.Sprintf(" and %d more", len(missing)-show)
		missing = missing[:show]
	}
	return &Unsupported{
		Reason: "nothing here provides the import " + strings.Join(missing, ", ") + more,
		Advice: "only WASI preview 1 is provided: build the program for wasm32-wasip1; clonecloud inspect APP.wasm lists all that it imports",
	}
}

func sameSignature(f wasi.Func, t wasmbin.FuncType) bool {
	return slices.EqualFunc(f.Params, t.Params, sameType) && slices.EqualFunc(f.Results, t.Results, sameType)
}

func sameType(a wasi.ValType, b wasmbin.ValType) bool { return byte(a) == byte(b) }

// providerHint says what would provide the imports of a module.
func providerHint(module string) string {
	switch {
	case module == "wasi_unstable":
		return " (WASI preview 0: rebuild with a current toolchain for preview 1)"
	case strings.HasPrefix(module, "wasi:"):
		return " (WASI preview 2, a component: build for wasm32-wasip1)"
	case module == "gojs" || module == "go":
		return " (Go for the browser: build with GOOS=wasip1)"
	case module == "env":
		return " (a JavaScript or embedder environment, such as Emscripten's: build for WASI)"
	case strings.HasPrefix(module, "wbg") || strings.HasPrefix(module, "__wbindgen"):
		return " (wasm-bindgen's JavaScript glue: build for wasm32-wasip1)"
	case module == "wasi":
		return " (wasi-threads: build without threads)"
	case module == wasi.ModuleName:
		return " (not a function of WASI preview 1)"
	}
	return " (a host module of an embedding program)"
}

// guestConfig is what start needs beside the guest.
type guestConfig struct {
	Kind     engine.Kind
	CacheDir string
	Tracker  pagestate.Kind
	MaxPages uint32 // 64 KiB pages; memory.grow fails past it
	Warn     func(error)
	Stubs    []engine.HostFunc // what the stubs call; device role only
}

// room is an engine with the guests that live in it. Guests that import from
// each other share one.
type room struct {
	eng      engine.Engine
	arriving *guest // whose memory the engine is to allocate
}

// newRoom starts an engine.
func newRoom(ctx context.Context, c guestConfig) (*room, error) {
	limit := uint64(c.MaxPages) * engine.PageSize
	r := &room{}
	var err error
	r.eng, err = engine.New(ctx, engine.Config{
		Kind: c.Kind, CacheDir: c.CacheDir, MaxMemoryPages: c.MaxPages, Warn: c.Warn,
		Allocate: func(_, maxBytes uint64) engine.Memory {
			s, err := pagestate.New(pagestate.Options{Kind: c.Tracker, Max: maxBytes, Limit: limit})
			if err != nil {
				c.Warn(fmt.Errorf("reserve the guest's memory: %w", err))
				return nil
			}
			if r.arriving != nil {
				r.arriving.space = s
			}
			return s
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	return r, nil
}

// compile prepares the guest's code, in a room of its own unless it has one; no
// memory exists yet.
func (g *guest) compile(ctx context.Context, c guestConfig) (err error) {
	for _, m := range g.module.Memories {
		if m.Limits.Min > c.MaxPages {
			return &Unsupported{
				Reason: fmt.Sprintf("it needs %d pages (%d MiB) of memory from the start, more than the %d (%d MiB) that it may have", m.Limits.Min, m.Limits.Min>>4, c.MaxPages, c.MaxPages>>4),
				Advice: "allow more memory: --max-memory SIZE",
			}
		}
	}
	if g.room == nil {
		if g.room, err = newRoom(ctx, c); err != nil {
			return err
		}
	}
	if err := g.bindWASI(ctx); err != nil {
		return err
	}
	if len(c.Stubs) > 0 {
		if err := g.room.eng.Host(ctx, g.out.HostModule, c.Stubs); err != nil {
			return err
		}
	}
	code := g.module.Plain() // names that lie about their count would be believed
	if g.out != nil {
		code = g.out.Module
	}
	if g.compiled, err = g.room.eng.Compile(ctx, code); err != nil {
		return &Unsupported{Reason: err.Error()}
	}
	return nil
}

// bindWASI offers preview 1 to the guest. The functions reach the System of the
// moment through g, because a clone makes one for each call.
func (g *guest) bindWASI(ctx context.Context) error {
	wants := slices.ContainsFunc(g.module.Imports, func(im wasmbin.Import) bool { return im.Module == wasi.ModuleName })
	if !wants {
		return nil
	}
	shape, err := wasi.New(wasi.Config{Host: noHost{}})
	if err != nil {
		return err
	}
	var funcs []engine.HostFunc
	for i, f := range shape.Funcs() {
		funcs = append(funcs, engine.HostFunc{
			Name: f.Name, Params: valTypes(f.Params), Results: valTypes(f.Results),
			Call: func(_ context.Context, stack []uint64) { g.callImport(i, stack) },
		})
	}
	return g.room.eng.Host(ctx, wasi.ModuleName, funcs)
}

// noHost stands in for a Host where only the functions' shapes are wanted.
type noHost struct{ wasi.Host }

// callImport runs one import of the guest. What the System panics with is
// thrown through the engine, which unwinds the guest.
func (g *guest) callImport(i int, stack []uint64) {
	if g.enter != nil {
		g.enter(wasi.Fn(i+1), stack)
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case wasi.Exit:
			engine.Throw(&engine.Exit{Code: r.Code})
		case error:
			engine.Throw(r)
		default:
			panic(r)
		}
	}()
	g.funcs[i].Call(g, stack)
}

// setSystem makes s answer the guest's imports.
func (g *guest) setSystem(s *wasi.System) {
	g.sys = s
	if g.funcs == nil {
		g.funcs = wasi.FuncsOf(func() *wasi.System { return g.sys })
	}
}

// instantiate creates the guest's memory and instance; the content of memory
// is image 0, before any code has run.
func (g *guest) instantiate(ctx context.Context) (err error) {
	g.space, g.globals = nil, nil
	g.room.arriving = g
	g.inst, err = g.room.eng.Instantiate(ctx, g.compiled, "", g.links...)
	g.room.arriving = nil
	if err != nil {
		if errors.Is(err, engine.ErrMemory) {
			return &Unsupported{Reason: err.Error(), Advice: "allow more memory: --max-memory SIZE"}
		}
		return err
	}
	if g.out == nil {
		return nil
	}
	for _, gl := range g.out.Globals {
		v, ok := g.inst.Global(gl.Export)
		if !ok {
			return fmt.Errorf("rewritten module does not export global %s", gl.Export)
		}
		g.globals = append(g.globals, v)
	}
	if g.out.Glue == nil {
		return nil
	}
	glue, err := g.room.eng.Compile(ctx, g.out.Glue)
	if err != nil {
		return fmt.Errorf("compile glue: %w", err)
	}
	_, err = g.room.eng.Instantiate(ctx, glue, "", engine.Link{Name: g.out.AppModule, Instance: g.inst})
	return err
}

// readGlobals returns the raw bits of the mutable globals.
func (g *guest) readGlobals() []uint64 {
	v := make([]uint64, len(g.globals))
	for i, gl := range g.globals {
		v[i] = gl.Get()
	}
	return v
}

// writeGlobals sets them.
func (g *guest) writeGlobals(v []uint64) error {
	if len(v) != len(g.globals) {
		return fmt.Errorf("%d globals, the module has %d", len(v), len(g.globals))
	}
	for i, gl := range g.globals {
		if err := gl.Set(v[i]); err != nil {
			return fmt.Errorf("set global %d: %w", i, err)
		}
	}
	return nil
}

func valTypes(in []wasi.ValType) []engine.ValType {
	out := make([]engine.ValType, len(in))
	for i, t := range in {
		out[i] = engine.ValType(t)
	}
	return slices.Clip(out)
}
