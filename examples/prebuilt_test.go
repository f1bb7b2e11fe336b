package examples

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// built is a line of prebuilt/MANIFEST.
type built struct{ name, toolchain, module, sources string }

func manifest(t *testing.T) []built {
	t.Helper()
	data, err := os.ReadFile("prebuilt/MANIFEST")
	if err != nil {
		t.Fatal(err)
	}
	var all []built
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 6 || f[2] != "module" || f[4] != "sources" {
			t.Fatalf("prebuilt/MANIFEST: cannot read %q", line)
		}
		all = append(all, built{name: f[0], toolchain: f[1], module: f[3], sources: f[5]})
	}
	return all
}

// sources lists the files a module is made of, as build.sh does.
func sources(t *testing.T, name string) []string {
	t.Helper()
	switch name {
	case "mandelbrot":
		return []string{"mandelbrot/mandelbrot.c"}
	case "sudoku":
		return []string{"sudoku/package-lock.json", "sudoku/package.json", "sudoku/sudoku.ts"}
	}
	var files []string
	err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		path = filepath.ToSlash(path)
		isCode := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "/photos/")
		if err == nil && d.Type().IsRegular() && (isCode || strings.Contains(path, "/weights/")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPrebuiltModulesAreThoseOfTheManifestAndTheirSources(t *testing.T) {
	modules := manifest(t)
	if len(modules) != 3 {
		t.Errorf("prebuilt/MANIFEST names %d modules, want 3", len(modules))
	}
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			if got := sum(read(t, "prebuilt/"+m.name+".wasm")); got != m.module {
				t.Errorf("prebuilt/%s.wasm is not the module that the manifest names; run examples/build.sh %[1]s", m.name)
			}
			var list bytes.Buffer
			for _, path := range sources(t, m.name) {
				fmt.Fprintf(&list, "%s  %s\n", sum(read(t, path)), path)
			}
			if got := sum(list.Bytes()); got != m.sources {
				t.Errorf("the sources of %s have changed since it was built; run examples/build.sh %[1]s", m.name)
			}
		})
	}
}

// Other toolchains make other bytes, so this runs only with the one recorded.
func TestRebuildingTheFaceModuleGivesTheSameBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	for _, m := range manifest(t) {
		if m.name != "facerecognition" {
			continue
		}
		if runtime.Version() != m.toolchain {
			t.Skipf("this is %s, the module was built with %s", runtime.Version(), m.toolchain)
		}
		out := filepath.Join(t.TempDir(), "face.wasm")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", out, "./facerecognition")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWASM=", "GOFLAGS=", "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			if os.Getenv("CI") == "" {
				t.Skipf("cannot build: %v\n%s", err, text)
			}
			t.Fatalf("cannot build: %v\n%s", err, text)
		}
		if sum(read(t, out)) != m.module {
			t.Fatal("the same sources and toolchain gave another module; is something of the machine in it?")
		}
		return
	}
	t.Fatal("prebuilt/MANIFEST does not name facerecognition")
}

func TestExamplesKnowNothingOfCloneCloud(t *testing.T) {
	for _, m := range manifest(t) {
		for _, path := range sources(t, m.name) {
			for line := range strings.Lines(string(read(t, path))) {
				// The import path of this repository is all that may name it.
				line = strings.ReplaceAll(line, `"github.com/clonecloud/clonecloud/examples/`, "")
				if strings.Contains(strings.ToLower(line), "clonecloud") {
					t.Errorf("%s: %s", path, line)
				}
			}
		}
	}
}

func TestEmbeddedFilesAreComplete(t *testing.T) {
	for name, module := range map[string][]byte{"facerecognition": FaceRecognition(), "mandelbrot": Mandelbrot(), "sudoku": Sudoku()} {
		if !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")) {
			t.Errorf("%s is not a WebAssembly module", name)
		}
	}
	for _, c := range []struct {
		name   string
		files  fs.FS
		photos int
	}{{"photos", Photos(), 6}, {"known", Known(), 4}} {
		names, err := fs.Glob(c.files, "*.jpg")
		if err != nil || len(names) != c.photos {
			t.Errorf("%s holds %v (%v), want %d photos", c.name, names, err, c.photos)
		}
	}
	if len(Puzzles()) == 0 {
		t.Error("no puzzles")
	}
}
