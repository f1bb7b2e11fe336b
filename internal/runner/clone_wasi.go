package runner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// openWASI gives the call the WASI state that came with it, over the device's
// files.
func (r *cloneRun) openWASI(c *wire.Call) error {
	state, err := wasi.DecodeState(c.Wasi)
	if err != nil {
		return fmt.Errorf("the call's WASI state: %w", err)
	}
	conf := site.Config{
		Forward: r.forward, BeforeImmediate: func() error { return nil }, // the machine sends the log first
		Realtime: c.RealNanos, Monotonic: c.MonoNanos,
	}
	copy(conf.Seed[:], c.Seed)
	if r.repeat {
		var slept int64
		conf.Elapsed, conf.Sleep = func() int64 { return slept }, func(ns int64) { slept += ns }
	}
	r.attempt = attempt{site: site.New(conf)}
	sys, err := wasi.New(wasi.Config{Host: r.attempt.site, Repeatable: r.repeat})
	if err != nil {
		return err
	}
	if err := sys.Install(state); err != nil {
		return fmt.Errorf("the call's WASI state: %w", err)
	}
	sys.SetTap(&wasi.Recorder{Add: r.record})
	r.g.setSystem(sys)
	return nil
}

// closeWASI adds to a Return what the descriptor table is now and what it
// stands on.
func (r *cloneRun) closeWASI(ret *wire.Return) error {
	effects, reads := r.attempt.site.Finish()
	if err := r.note(reads); err != nil {
		return err
	}
	state := r.g.sys.Capture()
	ret.Wasi = encodeResult(effects, &state)
	return nil
}

// encodeResult is the WASI part of a Return: the objects that effects are
// about, the handles that are open on them, and the descriptor table. The
// effects themselves travel with their imports.
func encodeResult(e site.Effects, state *wasi.State) []byte {
	e.List = nil
	head := e.Encode(nil)
	b := binary.AppendUvarint(nil, uint64(len(head)))
	return state.AppendTo(append(b, head...))
}

// decodeResult is the inverse of encodeResult, for hostile bytes. The state is
// nil if it is the one that the call began with and nothing happened to it.
func decodeResult(b, before []byte) (site.Effects, *wasi.State, error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return site.Effects{}, nil, errors.New("the WASI part of the Return is cut off")
	}
	e, err := site.DecodeEffects(b[k : k+int(n)])
	if err != nil {
		return e, nil, err
	}
	rest := b[k+int(n):]
	if len(e.Objects) == 0 && len(e.Opens) == 0 && bytes.Equal(rest, before) {
		return e, nil, nil
	}
	state, err := wasi.DecodeState(rest)
	return e, &state, err
}

// record adds an import to the log, with what it did.
func (r *cloneRun) record(e wasi.Entry) {
	s := r.attempt.site
	effects := s.TakeEntry()
	class, payload := classify(e, effects)
	if r.attempt.immediate {
		class, r.attempt.immediate = offload.Immediate, false
	}
	reads := s.TakeReads()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteLocked(reads)
	if e.Fn == wasi.FnClockTimeGet || e.Fn == wasi.FnPollOneoff {
		real, _ := s.Now(wasi.ClockRealtime)
		mono, _ := s.Now(wasi.ClockMonotonic)
		r.machine.NoteClocks(real, mono)
	}
	r.do(r.machine.Log(r.now(), class, encodeEntry(e), payload))
	r.checkAbort()
}

// classify says what an import did to the world.
func classify(e wasi.Entry, effects []site.Effect) (offload.Class, []byte) {
	if len(effects) == 0 {
		if e.Fn == wasi.FnClockTimeGet || e.Fn == wasi.FnPollOneoff || outputSync(e) {
			return offload.Quiet, nil // answered to a re-run
		}
		return offload.Read, nil // done again by a re-run, and compared
	}
	class := offload.Output
	for i := range effects {
		if effects[i].Kind != site.EffectOutput {
			class = offload.FileChange
		}
	}
	return class, site.EncodeList(effects)
}

// outputSync reports an empty write, which a re-run answers like any output.
func outputSync(e wasi.Entry) bool { return e.Fn == wasi.FnFdWrite }

// note adds reads to what must still hold.
func (r *cloneRun) note(reads site.Reads) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteLocked(reads)
	if r.abort != "" {
		return wasi.Abort{Reason: r.abort}
	}
	return nil
}

func (r *cloneRun) noteLocked(reads site.Reads) {
	for i := range reads {
		r.do(r.machine.NoteRead(reads[i : i+1].Encode(nil)))
	}
}

// checkAbort ends the guest's call if the machine wants that. mu is held, by
// the guest's goroutine.
func (r *cloneRun) checkAbort() {
	if r.abort != "" {
		panic(wasi.Abort{Reason: r.abort})
	}
}

// forward asks the device, and waits.
func (r *cloneRun) forward(q site.Request) (site.Reply, error) {
	class := offload.Read
	if q.Op.Immediate() {
		class, r.attempt.immediate = offload.Immediate, true
	}
	reads := r.attempt.site.TakeReads()
	r.mu.Lock()
	r.noteLocked(reads)
	r.do(r.machine.Forward(r.now(), class, q.Encode(nil)))
	if r.abort != "" {
		defer r.mu.Unlock()
		return site.Reply{}, errors.New(r.abort)
	}
	r.mu.Unlock()
	for {
		if err := r.readFrame(); err != nil {
			return site.Reply{}, err
		}
		r.mu.Lock()
		a, abort := r.answer, r.abort
		r.answer = nil
		r.mu.Unlock()
		switch {
		case a != nil:
			return site.DecodeReply(a.payload)
		case abort != "":
			return site.Reply{}, errors.New(abort)
		}
	}
}
