package runner

import (
	"errors"
	"testing"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// lostAfter is a policy whose calls have come to nothing after some effects.
type lostAfter struct {
	fixed
	in  *linked
	log []offload.Entry
}

func (l *lostAfter) choose(int, *wire.LinkState, func() int64) (where, reason string, watch bool) {
	c := &l.in.g.out.Candidates[0]
	if l.in.runHere(c, Call{}, offload.RunLocal{Log: l.log}) != rewrite.LocalWatch {
		panic("a re-run is not watched")
	}
	return siteDevice, "", true
}

// TestRule18_ARerunThatTrapsBeforeTheEndOfItsLogIsADivergence: the world has
// seen output that the local run never comes to write.
func TestRule18_ARerunThatTrapsBeforeTheEndOfItsLogIsADivergence(t *testing.T) {
	code := []byte("\x00asm\x01\x00\x00\x00")
	types := vec(encodeType(wasmbin.FuncType{}))
	funcs := vec([]byte{0})
	exports := vec(append(wasmbin.AppendName(nil, "f"), 0, 0))
	bodies := vec([]byte{3, 0, 0x00, 0x0b})
	for _, s := range []struct {
		id wasmbin.SectionID
		s  section
	}{{wasmbin.SecType, types}, {wasmbin.SecFunction, funcs}, {wasmbin.SecExport, exports}, {wasmbin.SecCode, bodies}} {
		code = s.s.append(code, s.id)
	}
	entry := offload.Entry{Class: offload.Output, Encoded: encodeEntry(wasi.Entry{Fn: wasi.FnFdWrite})}
	for name, log := range map[string][]offload.Entry{"output was released": {entry}, "nothing was released": nil} {
		t.Run(name, func(t *testing.T) {
			gr := newGround(t, pairsToTest(t)[0], outermost, smallMemory)
			defer gr.close()
			in, err := gr.instantiate(code, nil)
			if err != nil {
				t.Fatal(err)
			}
			in.decide = &lostAfter{fixed: fixed{siteClone}, in: in, log: log}
			_, err = in.call("f", nil)
			var trap *engine.Trap
			if isDivergence(err) != (log != nil) || errors.As(err, &trap) != (log == nil) {
				t.Errorf("the call ends with %v", err)
			}
			if in.rerun != nil {
				t.Error("the guest is still bound")
			}
		})
	}
}
