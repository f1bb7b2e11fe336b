package runner

import (
	"math"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// turns is a module whose one function f turns a loop as often as it is told.
func turns() []byte {
	code := []byte("\x00asm\x01\x00\x00\x00")
	body := []byte{
		1, 1, byte(wasmbin.I32),
		0x03, 0x40, // loop: b = 3*b + a; a--
		0x20, 1, 0x41, 3, 0x6c, 0x20, 0, 0x6a, 0x21, 1,
		0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b,
		0x20, 1, 0x0b,
	}
	types := vec(encodeType(wasmbin.FuncType{Params: []wasmbin.ValType{wasmbin.I32}, Results: []wasmbin.ValType{wasmbin.I32}}))
	funcs, exports := vec([]byte{0}), vec(append(wasmbin.AppendName(nil, "f"), 0, 0))
	code = types.append(code, wasmbin.SecType)
	code = funcs.append(code, wasmbin.SecFunction)
	code = exports.append(code, wasmbin.SecExport)
	bodies := vec(append([]byte{byte(len(body))}, body...))
	return bodies.append(code, wasmbin.SecCode)
}

// turned is what f answers.
func turned(a uint32) (b uint64) {
	var v uint32
	for ; a > 0; a-- {
		v = 3*v + a
	}
	return uint64(v)
}

// deciding makes an instance of turns that decides for itself.
func deciding(tb tester, gr *ground, conf Decide) *linked {
	tb.Helper()
	in, err := gr.instantiate(turns(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	in.start.Where, in.start.Decide = whereAuto, conf
	if err := in.deviceRun.arm(); err != nil {
		tb.Fatal(err)
	}
	return in
}

func (in *linked) linkIs(up bool) {
	in.pipe.deliver(frame{
		head: wire.Header{Type: wire.TypeLinkState},
		msg:  &wire.LinkState{Up: up, RttSeconds: 1e-4, UpBytesPerSecond: 1e9, DownBytesPerSecond: 1e9},
	})
}

func (in *linked) calls(tb tester, a uint32) {
	tb.Helper()
	out, err := in.call("f", []uint64{uint64(a)})
	if err != nil || out[0] != turned(a) {
		tb.Errorf("f(%d) = %v, %v; want %d", a, out, err, turned(a))
	}
}

// moved is how many calls the decider has seen run at each site.
func (in *linked) seen() (here, there, fails int) {
	for _, f := range in.auto.d.State().Functions {
		here, there, fails = here+len(f.Here), there+len(f.There), fails+f.Fails
	}
	return here, there, fails
}

func TestACallMovesByItsDecisionAndItsOutcomeIsLearnt(t *testing.T) {
	gr := newGround(t, pairsToTest(t)[0], outermost, smallMemory)
	defer gr.close()
	move := []decide.Row{{Function: 0, Parent: decide.AnyParent, Move: true, Local: 5, Compute: 0.001, BytesUp: 100, BytesDown: 100}}
	in := deciding(t, gr, Decide{Partition: move})
	if err := in.startClone(); err != nil {
		t.Fatal(err)
	}
	in.calls(t, 1000)
	if here, there, _ := in.seen(); here != 1 || there != 0 {
		t.Fatalf("without a link: %d calls here, %d there", here, there)
	}
	in.linkIs(true)
	in.auto.d.SetLink(true, linkOf(&wire.LinkState{Up: true}, 0))
	again := deciding(t, gr, Decide{Partition: move})
	if err := again.startClone(); err != nil {
		t.Fatal(err)
	}
	again.linkIs(true)
	again.calls(t, 1000)
	if here, there, _ := again.seen(); here != 0 || there != 1 {
		t.Errorf("by the partition: %d calls here, %d there: %s", here, there, again.auto.d.Reason(&again.auto.out))
	}
	again.cutAfter(0)
	again.calls(t, 2000)
	if again.auto.d.Watched() != 0 || len(again.watch) != 0 || len(again.auto.decided) != 0 {
		t.Error("a call that fell back is still in progress")
	}
}

func TestDamagedStateIsToldAndTheRunGoesOn(t *testing.T) {
	gr := newGround(t, pairsToTest(t)[0], outermost, smallMemory)
	defer gr.close()
	in := deciding(t, gr, Decide{Learnt: []byte("rubbish")})
	in.calls(t, 10)
	if here, _, _ := in.seen(); here != 1 {
		t.Errorf("%d calls were learnt", here)
	}
}

func TestAShortFunctionDisarmsItselfAndIsArmedWhenTheLinkChanges(t *testing.T) {
	gr := newGround(t, pairsToTest(t)[0], outermost, smallMemory)
	defer gr.close()
	in := deciding(t, gr, Decide{})
	for range 20 {
		in.calls(t, 1)
	}
	mask := func() uint64 { return in.arms.masks[0].Get() & 1 }
	if mask() != 0 {
		t.Error("a function of a microsecond is still armed")
	}
	in.linkIs(true)
	in.auto.tick() // as an import's call has it
	if mask() != 1 {
		t.Error("it is not armed again when there is a clone")
	}
}

func TestATrapLeavesNoCallInProgress(t *testing.T) {
	gr := newGround(t, pairsToTest(t)[0], outermost, smallMemory)
	defer gr.close()
	in := deciding(t, gr, Decide{})
	in.watch = append(in.watch, watched{k: 0, began: time.Now()})
	c := decide.Call{Parent: decide.NoParent, Dirty: -1}
	in.auto.out = in.auto.d.Enter(&c)
	in.auto.push(0)
	in.auto.unwound(0, false)
	if in.auto.d.Watched() != 0 || in.auto.active[0] != 0 || len(in.auto.decided) != 0 {
		t.Error("a call that was unwound is still in progress")
	}
}

func TestInputIsKnownByItsArguments(t *testing.T) {
	a := inputOf(&Start{Args: []string{"app", "-s", "800x600", "-x", "1.5", "."}})
	if len(a.numbers) != 3 || a.numbers[0] != 800 || a.numbers[1] != 600 || a.numbers[2] != 1.5 {
		t.Errorf("numbers %v", a.numbers)
	}
	if b := inputOf(&Start{Args: []string{"app", "-s", "800x601", "-x", "1.5", "."}}); b.class == a.class || b.class == 0 {
		t.Error("other arguments are of the same class")
	}
	dir := t.TempDir()
	s := Start{Args: []string{"app", "/data", "/other"}, Dirs: []Dir{{Host: dir, Guest: "/data"}}}
	if got := inputOf(&s).bytes; got != inputOf(&Start{}).bytes {
		t.Errorf("an empty folder has %d bytes", got)
	}
}

func TestNumbersAreWhatTheGuestMeans(t *testing.T) {
	for _, c := range []struct {
		typ  wasmbin.ValType
		bits uint64
		want float64
	}{
		{wasmbin.I32, 0xdeadbeef_ffffffff, -1},
		{wasmbin.I64, math.MaxUint64, -1},
		{wasmbin.F32, uint64(math.Float32bits(1.5)), 1.5},
		{wasmbin.F64, math.Float64bits(-2.5), -2.5},
	} {
		if got := numberOf(c.typ, c.bits); got != c.want {
			t.Errorf("%v %x is %v, want %v", c.typ, c.bits, got, c.want)
		}
	}
}

// BenchmarkDecidedEntry is an entry that stays here and its exit, with all that the
// runner does in them: the goal of issue 3 is 2 us for an entry.
func BenchmarkDecidedEntry(b *testing.B) {
	best := trackers()[0]
	gr := newGround(b, engines{0, 0, best, best}, outermost, smallMemory)
	defer gr.close()
	in := deciding(b, gr, Decide{})
	in.linkIs(true)
	args, results := []uint64{1000}, make([]uint64, 1)
	b.ReportAllocs()
	for b.Loop() {
		if in.entered(0, args, results) == rewrite.LocalWatch {
			in.left(0)
		}
	}
}

func TestALinkOfWhichNothingIsMeasuredIsTakenForItsKind(t *testing.T) {
	wifi, third := linkOf(&wire.LinkState{Up: true}, energy.WiFi), linkOf(&wire.LinkState{Up: true}, energy.ThreeG)
	if third.Up >= wifi.Up/10 || third.Down >= wifi.Down/5 || third.UpDev != assumedDev || third.DownDev != assumedDev {
		t.Errorf("3G is taken for %+v, Wi-Fi for %+v", third, wifi)
	}
	measured := linkOf(&wire.LinkState{Up: true, RttSeconds: 0.3, UpBytesPerSecond: 7e4, DownBytesPerSecond: 9e4}, energy.ThreeG)
	if measured.Up != 7e4 || measured.Down != 9e4 || measured.UpDev >= assumedDev || measured.RTT != 300*time.Millisecond {
		t.Errorf("what was measured does not count: %+v", measured)
	}
}
