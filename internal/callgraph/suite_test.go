package callgraph_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/spectest"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

var update = flag.Bool("update", false, "write testdata/unsupported.txt again")

// TestUnsupportedSpecModulesAreKnown goes through every module that the
// specification's scripts instantiate. Modules that cannot be offloaded, and
// those that hold functions that cannot, are listed with the reason in
// testdata/unsupported.txt, and that list may only shrink.
func TestUnsupportedSpecModulesAreKnown(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	var lines []string
	for _, version := range []string{"v1", "v2"} {
		lines = append(lines, survey(t, dir, version)...)
	}
	const file = "testdata/unsupported.txt"
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, l := range lines {
		if !slices.Contains(known, l) {
			t.Errorf("not supported any more: %s", l)
		}
	}
	for _, l := range known {
		if !slices.Contains(lines, l) {
			t.Errorf("supported now, take it off the list (-update): %s", l)
		}
	}
}

func survey(t *testing.T, dir, version string) (lines []string) {
	scripts, err := spectest.LoadAll(spectest.Suite(dir, version))
	if err != nil {
		t.Fatal(err)
	}
	modules, refused, functions, movable := 0, 0, 0, 0
	for _, s := range scripts {
		for _, c := range s.Commands {
			if c.Type != "module" {
				continue
			}
			modules++
			bin, err := s.Module(c.Filename)
			if err != nil {
				t.Fatal(err)
			}
			reason, own, ok, signature := judge(t, bin)
			functions, movable = functions+own, movable+ok
			name := version + "/" + c.Filename
			switch {
			case reason != "" && own == 0: // there is nothing to move
			case reason != "":
				refused++
				lines = append(lines, name+": "+reason)
			case ok < own:
				lines = append(lines, fmt.Sprintf("%s: %d of %d functions: %s", name, own-ok, own, signature))
			}
		}
	}
	t.Logf("%s: %d of %d modules can be offloaded (%.1f %% cannot), %d of %d functions (%.1f %% cannot)", version,
		modules-refused, modules, 100*float64(refused)/float64(modules),
		movable, functions, 100*float64(functions-movable)/float64(functions))
	return lines
}

// judge gives the reason against a module, or its functions, those that may
// move, and the first reason against one.
func judge(t *testing.T, bin []byte) (reason string, own, movable int, first string) {
	t.Helper()
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		return err.Error(), 0, 0, ""
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		return err.Error(), len(m.Bodies), 0, ""
	}
	for i := m.ImportedFuncs; int(i) < len(m.Funcs); i++ {
		own++
		switch l := g.Legality(i); {
		case l.Movable:
			movable++
		case first == "":
			first = l.Reason
		}
	}
	return g.Reason(), own, movable, first
}

// TestEveryModuleIsAnalyzedOrRefusedByName takes all modules that the wazero
// module ships: programs of many toolchains, found bugs, other proposals.
func TestEveryModuleIsAnalyzedOrRefusedByName(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	taken, features := 0, map[string]int{}
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".wasm" {
			return err
		}
		bin, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sel, err := candidates(bin)
		if f := feature(err); f != "" {
			features[f]++
		} else if err == nil {
			taken++
			if !strings.Contains(path, "spectest") && len(bin) > 20_000 {
				t.Logf("%s: %d candidates", strings.TrimPrefix(path, dir), len(sel))
			}
		} else if !strings.Contains(path, "spectest") {
			t.Errorf("%s: %v", strings.TrimPrefix(path, dir), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d modules analyzed; refused by feature: %v", taken, features)
}

func candidates(bin []byte) (callgraph.Selection, error) {
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		return nil, err
	}
	return callgraph.Candidates(m, callgraph.Options{})
}
