package rewrite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// FuzzRewrite wants that a module the engine accepts is accepted in every
// rewritten form, or refused by name, and that one which it refuses stays
// refused: appending to index spaces must not make an index valid.
func FuzzRewrite(f *testing.F) {
	for _, pattern := range []string{"testdata/golden/*.wasm", "testdata/idle/c/fib.wasm"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds at %s: %v", pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features))
	f.Cleanup(func() { r.Close(ctx) })
	valid := func(bin []byte) bool {
		c, err := r.CompileModule(ctx, bin)
		if err == nil {
			c.Close(ctx)
		}
		return err == nil
	}
	f.Fuzz(func(t *testing.T, bin []byte) {
		if len(bin) > 1<<16 {
			return
		}
		forms, err := allForms(bin)
		if e := (*wasmbin.Error)(nil); errors.As(err, &e) {
			return
		}
		if err != nil {
			return // already rewritten
		}
		// Rewriting drops broken names as Plain does. The engine refuses a module that ends in an empty custom section; rewritten
		// ones end in another.
		ok := valid(append(slices.Clone(parse(t, bin).Plain()), 0, 3, 1, 'x', 0))
		for form, out := range forms {
			if valid(out) != ok {
				t.Errorf("the original is valid: %v, its form %q is not the same", ok, form)
			}
		}
	})
}
