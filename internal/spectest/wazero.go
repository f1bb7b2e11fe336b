package spectest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Wazero is a Host that instantiates modules as they are. Other hosts embed it.
type Wazero struct {
	Ctx     context.Context
	Runtime wazero.Runtime
}

// NewWazero starts a runtime with the module "spectest" that scripts import.
func NewWazero(ctx context.Context, wazeroDir string, config wazero.RuntimeConfig) (*Wazero, error) {
	bin, err := os.ReadFile(filepath.Join(wazeroDir, "internal", "integration_test", "spectest", "testdata", "spectest.wasm"))
	if err != nil {
		return nil, fmt.Errorf("start spec host: %w", err)
	}
	w := &Wazero{Ctx: ctx, Runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	if _, err := w.Runtime.InstantiateWithConfig(ctx, bin, wazero.NewModuleConfig()); err != nil {
		return nil, fmt.Errorf("start spec host: %w", err)
	}
	return w, nil
}

var _ Host = (*Wazero)(nil)

// Instantiate implements Host.
func (w *Wazero) Instantiate(bin []byte, name string) (Instance, error) {
	mod, err := w.Runtime.InstantiateWithConfig(w.Ctx, bin, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
	if err != nil {
		return nil, err
	}
	return &WazeroInstance{Ctx: w.Ctx, Module: mod}, nil
}

// Close implements Host.
func (w *Wazero) Close() error { return w.Runtime.Close(w.Ctx) }

// WazeroInstance is an Instance over a wazero module.
type WazeroInstance struct {
	Ctx    context.Context
	Module api.Module
}

// Call implements Instance.
func (i *WazeroInstance) Call(name string, args []uint64) ([]uint64, error) {
	f := i.Module.ExportedFunction(name)
	if f == nil {
		return nil, fmt.Errorf("no function %q", name)
	}
	return f.Call(i.Ctx, args...)
}

// Results implements Instance.
func (i *WazeroInstance) Results(name string) []string {
	f := i.Module.ExportedFunction(name)
	if f == nil {
		return nil
	}
	var out []string
	for _, t := range f.Definition().ResultTypes() {
		out = append(out, typeName(t))
	}
	return out
}

// Global implements Instance.
func (i *WazeroInstance) Global(name string) ([]uint64, string, error) {
	g := i.Module.ExportedGlobal(name)
	if g == nil {
		return nil, "", fmt.Errorf("no global %q", name)
	}
	return []uint64{g.Get()}, typeName(g.Type()), nil
}

func typeName(t api.ValueType) string {
	switch t {
	case 0x7b:
		return "v128"
	case 0x70:
		return "funcref"
	}
	return api.ValueTypeName(t)
}
