package rewrite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/spectest"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// TestEveryModuleStaysValidOrInvalid takes the modules that the wazero module
// ships: what the engine accepts it accepts rewritten, what it refuses it
// refuses, and what the rewriter refuses it refuses by name.
func TestEveryModuleStaysValidOrInvalid(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features))
	defer r.Close(ctx)
	valid := func(bin []byte) bool {
		c, err := r.CompileModule(ctx, bin)
		if err == nil {
			c.Close(ctx)
		}
		return err == nil
	}
	taken, refused := 0, map[string]int{}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		// The scripts of the two versions go through TestSpecSuites.
		if err != nil || filepath.Ext(path) != ".wasm" || strings.Contains(path, "spectest/v") {
			return err
		}
		name := strings.TrimPrefix(path, dir)
		bin, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		forms, err := allForms(bin)
		if e := (*wasmbin.Error)(nil); errors.As(err, &e) {
			refused[e.Kind.Error()+" "+e.Feature]++
			if e.Kind != wasmbin.ErrUnsupported && valid(bin) {
				t.Errorf("%s is valid, but: %v", name, err)
			}
			return nil
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		taken++
		ok := valid(bin)
		for form, out := range forms {
			if valid(out) != ok {
				t.Errorf("%s: the original is valid: %v, its form %q is not the same", name, ok, form)
			}
			m, err := wasmbin.Parse(out, wasmbin.Limits{})
			if err != nil {
				t.Errorf("%s: its form %q: %v", name, form, err)
				continue
			}
			if _, err := rewrite.Rewrite(m, rewrite.Options{}); !errors.Is(err, rewrite.ErrRewritten) {
				t.Errorf("%s: its form %q rewritten again: %v", name, form, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if taken < 100 {
		t.Errorf("only %d modules rewritten", taken)
	}
	t.Logf("%d modules rewritten; refused: %v", taken, refused)
}

// allForms rewrites a module in every way.
func allForms(bin []byte) (map[string][]byte, error) {
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		return nil, err
	}
	code, err := m.Scan()
	if err != nil {
		return nil, err
	}
	all, tailEntries := everything(m, code, false)
	_, entries := everything(m, code, true)
	out := map[string][]byte{}
	for form, opts := range map[string]rewrite.Options{
		"no candidates":         {},
		"every function":        {Candidates: all, Entries: tailEntries},
		"exports at the export": {Candidates: all, Entries: entries},
		"clone":                 {Role: rewrite.Clone},
	} {
		o, err := rewrite.Rewrite(m, opts)
		if err != nil {
			return nil, err
		}
		out[form] = o.Module
	}
	return out, nil
}
