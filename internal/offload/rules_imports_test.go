package offload

import (
	"errors"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wire"
)

func TestRule10_QuietImportsSendNothing(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.now = time.Hour
	none(t, c.log(Quiet, ""))
}

func TestRule10_ForwardedReadsGoToTheDeviceAndBack(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	s := want[Send](t, c.m.Forward(0, Read, []byte("stat")))
	m := s.Msg.(*wire.ImportRequest)
	if m.Entry != 0 || m.Step != 0 || m.Class != Read || string(m.Payload) != "stat" {
		t.Errorf("%v", m)
	}
	a := want[Answer](t, c.recv(&wire.ImportReply{Payload: []byte("yes")}))
	if string(a.Payload) != "yes" {
		t.Errorf("%q", a.Payload)
	}
	m = want[Send](t, c.m.Forward(0, Read, []byte("again"))).Msg.(*wire.ImportRequest)
	if m.Entry != 0 || m.Step != 1 {
		t.Errorf("the second operation of an import is %d.%d", m.Entry, m.Step)
	}
}

func TestRule10_DeferrableEffectsWaitForTheReturn(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	none(t, c.log(Output, "hello"))
	none(t, c.log(FileChange, "rm x"))
	r := c.m.Finished(c.id, returned())
	m := want[Send](t, r).Msg.(*wire.Return)
	if len(m.Entries) != 2 || string(m.Entries[0].Effect) != "hello" || string(m.Entries[1].Effect) != "rm x" {
		t.Errorf("%v", m)
	}
}

func TestRule10_APinnedImportAbortsAndTheCallRunsLocally(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opPrint, 0, 0}, {opPinned, 0, 0}, {opPrint, 1, 0}})
	s.done(0)
	if s.reach["why aborted"] != 1 {
		t.Errorf("%v", s.reach)
	}
}

func TestRule10_PrivateFilesStayOnTheDeviceAndTaintTheRun(t *testing.T) {
	d := newDev(t)
	d.running()
	serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Read, Payload: []byte("open diary")}))
	acts := d.m.ServedPrivate(0, serve.Op, "the folder diary is private")
	are(t, acts, "Send Cancel", "RunLocal private: the folder diary is private")
	if _, err := d.m.Begin(0, CallSpec{}); !errors.Is(err, ErrTainted) {
		t.Errorf("error %v", err)
	}
}

func TestRule10_AGuestThatOpensSomethingPrivateByItselfTaintsTheRunToo(t *testing.T) {
	d := newDev(t)
	none(t, d.m.Taint("opened diary"))
	if _, err := d.m.Begin(0, CallSpec{}); !errors.Is(err, ErrTainted) {
		t.Errorf("error %v", err)
	}
	if why, ok := d.m.Tainted(); !ok || why != "opened diary" {
		t.Errorf("%q, %v", why, ok)
	}
}

func TestRule10_ProcExitCommitsEverythingAndCarriesTheCode(t *testing.T) {
	d := newDev(t)
	d.running()
	in := d.commit(&wire.Return{Outcome: wire.Outcome_OUTCOME_EXITED, ExitCode: 3, Entries: []*wire.Entry{entry(Output, "bye")}})
	if !in.Exited || in.ExitCode != 3 {
		t.Errorf("%+v", in)
	}
}

func TestRule10_AnImmediateEffectThatIsPrivateBindsNothing(t *testing.T) {
	d := newDev(t)
	d.running()
	serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate}))
	local(t, d.m.ServedPrivate(0, serve.Op, "private"), WhyPrivate, 0)
	d = newDev(t)
	d.running()
	serve = want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate}))
	d.m.Served(0, serve.Op, []byte("done"))
	serve = want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate, Step: 1}))
	l := local(t, d.m.ServedPrivate(0, serve.Op, "private"), WhyPrivate, 1)
	if len(l.Log[0].Ops) != 1 {
		t.Errorf("%+v", l.Log[0])
	}
}

func TestRule11_ARequestThatIsRefusedEndsTheAttemptAndBindsNothing(t *testing.T) {
	for _, class := range []Class{Read, Immediate} {
		d := newDev(t)
		d.running()
		serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: class, Payload: []byte("nonsense")}))
		local(t, d.m.ServedNot(0, serve.Op, "malformed"), WhyProtocol, 0)
		none(t, d.m.ServedNot(0, serve.Op, "malformed"))
		if _, err := d.m.Begin(0, CallSpec{}); err != nil {
			t.Errorf("the run is over after it: %v", err)
		}
	}
}

func TestRule11_AnImportThatIsAskedAgainIsAnsweredAgainAndDoneOnce(t *testing.T) {
	for _, class := range []Class{Read, Immediate} {
		d := newDev(t)
		d.running()
		req := &wire.ImportRequest{Class: class, Payload: []byte("read line")}
		serve := want[Serve](t, d.recv(req))
		first := want[Send](t, d.m.Served(0, serve.Op, []byte("line 1")))
		again := want[Send](t, d.recv(req))
		if again.Msg != first.Msg {
			t.Errorf("%v: %v, then %v", class, first.Msg, again.Msg)
		}
		none(t, d.m.Served(0, serve.Op, []byte("line 2")))
	}
}

func TestRule11_ImportsOutOfOrderAbandonTheAttempt(t *testing.T) {
	for _, second := range []*wire.ImportRequest{{Entry: 0, Step: 0, Class: Read}, {Entry: 1, Step: 0, Class: Read}} {
		d := newDev(t)
		d.running()
		serve := want[Serve](t, d.recv(&wire.ImportRequest{Entry: 1, Step: 1, Class: Read}))
		d.m.Served(0, serve.Op, nil)
		local(t, d.recv(second), WhyProtocol, 0)
	}
}

func TestRule11_AReplyToAnotherQuestionIsIgnored(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.m.Forward(0, Read, nil)
	none(t, c.recv(&wire.ImportReply{Entry: 4}))
	none(t, c.recv(&wire.ImportReply{Entry: 0, Step: 1}))
	want[Answer](t, c.recv(&wire.ImportReply{}))
	none(t, c.recv(&wire.ImportReply{}))
}

func TestRule12_ABatchMustContinueTheLog(t *testing.T) {
	d := newDev(t)
	d.running()
	none(t, d.recv(&wire.Release{Entries: []*wire.Entry{entry(Quiet, ""), entry(Quiet, "")}})[1:])
	for _, first := range []uint32{0, 1, 3} {
		probe := *d.m
		h := wire.Header{Type: wire.TypeRelease, Run: testRun, Attempt: d.id, Seq: d.seq + 1}
		local(t, probe.Frame(0, h, &wire.Release{First: first, Entries: []*wire.Entry{entry(Quiet, "")}}, nil), WhyProtocol, 0)
	}
}

func TestRule12_PastTheCapEarlyReleaseStopsAndOutputWaitsForTheCommit(t *testing.T) {
	c := newCl(t)
	c.attempt(1)
	m := call(Image{Kind: ModuleImage})
	m.LogEntries = 2
	c.recv(m)
	c.m.ApplyDone(0, c.id, 0)
	c.now = time.Hour
	want[Send](t, c.log(Output, "one"))
	c.now = 2 * time.Hour
	want[Send](t, c.log(Output, "two"))
	c.now = 3 * time.Hour
	none(t, c.log(Output, "three"))
	none(t, c.log(Quiet, ""))
	none(t, c.log(FileChange, "four"))
	want[Abort](t, c.m.Forward(c.now, Immediate, nil))
	probe := *c.m
	probe.aborting = false
	r := want[Send](t, probe.Finished(c.id, returned())).Msg.(*wire.Return)
	if len(r.Entries) != 0 || len(r.Bare) != 2 || r.Bare[0].Entry != 2 || r.Bare[1].Entry != 4 {
		t.Errorf("%v", r)
	}
}

func TestRule12_ALogBeyondTheCapIsRefusedBeforeAnythingOfItIsReleased(t *testing.T) {
	d := newDev(t)
	d.m.conf.LogEntries = 2
	d.running()
	acts := d.recv(&wire.Release{Entries: []*wire.Entry{entry(Output, "a"), entry(Output, "b"), entry(Output, "c")}})
	local(t, acts, WhyProtocol, 0)
}

func TestRule12_RandomIsRecomputedFromTheSeedOfTheAttempt(t *testing.T) {
	d := newDev(t)
	seed := want[Send](t, d.begin(CallSpec{})).Msg.(*wire.Call).Seed
	if l := local(t, d.m.Abandon("test"), WhyCaller, 0); string(l.Seed[:]) != string(seed) {
		t.Error("the re-run has another seed")
	}
	s := newScene(t, 1, DeviceConfig{Release: 1}, []op{{opRandom, 0, 0}, {opPrintVol, 0, 0}, {opRandom, 0, 0}, {opPinned, 0, 0}, {opPrintVol, 0, 0}})
	s.done(0)
	if s.replays != 1 {
		t.Errorf("%d bound re-runs", s.replays)
	}
}

func TestRule13_OutputIsReleasedAtMostEvery200Milliseconds(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	none(t, c.log(Output, "a"))
	if by, ok := c.m.Deadline(); !ok || by != DefaultRelease {
		t.Errorf("deadline %v, %v", by, ok)
	}
	none(t, c.m.Tick(DefaultRelease-1))
	m := want[Send](t, c.m.Tick(DefaultRelease)).Msg.(*wire.Release)
	if m.First != 0 || len(m.Entries) != 1 {
		t.Errorf("%v", m)
	}
	if _, ok := c.m.Deadline(); ok {
		t.Error("a deadline without output")
	}
	c.now = DefaultRelease + 1
	none(t, c.log(Output, "b"))
	c.now = 2 * DefaultRelease
	if m := want[Send](t, c.log(Quiet, "")).Msg.(*wire.Release); m.First != 1 || len(m.Entries) != 2 {
		t.Errorf("%v", m)
	}
}

func TestRule13_OutputIsNeverReleasedPastAQueuedFileChange(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.log(Output, "before")
	c.log(FileChange, "x")
	c.now = time.Hour
	none(t, c.log(Output, "after"))
	none(t, c.m.Tick(c.now))
	d := newDev(t)
	d.running()
	acts := d.recv(&wire.Release{Entries: []*wire.Entry{entry(Output, "a")}})
	if want[ReleaseOutput](t, acts); wire.Check(&wire.Release{Entries: []*wire.Entry{entry(FileChange, "x")}}) == nil {
		t.Error("a Release may carry a file change")
	}
}

func TestRule13_TheLogAndTheReadsTravelBeforeAnImmediateEffect(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.m.NoteRead([]byte("f"))
	c.log(Read, "")
	c.log(Output, "name? ")
	acts := c.m.Forward(0, Immediate, []byte("read line"))
	are(t, acts, "Send Release", "Send ImportRequest")
	m := acts[0].(Send).Msg.(*wire.Release)
	if len(m.Entries) != 2 || len(m.Reads) != 1 || string(m.Entries[1].Effect) != "name? " {
		t.Errorf("%v", m)
	}
	c.recv(&wire.ImportReply{Entry: 2})
	c.log(Immediate, "")
	are(t, c.m.Forward(0, Immediate, nil), "Send Release", "Send ImportRequest")
}

func TestRule13_ALongLogTravelsInFramesThatTheWireTakesReadsFirst(t *testing.T) {
	c := newCl(t)
	c.attempt(1)
	m := call(Image{Kind: ModuleImage})
	m.LogEntries, m.LogBytes = 1<<16, 64<<20
	c.recv(m)
	c.m.ApplyDone(0, c.id, 0)
	for range 5 {
		c.m.NoteRead(make([]byte, 1<<20))
		c.m.Log(0, Read, make([]byte, 1<<20), nil)
		c.m.Log(0, Output, make([]byte, 1<<20), make([]byte, 1<<20))
	}
	acts := c.m.Tick(time.Hour)
	reads, entries := 0, 0
	for _, a := range acts {
		s := a.(Send)
		if _, err := wire.NewFrame(s.Header, s.Msg, nil); err != nil {
			t.Fatal(err)
		}
		r := s.Msg.(*wire.Release)
		if len(r.Entries) > 0 && reads+len(r.Reads) < 5 {
			t.Error("entries travel before all reads")
		}
		if r.First != uint32(entries) {
			t.Errorf("a batch begins at %d, want %d", r.First, entries)
		}
		reads, entries = reads+len(r.Reads), entries+len(r.Entries)
	}
	if reads != 5 || entries != 10 {
		t.Errorf("%d reads, %d entries", reads, entries)
	}
}

func TestRule13_AnImmediateEffectWhoseLogHasNotTravelledIsNotDone(t *testing.T) {
	d := newDev(t)
	d.running()
	local(t, d.recv(&wire.ImportRequest{Entry: 2, Class: Immediate}), WhyProtocol, 0)
}

func TestRule13_ReadsAreCheckedBeforeARelease(t *testing.T) {
	d := newDev(t)
	d.running()
	acts := d.recv(&wire.Release{Entries: []*wire.Entry{entry(Read, ""), entry(Output, "a")}, Reads: [][]byte{[]byte("f")}})
	are(t, acts, "Send Ack", "CheckReads")
	check := want[CheckReads](t, acts)
	ok := *d.m
	are(t, ok.ReadsChecked(0, check.Op, ""), "ReleaseOutput")
	local(t, d.m.ReadsChecked(0, check.Op, "f changed"), WhyChanged, 0)
}

func TestRule13_AMismatchReleasesNothingOfThatBatchAndKeepsTheEarlierOne(t *testing.T) {
	d := newDev(t)
	d.running()
	out := want[ReleaseOutput](t, d.recv(&wire.Release{Entries: []*wire.Entry{entry(Output, "a")}}))
	none(t, d.m.Released(0, out.Op, 1, nil))
	check := want[CheckReads](t, d.recv(&wire.Release{First: 1, Entries: []*wire.Entry{entry(Output, "b")}, Reads: [][]byte{{}}}))
	l := local(t, d.m.ReadsChecked(0, check.Op, "f changed"), WhyChanged, 1)
	if l.Log[0].Class != Output || l.Log[0].Real != nil {
		t.Errorf("%+v", l.Log)
	}
}

func TestRule13_AnImmediateEffectAfterQueuedFileChangesAbortsTheAttempt(t *testing.T) {
	c := newCl(t)
	c.running(1, Image{Kind: ModuleImage})
	c.log(FileChange, "x")
	want[Abort](t, c.m.Forward(0, Immediate, nil))
	s := newScene(t, 1, DeviceConfig{}, []op{{opWrite, 0, 0}, {opStdin, 0, 0}})
	s.done(0)
}

func TestRule14_AnEffectBegunOnTheDeviceCompletesIntoTheLog(t *testing.T) {
	d := newDev(t)
	d.running()
	out := want[ReleaseOutput](t, d.recv(&wire.Release{Entries: []*wire.Entry{entry(Quiet, ""), entry(Output, "a")}}))
	none(t, d.m.Abandon("the user waits no longer"))
	local(t, d.m.Released(0, out.Op, 1, nil), WhyCaller, 2)
}

func TestRule14_ARealResultThatDiffersIsLoggedAndAbandonsTheAttempt(t *testing.T) {
	d := newDev(t)
	d.running()
	out := want[ReleaseOutput](t, d.recv(&wire.Release{Entries: []*wire.Entry{entry(Output, "a"), entry(Output, "bcd"), entry(Output, "e")}}))
	l := local(t, d.m.Released(0, out.Op, 1, &Real{[]byte("wrote 2")}), WhyOutput, 2)
	if l.Log[0].Real != nil || string(l.Log[1].Real.Outcome) != "wrote 2" {
		t.Errorf("%+v", l.Log)
	}
}

func TestRule14_OutputOfWhichNothingHappenedBindsNothing(t *testing.T) {
	d := newDev(t)
	d.running()
	out := want[ReleaseOutput](t, d.recv(&wire.Release{Entries: []*wire.Entry{entry(Output, "a"), entry(Quiet, ""), entry(Output, "b")}}))
	local(t, d.m.Released(0, out.Op, 1, nil), WhyOutput, 1)
}

func TestRule14_AnImmediateEffectIsTheDevicesOwnRecord(t *testing.T) {
	d := newDev(t)
	d.running()
	serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate, Payload: []byte("read line")}))
	d.m.Served(0, serve.Op, []byte("yes"))
	lie := &wire.Entry{Class: Immediate, Encoded: []byte("the guest read: no")}
	d.recv(&wire.Release{First: 0, Entries: []*wire.Entry{lie}})
	l := local(t, d.recv(&wire.Unknown{}), WhyUnknown, 1)
	e := l.Log[0]
	if e.Open || len(e.Ops) != 1 || string(e.Ops[0].Reply) != "yes" || string(e.Ops[0].Request) != "read line" {
		t.Errorf("%+v", e)
	}
}

func TestRule21_WhereNothingMayBeReleasedTheCloneReleasesNothing(t *testing.T) {
	c := newCl(t)
	c.attempt(1)
	m := call(Image{Kind: ModuleImage})
	m.ReleaseNanos = 0
	c.recv(m)
	c.m.ApplyDone(0, c.id, 0)
	c.now = time.Hour
	none(t, c.log(Output, "a"))
	none(t, c.m.Tick(c.now))
	want[Abort](t, c.m.Forward(c.now, Immediate, nil))
}
