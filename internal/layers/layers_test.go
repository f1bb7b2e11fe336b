package layers

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/clonecloud/clonecloud/"

// allowed lists, for each package of the product, which of our packages it may
// import. A package that is not listed may import nothing of ours.
var allowed = map[string][]string{
	"internal/rewrite":        {"internal/wasmbin"},
	"internal/callgraph":      {"internal/wasmbin"},
	"internal/wasi/site":      {"internal/wasi"},
	"internal/wasi/stage":     {"internal/wasi", "internal/wasi/site"},
	"internal/offload":        {"internal/wire"},
	"internal/link":           {"internal/link/identity", "internal/link/shape", "internal/poll"},
	"internal/relay":          {"internal/poll", "internal/wire"},
	"internal/runner/proc":    {"internal/poll"},
	"internal/link/pairing":   {"internal/link", "internal/link/identity", "internal/link/shape"},
	"internal/profile/store":  {"internal/profile"},
	"internal/profile/export": {"internal/profile"},
	"internal/decide":         {"internal/cost", "internal/energy"},
	"internal/runner": {
		"internal/callgraph", "internal/cost", "internal/decide", "internal/energy", "internal/engine", "internal/offload", "internal/pagestate", "internal/profile", "internal/rewrite",
		"internal/runner/proc", "internal/wasi", "internal/wasi/site", "internal/wasi/stage", "internal/wasmbin", "internal/wire",
	},
	"internal/node": {
		"internal/engine", "internal/link", "internal/link/identity", "internal/offload", "internal/poll",
		"internal/relay", "internal/runner", "internal/runner/proc", "internal/wire",
	},
	"internal/device": {
		"internal/cost", "internal/decide", "internal/energy", "internal/engine", "internal/link", "internal/link/identity",
		"internal/link/shape", "internal/policy", "internal/poll", "internal/profile", "internal/profile/store", "internal/relay",
		"internal/runner", "internal/runner/proc", "internal/wasi/stage", "internal/wire",
	},
	"internal/cost":              {"internal/energy"},
	"internal/partition/db":      {"internal/partition"},
	"internal/partition/pricing": {"internal/cost", "internal/energy", "internal/partition", "internal/profile"},
	"internal/policy":            {"internal/energy"},
	"internal/spectest":          {"internal/engine", "internal/wasmbin"}, // test support
}

// free may import anything of ours: the binary, the test grounds, the examples.
var free = []string{"cmd/", "internal/e2e", "internal/wasi/wasitest", "bench", "examples/"}

type pkg struct {
	ImportPath, Doc, Name string
	Imports, GoFiles      []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Name,Imports,GoFiles", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 15 {
		t.Fatalf("go list names %d packages: the test looks at the wrong place", len(all))
	}
	return all
}

func isFree(path string) bool {
	return slices.ContainsFunc(free, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

func TestArrowsBetweenPackagesRunDownwardOnly(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if isFree(path) {
			continue
		}
		for _, im := range p.Imports {
			ours, ok := strings.CutPrefix(im, module)
			if ok && !slices.Contains(allowed[path], ours) {
				t.Errorf("%s may not import %s (see the table in this test)", path, ours)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestUnsafeIsUsedInFilesThatSaySo(t *testing.T) {
	cmd := exec.Command("git", "grep", "-l", "^	\"unsafe\"$\\|^import \"unsafe\"$\\|^import _ \"unsafe\"$\\|^	_ \"unsafe\"", "--", "*.go")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git grep does not work here: %v", err)
	}
	for _, file := range strings.Fields(string(out)) {
		if !strings.Contains(file, "_unsafe") && !strings.HasSuffix(file, ".pb.go") && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s imports unsafe: its name must contain _unsafe", file)
		}
	}
}
