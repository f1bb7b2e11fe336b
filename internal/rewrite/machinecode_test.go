package rewrite_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// machineCode is what the engine's compiler made of a module.
type machineCode struct {
	code  []byte
	start []int // of each function with a body, and the end of the last
}

// compiled reads a module's machine code from the engine's cache on disk.
func compiled(tb testing.TB, bin []byte) *machineCode {
	tb.Helper()
	ctx, dir := context.Background(), tb.TempDir()
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer cache.Close(ctx)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features).WithCompilationCache(cache))
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, bin); err != nil {
		tb.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) != 1 {
		tb.Fatalf("the engine's cache holds %q: %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		tb.Fatal(err)
	}
	return readMachineCode(tb, b)
}

// readMachineCode reads an entry of the cache: "WAZEVO", the version with its
// length, the number of functions, where each starts, the code with its length.
func readMachineCode(tb testing.TB, b []byte) *machineCode {
	tb.Helper()
	const magic = "WAZEVO"
	if !strings.HasPrefix(string(b), magic) {
		tb.Fatal("the engine's cache has another form")
	}
	b = b[len(magic):]
	b = b[1+int(b[0]):]
	c := &machineCode{start: make([]int, binary.LittleEndian.Uint32(b))}
	b = b[4:]
	for i := range c.start {
		c.start[i] = int(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	size := binary.LittleEndian.Uint64(b)
	c.code = b[8:][:size]
	c.start = append(c.start, int(size))
	return c
}

// body is the code of function i with what fills it up to the next one's start.
func (c *machineCode) body(i int) []byte { return c.code[c.start[i]:c.start[i+1]] }

// changed gives the functions of the original whose instructions the rewriting
// changed, where calls that go to a stub instead, and the place of a table or a
// type in the instance, do not count. It reads x86-64 code only, without
// decoding it: where two codes differ, the difference must be a 32-bit operand
// of one of the two kinds.
func changed(tb testing.TB, m *wasmbin.Module, out *rewrite.Output) []uint32 {
	tb.Helper()
	a, b := compiled(tb, m.Bytes), compiled(tb, out.Module)
	moved := map[int]int{} // from the number of a body in the original to its number in the rewritten
	next := len(m.Bodies)
	for range out.Trampolines {
		next++
	}
	for _, c := range out.Candidates {
		if !c.Entry {
			moved[int(c.Index-m.ImportedFuncs)] = next
		}
		next++
	}
	if next+1 != len(b.start) {
		tb.Fatalf("the rewritten module has %d functions, not %d", len(b.start)-1, next)
	}
	byStart := make(map[int]int, len(m.Bodies))
	for i := range m.Bodies {
		byStart[a.start[i]] = b.start[i]
	}
	var list []uint32
	for i := range m.Bodies {
		j, ok := moved[i]
		if !ok {
			j = i
		}
		d := difference{a: a.body(i), b: b.body(j), aAt: a.start[i], bAt: b.start[j], target: byStart, context: 16 * uint32(len(out.Masks))}
		if !d.none() {
			list = append(list, m.ImportedFuncs+uint32(i))
		}
	}
	return list
}

// difference compares two codes of one function.
type difference struct {
	a, b     []byte
	aAt, bAt int
	target   map[int]int // where calls to the key go instead
	context  uint32      // how much farther what follows the globals lies in the instance
}

func (d *difference) none() bool {
	const longestFill = 15
	for len(d.a) < len(d.b) && len(d.b)-len(d.a) <= longestFill { // the last function has no fill
		d.a = append(d.a[:len(d.a):len(d.a)], 0)
	}
	for len(d.b) < len(d.a) && len(d.a)-len(d.b) <= longestFill {
		d.b = append(d.b[:len(d.b):len(d.b)], 0)
	}
	if len(d.a) != len(d.b) {
		return false
	}
	for p := 0; p < len(d.a); {
		if d.a[p] == d.b[p] {
			p++
			continue
		}
		end := 0
		for s := max(p-3, 0); s <= p && end == 0; s++ {
			if d.operand(s) {
				end = s + 4
			}
		}
		if end == 0 {
			return false
		}
		p = end
	}
	return true
}

// operand says whether what differs at s is an operand that may.
func (d *difference) operand(s int) bool {
	const call = 0xe8
	if s+4 > len(d.a) {
		return false
	}
	x, y := binary.LittleEndian.Uint32(d.a[s:]), binary.LittleEndian.Uint32(d.b[s:])
	if y-x == d.context {
		return true
	}
	if s == 0 || d.a[s-1] != call || d.b[s-1] != call {
		return false
	}
	to, ok := d.target[d.aAt+s+4+int(int32(x))]
	return ok && to == d.bAt+s+4+int(int32(y))
}

// TestRewritingLeavesTheCompiledCodeAsItWas says that an idle stub costs what it
// executes itself and nothing else: every function of the original, the moved
// bodies of candidates among them, is compiled to the same instructions.
func TestRewritingLeavesTheCompiledCodeAsItWas(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("reads x86-64 code")
	}
	for _, p := range programs(t) {
		if strings.HasPrefix(p.name, "go-") && testing.Short() {
			continue // takes seconds to compile
		}
		t.Run(p.name, func(t *testing.T) {
			m, _, out := defaults(t, p)
			for _, i := range changed(t, m, out) {
				t.Errorf("function %d, %s, is compiled to other code", i, m.Name(i))
			}
		})
	}
}

func TestOtherCodeIsSeen(t *testing.T) {
	same := []byte{0x90, 0xe8, 0, 1, 0, 0, 0x48, 0x8b, 0x81, 0xa8, 0, 0, 0, 0xc3}
	for _, c := range []struct {
		name string
		at   int
		with []byte
		none bool
	}{
		{"the same code", 0, nil, true},
		{"a call that follows its target", 2, []byte{0x10, 1}, true},
		{"a call to something else", 2, []byte{0x20, 1}, false},
		{"a place in the instance that follows the globals", 9, []byte{0xb8}, true},
		{"another place in the instance", 9, []byte{0xc8}, false},
		{"another instruction", 0, []byte{0x91}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := append([]byte(nil), same...)
			copy(other[c.at:], c.with)
			d := difference{a: same, b: other, aAt: 0, bAt: 32, target: map[int]int{6 + 0x100: 38 + 0x110}, context: 16}
			if c.with == nil {
				d.bAt, d.target = 0, map[int]int{6 + 0x100: 6 + 0x100}
			}
			if got := d.none(); got != c.none {
				t.Errorf("no difference: %v", got)
			}
		})
	}
}
