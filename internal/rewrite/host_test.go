package rewrite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/spectest"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// features are what the rewriter accepts, so that the engine accepts the same
// of the original and of the rewritten module.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall

// answerer is a host that gives the same answer to every call of a candidate.
type answerer struct {
	answer  rewrite.Status
	offered int // calls that reached the host
	exits   int // exits that were reported
}

// load instantiates a rewritten module with its glue and runs its start
// function. Every candidate is armed when arm is set.
func load(ctx context.Context, r wazero.Runtime, out *rewrite.Output, conf wazero.ModuleConfig, a *answerer, arm bool) (api.Module, error) {
	mod, err := r.InstantiateWithConfig(ctx, out.Module, conf.WithName(out.AppModule).WithStartFunctions())
	if err != nil {
		return nil, err
	}
	if err := link(ctx, r, mod, out, a, arm); err != nil {
		mod.Close(ctx)
		return nil, fmt.Errorf("link: %w", err)
	}
	if out.StartExport != "" {
		if _, err := mod.ExportedFunction(out.StartExport).Call(ctx); err != nil {
			mod.Close(ctx)
			return nil, &startError{err}
		}
	}
	return mod, nil
}

// startError is the trap of a start function.
type startError struct{ error }

func link(ctx context.Context, r wazero.Runtime, mod api.Module, out *rewrite.Output, a *answerer, arm bool) error {
	if out.Glue == nil {
		return nil
	}
	b := r.NewHostModuleBuilder(out.HostModule)
	for _, h := range out.Hosts {
		params := append(apiTypes(h.Sig.Params), api.ValueTypeI32)
		results := append(apiTypes(h.Sig.Results), api.ValueTypeI32)
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			a.offered++
			for i := range len(results) - 1 {
				stack[i] = 0xdead // must be dropped
			}
			stack[len(results)-1] = uint64(a.answer)
		}), params, results).Export(h.Name)
	}
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(context.Context, []uint64) { a.exits++ }),
		[]api.ValueType{api.ValueTypeI32}, nil).Export(out.ExitHost)
	if _, err := b.Instantiate(ctx); err != nil {
		return err
	}
	if _, err := r.InstantiateWithConfig(ctx, out.Glue, wazero.NewModuleConfig().WithName("")); err != nil {
		return err
	}
	for _, name := range out.Masks {
		g, ok := mod.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return fmt.Errorf("no mask %q", name)
		}
		if arm {
			g.Set(^uint64(0))
		}
	}
	return nil
}

func apiTypes(ts []wasmbin.ValType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		out[i] = api.ValueType(t)
	}
	return out
}

// mode is one way to rewrite and drive a module.
type mode struct {
	name    string
	role    rewrite.Role
	arm     bool
	answer  rewrite.Status
	entries bool // stub exported functions at their exports
}

// specHost is a spectest.Host behind the rewriter.
type specHost struct {
	*spectest.Wazero
	mode mode
	n    int
	a    answerer
}

func (h *specHost) Instantiate(bin []byte, name string) (spectest.Instance, error) {
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		return nil, err
	}
	h.n++
	opts := rewrite.Options{
		Role: h.mode.role, AppModule: name,
		HostModule: fmt.Sprintf("host of %d", h.n),
	}
	if name == "" {
		opts.AppModule = fmt.Sprintf("module %d", h.n)
	}
	if h.mode.role == rewrite.Device {
		code, err := m.Scan()
		if err != nil {
			return nil, err
		}
		opts.Candidates, opts.Entries = everything(m, code, h.mode.entries)
	}
	out, err := rewrite.Rewrite(m, opts)
	if err != nil {
		return nil, err
	}
	mod, err := load(h.Ctx, h.Runtime, out, wazero.NewModuleConfig(), &h.a, h.mode.arm)
	if start := (*startError)(nil); errors.As(err, &start) {
		return nil, fmt.Errorf("start function[%d] failed: %w", m.Start, start.error) // the engine's words
	}
	if err != nil {
		return nil, err
	}
	return &spectest.WazeroInstance{Ctx: h.Ctx, Module: mod}, nil
}

// everything gives every function that can be a candidate.
func everything(m *wasmbin.Module, code *wasmbin.Code, entries bool) (all, atExport []uint32) {
	for i := m.ImportedFuncs; int(i) < len(m.Funcs); i++ {
		exported := slices.ContainsFunc(m.Exports, func(e wasmbin.Export) bool {
			return e.Kind == wasmbin.KindFunc && e.Index == i
		})
		if !m.FuncType(i).Scalar() || (code.TailCalled[i] && !exported) || len(all) >= rewrite.MaxCandidates {
			continue
		}
		all = append(all, i)
		if exported && (entries || code.TailCalled[i]) {
			atExport = append(atExport, i)
		}
	}
	return all, atExport
}

func exitedWith0(err error) bool {
	exit := (*sys.ExitError)(nil)
	return errors.As(err, &exit) && exit.ExitCode() == 0
}
