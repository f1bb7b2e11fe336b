package runner

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/spectest"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// TestOddModulesBehaveArmedAsLocally takes the modules that fuzzing has found
// bugs of the engine with, and those of its tests and examples, and calls every
// exported function that is sure to end with odd and random arguments: here, with
// the calls from outside moved, and with the calls from inside moved. After every
// call results, memory and globals are equal.
func TestOddModulesBehaveArmedAsLocally(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".wasm" && !strings.Contains(path, "spectest") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range pairsToTest(t) {
		if e.device != e.clone {
			continue // a NaN's bits may reach memory, and differ
		}
		t.Run(e.String(), func(t *testing.T) {
			var all trial
			for _, f := range files {
				if bin, err := os.ReadFile(f); err != nil {
					t.Error(err)
				} else if len(bin) < 1<<20 {
					all.add(tryModule(t, strings.TrimPrefix(f, dir), bin, e))
				}
			}
			t.Logf("%d modules with something to call, %d functions, %d calls equal, %d of them traps", all.modules, all.functions, all.calls, all.traps)
			t.Logf("%v: %v", outermost, &all.stats[0])
			t.Logf("%v: %v", inner, &all.stats[1])
			if all.calls == 0 {
				t.Error("nothing was called")
			}
		})
	}
}

// trial counts what was tried.
type trial struct {
	modules, functions, calls, traps int
	stats                            [2]stats
}

func (t *trial) add(o trial) {
	t.modules += o.modules
	t.functions += o.functions
	t.calls += o.calls
	t.traps += o.traps
	for i := range o.stats {
		t.stats[i].add(&o.stats[i])
	}
}

// smallMemory keeps what a guest can grow to, in pages, cheap to compare.
const smallMemory = 256

// tryModule calls what can be called of one module.
func tryModule(t *testing.T, name string, bin []byte, e engines) (n trial) {
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		return n
	}
	names := endingExports(m)
	if len(names) == 0 || slices.ContainsFunc(m.Imports, func(im wasmbin.Import) bool { return im.Module == wasi.ModuleName }) {
		return n // real programs have tests of their own, with a fixed clock
	}
	var ins [3]*linked
	for i, w := range []which{nothing, outermost, inner} {
		gr := newGround(t, e, w, smallMemory)
		defer gr.close()
		others, err := deadEnds(gr, m)
		if err == nil {
			ins[i], err = gr.instantiate(bin, others)
		}
		if (err == nil) != (ins[0] != nil) {
			t.Errorf("%s, %v: %v", name, w, err)
		}
		if err != nil {
			ins[i] = nil
			continue
		}
		if gr.count(ins[i].g); i > 0 {
			defer func() { n.stats[i-1].add(&gr.stats) }()
		}
	}
	if ins[0] == nil {
		return n
	}
	n.modules, n.functions = 1, len(names)
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	rnd := rand.New(rand.NewPCG(h.Sum64(), 1))
	rounds := 6
	if nightly {
		rounds = 40
	}
	for range rounds {
		for _, export := range names {
			args := oddArgs(rnd, ins[0], export)
			trapped, ok := tryCall(t, name, ins, export, args)
			if !ok {
				return n
			}
			n.calls++
			if trapped {
				n.traps++
			}
		}
	}
	return n
}

// tryCall makes one call three times and compares.
func tryCall(t *testing.T, name string, ins [3]*linked, export string, args []uint64) (trapped, ok bool) {
	want, wantErr := ins[0].call(export, args)
	for _, in := range ins[1:] {
		got, err := in.call(export, args)
		what := fmt.Sprintf("%s, %s%#x, %v", name, export, args, in.gr.which)
		switch {
		case (wantErr == nil) != (err == nil), err != nil && engineWords(err) != engineWords(wantErr):
			t.Errorf("%s: local error %v, armed %v", what, wantErr, err)
		case err == nil && !slices.Equal(want, got) && !references(ins[0], export):
			t.Errorf("%s: local %#x, armed %#x", what, want, got)
		case !bytes.Equal(ins[0].g.Bytes(), in.g.Bytes()):
			t.Errorf("%s: memory differs", what)
		case !slices.Equal(ins[0].g.readGlobals(), in.g.readGlobals()):
			t.Errorf("%s: globals differ: local %#x, armed %#x", what, ins[0].g.readGlobals(), in.g.readGlobals())
		default:
			continue
		}
		return false, false
	}
	return wantErr != nil, true
}

// references reports whether a function returns addresses.
func references(in *linked, export string) bool {
	fn, _ := in.g.inst.Function(export)
	return slices.ContainsFunc(fn.Type().Results, func(t engine.ValType) bool { return t == engine.FuncRef || t == engine.ExternRef })
}

// deadEnds provides a module's imports on the device: functions that trap and
// globals that are 0.
func deadEnds(gr *ground, m *wasmbin.Module) (map[string]*linked, error) {
	if len(m.Imports) == 0 {
		return nil, nil
	}
	pin := engine.HostFunc{Name: "pin", Params: []engine.ValType{engine.I32}, Call: func(context.Context, []uint64) {}}
	if err := gr.room.eng.Host(gr.ctx, pinHost, []engine.HostFunc{pin}); err != nil {
		return nil, err
	}
	others := map[string]*linked{}
	for _, im := range m.Imports {
		if others[im.Module] != nil {
			continue
		}
		var zeros []Constant
		for _, im := range m.Imports {
			zeros = append(zeros, Constant{im.Module, im.Name, 0})
		}
		code, _, err := standIn(m, im.Module, 0, zeros)
		if err != nil {
			return nil, err
		}
		mod, err := gr.room.eng.Compile(gr.ctx, code)
		if err != nil {
			return nil, err
		}
		inst, err := gr.room.eng.Instantiate(gr.ctx, mod, "")
		if err != nil {
			return nil, err
		}
		others[im.Module] = &linked{deviceRun: &deviceRun{g: &guest{inst: inst}}, gr: gr}
	}
	return others, nil
}

// endingExports names the exported functions that no arguments can keep from
// returning soon: without a loop or recursion within reach, or in a module whose
// generator bounded every one of them.
func endingExports(m *wasmbin.Module) (names []string) {
	code, err := m.Scan()
	if err != nil {
		return nil
	}
	fueled := fueled(m, code)
	state := make([]int, len(m.Funcs))
	for _, e := range m.Exports {
		if e.Kind == wasmbin.KindFunc && (fueled || ends(m, code, e.Index, state)) {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names
}

// ends reports whether function i has no loop or recursion within reach.
func ends(m *wasmbin.Module, code *wasmbin.Code, i uint32, state []int) bool {
	const visiting, good, bad = 1, 2, 3
	switch state[i] {
	case good:
		return true
	case visiting, bad:
		return false
	}
	state[i] = visiting
	f := code.Of(m, i)
	ok := f.Loops == 0
	for _, c := range f.Calls {
		if !c.Indirect {
			ok = ok && ends(m, code, c.Target, state)
			continue
		}
		for j := range m.Funcs {
			if code.AddressTaken[j] && m.FuncType(uint32(j)).Key() == m.Types[c.Target].Key() {
				ok = ok && ends(m, code, uint32(j), state)
			}
		}
	}
	state[i] = good
	if !ok {
		state[i] = bad
	}
	return ok
}

// fueled reports whether every function and loop of the module begins by taking
// from a counter, its last global, and trapping when that is used up.
func fueled(m *wasmbin.Module, code *wasmbin.Code) bool {
	last := len(m.Globals) - 1
	if last < 0 || !m.Globals[last].Mutable || m.Globals[last].Type != wasmbin.I32 {
		return false
	}
	get := wasmbin.AppendU32([]byte{0x23}, uint32(last))
	check := append(get, 0x45, 0x04, 0x40, 0x00) // i32.eqz, if, unreachable
	for i, b := range m.Bodies {
		if bytes.Count(m.Bytes[b.Start:b.End], check) < 1+int(code.Funcs[i].Loops) {
			return false
		}
	}
	return true
}

// oddArgs makes arguments: values at the edges, and any.
func oddArgs(rnd *rand.Rand, in *linked, export string) []uint64 {
	fn, _ := in.g.inst.Function(export)
	var args []uint64
	for _, t := range fn.Type().Params {
		switch t {
		case engine.I32:
			args = append(args, uint64(uint32(odd(rnd, 32))))
		case engine.I64:
			args = append(args, odd(rnd, 64))
		case engine.F32:
			v := []float32{0, -1, 0.5, 1e30, float32(math.Inf(1)), float32(math.NaN()), math.Float32frombits(rnd.Uint32())}
			args = append(args, uint64(math.Float32bits(v[rnd.IntN(len(v))])))
		case engine.F64:
			v := []float64{0, -1, 0.5, 1e300, math.Inf(-1), math.NaN(), math.Float64frombits(rnd.Uint64())}
			args = append(args, math.Float64bits(v[rnd.IntN(len(v))]))
		case engine.V128:
			args = append(args, rnd.Uint64(), rnd.Uint64())
		case engine.FuncRef, engine.ExternRef:
			args = append(args, 0)
		}
	}
	return args
}

func odd(rnd *rand.Rand, bits int) uint64 {
	edge := uint64(1) << (bits - 1)
	v := []uint64{0, 1, 2, 8, edge, edge - 1, ^uint64(0), 65535, 65536, uint64(rnd.IntN(1 << 17)), rnd.Uint64()}
	return v[rnd.IntN(len(v))]
}
