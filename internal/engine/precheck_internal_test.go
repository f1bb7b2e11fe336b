package engine

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// specModules returns the folder with the specification's test modules, which
// come with the engine's source.
func specModules(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	if _, statErr := os.Stat(dir); err != nil || statErr != nil {
		t.Skip("the engine's source is not in the module cache")
	}
	return dir
}

// What is checked ahead of the engine refuses nothing that the engine takes.
func TestTheSpecificationsModulesPassTheCheckAheadOfTheEngine(t *testing.T) {
	root, ctx := specModules(t), t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features))
	defer func() { _ = r.Close(context.Background()) }()
	compiles := func(wasm []byte) error {
		m, err := r.CompileModule(ctx, wasm)
		if err == nil {
			err = m.Close(ctx)
		}
		return err
	}
	count := 0
	for _, suite := range []string{"v1", "v2", "tail-call"} {
		err := filepath.WalkDir(filepath.Join(root, suite), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".wasm" {
				return err
			}
			wasm, err := os.ReadFile(path)
			if err != nil || compiles(wasm) != nil {
				return err
			}
			count++
			if err := checkCounts(wasm); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			capped, err := capTables(wasm)
			if err == nil {
				err = compiles(capped)
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if count < 1000 {
		t.Errorf("only %d modules were found", count)
	}
}
