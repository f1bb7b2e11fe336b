package wasmbin_test

import (
	"math"
	"slices"
	"testing"

	. "github.com/clonecloud/clonecloud/internal/wasmbin"
	"pgregory.net/rapid"
)

func TestNumbersAreWrittenAsTheyAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i32, i64 := rapid.Int32().Draw(t, "i32"), rapid.Int64().Draw(t, "i64")
		n := rapid.Uint32Range(0, 200).Draw(t, "types")
		b := AppendS64([]byte{0x41}, int64(i32))
		b = append(b, 0x1a, 0x42)
		b = append(AppendS64(b, i64), 0x1a)
		m := module().raw(SecType, slices.Concat(AppendU32(nil, n), slices.Repeat([]byte{0x60, 0, 0}, int(n)))...)
		if n == 0 {
			return
		}
		m = m.vec(SecFunction, 1, 0).code(b)
		if err := read(m, Limits{}); err != nil {
			t.Fatal(err)
		}
	})
	for _, v := range []int64{0, -1, 63, 64, -64, -65, math.MaxInt32, math.MinInt32} {
		b := append(AppendS64([]byte{0x41}, v), 0x1a)
		if err := read(module().voids(b), Limits{}); err != nil {
			t.Errorf("%d: %v", v, err)
		}
	}
	for _, b := range [][]byte{ // one bit more than 32, in five bytes; six bytes
		{0x41, 0x80, 0x80, 0x80, 0x80, 0x08}, {0x41, 0xff, 0xff, 0xff, 0xff, 0x77}, {0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
	} {
		if err := read(module().voids(append(b, 0x1a)), Limits{}); err == nil {
			t.Errorf("% x is accepted", b)
		}
	}
}

func TestScanFindsCallsAndTheLoopsAroundThem(t *testing.T) {
	m, c := scan(t, module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 2, 0, 0).vec(SecTable, 1, 0x70, 0, 1).
		code([]byte{
			0x10, 1, // call 1
			0x03, 0x40, 0x03, 0x40, // loop loop
			0x41, 0, 0x11, 0, 0, // call_indirect of type 0
			0x0b, 0x0b, // end end
			0x12, 1, // return_call 1
		}, nil))
	f := c.Of(m, 0)
	want := []Call{
		{Target: 1, Weight: 1},
		{Target: 0, Indirect: true, Depth: 2, Weight: 100},
		{Target: 1, Tail: true, Weight: 1},
	}
	if !slices.Equal(f.Calls, want) {
		t.Errorf("calls %+v", f.Calls)
	}
	if f.Loops != 2 || f.LoopDepth != 2 || f.Instructions != 9 || f.Ops != OpTailCall {
		t.Errorf("%+v", f)
	}
	if !c.TailCalled[1] || c.TailCalled[0] {
		t.Errorf("tail called: %v", c.TailCalled)
	}
}

func TestScanFindsInstructionsThatChangeTables(t *testing.T) {
	for _, tc := range []struct {
		name string
		body []byte
		ops  Ops
	}{
		{"table.set", []byte{0x26, 0}, OpTableSet},
		{"table.get", []byte{0x25, 0}, 0},
		{"table.grow", []byte{0xfc, 15, 0}, OpTableGrow},
		{"table.size", []byte{0xfc, 16, 0}, 0},
		{"table.fill", []byte{0xfc, 17, 0}, OpTableFill},
		{"table.copy", []byte{0xfc, 14, 0, 0}, OpTableCopy},
		{"table.init", []byte{0xfc, 12, 0, 0}, OpTableInit},
		{"elem.drop", []byte{0xfc, 13, 0}, OpElemDrop},
		{"data.drop", []byte{0xfc, 9, 0}, OpDataDrop},
		{"memory.init", []byte{0xfc, 8, 0, 0}, OpMemoryInit},
		{"memory.copy", []byte{0xfc, 10, 0, 0}, 0},
		{"memory.fill", []byte{0xfc, 11, 0}, 0},
		{"memory.grow", []byte{0x40, 0}, OpMemoryGrow},
		{"a vector constant", append([]byte{0xfd, 12}, make([]byte, 16)...), OpVector},
		{"a lane's load", []byte{0xfd, 84, 0, 0, 3}, OpVector},
		{"a saturating conversion", []byte{0xfc, 7}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, c := scan(t, module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 1, 0).vec(SecTable, 1, 0x70, 0, 1).
				vec(SecMemory, 1, 0, 1).vec(SecElement, 1, 1, 0, 1, 0).code(tc.body))
			if c.Ops != tc.ops {
				t.Errorf("found %v", c.Ops.Names())
			}
		})
	}
}

func TestAddressTakenFunctionsAreThoseThatTablesCanHold(t *testing.T) {
	_, c := scan(t, module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 5, 0, 0, 0, 0, 0).vec(SecTable, 1, 0x70, 0, 1).
		vec(SecGlobal, 1, 0x70, 0, 0xd2, 1, 0x0b). // a global initialised with function 1
		vec(SecExport, 1, 1, 'e', 0, 4).           // an export declares, but is in no table
		vec(SecElement, 2,
			0, 0x41, 0, 0x0b, 1, 0, // active: function 0
			3, 0, 1, 2, // declarative: function 2, which a body refers to
		).code([]byte{0xd2, 2, 0x1a}, nil, nil, nil, nil))
	if want := []bool{true, true, true, false, false}; !slices.Equal(c.AddressTaken, want) {
		t.Errorf("address taken: %v", c.AddressTaken)
	}
}

func TestWeightsFollowConditions(t *testing.T) {
	_, c := scan(t, module().voids([]byte{
		0x41, 0, 0x04, 0x40, 0x10, 0, 0x05, 0x10, 0, 0x0b, // if call else call end: each half the time
		0x02, 0x40, 0x41, 0, 0x0d, 0, 0x10, 0, 0x0b, // block br_if call end: half the time
		0x10, 0, // after both: always
		0x02, 0x40, 0x0c, 0, 0x10, 0, 0x0b, // after br: never
		0x02, 0x40, 0x02, 0x40, 0x41, 0, 0x0e, 1, 0, 1, 0x0b, 0x10, 0, 0x0b, // a case of two
		0x03, 0x40, 0x10, 0, 0x41, 0, 0x0d, 0, 0x10, 0, 0x0b, // a loop's jump back changes nothing
	}))
	var got []float64
	for _, call := range c.Funcs[0].Calls {
		got = append(got, call.Weight)
	}
	if want := []float64{.5, .5, .5, 1, 0, .5, 10, 10}; !slices.Equal(got, want) {
		t.Errorf("weights %v, want %v", got, want)
	}
}

// TestGoLoopsAreFoundBehindTheDispatch reads a function as Go's compiler writes
// it: block 2 jumps back to itself, block 3 to block 1.
func TestGoLoopsAreFoundBehindTheDispatch(t *testing.T) {
	jump := func(to, depth byte) []byte { return []byte{0x41, to, 0x21, 0, 0x0c, depth} }
	body := slices.Concat(
		[]byte{0x03, 0x40, 0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x02, 0x40}, // loop, four blocks
		[]byte{0x20, 0, 0x0e, 4, 0, 1, 2, 3, 3, 0x0b},                      // br_table, end: block 1 follows
		[]byte{0x10, 0, 0x0b},                                                // call 0; block 2
		[]byte{0x10, 0, 0x41, 1, 0x04, 0x40}, jump(1, 3), []byte{0x0b, 0x0b}, // call, jump back to 2; block 3
		[]byte{0x10, 0, 0x41, 1, 0x04, 0x40}, jump(0, 2), []byte{0x0b, 0x0b}, // call, jump back to 1; block 4
		[]byte{0x10, 0, 0x41, 0, 0x0f, 0x0b, 0x00}, // call, return; end of the loop, unreachable
	)
	_, c := scan(t, module().vec(SecType, 1, 0x60, 1, 0x7f, 1, 0x7f).vec(SecFunction, 1, 0).code(body))
	f := c.Funcs[0]
	var depths []uint8
	for _, call := range f.Calls {
		depths = append(depths, call.Depth)
	}
	if !slices.Equal(depths, []uint8{1, 2, 1, 0}) || f.Loops != 2 || f.LoopDepth != 2 {
		t.Errorf("depths %v, %d loops, %d deep", depths, f.Loops, f.LoopDepth)
	}
}

func TestNamesAreDecorationAndNeverFail(t *testing.T) {
	base := module().voids(nil, nil)
	for _, tc := range []struct {
		name   string
		custom []byte
		want   string
		append bool
	}{
		{"a name section", []byte{1, 7, 2, 0, 1, 'a', 1, 1, 'b'}, "a b", true},
		{"with the module's name before", []byte{0, 2, 1, 'm', 1, 7, 2, 0, 1, 'a', 1, 1, 'b'}, "a b", true},
		{"cut short", []byte{1, 7, 2, 0, 1, 'a', 1, 9, 'b'}, "a function 1", false},
		{"of a subsection that is too long", []byte{1, 99, 2, 0, 1, 'a'}, "function 0 function 1", false},
		{"out of order", []byte{1, 7, 2, 1, 1, 'b', 0, 1, 'a'}, "function 0 b", false},
		{"of functions that do not exist", []byte{1, 8, 2, 0, 1, 'a', 0xc0, 1, 1, 'x'}, "a function 1", false},
		{"that is empty", nil, "function 0 function 1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := parse(t, slices.Clone(base).custom("name", tc.custom...))
			if got := m.Name(0) + " " + m.Name(1); got != tc.want {
				t.Errorf("names %q, want %q", got, tc.want)
			}
			if got := m.NameList().Appendable; got != tc.append {
				t.Errorf("appendable: %v", got)
			}
		})
	}
	m := parse(t, module().vec(SecType, 1, 0x60, 0, 0).vec(SecImport, 1, 3, 'e', 'n', 'v', 1, 'f', 0, 0).
		vec(SecFunction, 1, 0).vec(SecExport, 1, 3, 'r', 'u', 'n', 0, 1).code(nil))
	if m.Name(0) != "env.f" || m.Name(1) != "run" {
		t.Errorf("names from imports and exports: %q, %q", m.Name(0), m.Name(1))
	}
}

func TestSignatureKeysAreUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfN(rapid.SampledFrom([]ValType{I32, I64, F32, F64, V128, FuncRef, ExternRef}), 0, 6)
		a := FuncType{Params: types.Draw(t, "params a"), Results: types.Draw(t, "results a")}
		b := FuncType{Params: types.Draw(t, "params b"), Results: types.Draw(t, "results b")}
		same := slices.Equal(a.Params, b.Params) && slices.Equal(a.Results, b.Results)
		if (a.Key() == b.Key()) != same {
			t.Fatalf("%s and %s", a, b)
		}
	})
}
