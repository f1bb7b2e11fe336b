package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// newServer serves one attempt.
func (r *deviceRun) newServer() *stage.Server {
	c := stage.Config{Host: r.local, Descs: func() map[uint32]wasi.Desc { return r.g.sys.Capture().Descs }}
	if r.start.StateDir != "" {
		c.Journal = stage.FileJournal{Path: filepath.Join(r.start.StateDir, fmt.Sprintf("%x.commit", r.start.Run[:]))}
	}
	if r.start.Hold != nil {
		c.Reached = r.start.Hold.reached
	}
	return stage.NewServer(c)
}

// serve performs a forwarded import (PROTOCOL rule 11).
func (r *deviceRun) serve(s offload.Serve) []offload.DeviceAction {
	q, err := site.DecodeRequest(s.Payload)
	if err == nil && q.Op.Immediate() != (s.Class == offload.Immediate) {
		err = errors.New("its class is not its operation's")
	}
	var p site.Reply
	if err != nil {
		p = site.Reply{Code: site.Refused, Reason: "malformed request: " + err.Error()}
	} else {
		p = r.live.server.Serve(q)
	}
	if p.Code == site.Refused {
		return r.machine.ServedNot(r.now(), s.Op, p.Reason)
	}
	if p.Code == site.Pinned {
		return r.machine.ServedPrivate(r.now(), s.Op, p.Reason)
	}
	return r.machine.Served(r.now(), s.Op, p.Encode(nil))
}

// checkReads returns what is no longer what it was, or nothing.
func (r *deviceRun) checkReads(reads [][]byte) string {
	for _, b := range reads {
		set, err := site.DecodeReads(b)
		if err == nil {
			err = r.live.server.CheckReads(set)
		}
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

// release writes output ahead of the commit. It returns how many effects went
// as assumed and, where the next one had another result, that.
func (r *deviceRun) release(effects []offload.Effect) (int, *offload.Real) {
	for i, e := range effects {
		list, err := site.DecodeList(e.Payload, 0)
		if err != nil || len(list) != 1 || list[0].Kind != site.EffectOutput {
			return i, nil // no output of any guest looks like this: nothing is done
		}
		if _, err := r.live.server.Release(site.Batch{Output: list}); err != nil {
			return i, realOutput(err)
		}
	}
	return len(effects), nil
}

// realOutput is the outcome of an fd_write that did not go as assumed, or nil
// if nothing happened at all.
func realOutput(err error) *offload.Real {
	var out *stage.OutputError
	if !errors.As(err, &out) {
		return nil
	}
	e := wasi.Entry{Fn: wasi.FnFdWrite, Errno: out.Errno}
	if out.N > 0 {
		// As write(2) has it: what was taken is reported, and the error by the
		// next call.
		e.Errno = wasi.ErrnoSuccess
		e.Outputs = binary.LittleEndian.AppendUint32(nil, uint32(out.N))
	}
	return &offload.Real{Outcome: encodeEntry(e)}
}

// prepareCommit makes the checks of PROTOCOL rule 15 that the machine cannot
// make, and rule 16 (a).
func (r *deviceRun) prepareCommit(p offload.Prepare) *offload.Reason {
	if err := r.prepare(p); err != nil {
		why := offload.WhyPrepare
		if errors.Is(err, stage.ErrChanged) {
			why = offload.WhyChanged
		}
		r.live.change, r.live.staged = nil, nil
		return &offload.Reason{Why: why, Text: err.Error()}
	}
	return nil
}

func (r *deviceRun) prepare(p offload.Prepare) error {
	if err := r.checkValues(p.Return); err != nil {
		return err
	}
	before := r.live.wasi
	for _, e := range p.Effects {
		if e.Class != offload.Output {
			before = nil // a commit may give an open file another identity
		}
	}
	effects, state, err := decodeResult(p.Return.Wasi, before)
	if err != nil {
		return err
	}
	if effects.List, err = joinEffects(p.Effects, len(effects.Objects)); err != nil {
		return err
	}
	if state != nil {
		if err := r.checkTable(state, &effects); err != nil {
			return err
		}
	}
	if err := r.prepareMemory(p); err != nil {
		return err
	}
	if r.live.staged, err = r.live.server.Prepare(effects, nil); err != nil {
		return err
	}
	r.live.state = state
	if len(p.Effects) > 0 {
		return nil
	}
	// Nothing will be applied, but what the attempt opened must become open
	// here. That changes no file, so it is done while it may still fail.
	committed, err := r.live.staged.Commit()
	r.live.committed, r.live.staged = committed, nil
	return err
}

// checkValues holds results and globals against the module.
func (r *deviceRun) checkValues(ret *wire.Return) error {
	types := r.live.cand.Sig.Results
	if ret.Outcome == wire.Outcome_OUTCOME_RETURNED {
		if len(ret.Results) != len(types) {
			return fmt.Errorf("%d results, the function has %d", len(ret.Results), len(types))
		}
		for i, t := range types {
			if !fits(t, ret.Results[i]) {
				return fmt.Errorf("result %d is no %v", i, t)
			}
		}
	}
	if len(ret.Globals) != len(r.g.out.Globals) {
		return fmt.Errorf("%d globals, the module has %d", len(ret.Globals), len(r.g.out.Globals))
	}
	for i, g := range r.g.out.Globals {
		if !fits(g.Type, ret.Globals[i]) {
			return fmt.Errorf("global %d is no %v", g.Index, g.Type)
		}
	}
	return nil
}

// fits reports whether v's bits can be of type t.
func fits(t wasmbin.ValType, v uint64) bool {
	if t == wasmbin.I32 || t == wasmbin.F32 {
		return v>>32 == 0
	}
	return t == wasmbin.I64 || t == wasmbin.F64
}

// prepareMemory decodes and checks the result's memory. Main is at the entry
// image. Growing is left to the very end: the limit is checked here, and an
// attempt that is undone after all must not leave main larger than it was.
func (r *deviceRun) prepareMemory(p offload.Prepare) (err error) {
	if r.g.space == nil || !memoryWanted(&wire.Call{ResultMemory: r.live.memory}, p.Return) {
		if len(p.Body) != 0 {
			return errors.New("a memory delta that nobody wants")
		}
		return nil
	}
	r.rebase(offload.Image{Kind: offload.EntryImage, Attempt: p.Attempt})
	r.live.change, err = r.g.space.Prepare(p.Body, pagestate.Limits{})
	if err != nil {
		return err
	}
	if size := r.live.change.NewSize(); size < r.g.space.Size() || size%65536 != 0 {
		return fmt.Errorf("memory of %d bytes cannot follow on %d", size, r.g.space.Size())
	}
	return nil
}

// joinEffects decodes the effects of an attempt's imports into one list.
func joinEffects(in []offload.Effect, objects int) ([]site.Effect, error) {
	var all []site.Effect
	for _, e := range in {
		list, err := site.DecodeList(e.Payload, objects)
		if err != nil {
			return nil, err
		}
		output := len(list) == 1 && list[0].Kind == site.EffectOutput
		if output != (e.Class == offload.Output) {
			return nil, fmt.Errorf("the effects of import %d are not of their class", e.Entry)
		}
		all = append(all, list...)
		if len(all) > site.MaxEffects {
			return nil, errors.New("more effects than an attempt may have")
		}
	}
	return all, nil
}

// applyEffects is PROTOCOL rule 16 (b) and (c).
func (r *deviceRun) applyEffects(a offload.ApplyEffects) (done int, real *offload.Real, failure string) {
	committed, err := r.live.staged.Commit()
	if err == nil {
		r.live.committed = committed
		return len(a.Effects), nil, ""
	}
	var ce *stage.CommitError
	if !errors.As(err, &ce) {
		return 0, nil, err.Error()
	}
	r.live.undo = ce.Undo
	real = realOutput(ce.Err)
	return firstUndone(a.Effects, ce.Outputs, real != nil), real, ce.Err.Error()
}

// firstUndone finds the effect that a commit failed at, when so many outputs
// are on their streams: the next output, or else whatever follows the last.
func firstUndone(effects []offload.Effect, outputs int, atOutput bool) int {
	seen := 0
	for i, e := range effects {
		if e.Class != offload.Output {
			if seen == outputs && !atOutput {
				return i
			}
			continue
		}
		if seen == outputs {
			return i
		}
		seen++
	}
	return len(effects) - 1
}

// undo answers offload.Undo: package stage has undone a failed commit already;
// one that was only prepared is removed here.
func (r *deviceRun) undo() string {
	if err := r.live.undo; err != nil {
		return err.Error()
	}
	if s := r.live.staged; s != nil {
		if err := s.Abandon(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// abandonAttempt gives back what an attempt holds on the device.
func (r *deviceRun) abandonAttempt() {
	r.live.server.Abandon()
	r.live.change = nil
}

// installWASI makes the result's descriptor table the guest's: handles that the
// site made become those that the commit opened, and those that the guest
// closed there are closed here.
func (r *deviceRun) installWASI() error {
	if r.live.state == nil {
		return nil
	}
	state := *r.live.state
	if c := r.live.committed; c != nil {
		for fd, d := range state.Descs {
			if h, ok := c.Handles[d.Handle]; ok {
				d.Handle = h
			}
			if id, ok := c.Identities[d.Handle]; ok {
				d.Identity = id
			}
			state.Descs[fd] = d
		}
	}
	held := map[wasi.Handle]bool{}
	for _, d := range state.Descs {
		held[d.Handle] = true
	}
	before := r.g.sys.Capture()
	if err := r.g.sys.Install(state); err != nil {
		return fmt.Errorf("the result's descriptor table: %w", err)
	}
	for _, d := range before.Descs {
		if !held[d.Handle] && d.Handle > 2 && !d.Preopen {
			r.local.Close(d.Handle)
		}
	}
	if c := r.live.committed; c != nil {
		for _, h := range c.Accepted {
			if !held[h] {
				r.local.Close(h)
			}
		}
	}
	r.live.server.Abandon() // what it kept open for further reads
	return nil
}
