package wasmbin_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/clonecloud/clonecloud/internal/wasmbin"
)

func seeds(f *testing.F) {
	for _, pattern := range []string{"../rewrite/testdata/golden/*.wasm", "../rewrite/testdata/idle/c/fib.wasm"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds at %s: %v", pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
}

// FuzzParse wants of any bytes a module or a typed error, and of a module that
// its parts lie inside it.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b, Limits{})
		if err != nil {
			if e := as(err); e.Kind == nil || e.Offset < 0 || e.Offset > len(b) || e.Error() == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		end := 8
		for _, s := range m.Sections {
			if s.Start != end || s.Body < s.Start || s.End < s.Body {
				t.Fatalf("section %+v begins at %d", s, end)
			}
			end = s.End
		}
		if end != len(b) {
			t.Fatalf("%d bytes of %d in sections", end, len(b))
		}
		for i := range m.Funcs {
			if m.Name(uint32(i)) == "" {
				t.Fatalf("function %d has no name", i)
			}
		}
	})
}

// FuzzScan feeds bytes as the body of a function with everything it may refer to.
func FuzzScan(f *testing.F) {
	f.Add([]byte{0x20, 0, 0x10, 0, 0x1a})
	f.Add([]byte{0x03, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 0, 0x0b, 0x41, 0, 0x21, 0, 0x0c, 0, 0x0b})
	f.Add([]byte{0xfd, 84, 0, 0, 3, 0xfc, 14, 0, 0, 0xd2, 0})
	files, _ := filepath.Glob("../rewrite/testdata/golden/*.wasm")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		m := parse(f, b)
		for _, body := range m.Bodies {
			f.Add(b[body.Start+1 : body.End-1])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := module().vec(SecType, 1, 0x60, 1, 0x7f, 1, 0x7f).vec(SecFunction, 2, 0, 0).vec(SecTable, 1, 0x70, 0, 1).
			vec(SecMemory, 1, 0, 1).vec(SecGlobal, 1, 0x7f, 1, 0x41, 0, 0x0b).vec(SecElement, 1, 1, 0, 2, 0, 1).code(body, []byte{0x00})
		m := parse(t, b)
		c, err := m.Scan()
		if err != nil {
			if e := as(err); e.Kind == nil || e.Offset > len(b) {
				t.Fatalf("error %#v", err)
			}
			return
		}
		for _, f := range c.Funcs {
			if f.Work < 0 || f.Work != f.Work {
				t.Fatalf("work %v", f.Work)
			}
			for _, call := range f.Calls {
				if call.Weight < 0 || int(call.Target) >= len(m.Funcs) {
					t.Fatalf("call %+v", call)
				}
			}
		}
	})
}
