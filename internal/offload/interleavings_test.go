package offload

import (
	"strings"
	"testing"
)

// The interleavings that shaped the rules, each as an ordinary test in the
// simulated pair. done(n) holds every one of them against the local run and
// says how many of its calls a clone committed.

var (
	pure   = []op{{opCompute, 0, 1}, {opCompute, 1, 2}}
	chatty = []op{{opPrint, 0, 0}, {opCompute, 0, 3}, {opPrint, 0, 0}, {opCompute, 0, 4}, {opPrint, 0, 0}}
)

func TestRule06_ReturnLostThenALocalRunThenANewOffload(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, pure, pure)
	site := s.sites[0]
	s.until("device <- Applied").until("node A: offload.ToDevice")
	s.choose = func(int) int { return 0 } // the cut takes the Return with it
	s.cut(site)
	s.seeCut(site, true)
	s.now += DefaultRedial
	s.device(s.d.m.Tick(s.now))
	if s.reach["why link"] != 1 {
		t.Fatalf("%v", s.reach)
	}
	s.dial(site)
	s.done(1)
	if s.has("NeedBase") {
		t.Error("the entry image, which both sides hold, was not named:\n" + strings.Join(s.log, "\n"))
	}
}

func TestRule06_TheAcknowledgementLostCostsNothing(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, pure, pure, pure)
	s.until("device: offload.Install")
	s.sites[0].link.toNode = nil // the Ack
	s.done(3)
	if s.has("NeedBase") {
		t.Error("the base was lost with the acknowledgement")
	}
}

func TestRule06_TwoClonesInTurn(t *testing.T) {
	s := newScene(t, 2, DeviceConfig{}, pure, pure, pure, pure)
	turn := 0
	s.choose = func(n int) int { turn++; return turn % n }
	s.done(4)
	if !s.has("clone A: offload.CompareHashes") || !s.has("clone B: offload.CompareHashes") {
		t.Error("no site was given pages by hash")
	}
}

func TestRule06_NeedBaseAfterTheCloneRestarted(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, pure, pure)
	s.until("device: offload.Install")
	s.loseClone(s.sites[0], "restarted")
	s.sites[0].exits[0]()
	s.sites[0].exits = nil
	s.done(2)
	if !s.has("device <- NeedBase") || !s.has("device <- NeedPages") {
		t.Error("no NeedBase")
	}
}

func TestRule11_RedialDuringAForwardedRead(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opRead, 0, 0}, {opCompute, 0, 1}, {opRead, 1, 0}})
	s.until("device: offload.Serve")
	s.cut(s.sites[0])
	s.done(1)
	if !s.has("device <- Resumed") {
		t.Error("not resumed")
	}
	if n := s.reach["offload.Serve"]; n != 2 {
		t.Errorf("%d operations served, want 2", n)
	}
}

func TestRule11_RedialDuringAnImmediateEffectDoesItOnce(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opStdin, 0, 0}, {opPrint, 0, 0}, {opStdin, 0, 0}})
	s.until("device: offload.Serve")
	s.cut(s.sites[0])
	s.done(1)
}

func TestRule13_AFileThatChangesUnderTheCloneIsReadAgainLocally(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opRead, 0, 0}, {opPrint, 0, 0}})
	s.until("device: offload.Serve").until("clone A: offload.Answer")
	s.w.write(0, "new content")
	s.w.hist = nil
	s.run(nil)
	if s.reach["why changed"] != 1 || s.commits != 0 {
		t.Fatalf("%v", s.reach)
	}
	want := mix(0, hashOf("new content"))
	if s.d.g.mem[0] != mix(want, 6) { // and then the length of what was printed
		t.Errorf("memory %x after a stale read", s.d.g.mem[0])
	}
}

func TestRule17_CloneKilledAfterReleasedOutput(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{Release: 1}, chatty, pure)
	s.until("device: offload.ReleaseOutput").until("device: offload.ReleaseOutput")
	s.loseClone(s.sites[0], "killed by a signal")
	s.done(1)
	if s.replays != 1 {
		t.Errorf("%d bound re-runs", s.replays)
	}
}

func TestRule17_CloneKilledAfterAQueuedFileChange(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{Release: 1}, []op{{opPrint, 0, 0}, {opWrite, 0, 1}, {opPrint, 0, 0}, {opRead, 0, 0}, {opPrint, 0, 0}})
	s.until("device: offload.Serve").until("clone A: offload.Answer")
	if s.w.changes != 1 {
		t.Fatal("a file changed before commit")
	}
	s.loseClone(s.sites[0], "killed by a signal")
	s.done(0)
}

func TestRule17_CloneKilledAfterAnImmediateEffect(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{Release: 1}, []op{{opPrint, 0, 0}, {opStdin, 0, 0}, {opPrint, 0, 0}, {opStdin, 1, 0}})
	s.until("device: offload.Serve").until("clone A: offload.Answer")
	s.loseClone(s.sites[0], "killed by a signal")
	s.done(0)
	if s.replays != 1 {
		t.Errorf("%d bound re-runs", s.replays)
	}
}

func TestRule17_LinkLostWhileAnImmediateEffectIsInProgress(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opPrint, 0, 0}, {opStdin, 0, 0}, {opPrint, 0, 0}})
	s.until("device: offload.Serve")
	job := s.d.jobs
	s.d.jobs = nil // the person at the keyboard thinks
	s.cut(s.sites[0])
	s.seeCut(s.sites[0], true)
	s.now += DefaultRedial
	s.device(s.d.m.Tick(s.now))
	if s.d.local == nil {
		t.Fatal("no local run")
	}
	for range 3 {
		s.stepLocal()
	}
	if !s.d.local.waiting {
		t.Fatal("the re-run did not wait")
	}
	s.d.jobs = job
	s.done(0)
}

func TestRule17_DescriptorOpenedAtTheCloneThenDeath(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{Release: 1}, []op{{opOpen, 1, 0}, {opOpen, 2, 0}, {opPrint, 1, 0}, {opOpen, 0, 0}, {opPinned, 0, 0}}, []op{{opOpen, 0, 0}})
	s.until("device: offload.ReleaseOutput")
	s.loseClone(s.sites[0], "killed by a signal")
	s.done(1)
	if len(s.d.g.fds) != 4 {
		t.Errorf("descriptors %v", s.d.g.fds)
	}
}

func TestRule15_LateRepeatedAndForgedReturnsInTheMiddleOfEverything(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, pure, chatty, pure)
	s.until("device: offload.Install")
	old := s.d.old
	s.until("device: offload.Send")
	for _, f := range old {
		s.giveDevice(f)
	}
	for range 4 {
		s.forge()
	}
	s.until("clone A: offload.Start")
	for _, f := range old {
		s.giveDevice(f)
	}
	s.done(3)
}

func TestRule19_DeviceKilledAtEveryActionAndEveryEffectOfACommit(t *testing.T) {
	ops := []op{{opPrint, 0, 0}, {opWrite, 0, 1}, {opWrite, 1, 2}, {opPrint, 1, 0}, {opWrite, 0, 3}, {opPrint, 0, 0}}
	crashes := 0
	for at := 0; ; at++ {
		s := newScene(t, 1, DeviceConfig{}, ops, ops)
		step := 0
		s.run(func() bool { step++; return step > at })
		if s.ended != "" {
			break
		}
		s.ended = "crashed"
		crashes++
		if wrong := s.verdict(s.room); wrong != "" {
			t.Fatalf("killed after step %d: %s\n%s", at, wrong, strings.Join(s.log, "\n"))
		}
	}
	if crashes < 60 {
		t.Errorf("only %d moments", crashes)
	}
}

func TestRule20_CancelRacesWithTheReturn(t *testing.T) {
	// The Return is on its way, or being committed, when the user interrupts:
	// whatever the device has not begun does not happen.
	for at := 0; ; at++ {
		s := newScene(t, 1, DeviceConfig{}, chatty)
		step := 0
		s.run(func() bool { step++; return step > at })
		if s.ended != "" {
			break
		}
		s.device(s.d.m.Cancel("interrupted"))
		for _, j := range s.d.jobs { // answers that come too late
			if len(j.ended()) != 0 {
				t.Fatalf("an action after Cancel at step %d", at)
			}
		}
		s.ended = "cancelled"
		if wrong := s.verdict(s.room); wrong != "" {
			t.Fatalf("cancelled after step %d: %s", at, wrong)
		}
		site := s.sites[0]
		for len(site.link.toNode) > 0 {
			f := site.link.toNode[0]
			site.link.toNode = site.link.toNode[1:]
			s.node(site, site.n.FromDevice(s.now, f))
		}
		if site.c != nil && site.c.e != nil {
			t.Fatalf("cancelled after step %d and the clone runs on", at)
		}
	}
}

func TestRule20_AnAttemptThatFailsEarlyIsCancelledThenANewOneRuns(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opRead, 0, 0}, {opPrivate, 0, 0}, {opPrint, 0, 0}}, pure)
	s.done(0)
	if s.reach["why private"] != 1 {
		t.Errorf("%v", s.reach)
	}
	s = newScene(t, 1, DeviceConfig{}, chatty, pure)
	s.until("clone A: offload.Start")
	s.device(s.d.m.Abandon("test"))
	s.done(1)
}

func TestRule16_TheCommitRecordCannotBeWritten(t *testing.T) {
	s := newScene(t, 1, DeviceConfig{}, []op{{opWrite, 0, 1}, {opPrint, 0, 0}}, pure)
	s.faults = faultSet{record: true}
	s.budget = 1
	s.choose = func(int) int { return 0 }
	s.done(1)
	if s.reach["why prepare"] != 1 {
		t.Errorf("%v", s.reach)
	}
}
