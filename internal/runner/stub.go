package runner

import (
	"context"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// watched is a call that runs here and whose exit the stub reports.
type watched struct {
	k      int
	began  time.Time
	call   Call   // to be reported with its time; Function is empty: only timed
	replay *rerun // the re-run that this call is
}

// stubs are the functions that the rewritten module's stubs call.
func (r *deviceRun) stubs() []engine.HostFunc {
	out := r.g.out
	var funcs []engine.HostFunc
	for _, h := range out.Hosts {
		params := append(engineTypes(h.Sig.Params), engine.I32)
		results := append(engineTypes(h.Sig.Results), engine.I32)
		np, nr := len(h.Sig.Params), len(h.Sig.Results)
		funcs = append(funcs, engine.HostFunc{
			Name: h.Name, Params: params, Results: results,
			Call: func(_ context.Context, stack []uint64) {
				k := int(uint32(stack[np]))
				stack[nr] = uint64(uint32(r.entered(k, stack[:np], stack[:nr])))
			},
		})
	}
	if out.ExitHost != "" {
		funcs = append(funcs, engine.HostFunc{
			Name: out.ExitHost, Params: []engine.ValType{engine.I32},
			Call: func(_ context.Context, stack []uint64) { r.left(int(uint32(stack[0]))) },
		})
	}
	return funcs
}

func engineTypes(in []wasmbin.ValType) []engine.ValType {
	out := make([]engine.ValType, len(in), len(in)+1)
	for i, t := range in {
		out[i] = engine.ValType(t)
	}
	return out
}

// entered is a stub's question: where does this call of candidate k run? args
// and results share memory, as on the engine's stack.
func (r *deviceRun) entered(k int, args, results []uint64) rewrite.Status {
	if r.rerun != nil || r.doomed > 0 || r.refused || k >= len(r.g.out.Candidates) {
		return rewrite.Local // bound to a log, about to trap, output refused, or not one of ours
	}
	if r.unarmed != nil && r.unarmed[k] {
		return rewrite.Local
	}
	if most := r.start.MaxOffloads; most > 0 && r.offloads == most {
		return rewrite.Local
	}
	if n := r.start.OffloadEvery; n > 1 {
		if r.asked++; r.asked%n != 1 {
			return rewrite.Local
		}
	}
	c := &r.g.out.Candidates[k]
	if s := r.g.space; s != nil {
		s.Park()
		defer s.Unpark()
	}
	link, changes := r.pipe.linkState()
	r.follow(link, changes)
	r.args = args
	where, reason, watch := r.decide.choose(k, link, r.held)
	if where == siteClone {
		defer func() { r.outermost = false }()
		r.offloads++
		return r.profile.entered(k, args, r.offloadCall(c, args, results, reason))
	}
	r.outermost = false
	if !watch {
		return r.profile.entered(k, args, rewrite.Local)
	}
	r.watch = append(r.watch, watched{k: k, began: time.Now(), call: Call{
		Function: c.Name, Index: c.Index, Where: "device", Reason: reason,
	}})
	return r.profile.entered(k, args, rewrite.LocalWatch)
}

// left is a stub's report that a call which ran here has returned.
func (r *deviceRun) left(k int) {
	if !r.profile.left(k) {
		return
	}
	n := len(r.watch) - 1
	if n < 0 || r.watch[n].k != k {
		return
	}
	w := r.watch[n]
	r.watch = r.watch[:n]
	if r.doomed > n {
		r.doomed = 0
	}
	took := time.Since(w.began)
	if w.replay != nil && r.rerun == w.replay {
		r.endRerun()
	}
	if r.decide.ran(k, took) || w.call.Fallback {
		r.tellCall(w, took)
	}
}

// tellCall reports a call that ran here.
func (r *deviceRun) tellCall(w watched, took time.Duration) {
	w.call.Seconds += took.Seconds()
	w.call.Context = r.profile.context()
	r.auto.describe(&w.call)
	if w.call.Began == 0 { // else there was an attempt before
		w.call.Began = w.began.Sub(r.epoch).Seconds()
	}
	r.pipe.tell(Event{Call: &w.call})
}
