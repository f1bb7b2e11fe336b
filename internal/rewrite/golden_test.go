package rewrite_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

var update = flag.Bool("update", false, "make the golden files again; needs wat2wasm and wasm2wat")

// TestGolden compares rewritten modules, byte by byte, with those in
// testdata/golden. Every function that can be a candidate is one; those of
// recurse and tail are stubbed at their exports.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.wat")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, wat := range files {
		base, _ := strings.CutSuffix(wat, ".wat")
		if strings.Contains(filepath.Base(base), ".") {
			continue // an output, for reading
		}
		seen++
		t.Run(filepath.Base(base), func(t *testing.T) {
			if *update {
				tool(t, "wat2wasm", "--enable-tail-call", "--debug-names", "-o", base+".wasm", wat)
			}
			bin, err := os.ReadFile(base + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			m := parse(t, bin)
			code, err := m.Scan()
			if err != nil {
				t.Fatal(err)
			}
			all, entries := everything(m, code, strings.HasSuffix(base, "recurse"))
			device, err := rewrite.Rewrite(m, rewrite.Options{Candidates: all, Entries: entries})
			if err != nil {
				t.Fatal(err)
			}
			clone, err := rewrite.Rewrite(m, rewrite.Options{Role: rewrite.Clone})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, base+".device.wasm", device.Module)
			golden(t, base+".glue.wasm", device.Glue)
			golden(t, base+".clone.wasm", clone.Module)
		})
	}
	if seen < 6 {
		t.Errorf("only %d golden modules", seen)
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if got == nil {
		return
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		tool(t, "wasm2wat", "--enable-tail-call", "-o", strings.TrimSuffix(file, ".wasm")+".wat", file)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has changed: see the difference with -update", file)
	}
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if msg, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, msg)
	}
}

func parse(tb testing.TB, bin []byte) *wasmbin.Module {
	tb.Helper()
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func goldenModule(tb testing.TB, name string) *wasmbin.Module {
	tb.Helper()
	bin, err := os.ReadFile(filepath.Join("testdata", "golden", name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return parse(tb, bin)
}
