package decide

import (
	"math"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
)

// record is one call that was measured.
type record struct {
	stamp   int64 // nanoseconds since 1970
	exact   uint32
	x       vector
	seconds float64 // from entry to return
	guess   bool    // most of it ran elsewhere
	// Of a call that moved:
	compute, up, down, trips, capture, apply float64
}

// trail holds the latest records.
type trail struct {
	ring [ringSize]record
	n    int // ever
}

func (t *trail) add(r *record) {
	t.ring[t.n%ringSize] = *r
	t.n++
}

// each calls f with the records, oldest first.
func (t *trail) each(f func(*record)) {
	n := min(t.n, ringSize)
	for i := range n {
		f(&t.ring[(t.n-n+i)%ringSize])
	}
}

// Left tells that the innermost watched call has returned, and gives its
// seconds. ok is false if it is not of candidate k: frames that were unwound are
// dropped on the way.
func (d *Decider) Left(k int) (seconds float64, ok bool) {
	now := d.conf.Now()
	d.arm.tick(now)
	n := len(d.frames) - 1
	for n >= 0 && d.frames[n].k != k {
		n-- // a trap or an exit has left it
	}
	if n < 0 {
		return 0, false
	}
	f := &d.frames[n]
	d.frames = d.frames[:n]
	took := (now - f.began).Seconds()
	if !sensible(took) {
		return took, true // the clock has jumped: nothing is learnt
	}
	d.learnLocal(f, took, now)
	return took, true
}

// Unwind forgets watched calls beyond the first n: the guest has left them by a
// trap or an exit.
func (d *Decider) Unwind(n int) { d.frames = d.frames[:min(max(n, 0), len(d.frames))] }

// Watched is how many watched calls have not returned.
func (d *Decider) Watched() int { return len(d.frames) }

// Forget takes the innermost watched call back: it is not measured after all.
func (d *Decider) Forget() { d.Unwind(len(d.frames) - 1) }

// mostSupposed is which part of a call's time here may be what calls inside of it
// that moved would have taken: more of it makes a guess of the measurement.
const mostSupposed = 0.3

// learnLocal learns from a call that has run here.
func (d *Decider) learnLocal(f *frame, took float64, now time.Duration) {
	h := f.h
	alone := took - f.away + f.instead // had nothing inside of it moved
	if alone < 0 {
		alone = took
	}
	r := &record{stamp: d.conf.Wall(), exact: f.call.exact, x: f.call.x, seconds: alone}
	r.guess = f.instead > mostSupposed*alone
	h.ran(r, &d.speed)
	saved := &h.inner[d.link.Kind%radios]
	if f.instead > 0 || saved.seconds.n > 0 {
		saved.seconds.observe((f.instead-f.away)/max(alone, leastSeconds), 0.3)
		joules := d.localCost(alone).Joules
		saved.joules.observe((f.insteadJoules-f.awayJoules)/max(joules, leastSeconds), 0.3)
	}
	if n := len(d.frames); n > 0 { // its caller sees through it
		p := &d.frames[n-1]
		p.away, p.instead = p.away+f.away, p.instead+f.instead
		p.awayJoules, p.insteadJoules = p.awayJoules+f.awayJoules, p.insteadJoules+f.insteadJoules
	} else {
		d.earned += took
	}
	d.consider(f.k, took, now)
}

// honest is between which multiples of what the device can explain the rest of an
// offload may lie for the clone's own figure to be believed.
const (
	honestMost  = 4
	honestSlack = 0.020 // seconds
)

// Moved learns from a call that moved. c is as it was for Enter, and predicted
// what Enter answered.
func (d *Decider) Moved(c *Call, predicted *Decision, o Outcome) {
	f := &d.funcs[c.K]
	h := f.at(c.Parent)
	if !sensible(o.Seconds) {
		return
	}
	o = o.clipped()
	actual := predicted.Offload
	actual.Compute, actual.BytesUp, actual.BytesDown, actual.RoundTrips = 0, o.BytesUp, o.BytesDown, o.RoundTrips
	actual.Capture, actual.Apply = duration(o.Capture), duration(o.Apply)
	rest := d.remoteCost(actual, 0).Seconds
	compute := min(max(o.Compute, 0), o.Seconds)
	if took := o.Seconds - compute; d.up && !math.IsInf(rest, 1) {
		if took > honestMost*rest+honestSlack+o.Seconds/4 {
			// The clone says that it computed little, and yet the answer was long in
			// coming: what counts is how long it took.
			compute = max(o.Seconds-rest, 0)
		} else if fit := &d.fit[d.link.Kind%radios]; rest > 0 && took > 0 {
			fit.observe(min(max(fit.mean+math.Log(took/rest), -2), 2), 0.2)
		}
	}
	r := record{
		stamp: d.conf.Wall(), exact: c.exact, x: c.x, seconds: o.Seconds, compute: compute,
		up: float64(o.BytesUp), down: float64(o.BytesDown), trips: float64(o.RoundTrips), capture: o.Capture, apply: o.Apply,
	}
	b := d.believe(h, c)
	h.moved(&r, &d.speed)
	if h.here.n > 0 {
		d.speed.observe(h.work.w[featureSite])
	}
	if c.Dirty > 0 && o.BytesUp > 0 {
		d.pack.observe(math.Log(float64(o.BytesUp)/float64(c.Dirty)), 0.2)
	}
	d.upBytes.observe(math.Log(1+float64(o.BytesUp)), 0.3)
	d.downBytes.observe(math.Log(1+float64(o.BytesDown)), 0.3)
	f.block.succeeded()
	d.loss.observe(d.link.Kind, false, d.conf.Now())
	if n := len(d.frames); n > 0 {
		p := &d.frames[n-1]
		instead := b.mid
		if !b.known {
			instead = o.Seconds
		}
		joules := d.localCost(instead).Joules
		p.away, p.instead = p.away+o.Seconds, p.instead+instead
		p.awayJoules, p.insteadJoules = p.awayJoules+predicted.Predicted[Clone].Joules, p.insteadJoules+joules
	} else {
		d.earned += o.Seconds
	}
}

// clipped leaves nothing in an outcome that cannot be.
func (o Outcome) clipped() Outcome {
	const mostBytes, mostTrips = 1 << 50, 1 << 30
	for _, s := range []*float64{&o.Compute, &o.Capture, &o.Apply} {
		if !sensible(*s) {
			*s = 0
		}
	}
	o.BytesUp, o.BytesDown = min(max(o.BytesUp, 0), mostBytes), min(max(o.BytesDown, 0), mostBytes)
	o.RoundTrips = min(max(o.RoundTrips, 1), mostTrips)
	return o
}

// Failed learns from an attempt that came to nothing after so many seconds. The
// call then runs here, and is watched if the caller calls Again.
func (d *Decider) Failed(c *Call, why Failure, seconds float64) {
	f := &d.funcs[c.K]
	f.at(c.Parent).last = Device
	switch why {
	case FailedLink:
		d.loss.observe(d.link.Kind, true, d.conf.Now())
	case FailedLate:
		// It computes at least as long as it was waited for.
		f.at(c.Parent).late(&record{stamp: d.conf.Wall(), exact: c.exact, x: c.x, seconds: seconds, compute: seconds}, &d.speed)
	case FailedPinned, FailedLimit, FailedOther:
		f.block.failed(why, f.calls)
	}
	if n := len(d.frames); n > 0 && sensible(seconds) {
		d.frames[n-1].away += seconds // nobody's computing
	}
}

// LocalJoules is what the device spends in so many seconds of computing.
func (d *Decider) LocalJoules(seconds float64) float64 { return d.localCost(seconds).Joules }

// MovedJoules is what the device spends on an offload over the present link.
func (d *Decider) MovedJoules(o Outcome) float64 {
	j := d.remoteCost(cost.Offload{
		Capture: duration(o.Capture), Apply: duration(o.Apply), BytesUp: o.BytesUp, BytesDown: o.BytesDown, RoundTrips: o.RoundTrips,
	}, o.Compute).Joules
	if math.IsInf(j, 0) {
		return 0 // the link has gone meanwhile
	}
	return j
}

// Again watches the local run of a call whose attempt came to nothing.
func (d *Decider) Again(c *Call) {
	h := d.funcs[c.K].at(c.Parent)
	d.frames = append(d.frames, frame{k: c.K, h: h, call: *c, began: d.conf.Now()})
	d.frames[len(d.frames)-1].call.Args = nil
}
