package testprogs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// outcome is what a run left behind.
type outcome struct {
	stdout, stderr string
	exit           int
	trap           error
	files          map[string]string
	memory         [32]byte
}

// run runs a program on wazero, with the system's clocks and random numbers.
func run(t *testing.T, p Program) outcome {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, p.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for path, text := range p.Files {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	config := wazero.NewModuleConfig().WithName("guest").WithStartFunctions().
		WithArgs(append([]string{p.Module()}, p.Args...)...).
		WithStdin(strings.NewReader(p.Stdin)).WithStdout(&stdout).WithStderr(&stderr).
		WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/")).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader)
	for _, e := range p.Env {
		key, value, _ := strings.Cut(e, "=")
		config = config.WithEnv(key, value)
	}
	m, err := r.InstantiateModule(ctx, compiled, config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.ExportedFunction("_start").Call(ctx)
	o := outcome{stdout: stdout.String(), stderr: stderr.String(), files: readAll(t, dir)}
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit):
		o.exit = int(exit.ExitCode())
	case err != nil:
		o.trap = err
	}
	data, ok := m.Memory().Read(0, m.Memory().Size())
	if !ok {
		t.Fatal("cannot read the memory")
	}
	o.memory = sha256.Sum256(data)
	return o
}

// cache spares compiling a module once per program.
var cache = wazero.NewCompilationCache()

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryProgramDoesWhatItsTableSays(t *testing.T) {
	for _, p := range All() {
		t.Run(p.Name, func(t *testing.T) {
			first := run(t, p)
			if *update {
				if err := os.WriteFile("testdata/"+p.outputFile(), []byte(first.stdout), 0o644); err != nil {
					t.Fatal(err)
				}
				p.Stdout = first.stdout
			}
			if first.stdout != p.Stdout {
				t.Errorf("printed:\n%s\nwant:\n%s", first.stdout, p.Stdout)
			}
			if p.Traps != (first.trap != nil) {
				t.Errorf("trap: %v, want one: %v\n%s", first.trap, p.Traps, first.stderr)
			}
			if !p.Traps && first.exit != p.WantExit {
				t.Errorf("exit code %d, want %d\n%s", first.exit, p.WantExit, first.stderr)
			}
			second := run(t, p)
			if first.stdout != second.stdout || first.exit != second.exit || fmt.Sprint(first.files) != fmt.Sprint(second.files) {
				t.Error("a second run gave something else")
			}
			if p.Deterministic && first.memory != second.memory {
				t.Error("a second run left another memory, but the table says it is deterministic")
			}
		})
	}
}

func TestHeavyFunctionsAreInTheNameSection(t *testing.T) {
	for _, p := range All() {
		names, err := functionNames(p.Wasm)
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		for _, h := range p.Heavy {
			if !slices.Contains(names, h) {
				t.Errorf("%s: the module has no function %q", p.Name, h)
			}
		}
	}
}

func TestModulesAreThoseOfTheManifestAndTheirSources(t *testing.T) {
	data, err := os.ReadFile("wasm/MANIFEST")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			t.Fatalf("cannot read %q", line)
		}
		seen[f[0]] = true
		if got := fmt.Sprintf("%x", sha256.Sum256(readFile(t, "wasm/"+f[0]+".wasm"))); got != f[3] {
			t.Errorf("wasm/%s.wasm is not the module that the manifest names; run build.sh", f[0])
		}
		var list bytes.Buffer
		for _, path := range sources(t, f[0]) {
			fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(readFile(t, path)), path)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(list.Bytes())); got != f[5] {
			t.Errorf("the sources of %s have changed since it was built; run build.sh", f[0])
		}
	}
	for _, p := range All() {
		if !seen[p.Module()] {
			t.Errorf("%s is not in the manifest; run build.sh", p.Module())
		}
	}
}

// sources lists the files a module is made of, as build.sh does.
func sources(t *testing.T, module string) []string {
	t.Helper()
	kind, name, _ := strings.Cut(module, "-")
	switch kind {
	case "c", "wat":
		return []string{kind + "/" + name + "." + kind}
	case "cpp":
		return []string{"cpp/" + name + ".cpp"}
	case "as":
		return []string{"as/package-lock.json", "as/package.json", "as/program.ts"}
	}
	list, err := filepath.Glob(module + "/*.go")
	if err != nil || len(list) == 0 {
		t.Fatalf("no sources of %s (%v)", module, err)
	}
	return list
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// functionNames reads the functions' names from a module's name section.
func functionNames(module []byte) (names []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("malformed module: %v", r)
		}
	}()
	number := func(b *[]byte) uint64 {
		v, n := binary.Uvarint(*b)
		*b = (*b)[n:]
		return v
	}
	take := func(b *[]byte) []byte {
		n := number(b)
		part := (*b)[:n]
		*b = (*b)[n:]
		return part
	}
	for rest := module[8:]; len(rest) > 0; {
		id := rest[0]
		rest = rest[1:]
		body := take(&rest)
		if id != 0 || string(take(&body)) != "name" {
			continue
		}
		for len(body) > 0 {
			kind := body[0]
			body = body[1:]
			sub := take(&body)
			if kind != 1 {
				continue
			}
			for range number(&sub) {
				number(&sub)
				names = append(names, string(take(&sub)))
			}
		}
	}
	return names, nil
}
