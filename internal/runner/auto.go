package runner

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Decide is what a device's runner decides by, with --where=auto.
type Decide struct {
	Objective   cost.Objective
	MaxSlowdown float64         // 0: 2
	Radio       energy.Radio    // of the link
	Power       *energy.Profile `json:",omitempty"` // nil: package energy's default
	// Record keeps every call here and tells each with its features, for the
	// recorded sites of package bench/decide.
	Record    bool         `json:",omitempty"`
	Expect    bool         // a clone is being connected to
	Learnt    []byte       // decide.State as it was stored; empty: nothing is known
	Partition []decide.Row `json:",omitempty"`
}

// auto is the policy of --where=auto: it fills in a call's features and tells
// package decide what became of it. A nil one is of a run that does not decide.
type auto struct {
	r    *deviceRun
	d    *decide.Decider
	call decide.Call     // of the entry that is being decided
	out  decide.Decision // about it
	args [8]float64
	// decided are the decisions about the calls that d watches, innermost last.
	decided []decide.Decision
	active  []int // by candidate: watched calls of it in progress
	input   programInput
	records recording
	changes int // of the link, that d has been told
	armed   int // version of the arming that is in force
}

var _ policy = (*auto)(nil)

// compiledSpeed is how long a clone is taken to compute, that compiles, for what
// an interpreter takes a second for: a sixtieth, and it is three times as fast.
const compiledSpeed = 1.0 / 180

// newAuto begins with what was stored; if that is damaged, with nothing.
func newAuto(r *deviceRun) *auto {
	conf := decide.Config{
		Objective: r.start.Decide.Objective, MaxSlowdown: r.start.Decide.MaxSlowdown, Power: r.start.Decide.Power,
		Now:       func() time.Duration { return time.Since(r.epoch) },
		Wall:      func() int64 { return time.Now().UnixNano() },
		Partition: r.start.Decide.Partition,
	}
	if len(r.start.Decide.Learnt) > 0 {
		state, err := decide.DecodeState(r.start.Decide.Learnt)
		if err != nil {
			r.pipe.tell(Event{Warn: err.Error() + "; they are learnt anew"})
		}
		conf.Stored = state
	}
	for i := range r.g.out.Candidates {
		conf.Functions = append(conf.Functions, r.g.out.Candidates[i].Index)
	}
	if r.conf.Kind == engine.Interpreter {
		conf.CloneSpeed = compiledSpeed
	}
	a := &auto{r: r, d: decide.New(conf), active: make([]int, len(conf.Functions)), changes: -1}
	a.input = inputOf(&r.start)
	a.call.Measure = r.heldBytes
	return a
}

// choose implements policy. The reason is put into words when it is told.
func (a *auto) choose(k int, link *wire.LinkState, _ func() int64) (where, reason string, watch bool) {
	a.follow(link)
	a.prepare(k, a.r.args)
	c := &a.call
	if a.r.start.Decide.Record {
		return a.record(k)
	}
	a.out = a.d.Enter(c)
	if a.out.Site == decide.Clone {
		return siteClone, "", true
	}
	if c.Nested {
		// What is inside of it is smaller: it need not ask until the call is over.
		a.r.arms.set(k, byDecision, false)
	}
	if a.out.Watch {
		a.push(k)
	}
	a.rearm()
	return siteDevice, "", a.out.Watch
}

// prepare fills in the features of a call of candidate k.
func (a *auto) prepare(k int, args []uint64) {
	c := &a.call
	c.K, c.Parent, c.Dirty = k, decide.NoParent, -1
	// A call in a run of another input is another call.
	c.Class, c.Files, c.Whole = a.input.class, a.input.bytes, false
	if n := len(a.decided); n > 0 {
		c.Parent = a.r.watch[len(a.r.watch)-1].k
	}
	c.Nested = a.active[k] > 0
	cand := &a.r.g.out.Candidates[k]
	n := 0
	for i, t := range cand.Sig.Params {
		if n == len(a.args) {
			break
		}
		a.args[n] = numberOf(t, args[i])
		n++
	}
	if a.r.outermost && a.r.program(cand) {
		n, c.Whole = 0, true
	}
	// What the program was told by its arguments explains calls that have few.
	n += copy(a.args[n:], a.input.numbers)
	c.Args = a.args[:n]
	if a.r.g.space != nil {
		c.Memory = int64(a.r.g.space.Size())
	}
}

func (a *auto) push(k int) {
	a.decided = append(a.decided, a.out)
	a.active[k]++
}

// numberOf is a value as a number.
func numberOf(t wasmbin.ValType, bits uint64) float64 {
	switch t {
	case wasmbin.I32:
		return float64(int32(uint32(bits)))
	case wasmbin.I64:
		return float64(int64(bits))
	case wasmbin.F32:
		return float64(math.Float32frombits(uint32(bits)))
	case wasmbin.F64:
		return math.Float64frombits(bits)
	default:
		return 0
	}
}

// follow tells of a change of the link.
func (a *auto) follow(l *wire.LinkState) {
	if _, changes := a.r.pipe.linkState(); changes != a.changes {
		a.changes = changes
		a.d.SetLink(l.Up, linkOf(l, a.r.start.Decide.Radio))
	}
}

const (
	// assumedRate is what a link's rates are taken for, in bytes per second, until
	// something was sent over it: slow, and doubtful.
	assumedRate = 1e6
	assumedDev  = 1.0
	assumedRTT  = 50 * time.Millisecond
	// On 3G that is 20 times too much, and a first attempt would be lost: there
	// the rates are those of link profile 3g-2011.
	assumed3GUp, assumed3GDown = 400e3 / 8, 1e6 / 8
)

// linkOf is a link as it was measured.
func linkOf(l *wire.LinkState, radio energy.Radio) cost.Link {
	out := cost.Link{
		RTT: time.Duration(l.RttSeconds * float64(time.Second)), Up: l.UpBytesPerSecond, Down: l.DownBytesPerSecond,
		Kind: radio, Known: true, Samples: 1, UpDev: 0.25, DownDev: 0.25,
	}
	if out.RTT <= 0 {
		out.RTT = assumedRTT
	}
	up, down := float64(assumedRate), float64(assumedRate)
	if radio == energy.ThreeG {
		up, down = assumed3GUp, assumed3GDown
	}
	if out.Up <= 0 {
		out.Up, out.UpDev = up, assumedDev
	}
	if out.Down <= 0 {
		out.Down, out.DownDev = down, assumedDev
	}
	return out
}

// awaitClone waits for a clone that is being connected to, if the program that is
// about to begin is known to be worth it.
func (a *auto) awaitClone() {
	k := -1
	if a != nil && a.r.start.Decide.Expect {
		k = slices.IndexFunc(a.r.g.out.Candidates, func(c rewrite.Candidate) bool { return a.r.program(&c) })
	}
	if k < 0 {
		return
	}
	a.prepare(k, make([]uint64, len(a.r.g.out.Candidates[k].Sig.Params)))
	wait := a.d.WorthWaiting(&a.call)
	if wait <= 0 {
		return
	}
	a.r.awaitLink(time.Now().Add(time.Duration(wait * float64(time.Second))))
}

// tick is for host calls that are no stub's: what was disarmed may be due again.
func (a *auto) tick() {
	if a == nil {
		return
	}
	link, changes := a.r.pipe.linkState()
	if changes != a.changes {
		a.follow(link)
	}
	a.d.Tick()
	a.rearm()
}

// rearm sets the masks as package decide wants them.
func (a *auto) rearm() {
	if v := a.d.ArmVersion(); v != a.armed {
		a.armed = v
		for k := range a.active {
			a.r.arms.set(k, byDecision, a.d.Armed(k))
		}
	}
}

// ran implements policy.
func (a *auto) ran(k int, took time.Duration) bool {
	if a.r.start.Decide.Record {
		return a.records.ran(a, k)
	}
	if n := len(a.decided); n > 0 {
		a.out = a.decided[n-1] // what describe is about
		a.decided = a.decided[:n-1]
		a.active[k]--
	}
	a.d.Left(k)
	if a.active[k] == 0 && a.d.Armed(k) {
		a.r.arms.set(k, byDecision, true)
	}
	a.rearm()
	return took.Seconds() >= reported
}

// moved implements policy.
func (a *auto) moved(_ int, took time.Duration) {
	live := &a.r.live
	o := decide.Outcome{Seconds: took.Seconds(), BytesUp: live.up, BytesDown: live.down, RoundTrips: 1 + live.served}
	if p := live.phases; p != nil {
		o.Compute, o.Capture, o.Apply = p.Compute, p.Capture, p.Apply
	}
	a.d.Moved(&a.call, &a.out, o)
}

// failed implements policy.
func (a *auto) failed(_ int, took time.Duration, why offload.Reason) {
	a.d.Failed(&a.call, a.failure(why), took.Seconds())
}

// failure says what a failed attempt tells about its function.
func (a *auto) failure(why offload.Reason) decide.Failure {
	switch why.Why {
	case offload.WhyLink, offload.WhyUnknown, offload.WhyRefused, offload.WhyProtocol:
		return decide.FailedLink
	case offload.WhyLimit:
		return decide.FailedLimit
	case offload.WhyPrivate:
		return decide.FailedPinned
	case offload.WhyAborted:
		if strings.Contains(why.Text, "pinned: ") {
			return decide.FailedPinned
		}
		return decide.FailedLimit
	case offload.WhyCaller:
		if why.Text == tooLate {
			return decide.FailedLate
		}
		return decide.FailedLink // switched off, or nobody reads the output
	case offload.WhyTrap, offload.WhyChanged, offload.WhyPrepare, offload.WhyApply, offload.WhyOutput:
	}
	return decide.FailedOther
}

// again has the local run of a call measured whose attempt came to nothing.
func (a *auto) again(k int) {
	if a != nil {
		a.d.Again(&a.call)
		a.push(k)
	}
}

// unwound says that the guest has left all watched calls but the first n: by a
// trap, or, ended, with the end of the program, which ends them too.
func (a *auto) unwound(n int, ended bool) {
	if a == nil {
		return
	}
	for i := len(a.r.watch) - 1; i >= n && len(a.decided) > 0; i-- {
		w := &a.r.watch[i]
		if !ended {
			a.decided = a.decided[:len(a.decided)-1]
			a.active[w.k]--
			a.d.Forget()
			continue
		}
		took := time.Since(w.began)
		if a.ran(w.k, took) && !w.call.Fallback { // those are told anyway
			w.call.Seconds += took.Seconds()
			a.describe(&w.call)
			a.r.pipe.tell(Event{Call: &w.call})
		}
	}
}

// isExit reports whether the guest has ended by itself.
func isExit(err error) bool {
	var exit *engine.Exit
	return err == nil || errors.As(err, &exit)
}

// describe completes the report of the call that a.out is about.
func (a *auto) describe(c *Call) {
	if a == nil {
		return
	}
	if a.r.start.Decide.Record {
		a.records.describe(c)
		return
	}
	if c.Reason == "" {
		c.Reason = a.d.Reason(&a.out)
	}
	c.Rule, c.Term, c.Uncertain = a.out.Why.String(), a.d.Term(&a.out), a.out.Uncertain
	c.Predicted = map[string]Predicted{}
	for _, s := range []decide.Site{decide.Device, decide.Clone} {
		if a.out.Known[s] {
			c.Predicted[s.String()] = Predicted(a.out.Predicted[s])
		}
	}
	if c.Where == siteClone && c.Phases != nil {
		c.Joules = a.d.MovedJoules(decide.Outcome{
			Compute: c.Phases.Compute, Capture: c.Phases.Capture, Apply: c.Phases.Apply,
			BytesUp: c.BytesUp, BytesDown: c.BytesDown, RoundTrips: 1 + a.r.live.served,
		})
	} else {
		c.Joules = a.d.LocalJoules(c.Seconds)
	}
}

// tooLate abandons an attempt that takes longer than running the call here would.
const tooLate = "the clone takes longer than the call here would"

// patience is until when an attempt that began then is waited for; zero: for ever.
func (a *auto) patience(began time.Time) time.Time {
	if a == nil || a.out.Patience <= 0 {
		return time.Time{}
	}
	const least, most = 1.0, 1e6 // seconds
	return began.Add(time.Duration(min(max(a.out.Patience, least), most) * float64(time.Second)))
}

// learnt hands back what is to be stored.
func (a *auto) learnt() {
	if a != nil {
		a.r.pipe.tell(Event{Learnt: a.d.State().Encode()})
	}
}
