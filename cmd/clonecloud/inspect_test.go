package main

import (
	"path/filepath"
	"testing"
)

// TestInspectionIsStable holds what inspect prints, for people and as JSON, to
// golden files. docs/INSPECT.md promises the JSON: a change of a field that is
// there needs a new format number.
func TestInspectionIsStable(t *testing.T) {
	programs := filepath.Join("testdata", "programs")
	for _, tc := range []struct {
		golden string
		code   int
		args   []string
	}{
		{"inspect/pinned.json", exitUnsupported, []string{"--json", "--all", filepath.Join(programs, "pinned.wasm")}},
		{"inspect/pinned.txt", exitUnsupported, []string{"--all", filepath.Join(programs, "pinned.wasm")}},
		{"inspect/table.json", 0, []string{"--json", filepath.Join(programs, "table.wasm")}},
		{"inspect/recursion.txt", 0, []string{filepath.Join("..", "..", "internal", "testprogs", "wasm", "c-recursion.wasm")}},
	} {
		stdout, stderr, code := inProcess(t, append([]string{"inspect"}, tc.args...)...)
		if code != tc.code || stderr != "" {
			t.Errorf("%s: exit code %d, stderr %q", tc.golden, code, stderr)
		}
		golden(t, tc.golden, stdout)
	}
}
