package runner

import (
	"errors"
	"fmt"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// live is the attempt in progress, beside what the machine knows of it.
type live struct {
	id     offload.ID
	memory wire.ResultMemory
	cand   *rewrite.Candidate
	server *stage.Server // what the attempt opened on the device

	delta  []byte // of the entry memory against the base; made at most once
	hashes []pagestate.PageHash

	// What Prepare made, for Install.
	change    *pagestate.Change
	staged    *stage.Staged
	committed *stage.Committed
	times     instants
	phases    *Phases // once it is committed
	served    int     // imports that the device answered
	patience  time.Time
	undo      error       // what the undoing of a failed commit left to the next start
	wasi      []byte      // the state that the call began with, encoded
	state     *wasi.State // the result's; nil: the same

	up, down int64 // bytes of frames
	end      offload.DeviceAction
}

// offloadCall has a call run on the clone. The guest is parked here until its
// result is committed or the call is to run on the device.
func (r *deviceRun) offloadCall(c *rewrite.Candidate, args, results []uint64, reason string) rewrite.Status {
	began := time.Now()
	r.pipe.attend()
	defer r.pipe.rest()
	defer collect()
	report := Call{Function: c.Name, Index: c.Index, Where: siteClone, Reason: reason, Attempts: 1}
	r.profile.depart()
	end, err := r.attemptCall(c, args)
	took := time.Since(began)
	report.Seconds, report.BytesUp, report.BytesDown = took.Seconds(), r.live.up, r.live.down
	if err != nil { // nothing was sent
		return r.neverBegan(c, report, err)
	}
	r.attempted(c.K, args, &report, end)
	switch end := end.(type) {
	case offload.Install:
		report.Remote = time.Duration(end.Return.ComputeNanos).Seconds()
		r.auto.describe(&report) // before more is learnt
		r.decide.moved(c.K, took)
		r.pipe.tell(Event{Call: &report})
		r.live = live{}
		if end.Exited {
			engine.Throw(&engine.Exit{Code: end.ExitCode})
		}
		copy(results, end.Return.Results)
		return rewrite.Done
	case offload.Fail:
		engine.Throw(&diverged{end.Text})
	case offload.RunLocal:
		// What a stream refuses once it will refuse again, one small call at a time.
		r.refused = r.refused || end.Reason.Why == offload.WhyOutput
		r.decide.failed(c.K, took, end.Reason)
		r.pipe.tell(Event{Ended: fmt.Sprintf("%x", end.Attempt[:])})
		report.Where, report.Fallback, report.Reason = siteDevice, true, end.Reason.String()
		return r.runHere(c, report, end)
	}
	panic("unreachable")
}

// neverBegan has a call run here that no attempt could be made of. It is told
// once a reason: a program without a link may make millions of such calls.
func (r *deviceRun) neverBegan(c *rewrite.Candidate, report Call, err error) rewrite.Status {
	if r.told[err.Error()] {
		return rewrite.Local
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[err.Error()] = true
	report.Where, report.Attempts, report.Reason = siteDevice, 0, err.Error()
	return r.runHere(c, report, offload.RunLocal{})
}

// diverged ends a guest that could neither be committed nor run again
// (PROTOCOL rule 18).
type diverged struct{ text string }

func (d *diverged) Error() string { return d.text }

// runHere has the stub run the original, bound by the import log of the
// attempt that came to nothing (PROTOCOL rule 17).
func (r *deviceRun) runHere(c *rewrite.Candidate, report Call, local offload.RunLocal) rewrite.Status {
	w := watched{k: c.K, began: time.Now(), call: report}
	if len(local.Log) > 0 {
		w.replay = r.beginRerun(local)
	}
	r.live = live{}
	r.watch = append(r.watch, w)
	r.auto.again(c.K)
	if local.Reason.Why == offload.WhyTrap {
		// Attempts inside could only find the same trap, one frame at a time.
		r.doomed = len(r.watch)
	}
	return rewrite.LocalWatch
}

// attemptCall drives the machine from Begin to the action that ends the
// attempt. An error means that it did not begin.
func (r *deviceRun) attemptCall(c *rewrite.Candidate, args []uint64) (offload.DeviceAction, error) {
	r.live = live{cand: c, memory: r.resultMemory(c), times: instants{began: r.instant()}}
	r.live.server, r.live.patience = r.newServer(), r.auto.patience(time.Now())
	state := r.g.sys.Capture()
	r.live.wasi = state.Encode()
	real, _ := r.local.Now(wasi.ClockRealtime)
	mono, _ := r.local.Now(wasi.ClockMonotonic)
	r.pipe.drop()
	r.follow(r.pipe.linkState()) // what was dropped may have told of a change
	acts, err := r.machine.Begin(r.now(), offload.CallSpec{
		Site: siteClone, Function: c.Index, Args: values(c.Sig.Params, args),
		Globals: r.g.readGlobals(), WASI: r.live.wasi,
		Real: real, Mono: mono, MemoryMax: r.conf.MaxPages, Memory: r.live.memory,
	})
	if err != nil {
		return nil, err
	}
	r.live.id, _ = r.machine.Live()
	for {
		for len(acts) > 0 {
			act := acts[0]
			acts = append(acts[1:], r.carryOut(act)...)
			if r.live.end != nil {
				return r.live.end, nil
			}
		}
		acts = r.await()
	}
}

// values copies values off an engine's stack, where the upper halves of those
// with 32 bits may hold anything.
func values(types []wasmbin.ValType, slots []uint64) []uint64 {
	out := append([]uint64(nil), slots...)
	for i, t := range types {
		if t == wasmbin.I32 || t == wasmbin.F32 {
			out[i] &= 1<<32 - 1
		}
	}
	return out
}

// resultMemory says when the memory of a call's result is of use here.
func (r *deviceRun) resultMemory(c *rewrite.Candidate) wire.ResultMemory {
	switch {
	case r.start.HashMemory:
		return wire.ResultMemory_RESULT_MEMORY_ALWAYS
	case r.last && r.program(c):
		return wire.ResultMemory_RESULT_MEMORY_NEVER
	}
	return wire.ResultMemory_RESULT_MEMORY_UNLESS_EXITED
}

// program reports whether candidate c is the function that the program is, and
// nothing of the program has been called before it.
func (r *deviceRun) program(c *rewrite.Candidate) bool {
	outermost := r.outermost
	for _, e := range r.g.module.Exports {
		if e.Kind == wasmbin.KindFunc && e.Name == r.entry && e.Index == c.Index {
			return outermost
		}
	}
	return false
}

// await waits for a frame or a deadline and tells the machine.
func (r *deviceRun) await() []offload.DeviceAction {
	var deadline time.Time
	if by, ok := r.machine.Deadline(); ok {
		deadline = r.epoch.Add(by)
	}
	if by := r.live.patience; !by.IsZero() && (deadline.IsZero() || by.Before(deadline)) {
		deadline = by
	}
	f, err := r.pipe.next(deadline)
	if errors.Is(err, errTimeout) {
		if by := r.live.patience; !by.IsZero() && !time.Now().Before(by) {
			r.live.patience = time.Time{}
			return r.machine.Abandon(tooLate)
		}
		return r.machine.Tick(r.now())
	}
	switch m := f.msg.(type) {
	case nil:
		if id, ok := r.machine.Live(); ok && id == f.head.Attempt {
			return r.machine.Abandon(fmt.Sprintf("a malformed %v from the clone", f.head.Type))
		}
		return nil
	case *wire.LinkState:
		return r.tellLink(m, f.link)
	case *wire.Cancel:
		return r.machine.Abandon(m.Reason) // `clonecloud off`, a closed stdout
	}
	r.live.down += f.size()
	r.noteTime(f.msg)
	acts := r.machine.Frame(r.now(), f.head, f.msg, f.body)
	if _, applied := f.msg.(*wire.Applied); applied {
		if id, ok := r.machine.Live(); ok && id == f.head.Attempt {
			// The clone holds the entry image, so it becomes the base here too,
			// while the clone computes and nobody waits for us.
			r.rebase(offload.Image{Kind: offload.EntryImage, Attempt: id})
		}
	}
	return acts
}

// tellLink passes a change of the link on to the machine, unless it has heard
// of it already.
func (r *deviceRun) tellLink(l *wire.LinkState, change int) []offload.DeviceAction {
	if change <= r.linkAt {
		return nil
	}
	r.linkAt = change
	if l.Up {
		return r.machine.LinkUp(r.now())
	}
	return r.machine.LinkLost(r.now())
}

// follow brings the machine up to date with the link before an attempt.
func (r *deviceRun) follow(l *wire.LinkState, changes int) {
	if changes == r.linkAt {
		return
	}
	r.linkAt = changes
	if l.Up {
		r.machine.LinkUp(r.now())
	} else {
		r.machine.LinkLost(r.now())
	}
}

// rebase makes the present memory the named base. Failing, the next Call finds
// that it has no base and sends hashes; nothing is lost.
func (r *deviceRun) rebase(i offload.Image) {
	s := r.g.space
	if s == nil || s.Image() == imageName(i) {
		return
	}
	if err := s.SetImage(imageName(i)); err != nil {
		engine.Throw(fmt.Errorf("keep the guest's memory image: %w", err))
	}
}

// carryOut does what the machine asks for and returns what it asks next.
func (r *deviceRun) carryOut(act offload.DeviceAction) []offload.DeviceAction {
	switch act := act.(type) {
	case offload.Send:
		return r.send(act)
	case offload.Serve:
		r.live.served++
		return r.serve(act)
	case offload.CheckReads:
		return r.machine.ReadsChecked(r.now(), act.Op, r.checkReads(act.Reads))
	case offload.ReleaseOutput:
		done, real := r.release(act.Effects)
		return r.machine.Released(r.now(), act.Op, done, real)
	case offload.Prepare:
		return r.machine.Prepared(r.now(), act.Op, r.prepareCommit(act))
	case offload.WriteRecord:
		// The record is part of ApplyEffects: package stage writes it before the
		// first step that it would have to undo.
		return r.machine.Recorded(r.now(), act.Op, "")
	case offload.ApplyEffects:
		done, real, failure := r.applyEffects(act)
		return r.machine.EffectsApplied(r.now(), act.Op, done, real, failure)
	case offload.Undo:
		return r.machine.Undone(r.now(), act.Op, r.undo())
	case offload.Install:
		r.install(act)
		r.live.end = act
	case offload.RunLocal:
		r.abandonAttempt()
		if act.Adopt.Kind != offload.NoImage {
			r.rebase(act.Adopt)
		}
		r.local.NotBefore(act.Real, act.Mono)
		r.live.end = act
	case offload.CompleteLog:
		if r.rerun != nil {
			r.rerun.complete(act)
		}
	case offload.Fail:
		r.abandonAttempt()
		r.live.end = act
	}
	return nil
}

// send writes a frame; its body is made from guest memory, which stands still.
func (r *deviceRun) send(s offload.Send) []offload.DeviceAction {
	body, err := r.body(&s)
	if err != nil {
		return r.machine.Abandon(err.Error())
	}
	f, err := wire.NewFrame(s.Header, s.Msg, body)
	if err != nil {
		return r.machine.Abandon(err.Error())
	}
	r.live.up += int64(f.Size())
	r.noteTime(s.Msg)
	if f.Type == wire.TypeAck {
		err = r.pipe.hold(f) // it frees memory at the node; nobody waits
	} else {
		err = r.pipe.w.WriteFrame(f)
	}
	if err != nil {
		return r.machine.LinkLost(r.now())
	}
	if s.Body.Kind == offload.DeltaBody && len(body) >= keepEarly {
		r.rebase(offload.Image{Kind: offload.EntryImage, Attempt: r.live.id})
		r.machine.EntryKept()
	}
	return nil
}

// keepEarly is the delta, in bytes, from which the entry image is made the base
// while the Call is under way, and not when it is applied: by then nobody else
// works. A Call that is lost makes the next one go by hash instead.
const keepEarly = 1 << 20

func (r *deviceRun) body(s *offload.Send) (_ []byte, err error) {
	space := r.g.space
	if space == nil || s.Body.Kind == offload.NoBody {
		return nil, nil
	}
	switch s.Body.Kind {
	case offload.DeltaBody:
		if r.live.delta != nil {
			return r.live.delta, nil // sent again; the base may have changed since
		}
		if space.Image() != imageName(s.Body.Base) {
			return nil, fmt.Errorf("memory is kept against %q, not %v", space.Image(), s.Body.Base)
		}
		if r.live.delta, err = space.AppendDiff(r.deltaBuf[:0]); err != nil {
			return nil, err
		}
		r.deltaBuf = r.live.delta
		return r.live.delta, nil
	case offload.HashBody:
		if r.live.hashes == nil {
			if r.live.hashes, err = space.PageHashes(); err != nil {
				return nil, err
			}
		}
		s.Msg = &wire.PageHashes{MemoryBytes: space.Size()}
		return hashBody(r.live.hashes, space.Size()), nil
	case offload.PagesBody:
		return space.Whole(r.live.hashes, pagesOf(s.Body.Runs))
	default:
		return nil, fmt.Errorf("a body of kind %d is not the device's", s.Body.Kind)
	}
}

// heldBytes estimates what a Call would carry: the dirty pages.
func (r *deviceRun) heldBytes() int64 {
	if r.g.space == nil {
		return 0
	}
	pages, err := r.g.space.Dirty()
	if err != nil {
		return int64(r.g.space.Size())
	}
	return int64(len(pages)) * pagestate.PageSize
}

// install commits a result to the guest (PROTOCOL rule 16 d). Everything that
// could fail was done before.
func (r *deviceRun) install(in offload.Install) {
	if err := r.installState(in); err != nil {
		// Effects are out and memory is not: only an end is right (rule 19).
		engine.Throw(fmt.Errorf("commit of an offloaded call: %w", err))
	}
}

func (r *deviceRun) installState(in offload.Install) error {
	if c := r.live.change; c != nil {
		if err := growMemory(r.g, c.NewSize()); err != nil {
			return err
		}
		if err := c.ApplyImage(imageName(in.Image)); err != nil {
			return err
		}
	}
	if err := r.g.writeGlobals(in.Return.Globals); err != nil {
		return err
	}
	r.local.NotBefore(in.Return.RealNanos, in.Return.MonoNanos)
	return r.installWASI()
}
