package offload

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wire"
)

func TestRule01_TheCallCarriesTheWholeStateAtTheBoundary(t *testing.T) {
	d := newDev(t)
	s := want[Send](t, d.begin(CallSpec{Function: 7, Args: []uint64{1, 2}, Globals: []uint64{3}, WASI: []byte("fds")}))
	m := s.Msg.(*wire.Call)
	if m.Function != 7 || !slices.Equal(m.Args, []uint64{1, 2}) || !slices.Equal(m.Globals, []uint64{3}) || string(m.Wasi) != "fds" {
		t.Errorf("%v", m)
	}
	if s.Body.Kind != DeltaBody || s.Body.Base.Kind != ModuleImage {
		t.Errorf("body %+v", s.Body)
	}
}

func TestRule01_OneAttemptAtATime(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{})
	if _, err := d.m.Begin(0, CallSpec{}); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v", err)
	}
}

func TestRule02_TheFirstCallNamesTheModuleImageAndSendsNoModule(t *testing.T) {
	c := newCl(t)
	c.attempt(1)
	if a := want[Apply](t, c.recv(call(Image{Kind: ModuleImage}))); a.Base.Kind != ModuleImage {
		t.Errorf("base %v", a.Base)
	}
}

func TestRule03_FramesOfAnotherRunChangeNothing(t *testing.T) {
	d := newDev(t)
	d.running()
	h := wire.Header{Type: wire.TypeReturn, Run: ID{8}, Attempt: d.id, Seq: 2}
	none(t, d.m.Frame(0, h, returned(), nil))
	c := newCl(t)
	none(t, c.m.Frame(0, wire.Header{Type: wire.TypeCall, Run: ID{8}, Attempt: ID{1}, Seq: 1}, call(Image{Kind: ModuleImage}), nil))
}

func TestRule03_ImagesOfOneRunAreNotThoseOfAnother(t *testing.T) {
	c := newCl(t)
	c.attempt(2)
	are(t, c.recv(call(Image{EntryImage, ID{1}})), "Send NeedBase")
}

func TestRule04_TheCallCarriesClocksSeedAndMemoryMaximum(t *testing.T) {
	d := newDev(t)
	m := want[Send](t, d.begin(CallSpec{Real: 5, Mono: 6, MemoryMax: 7})).Msg.(*wire.Call)
	if m.RealNanos != 5 || m.MonoNanos != 6 || m.MemoryMaxPages != 7 || len(m.Seed) != 32 || bytes.Equal(m.Seed, make([]byte, 32)) {
		t.Errorf("%v", m)
	}
}

func TestRule04_TheClocksNeverAnswerLessThanTheyDid(t *testing.T) {
	d := newDev(t)
	d.running()
	r := want[Send](t, d.recv(&wire.Release{RealNanos: 70, MonoNanos: 50}))
	if r.Header.Type != wire.TypeAck {
		t.Fatal(r)
	}
	if l := local(t, d.m.Abandon("test"), WhyCaller, 0); l.Real != 70 || l.Mono != 50 {
		t.Errorf("%d, %d", l.Real, l.Mono)
	}
	d.running()
	d.commit(&wire.Return{Outcome: wire.Outcome_OUTCOME_RETURNED, RealNanos: 90, MonoNanos: 40})
	d.running()
	if l := local(t, d.m.Abandon("test"), WhyCaller, 0); l.Real != 90 || l.Mono != 50 {
		t.Errorf("%d, %d", l.Real, l.Mono)
	}
}

func TestRule05_ResultsArePassedAsRawBits(t *testing.T) {
	d := newDev(t)
	d.running()
	nan := []uint64{0x7ff8_0000_dead_beef}
	in := d.commit(&wire.Return{Outcome: wire.Outcome_OUTCOME_RETURNED, Results: nan})
	if !slices.Equal(in.Return.Results, nan) {
		t.Errorf("%x", in.Return.Results)
	}
}

func TestRule06_TheNextCallNamesTheResultAndSoAcknowledgesIt(t *testing.T) {
	d := newDev(t)
	d.running()
	first := d.id
	in := d.commit(returned())
	if in.Image != (Image{ResultImage, first}) || d.m.Base() != in.Image {
		t.Errorf("image %v, base %v", in.Image, d.m.Base())
	}
	s := want[Send](t, d.begin(CallSpec{Site: "A"}))
	if s.Body.Base != in.Image || imageOf(s.Msg.(*wire.Call).Base) != in.Image {
		t.Errorf("%v", s)
	}
}

func TestRule06_AnAttemptThatWasAppliedLeavesItsEntryToName(t *testing.T) {
	d := newDev(t)
	d.running()
	l := local(t, d.m.Abandon("test"), WhyCaller, 0)
	if l.Adopt != (Image{EntryImage, d.id}) || d.m.Base() != l.Adopt {
		t.Errorf("adopt %v, base %v", l.Adopt, d.m.Base())
	}
}

func TestRule06_AnAttemptThatWasNotAppliedLeavesTheOldBase(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{})
	if l := local(t, d.m.Abandon("test"), WhyCaller, 0); l.Adopt.Kind != NoImage || d.m.Base().Kind != ModuleImage {
		t.Errorf("adopt %v, base %v", l.Adopt, d.m.Base())
	}
}

func TestRule06_TheCloneKeepsEntryAndResultAndDropsTheOlder(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.m.Finished(c.id, returned())
	if got := c.m.Images(); !slices.Equal(got, []Image{{EntryImage, ID{1}}, {ResultImage, ID{1}}}) {
		t.Fatalf("%v", got)
	}
	c.attempt(2)
	a := want[Apply](t, c.recv(call(Image{EntryImage, ID{1}}))) // its Return was lost: the entry is named
	if got := c.m.Images(); len(got) != 2 {
		t.Errorf("dropped before the Call is applied: %v", got)
	}
	keep := want[KeepImages](t, c.m.ApplyDone(0, a.Attempt, 0))
	if !slices.Equal(keep.Images, []Image{{EntryImage, ID{2}}}) {
		t.Errorf("%v", keep.Images)
	}
	c.m.Finished(c.id, returned())
	c.attempt(3)
	are(t, c.recv(call(Image{ResultImage, ID{1}})), "Send NeedBase")
}

func TestRule06_SendingAReturnChangesNothing(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	are(t, c.m.Finished(c.id, returned()), "Send Return", "KeepImages")
	for i, base := range []Image{{EntryImage, ID{1}}, {ResultImage, ID{1}}} {
		probe := newCl(t)
		*probe.m = *c.m
		probe.attempt(byte(2 + i))
		are(t, probe.recv(call(base)), "Apply")
	}
}

func TestRule06_ACloneWithoutTheBaseGetsPagesByHash(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{Site: "A"})
	s := want[Send](t, d.recv(&wire.NeedBase{}))
	if s.Header.Type != wire.TypePageHashes || s.Body.Kind != HashBody {
		t.Fatalf("%v", s)
	}
	s = want[Send](t, d.recv(&wire.NeedPages{Runs: []uint32{3, 2}}))
	if s.Header.Type != wire.TypeCall || s.Body.Kind != PagesBody || !slices.Equal(s.Body.Runs, []uint32{3, 2}) {
		t.Fatalf("%v", s)
	}
	none(t, d.recv(&wire.Applied{}))
	d.commit(returned())
}

func TestRule06_NeedBaseIsAnsweredOnce(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{})
	d.recv(&wire.NeedBase{})
	local(t, d.recv(&wire.NeedBase{}), WhyProtocol, 0)
}

func TestRule06_ASiteThatIsKnownToLackTheBaseIsSparedTheDelta(t *testing.T) {
	d := newDev(t)
	d.running()
	d.commit(returned())
	if s := want[Send](t, d.begin(CallSpec{Site: "B"})); s.Header.Type != wire.TypePageHashes {
		t.Errorf("%v", s.Header.Type)
	}
}

func TestRule07_ADeltaThatDoesNotYieldItsHashIsReplacedOnceThenGivenUp(t *testing.T) {
	c := newCl(t)
	c.attempt(1)
	a := want[Apply](t, c.recv(call(Image{Kind: ModuleImage})))
	are(t, c.m.ApplyFailed(a.Attempt, ApplyBase, ""), "Send NeedBase")
	want[CompareHashes](t, c.recv(&wire.PageHashes{MemoryBytes: wire.PageSize}))
	are(t, c.m.Compared(c.id, []uint32{0, 1}), "Send NeedPages")
	a = want[Apply](t, c.recv(call(Image{Kind: HashedImage})))
	s := want[Send](t, c.m.ApplyFailed(a.Attempt, ApplyBase, ""))
	if r, ok := s.Msg.(*wire.Return); !ok || r.Outcome != wire.Outcome_OUTCOME_ABORTED {
		t.Errorf("%v", s.Msg)
	}
}

func TestRule07_RunsAndPendingResultsPerDeviceAreCapped(t *testing.T) {
	q := &Quota{MaxRuns: 2, MaxPending: 1000}
	var nodes []*Node
	for i := range 2 {
		n, err := NewNode(ID{byte(1 + i)}, q, NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	if _, err := NewNode(ID{3}, q, NodeConfig{}); !errors.Is(err, ErrQuota) {
		t.Errorf("error %v", err)
	}
	frame := func(run byte, typ wire.Type, body int) *wire.Frame {
		return &wire.Frame{Header: wire.Header{Type: typ, Run: ID{run}, Attempt: ID{7}, Seq: 1}, Body: make([]byte, body)}
	}
	for i, n := range nodes {
		are(t, n.FromDevice(0, frame(byte(1+i), wire.TypeCall, 0)), "StartClone", "ToClone")
	}
	are(t, nodes[0].FromClone(0, 1, frame(1, wire.TypeApplied, 600)), "ToDevice")
	are(t, nodes[1].FromClone(0, 1, frame(2, wire.TypeApplied, 600)), "KillClone", "Send Unknown")
	nodes[0].Close("test")
	if q.runs.Load() != 1 || q.pending.Load() != 0 {
		t.Errorf("%d runs, %d bytes still counted", q.runs.Load(), q.pending.Load())
	}
}

func TestRule08_PagesFoundByHashAreNoBase(t *testing.T) {
	c := newCl(t)
	c.attempt(1)
	want[CompareHashes](t, c.recv(&wire.PageHashes{MemoryBytes: wire.PageSize}))
	c.m.Compared(c.id, nil)
	c.attempt(2)
	s := want[Send](t, c.recv(call(Image{Kind: HashedImage})))
	if r, ok := s.Msg.(*wire.Return); !ok || r.Outcome != wire.Outcome_OUTCOME_ABORTED {
		t.Errorf("another attempt's pages were taken for a base: %v", s.Msg)
	}
}

func TestRule09_MemoryThatGrewAtTheCloneIsReplacedByAFreshInstance(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.m.Finished(c.id, returned()) // grew
	c.attempt(2)
	a := want[Apply](t, c.recv(call(Image{EntryImage, ID{1}})))
	again := want[Apply](t, c.m.ApplyFailed(a.Attempt, ApplyGrown, ""))
	if !again.Fresh || again.Base != a.Base {
		t.Errorf("%+v", again)
	}
	are(t, c.m.ApplyFailed(again.Attempt, ApplyGrown, ""), "Send NeedBase")
}

func TestRule09_MemoryGrownAtTheCloneThenDeathRunsLocallyFromTheEntry(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opGrow, 0, 5}, {opGrow, 0, 6}, {opCompute, 5, 1}, {opPinned, 0, 0}, {opCompute, 4, 2}}, []op{{opCompute, 5, 1}})
	s.until("clone A: offload.Start")
	s.stepClone(s.sites[0])
	s.loseClone(s.sites[0], "killed by a signal")
	s.done(1)
}

func TestRule09_AnAttemptThatFailsAfterGrowthIsFollowedByACallThatApplies(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opGrow, 0, 5}, {opTrap, 0, 0}})
	s.until("Rollback")
	c := s.sites[0].c
	if len(c.inst) != 5 {
		t.Fatalf("the clone's memory has %d cells", len(c.inst))
	}
	// The device is still at the entry state, smaller than the instance.
	s.until("local: trap")
	s.d.local, s.d.call = nil, []op{{opCompute, 0, 0}}
	s.prog[0].ops = s.d.call
	acts, err := s.d.m.Begin(s.now, CallSpec{Site: "A", Globals: []uint64{0, 0, 0}, WASI: []byte("[]")})
	if err != nil {
		t.Fatal(err)
	}
	s.device(acts)
	s.done(1)
	if s.reach["grown"] == 0 {
		t.Error("the clone did not meet its own growth")
	}
}
