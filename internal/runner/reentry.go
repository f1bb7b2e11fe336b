package runner

import (
	"encoding/binary"
	"slices"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// reentries tells the calls of a program from entries of its WebAssembly
// functions, which are not the same where the guest switches stacks by
// unwinding: a Go function returns 1 when its goroutine has to wait, and is
// called again later with the number of the block to go on with (parameter PC_B
// of cmd/internal/obj/wasm); an asyncify guest returns from all its functions
// and calls them again while its state says "rewinding".
type reentries struct {
	resumes []bool        // by candidate: a Go function
	state   engine.Global // of asyncify; nil: there is none
}

const asyncifyRewinding = 2

func newReentries(g *guest) reentries {
	x := reentries{resumes: make([]bool, len(g.out.Candidates))}
	if isGo(g.module) {
		for i := range g.out.Candidates {
			c := &g.out.Candidates[i]
			x.resumes[i] = slices.Equal(c.Sig.Params, []wasmbin.ValType{wasmbin.I32}) &&
				slices.Equal(c.Sig.Results, []wasmbin.ValType{wasmbin.I32}) && !exported(g.module, c.Index)
		}
	}
	if global, ok := asyncifyState(g.module); ok {
		for i, gl := range g.out.Globals {
			if gl.Index == global {
				x.state = g.globals[i]
			}
		}
	}
	return x
}

// how says what an entry of candidate k is.
func (x *reentries) how(k int, args []uint64) profile.Entry {
	switch {
	case x.resumes[k] && uint32(args[0]) != 0:
		return profile.Resumed
	case x.state != nil && uint32(x.state.Get()) == asyncifyRewinding:
		return profile.Rewound
	}
	return profile.Fresh
}

func isGo(m *wasmbin.Module) bool {
	if m.Custom("go:buildid") != nil {
		return true
	}
	for _, name := range m.Names() {
		if name == "wasm_pc_f_loop" { // linked without an id
			return true
		}
	}
	return false
}

func exported(m *wasmbin.Module, index uint32) bool {
	return slices.ContainsFunc(m.Exports, func(e wasmbin.Export) bool {
		return e.Kind == wasmbin.KindFunc && e.Index == index
	})
}

// asyncifyState finds the global that asyncify keeps its state in: the one that
// asyncify_start_unwind sets to 1 first of all.
func asyncifyState(m *wasmbin.Module) (uint32, bool) {
	for _, e := range m.Exports {
		if e.Kind != wasmbin.KindFunc || e.Name != "asyncify_start_unwind" || m.Imported(e.Index) {
			continue
		}
		body := m.BodyOf(e.Index)
		code := m.Bytes[body.Start:body.End]
		const i32const, globalSet = 0x41, 0x24
		if len(code) > 4 && code[0] == 0 && code[1] == i32const && code[2] == 1 && code[3] == globalSet {
			if v, n := binary.Uvarint(code[4:]); n > 0 && v < uint64(len(m.Globals)) {
				return uint32(v), true
			}
		}
	}
	return 0, false
}
