package offload

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTheMachinesDoNoIOReadNoClockAndStartNoGoroutine is what makes the
// simulation say something about the real thing.
func TestTheMachinesDoNoIOReadNoClockAndStartNoGoroutine(t *testing.T) {
	allowed := []string{
		"bytes", "crypto/rand", "errors", "fmt", "io", "sync/atomic", "time",
		"google.golang.org/protobuf/proto", "github.com/clonecloud/clonecloud/internal/wire",
	}
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
	eachFile(t, ".", func(name string, f *ast.File) {
		for _, path := range imports(t, f) {
			if !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", name)
			case *ast.SelectorExpr:
				if p, ok := n.X.(*ast.Ident); ok && p.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s uses time.%s", name, n.Sel.Name)
				}
			}
			return true
		})
	})
}

func TestWireImportsNothingOfCloneCloud(t *testing.T) {
	eachFile(t, "../wire", func(name string, f *ast.File) {
		for _, path := range imports(t, f) {
			if strings.HasPrefix(path, "github.com/clonecloud/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	})
}

func eachFile(t *testing.T, dir string, do func(name string, f *ast.File)) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		do(e.Name(), f)
	}
}

func imports(t *testing.T, f *ast.File) []string {
	t.Helper()
	var paths []string
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
