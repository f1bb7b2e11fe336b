package decide

import (
	"math"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/energy"
)

// Config says how to decide. The zero value decides by time.
type Config struct {
	Objective   cost.Objective
	MaxSlowdown float64         // of calls that move to save energy; 0: 2
	Power       *energy.Profile // nil: package energy's default
	// Now is a monotonic clock.
	Now func() time.Duration
	// Wall is the present in nanoseconds since 1970, for what is stored; nil: 0.
	Wall func() int64
	// Functions gives the module's index of each candidate: what is stored is
	// by these, because another start may choose other candidates.
	Functions []uint32
	Stored    *State // nil: nothing is known
	// CloneSpeed is how long an unknown clone is taken to compute for what takes a
	// second here; 0: 0.33, a server for a phone.
	CloneSpeed float64
	Estimator  Estimator
	Partition  []Row // the partition that holds for this link and objective
}

// Row is one row of a partition: where calls of a function from a parent ran
// best, and what they cost. The node manager publishes them.
type Row struct {
	Function, Parent   uint32 // indices in the module; Parent may be AnyParent
	Move               bool
	Local, Compute     float64 // seconds; 0: not known
	BytesUp, BytesDown float64
}

// AnyParent is the Parent of a Row for all callers, and of a call from no candidate.
const AnyParent = math.MaxUint32

// Decider decides for one run. It belongs to one goroutine.
type Decider struct {
	conf  Config
	funcs []function

	speed speed
	pack  average // log of bytes sent over bytes dirty
	// upBytes and downBytes are logs of what calls of this module have sent and
	// received: what a function that has not moved yet is expected to, at least.
	upBytes, downBytes average
	fit                [radios]average // log of what the rest of an offload took over what was predicted
	loss               risk

	link     cost.Link
	up       bool
	floor    Cost // of the smallest offload
	earned   float64
	spent    float64
	frames   []frame
	arm      armament
	measured average         // seconds that counting dirty bytes takes
	others   []FunctionState // stored, of functions that are no candidates now
}

// function is one candidate.
type function struct {
	all   []*history // by parent: few
	index uint32
	how   Estimator
	calls int
	block blockade
}

// frame is a watched call that has not returned.
type frame struct {
	k         int
	h         *history
	call      Call // without Args
	began     time.Duration
	predicted float64 // seconds here, 0: not known
	// What calls inside of it that moved took, and what they would have here.
	away, instead             float64
	awayJoules, insteadJoules float64
}

// Promise of DESIGN.md: no call slower than here by more than the larger.
const (
	slackShare   = 0.05
	slackSeconds = 0.050
)

// slack is what a call of so many seconds may lose.
func slack(seconds float64) float64 { return max(slackShare*seconds, slackSeconds) }

const (
	// stayMargin is which part of the local cost the clone's may be for a call
	// that ran here before, moveMargin for one that moved before.
	stayMargin = 0.90
	moveMargin = 1.03
	// maxParents bounds the histories of a function; further parents share one.
	maxParents = 4
	// measureShare: dirty bytes are counted when that takes at most this share of
	// the call.
	measureShare = 0.01
	// waitShare of the slack may be spent waiting for a clone to be connected, by a
	// program that takes leastGain times as long at least.
	waitShare = 0.8
	leastGain = 4
)

// New makes a Decider; what is stored of other modules' functions is ignored.
func New(c Config) *Decider {
	if c.Power == nil {
		c.Power = energy.Default()
	}
	if c.MaxSlowdown <= 0 {
		c.MaxSlowdown = 2
	}
	if c.Wall == nil {
		c.Wall = func() int64 { return 0 }
	}
	d := &Decider{conf: c, funcs: make([]function, len(c.Functions))}
	for k, index := range c.Functions {
		d.funcs[k].index, d.funcs[k].how = index, c.Estimator
	}
	if !(c.CloneSpeed > 0) {
		c.CloneSpeed = priorSpeed
	}
	d.speed.first = math.Log(c.CloneSpeed)
	d.arm.init(len(c.Functions))
	d.measured = average{mean: 20e-6, n: 1}
	d.restore(c.Stored)
	for i := range c.Partition {
		d.adopt(&c.Partition[i])
	}
	return d
}

// adopt takes a row of the partition.
func (d *Decider) adopt(r *Row) {
	k, parent := d.candidate(r.Function), NoParent
	if r.Parent != AnyParent {
		parent = d.candidate(r.Parent)
	}
	if k < 0 || (parent < 0 && r.Parent != AnyParent) {
		return
	}
	d.funcs[k].at(parent).prior = r
}

// candidate is the number of the candidate with that index, or -1.
func (d *Decider) candidate(index uint32) int {
	for k := range d.funcs {
		if d.funcs[k].index == index {
			return k
		}
	}
	return -1
}

// at finds the history for calls from a parent. A caller that is new begins
// with nothing; beyond maxParents they share the last.
func (f *function) at(parent int) *history {
	for _, h := range f.all {
		if h.parent == parent {
			return h
		}
	}
	if len(f.all) >= maxParents {
		return f.all[maxParents-1]
	}
	h := newHistory(parent, f.how)
	f.all = append(f.all, h)
	return h
}

// SetLink tells what the link is like now; up says that a clone is there.
func (d *Decider) SetLink(up bool, l cost.Link) {
	changed := up != d.up || (up && l.Kind != d.link.Kind)
	d.up, d.link = up, l
	d.floor = Cost{math.Inf(1), math.Inf(1)}
	if up {
		d.floor.Seconds, d.floor.Joules = cost.Predict(cost.Offload{
			BytesUp: frameBytes, BytesDown: frameBytes, Capture: duration(fixedCapture), Apply: duration(fixedCapture),
		}, l, d.conf.Power)
	}
	if changed {
		d.arm.wakeAll(d.conf.Now())
	}
}

// Enter decides one call. It does not allocate, unless the function is new.
func (d *Decider) Enter(c *Call) Decision {
	now := d.conf.Now()
	d.arm.tick(now)
	c.prepare()
	f := &d.funcs[c.K]
	if c.Nested {
		return Decision{Why: WhyNested}
	}
	h := f.at(c.Parent)
	h.calls++
	f.calls++
	out := d.weigh(f, h, c, now)
	if out.Site == Device && out.Watch {
		d.frames = append(d.frames, frame{k: c.K, h: h, call: *c, began: now, predicted: out.Predicted[Device].Seconds})
		d.frames[len(d.frames)-1].call.Args = nil
	}
	return out
}

// weigh is Enter's decision.
func (d *Decider) weigh(f *function, h *history, c *Call, now time.Duration) Decision {
	out := Decision{Watch: true, Up: d.up}
	b := d.believe(h, c)
	if b.known {
		out.Known[Device] = true
		out.Predicted[Device] = d.localCost(b.mean)
		out.Middle[Device], out.Low[Device], out.High[Device] = b.mid, b.low, b.high
	}
	switch {
	case !d.up:
		out.Why = WhyNoClone
		return out
	case f.block.holds(f.calls):
		out.Why, out.Block = WhyBlocked, f.block.why
		return out
	case !b.known:
		out.Why = WhyFirst
		return out
	case d.tooShort(b.high):
		out.Why = WhyShort
		return out
	}
	d.measure(h, c, b.mid)
	o, high := d.offload(h, c)
	v := verdict{now: now, stay: d.staying(h, out.Predicted[Device]), belief: &b}
	v.there = d.remoteCost(o, b.mean*b.ratio)
	v.best = d.remoteCost(o, b.mean*b.ratioL)
	v.worst = d.remoteCost(d.pessimistic(high), b.mean*b.ratioH)
	v.small = d.remoteCost(o, b.low*b.ratio)
	out.Offload = o
	out.Offload.Compute = duration(b.mean * b.ratio)
	out.Known[Clone] = !math.IsInf(v.there.Seconds, 1)
	out.Predicted[Clone], out.Middle[Clone] = v.there, d.remoteCost(o, b.mid*b.ratio).Seconds
	out.Low[Clone], out.High[Clone] = v.small.Seconds, d.remoteCost(d.pessimistic(high), b.high*b.ratioH).Seconds
	if !out.Known[Clone] {
		out.Why = WhyNoClone
		return out
	}
	d.choose(h, &out, &v)
	if out.Site == Clone && c.Whole && !h.firm(c, &b) {
		out.Site, out.Why = Device, WhyUnsure
	}
	h.chose(out.Site)
	if out.Site == Clone {
		out.Patience = out.High[Clone] + b.high + slackSeconds
		if h.there.n == 0 {
			// The first one is a bet: what it may lose is the call once more.
			out.Patience = max(1.5*out.Predicted[Clone].Seconds, b.high) + slackSeconds
		}
	}
	return out
}

// WorthWaiting is how many seconds a program may wait for its clone before it
// begins: what the promise allows, where it, or calls inside of it, is expected to
// gain much more by moving; otherwise 0. There need be no link yet.
func (d *Decider) WorthWaiting(c *Call) float64 {
	c.prepare()
	h := d.funcs[c.K].at(c.Parent)
	b := d.believe(h, c)
	seconds := b.low // what it takes at least
	if h.firm(c, &b) {
		seconds = b.mid
	}
	wait := waitShare * slack(seconds)
	if !b.known || d.funcs[c.K].block.fails > 0 || b.ratio > stayMargin/2 || seconds < leastGain*wait {
		return 0
	}
	return wait
}

// measure counts the dirty bytes where that is worth its time.
func (d *Decider) measure(h *history, c *Call, seconds float64) {
	if c.Dirty < 0 && c.Measure != nil && d.measured.mean <= measureShare*seconds {
		began := d.conf.Now()
		c.Dirty = max(c.Measure(), 0)
		if took := (d.conf.Now() - began).Seconds(); sensible(took) {
			d.measured.observe(took, 0.2)
		}
	}
	if c.Dirty >= 0 {
		h.dirty.observe(float64(c.Dirty), 0.3)
		c.x[featureDirty] = logOf(float64(c.Dirty))
	} else if h.dirty.n > 0 {
		c.x[featureDirty] = logOf(h.dirty.mean)
	}
}

// localCost is what computing so long here costs.
func (d *Decider) localCost(seconds float64) Cost {
	return Cost{seconds, seconds * d.conf.Power.CPU.ActiveWatts()}
}

// remoteCost is what an offload costs over the present link, with what was
// learnt of how such predictions were off, and of attempts that were lost.
func (d *Decider) remoteCost(o cost.Offload, compute float64) Cost {
	o.Compute = duration(compute)
	s, j := cost.Predict(o, d.link, d.conf.Power)
	if fit := &d.fit[d.link.Kind%radios]; fit.n > 0 {
		rest := s - o.Compute.Seconds()
		s += rest * (math.Exp(fit.mean) - 1)
	}
	return Cost{s, j}
}

// pessimistic widens an offload by what the link's rates vary: bytes stand for
// the time that they take.
func (d *Decider) pessimistic(o cost.Offload) cost.Offload {
	widen := func(n int64, dev float64) int64 {
		return int64(float64(n) * (1 + 1.28*min(max(dev, 0), 2)))
	}
	o.BytesUp, o.BytesDown = widen(o.BytesUp, d.link.UpDev), widen(o.BytesDown, d.link.DownDev)
	return o
}

// tooShort reports whether a call of at most so many seconds cannot repay the
// smallest offload over this link.
func (d *Decider) tooShort(seconds float64) bool {
	return d.relative(d.localCost(seconds), d.floor) < 1
}

// relative is cost a in terms of b, by the objective.
func (d *Decider) relative(a, b Cost) float64 {
	return d.conf.Objective.Score(cost.Estimate{Seconds: a.Seconds, Joules: a.Joules}, cost.Estimate{Seconds: b.Seconds, Joules: b.Joules})
}
