package proc_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Calls that stop the world, or wait for it for ever, in a process with a guest
// that spins. Tests may use them: their children run no guest at the time.
var forbidden = map[string]string{
	"syscall.RawSyscall": "a collection waits for it for ever", "syscall.RawSyscall6": "a collection waits for it for ever",
	"unix.RawSyscall": "a collection waits for it for ever", "unix.RawSyscall6": "a collection waits for it for ever",
	"runtime.ReadMemStats": "it stops the world", "runtime.Stack": "it stops the world for all goroutines",
	"syscall.Setgid": "it runs on all threads", "syscall.Setuid": "it runs on all threads",
	"syscall.AllThreadsSyscall": "it stops all threads", "pprof.Lookup": "it stops the world",
}

func TestNothingInTheRunnerStopsTheWorldBesideAGuest(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok {
					if why, bad := forbidden[pkg.Name+"."+sel.Sel.Name]; bad {
						t.Errorf("%s: %s.%s: %s", fset.Position(n.Pos()), pkg.Name, sel.Sel.Name, why)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
