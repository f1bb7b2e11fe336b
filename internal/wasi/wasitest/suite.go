package wasitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// SuiteEnv names the environment variable that says where the suite is.
const SuiteEnv = "WASI_TESTSUITE"

// Case is one preview 1 module of the suite.
type Case struct {
	Name   string // such as "rust/fd_readdir"
	Module string // path of the .wasm file

	Args     []string
	Env      map[string]string
	Root     string // folder that is preopened as "/", beside the module; "" for none
	ExitCode uint32
	Stdout   *string // nil: anything
}

// Suite lists the preview 1 modules under a folder of the suite, sorted by
// name.
func Suite(root string) ([]Case, error) {
	var cases []Case
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || filepath.Ext(path) != ".wasm" || filepath.Base(filepath.Dir(path)) != "wasm32-wasip1" {
			return nil
		}
		c, err := readCase(path)
		cases = append(cases, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("wasitest: read the suite in %q: %w; %s must name a checkout of WebAssembly/wasi-testsuite with prebuilt modules (branch prod/testsuite-base)", root, err, SuiteEnv)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("wasitest: no preview 1 modules under %q; %s must name a checkout of WebAssembly/wasi-testsuite with prebuilt modules (branch prod/testsuite-base)", root, SuiteEnv)
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].Name < cases[j].Name })
	return cases, nil
}

func readCase(module string) (Case, error) {
	// .../tests/LANGUAGE/testsuite/wasm32-wasip1/NAME.wasm
	lang := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(module))))
	stem := strings.TrimSuffix(module, ".wasm")
	c := Case{Name: lang + "/" + filepath.Base(stem), Module: module}
	b, err := os.ReadFile(stem + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	var spec struct {
		Args     []string          `json:"args"`
		Env      map[string]string `json:"env"`
		Root     string            `json:"root"`
		ExitCode uint32            `json:"exit_code"`
		Stdout   *string           `json:"stdout"`
	}
	if err := json.Unmarshal(b, &spec); err != nil {
		return c, fmt.Errorf("%s.json: %w", stem, err)
	}
	c.Args, c.Env, c.Root, c.ExitCode, c.Stdout = spec.Args, spec.Env, spec.Root, spec.ExitCode, spec.Stdout
	return c, nil
}

// Run runs a case in a fresh copy of its folder, made in scratch, and says
// what was not as expected. Adjust, if any, changes the program before it
// runs: its Host, its Tap.
func (c *Case) Run(ctx context.Context, scratch string, adjust func(*Program)) error {
	module, err := os.ReadFile(c.Module)
	if err != nil {
		return err
	}
	var stdout, stderr bytes.Buffer
	p := Program{
		Module: module, Args: append([]string{filepath.Base(c.Module)}, c.Args...),
		Stdout: &stdout, Stderr: &stderr,
	}
	for k, v := range c.Env {
		p.Env = append(p.Env, k+"="+v)
	}
	sort.Strings(p.Env)
	if c.Root != "" {
		dir := filepath.Join(scratch, "root")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// A checkout may lack an empty folder.
		src := filepath.Join(filepath.Dir(c.Module), c.Root)
		if err := os.CopyFS(dir, os.DirFS(src)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		p.Dirs = []Dir{{Host: dir, Guest: "/"}}
	}
	if adjust != nil {
		adjust(&p)
	}
	code, err := p.Run(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%w; stderr: %s", err, &stderr)
	case code != c.ExitCode:
		return fmt.Errorf("exit code %d, expected %d; stderr: %s", code, c.ExitCode, &stderr)
	case c.Stdout != nil && stdout.String() != *c.Stdout:
		return fmt.Errorf("stdout %q, expected %q", stdout.String(), *c.Stdout)
	}
	return nil
}
