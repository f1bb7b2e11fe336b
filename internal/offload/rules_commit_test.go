package offload

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wire"
)

func TestRule15_NothingIsAppliedBeforeReadsAndReturnAreChecked(t *testing.T) {
	d := newDev(t)
	d.running()
	m := returned(entry(Read, ""), entry(Output, "a"))
	m.Reads = [][]byte{[]byte("f")}
	acts := d.recv(m)
	are(t, acts, "Send Ack", "CheckReads")
	acts = d.m.ReadsChecked(0, want[CheckReads](t, acts).Op, "")
	are(t, acts, "Prepare")
	local(t, d.m.Prepared(0, want[Prepare](t, acts).Op, &Reason{WhyProtocol, "page 9 of 4"}), WhyProtocol, 0)
}

func TestRule15_AReadThatIsStaleAbandonsTheAttempt(t *testing.T) {
	d := newDev(t)
	d.running()
	m := returned()
	m.Reads = [][]byte{[]byte("f")}
	check := want[CheckReads](t, d.recv(m))
	local(t, d.m.ReadsChecked(0, check.Op, "f changed"), WhyChanged, 0)
}

func TestRule15_HostileReturnsAreAbandoned(t *testing.T) {
	for _, c := range []struct {
		name string
		m    *wire.Return
	}{
		{"a log that leaves a gap", &wire.Return{Outcome: 1, First: 2}},
		{"a log that begins again", &wire.Return{Outcome: 1, First: 0, Entries: []*wire.Entry{entry(Quiet, "")}}},
		{"an immediate effect that never was", &wire.Return{Outcome: 1, First: 1, Entries: []*wire.Entry{entry(Immediate, "")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDev(t)
			d.running()
			d.recv(&wire.Release{Entries: []*wire.Entry{entry(Quiet, "")}})
			local(t, d.recv(c.m), WhyProtocol, 0)
		})
	}
	t.Run("no record of an immediate effect that was", func(t *testing.T) {
		d := newDev(t)
		d.running()
		serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate}))
		d.m.Served(0, serve.Op, nil)
		local(t, d.recv(returned()), WhyProtocol, 1)
	})
	t.Run("before Applied", func(t *testing.T) {
		d := newDev(t)
		d.begin(CallSpec{})
		local(t, d.recv(returned()), WhyProtocol, 0)
	})
}

func TestRule15_ALateReturnOfAnEndedAttemptIsFenced(t *testing.T) {
	d := newDev(t)
	d.running()
	old := d.id
	local(t, d.recv(&wire.Unknown{}), WhyUnknown, 0)
	none(t, d.recvAs(old, 2, returned()))
	d.running()
	none(t, d.recvAs(old, 2, returned()))
	if d.m.Fenced() != 2 {
		t.Errorf("%d frames fenced", d.m.Fenced())
	}
	d.commit(returned())
}

func TestRule15_ARepeatedReturnIsFenced(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned()))
	none(t, d.recvAs(d.id, 2, returned()))
	none(t, d.recvAs(d.id, 3, returned()))
	want[Install](t, d.m.Prepared(0, p.Op, nil))
	none(t, d.recvAs(d.id, 2, returned()))
	none(t, d.m.Prepared(0, p.Op, nil))
}

func TestRule15_AForgedReturnIsFenced(t *testing.T) {
	d := newDev(t)
	d.running()
	for bit := range 128 {
		forged := d.id
		forged[bit/8] ^= 1 << (bit % 8)
		none(t, d.recvAs(forged, 2, returned()))
	}
	none(t, d.recvAs(ID{}, 2, returned()))
	d.commit(returned())
}

func TestRule15_AttemptIdsAreFreshAndUnlike(t *testing.T) {
	d := newDev(t)
	seen := map[ID]bool{}
	for range 1000 {
		d.running()
		if seen[d.id] {
			t.Fatal("an attempt id came twice")
		}
		seen[d.id] = true
		d.commit(returned())
	}
}

func TestRule15_ARepeatedFrameIsDroppedAndAGapAbandons(t *testing.T) {
	d := newDev(t)
	d.running()
	none(t, d.recvAs(d.id, 1, &wire.Applied{}))
	local(t, d.recvAs(d.id, 3, returned()), WhyProtocol, 0)
}

func TestRule15_FramesThatADeviceSendsAreNotTakenFromAClone(t *testing.T) {
	d := newDev(t)
	d.running()
	local(t, d.recvAs(d.id, 2, &wire.ImportReply{}), WhyProtocol, 0)
}

func TestRule16_ACommitPreparesRecordsAppliesAndInstallsInThisOrder(t *testing.T) {
	d := newDev(t)
	d.running()
	acts := d.recv(returned(entry(Output, "a"), entry(FileChange, "x"), entry(Output, "b")))
	p := want[Prepare](t, acts)
	if len(p.Effects) != 3 || p.Effects[1].Entry != 1 || p.Effects[1].Class != FileChange {
		t.Errorf("%+v", p.Effects)
	}
	acts = d.m.Prepared(0, p.Op, nil)
	are(t, acts, "WriteRecord")
	acts = d.m.Recorded(0, want[WriteRecord](t, acts).Op, "")
	are(t, acts, "ApplyEffects")
	a := want[ApplyEffects](t, acts)
	if string(a.Effects[0].Payload)+string(a.Effects[1].Payload)+string(a.Effects[2].Payload) != "axb" {
		t.Errorf("not in log order: %v", a.Effects)
	}
	are(t, d.m.EffectsApplied(0, a.Op, 3, nil, ""), "Install")
}

func TestRule16_OutputAloneNeedsNoRecordAndAPureCallNothingAtAll(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(Output, "a"))))
	are(t, d.m.Prepared(0, p.Op, nil), "ApplyEffects")
	d = newDev(t)
	d.running()
	p = want[Prepare](t, d.recv(returned(entry(Quiet, ""))))
	are(t, d.m.Prepared(0, p.Op, nil), "Install")
}

func TestRule16_APreparationThatFailsRunsLocally(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(FileChange, "x"))))
	local(t, d.m.Prepared(0, p.Op, &Reason{WhyPrepare, "no space left on device"}), WhyPrepare, 0)
}

func TestRule16_ARecordThatCannotBeWrittenIsUndoneAndRunsLocally(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(FileChange, "x"))))
	r := want[WriteRecord](t, d.m.Prepared(0, p.Op, nil))
	u := want[Undo](t, d.m.Recorded(0, r.Op, "no space left on device"))
	local(t, d.m.Undone(0, u.Op, ""), WhyPrepare, 0)
}

func TestRule16_ACommitUnderWayIsNotAbandoned(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(FileChange, "x"))))
	w := want[WriteRecord](t, d.m.Prepared(0, p.Op, nil))
	none(t, d.m.Abandon("too late"))
	none(t, d.m.LinkLost(0))
	none(t, d.m.Tick(time.Hour))
	a := want[ApplyEffects](t, d.m.Recorded(0, w.Op, ""))
	none(t, d.m.Abandon("too late"))
	want[Install](t, d.m.EffectsApplied(0, a.Op, 1, nil, ""))
}

func TestRule16_AnAttemptAbandonedWhileItIsPreparedRemovesItsStage(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(FileChange, "x"))))
	none(t, d.m.Abandon("changed our mind"))
	u := want[Undo](t, d.m.Prepared(0, p.Op, nil))
	local(t, d.m.Undone(0, u.Op, ""), WhyCaller, 0)
}

func TestRule16_OutputThatBreaksAtCommitTakesFilesBackAndBindsWhatStands(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(FileChange, "x"), entry(Output, "a"), entry(FileChange, "y"), entry(Output, "bcd"), entry(Output, "e"))))
	w := want[WriteRecord](t, d.m.Prepared(0, p.Op, nil))
	a := want[ApplyEffects](t, d.m.Recorded(0, w.Op, ""))
	u := want[Undo](t, d.m.EffectsApplied(0, a.Op, 3, &Real{[]byte("1")}, "EPIPE"))
	l := local(t, d.m.Undone(0, u.Op, ""), WhyOutput, 4)
	if string(l.Log[3].Real.Outcome) != "1" || l.Log[1].Real != nil {
		t.Errorf("%+v", l.Log)
	}
}

func TestRule16_AFileThatBreaksAtCommitBindsUpToTheLastOutput(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(Output, "a"), entry(FileChange, "x"), entry(FileChange, "y"))))
	w := want[WriteRecord](t, d.m.Prepared(0, p.Op, nil))
	a := want[ApplyEffects](t, d.m.Recorded(0, w.Op, ""))
	u := want[Undo](t, d.m.EffectsApplied(0, a.Op, 2, nil, "input/output error"))
	local(t, d.m.Undone(0, u.Op, ""), WhyApply, 1)
}

func TestRule16_AnUndoThatFailsEndsTheGuest(t *testing.T) {
	d := newDev(t)
	d.running()
	p := want[Prepare](t, d.recv(returned(entry(FileChange, "x"))))
	w := want[WriteRecord](t, d.m.Prepared(0, p.Op, nil))
	a := want[ApplyEffects](t, d.m.Recorded(0, w.Op, ""))
	u := want[Undo](t, d.m.EffectsApplied(0, a.Op, 0, nil, "input/output error"))
	f := want[Fail](t, d.m.Undone(0, u.Op, "input/output error again"))
	if !strings.Contains(f.Text, "input/output error again") {
		t.Errorf("%q", f.Text)
	}
	if _, err := d.m.Begin(0, CallSpec{}); !errors.Is(err, ErrEnded) {
		t.Errorf("error %v", err)
	}
}

func TestRule17_ALogEndsAtItsLastReleasedOrImmediateEffect(t *testing.T) {
	d := newDev(t)
	d.running()
	out := want[ReleaseOutput](t, d.recv(&wire.Release{Entries: []*wire.Entry{entry(Read, ""), entry(Output, "a"), entry(Quiet, "")}}))
	d.m.Released(0, out.Op, 1, nil)
	m := returned(entry(Output, "b"), entry(Output, "c"))
	m.First = 3
	p := want[Prepare](t, d.recv(m))
	// The entries of a Return that does not commit bind nothing.
	local(t, d.m.Prepared(0, p.Op, &Reason{WhyPrepare, "x"}), WhyPrepare, 2)
}

func TestRule17_ATrapOnTheCloneIsRunAgainLocally(t *testing.T) {
	d := newDev(t)
	d.running()
	local(t, d.recv(&wire.Return{Outcome: wire.Outcome_OUTCOME_TRAPPED, Reason: "unreachable"}), WhyTrap, 0)
	s := newScene(t, 1, DeviceConfig{Release: 1}, []op{{opPrint, 0, 0}, {opStdin, 0, 0}, {opTrap, 0, 0}})
	s.done(0)
	if s.ended != "trapped" {
		t.Error(s.ended)
	}
}

func TestRule17_ARefusalRunsLocally(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{})
	h := wire.Header{Type: wire.TypeRefuse, Run: testRun}
	acts := d.m.Frame(0, h, &wire.Refuse{Code: wire.RefuseCode_REFUSE_RUN_UNKNOWN, Text: "the node restarted"}, nil)
	local(t, acts, WhyRefused, 0)
}

func TestRule17_AReRunWaitsForAnEffectThatIsStillInProgress(t *testing.T) {
	d := newDev(t)
	d.running()
	serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate, Payload: []byte("read line")}))
	l := local(t, d.recv(&wire.Unknown{}), WhyUnknown, 1)
	if !l.Log[0].Pending || !l.Log[0].Open {
		t.Errorf("%+v", l.Log[0])
	}
	r := NewReplay(l.Log)
	if _, _, mode := r.Next(); mode != Wait || r.Done() {
		t.Errorf("mode %v", mode)
	}
	c := want[CompleteLog](t, d.m.Served(0, serve.Op, []byte("yes")))
	if err := r.Complete(c); err != nil {
		t.Fatal(err)
	}
	n, e, mode := r.Next()
	if n != 0 || mode != AnswerOps || string(e.Ops[0].Reply) != "yes" || !r.Done() {
		t.Errorf("entry %d, mode %v, %+v", n, mode, e)
	}
	if r.Complete(c) == nil {
		t.Error("completed twice")
	}
}

func TestRule17_NoOffloadBeginsWhileALogBinds(t *testing.T) {
	d := newDev(t)
	d.running()
	serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Immediate}))
	d.m.Served(0, serve.Op, nil)
	local(t, d.recv(&wire.Unknown{}), WhyUnknown, 1)
	if _, err := d.m.Begin(0, CallSpec{}); !errors.Is(err, ErrReplaying) {
		t.Errorf("error %v", err)
	}
	d.m.ReplayDone()
	d.begin(CallSpec{})
}

func TestRule17_EffectsClocksAndRandomAreAnsweredFilesAreDoneAgain(t *testing.T) {
	r := NewReplay([]Entry{{Class: Quiet}, {Class: Read}, {Class: FileChange}, {Class: Output}, {Class: Immediate}})
	for i, want := range []ReplayMode{AnswerIt, Redo, Redo, AnswerIt, AnswerOps, Free, Free} {
		if n, _, mode := r.Next(); mode != want || (want != Free && n != uint32(i)) {
			t.Errorf("import %d: mode %v, want %v", n, mode, want)
		}
	}
}

func TestRule18_ADivergenceNamesTheImportAndWhatToDo(t *testing.T) {
	err := error(&Divergence{Entry: 4, Import: "fd_read", Detail: "offset 3, logged 5"})
	for _, want := range []string{"fd_read", "import 4", "offset 3", "--where=device"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if ExitCode != 13 {
		t.Error("the exit code of a divergence is 13")
	}
}

func TestRule18_OutputBehindTheLogThatBreaksCannotBeAnsweredAndEndsTheGuest(t *testing.T) {
	d := newDev(t)
	d.running()
	m := returned()
	m.Bare = []*wire.BareEffect{{Entry: 5, Class: Output, Effect: []byte("abc")}, {Entry: 6, Class: Output, Effect: []byte("d")}}
	p := want[Prepare](t, d.recv(m))
	a := want[ApplyEffects](t, d.m.Prepared(0, p.Op, nil))
	probe := *d.m
	u := want[Undo](t, probe.EffectsApplied(0, a.Op, 0, nil, "EPIPE"))
	local(t, probe.Undone(0, u.Op, ""), WhyOutput, 0) // nothing of it happened
	u = want[Undo](t, d.m.EffectsApplied(0, a.Op, 0, &Real{[]byte("1")}, "EPIPE"))
	want[Fail](t, d.m.Undone(0, u.Op, ""))
}

func TestRule20_TheDeviceRedialsForTwoSecondsThenRunsLocally(t *testing.T) {
	d := newDev(t)
	d.running()
	d.now = time.Second
	none(t, d.m.LinkLost(d.now))
	if by, ok := d.m.Deadline(); !ok || by != 3*time.Second {
		t.Errorf("deadline %v, %v", by, ok)
	}
	none(t, d.m.Tick(3*time.Second-1))
	probe := *d.m
	are(t, probe.LinkUp(2*time.Second), "Send Resume")
	local(t, probe.Tick(3*time.Second), WhyLink, 0) // no answer to Resume counts as no link
	l := local(t, d.m.Tick(3*time.Second), WhyLink, 0)
	if l.Adopt.Kind != EntryImage {
		t.Errorf("%v", l.Adopt)
	}
}

func TestRule20_TheSlackMayShortenTheRedial(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{Redial: 50 * time.Millisecond})
	d.m.LinkLost(0)
	local(t, d.m.Tick(50*time.Millisecond), WhyLink, 0)
}

func TestRule20_ResumeSaysWhatCameAndIsToldWhatIsLacking(t *testing.T) {
	d := newDev(t)
	d.running()
	serve := want[Serve](t, d.recv(&wire.ImportRequest{Class: Read}))
	d.m.LinkLost(0)
	none(t, d.m.Served(0, serve.Op, []byte("reply"))) // kept
	s := want[Send](t, d.m.LinkUp(0))
	if s.Msg.(*wire.Resume).Received != 2 {
		t.Errorf("%v", s.Msg)
	}
	again := want[Send](t, d.m.Frame(0, wire.Header{Type: wire.TypeResumed, Run: testRun, Attempt: d.id}, &wire.Resumed{Received: 1}, nil))
	if again.Header.Type != wire.TypeImportReply || again.Header.Seq != 2 || again.Header.Ack != 2 {
		t.Errorf("%v", again.Header)
	}
}

func TestRule20_ANodeThatDoesNotKnowTheAttemptSaysSo(t *testing.T) {
	n, _ := NewNode(testRun, NewQuota(), NodeConfig{})
	f, err := wire.NewFrame(wire.Header{Type: wire.TypeResume, Run: testRun, Attempt: ID{1}}, &wire.Resume{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	are(t, n.FromDevice(0, f), "Send Unknown")
}

// nodeFrame makes a frame of attempt id.
func nodeFrame(t wire.Type, id byte, seq, ack uint32) *wire.Frame {
	return &wire.Frame{Header: wire.Header{Type: t, Run: testRun, Attempt: ID{id}, Seq: seq, Ack: ack}}
}

func newRunningNode(t *testing.T) *Node {
	n, err := NewNode(testRun, NewQuota(), NodeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	are(t, n.FromDevice(0, nodeFrame(wire.TypeCall, 1, 1, 0)), "StartClone", "ToClone")
	are(t, n.FromClone(0, 1, nodeFrame(wire.TypeApplied, 1, 1, 1)), "ToDevice")
	return n
}

func TestRule20_ANodeKeepsAnAttemptForFiveSeconds(t *testing.T) {
	n := newRunningNode(t)
	n.LinkLost(time.Second)
	none(t, n.Tick(6*time.Second-1))
	are(t, n.Tick(6*time.Second), "KillClone")
	n.LinkUp(7 * time.Second)
	f, _ := wire.NewFrame(wire.Header{Type: wire.TypeResume, Run: testRun, Attempt: ID{1}}, &wire.Resume{Received: 1}, nil)
	are(t, n.FromDevice(7*time.Second, f), "Send Unknown")
}

func TestRule20_AResumedAttemptGetsWhatItLacksInOrder(t *testing.T) {
	n := newRunningNode(t)
	n.LinkLost(0)
	none(t, n.FromClone(0, 1, nodeFrame(wire.TypeRelease, 1, 2, 1)))
	n.LinkUp(time.Second)
	none(t, n.FromClone(0, 1, nodeFrame(wire.TypeReturn, 1, 3, 1))) // until the device has asked
	f, _ := wire.NewFrame(wire.Header{Type: wire.TypeResume, Run: testRun, Attempt: ID{1}}, &wire.Resume{Received: 1}, nil)
	acts := n.FromDevice(time.Second, f)
	are(t, acts, "Send Resumed", "ToDevice", "ToDevice")
	if acts[1].(ToDevice).Frame.Seq != 2 || acts[2].(ToDevice).Frame.Seq != 3 {
		t.Error("not in order")
	}
	if n.Idle() {
		t.Error("idle with a Return to fetch")
	}
	n.FromDevice(time.Second, nodeFrame(wire.TypeAck, 1, 0, 3))
	if !n.Idle() || n.quota.pending.Load() != 0 {
		t.Errorf("not idle after the Return was fetched, %d bytes pending", n.quota.pending.Load())
	}
}

func TestRule20_CancelKillsTheClonesRunner(t *testing.T) {
	d := newDev(t)
	d.running()
	are(t, d.m.Cancel("interrupted"), "Send Cancel")
	if _, err := d.m.Begin(0, CallSpec{}); !errors.Is(err, ErrEnded) {
		t.Errorf("error %v", err)
	}
	n := newRunningNode(t)
	are(t, n.FromDevice(0, nodeFrame(wire.TypeCancel, 1, 0, 1)), "KillClone")
	none(t, n.FromClone(0, 1, nodeFrame(wire.TypeReturn, 1, 2, 1)))
	are(t, n.FromDevice(0, nodeFrame(wire.TypeCall, 1, 1, 0)), "Send Unknown")
}

func TestRule20_ACancelThatOvertakesItsCallKeepsItFromRunning(t *testing.T) {
	n, _ := NewNode(testRun, NewQuota(), NodeConfig{})
	none(t, n.FromDevice(0, nodeFrame(wire.TypeCancel, 1, 0, 0)))
	are(t, n.FromDevice(0, nodeFrame(wire.TypeCall, 1, 1, 0)), "Send Unknown")
}

func TestRule20_ACancelAfterTheReturnKeepsTheImages(t *testing.T) {
	n := newRunningNode(t)
	n.FromClone(0, 1, nodeFrame(wire.TypeReturn, 1, 2, 1))
	none(t, n.FromDevice(0, nodeFrame(wire.TypeCancel, 1, 0, 1)))
	if _, lives := n.Generation(); !lives || !n.Idle() {
		t.Error("the runner is gone")
	}
}

func TestRule20_ANewAttemptSupersedesOneThatRuns(t *testing.T) {
	n := newRunningNode(t)
	acts := n.FromDevice(0, nodeFrame(wire.TypeCall, 2, 1, 0))
	are(t, acts, "KillClone", "StartClone", "ToClone")
	none(t, n.FromClone(0, 1, nodeFrame(wire.TypeReturn, 1, 2, 1)))
	none(t, n.CloneExited(0, 1, "killed"))
	are(t, n.FromDevice(0, nodeFrame(wire.TypeCall, 1, 1, 0)), "Send Unknown")
	are(t, n.FromClone(0, 2, nodeFrame(wire.TypeApplied, 2, 1, 1)), "ToDevice")
}

func TestRule20_ANewAttemptAfterAReturnKeepsTheRunnerAndItsImages(t *testing.T) {
	n := newRunningNode(t)
	n.FromClone(0, 1, nodeFrame(wire.TypeReturn, 1, 2, 1))
	are(t, n.FromDevice(0, nodeFrame(wire.TypeCall, 2, 1, 0)), "ToClone")
}

func TestRule20_ACloneThatDiesIsReportedAtOnceUnlessItHasReturned(t *testing.T) {
	n := newRunningNode(t)
	are(t, n.CloneExited(0, 1, "killed by a signal"), "Send Unknown")
	n = newRunningNode(t)
	n.FromClone(0, 1, nodeFrame(wire.TypeReturn, 1, 2, 1))
	none(t, n.CloneExited(0, 1, "killed by a signal"))
	if n.Idle() {
		t.Error("the Return was dropped with the runner")
	}
}

func TestRule20_ACloneThatBreaksTheProtocolIsKilled(t *testing.T) {
	for _, f := range []*wire.Frame{
		nodeFrame(wire.TypeReturn, 1, 5, 1), nodeFrame(wire.TypeCall, 1, 2, 1), nodeFrame(wire.TypeResumed, 1, 0, 1),
	} {
		n := newRunningNode(t)
		are(t, n.FromClone(0, 1, f), "KillClone", "Send Unknown")
	}
}

func TestRule20_AnAttemptMayHaveATimeLimit(t *testing.T) {
	d := newDev(t)
	d.begin(CallSpec{Limit: time.Minute})
	none(t, d.m.Tick(time.Minute-1))
	acts := d.m.Tick(time.Minute)
	are(t, acts, "Send Cancel", "RunLocal limit: no result within 1m0s")
}
