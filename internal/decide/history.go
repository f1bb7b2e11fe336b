package decide

import (
	"math"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
)

// history is what is known of one candidate's calls from one parent.
type history struct {
	parent int

	// work is the seconds that a call computes here. What a clone computes tells
	// of it too, so that both sites share what is known of its shape.
	work    predictor
	up      predictor // bytes
	down    predictor // bytes
	dirty   average   // bytes that differed from the base, of calls that were asked
	trips   average   // round trips
	capture average   // seconds
	apply   average   // seconds

	here, there trail // the calls themselves, to be kept

	// inner is the share of the call's cost here that calls inside of it save by
	// moving, by radio: this call moving whole is to be compared with that.
	inner [radios]saving

	last      Site // where the latest call that was weighed ran
	sinceHere int  // calls since the latest that ran here, of those that were weighed
	sinceAway int  // since the latest that ran there
	waitHere  int  // how many calls are to pass before one is sampled there for knowledge
	waitAway  int
	calls     int
	lates     int // attempts that were given up

	// prior is the partition's row; it counts until both sites are known.
	prior *Row
}

// saving is what moving the calls inside a call saves of it, as shares.
type saving struct{ seconds, joules average }

const radios = 8 // at least as many as package energy has

const (
	// growth is by how much a time is taken to grow with each octave of a feature
	// until measured, as a logarithm: less than in proportion, which is 0.69.
	growth     = 0.4
	firstWait  = 8       // calls before the other site is sampled again
	longestLag = 1 << 20 // and at most
)

func newHistory(parent int, how Estimator) *history {
	h := &history{parent: parent, waitHere: firstWait, waitAway: firstWait}
	h.work.grow, h.down.grow = growth, growth
	h.work.how, h.up.how, h.down.how = how, how, how
	return h
}

// limits of what is believed of an observation.
const (
	leastSeconds = 1e-9
	mostSeconds  = 100 * 24 * 3600.0
)

func sensible(seconds float64) bool { return seconds >= 0 && seconds <= mostSeconds }

func logSeconds(s float64) float64 { return math.Log(max(s, leastSeconds)) }

// ran learns a call that ran here.
func (h *history) ran(r *record, s *speed) {
	if !sensible(r.seconds) {
		return
	}
	h.begin(s)
	r.x[featureSite] = 0
	if r.guess {
		h.work.hear(&r.x, logSeconds(r.seconds))
	} else {
		h.work.observe(&r.x, r.exact, logSeconds(r.seconds), -1)
	}
	h.here.add(r)
}

// begin takes what is known of clones as the prior of this function's.
func (h *history) begin(s *speed) {
	if h.work.n == 0 {
		log, dev := s.estimate()
		h.work.site = prior{log, dev * dev}
	}
}

// moved learns a call that ran at the clone; s is what is known of clones.
func (h *history) moved(r *record, s *speed) {
	if !sensible(r.seconds) || !sensible(r.compute) {
		return
	}
	h.begin(s)
	if p := h.prior; h.work.n == 0 && p != nil && p.Local > 0 {
		// What the partition says of this site stands for a call that was timed here.
		h.work.observe(&r.x, r.exact, logSeconds(p.Local), -1)
	}
	r.x[featureSite] = 1
	h.work.observe(&r.x, r.exact, logSeconds(r.compute), -1)
	r.x[featureSite] = 0
	slope := -1
	if r.x[featureDirty] > 0 {
		slope = featureDirty
	}
	h.up.observe(&r.x, r.exact, math.Log(1+r.up), slope)
	h.down.observe(&r.x, r.exact, math.Log(1+r.down), -1)
	h.trips.observe(r.trips, 0.3)
	h.capture.observe(r.capture, 0.3)
	h.apply.observe(r.apply, 0.3)
	h.there.add(r)
}

// late learns a call that was given up at the clone: of its bytes nothing.
func (h *history) late(r *record, s *speed) {
	if !sensible(r.compute) {
		return
	}
	h.begin(s)
	h.lates++
	r.x[featureSite] = 1
	h.work.observe(&r.x, r.exact, logSeconds(r.compute), -1)
}

// speed is what a clone takes for a second's work here, over all functions: for
// those that have not been there yet.
type speed struct {
	first float64 // what an unknown clone is taken for, as a logarithm
	log   average // of the ratio
	dev   average // absolute deviation
}

const (
	// priorSpeed is what an unknown clone is taken for: a server, about three
	// times as fast as a phone, and as likely as not off by a factor of 2.
	priorSpeed    = 0.33
	priorSpeedDev = 1.0
)

func (s *speed) observe(l float64) {
	if s.log.n > 0 {
		s.dev.observe(math.Abs(l-s.log.mean), 0.2)
	}
	s.log.observe(l, 0.2)
}

// estimate gives the logarithm of the ratio and its standard deviation.
func (s *speed) estimate() (log, dev float64) {
	if s.log.n == 0 {
		return s.first, priorSpeedDev
	}
	known := float64(s.log.n)
	return s.log.mean, max(0.25, (priorSpeedDev+known*1.25*s.dev.mean)/(1+known))
}

// belief is what a call is expected to take here, and a clone's ratio to it.
type belief struct {
	known          bool
	mid, mean      float64 // seconds here: the median, and the mean
	low, high      float64 // first and ninth decile
	ratio          float64 // seconds there over seconds here
	ratioL, ratioH float64 // its first and ninth decile
}

// believe predicts a call.
func (d *Decider) believe(h *history, c *Call) (b belief) {
	p := &h.work
	row := h.prior
	if row != nil && row.Local <= 0 {
		row = nil
	}
	log, dev := d.speed.estimate()
	switch {
	case p.n > 0:
		c.x[featureSite] = 0
		y, doubt := p.predict(&c.x, c.exact), 1.28*math.Sqrt(p.doubt(&c.x))
		b.known = true
		low, high, skew := min(p.quantile(tenth), -doubt), max(p.quantile(ninetieth), doubt), max(p.mean, 0)
		if n, dev := p.again(&c.x, c.exact); n > 0 && c.Class != 0 {
			// The same call of the same input: it goes as it went, with what those vary.
			sure := 1.28 * (dev + 2*priorError/float64(1+n))
			low, high, skew = max(low, -sure), min(high, sure), min(skew, dev)
		}
		b.mid, b.mean = math.Exp(y), math.Exp(y+skew)
		b.low, b.high = math.Exp(y+low), math.Exp(y+high)
		if h.there.n+h.lates > 0 {
			log, dev = p.w[featureSite], math.Sqrt(p.p[featureSite][featureSite]+drift*float64(h.sinceAway))
		} else if log0, dev0 := p.site.mean, math.Sqrt(p.site.variance); dev0 < dev {
			log, dev = log0, dev0
		}
	case row != nil:
		b.known, b.mid, b.mean, b.low, b.high = true, row.Local, row.Local, row.Local/2, row.Local*2
	}
	if h.there.n == 0 && row != nil && row.Compute > 0 {
		log, dev = math.Log(row.Compute/row.Local), priorError
	}
	b.ratio, b.ratioL, b.ratioH = math.Exp(log), math.Exp(log-1.28*dev), math.Exp(log+1.28*dev)
	return b
}

const (
	// nearEnough is how many octaves away the nearest call of a firm prediction
	// may be, and firmSpread by which factor its deciles may differ.
	nearEnough = 0.5
	firmSpread = 4
	// drift is the variance of how fast a site is that comes with each call that
	// is not made there: so that both are tried again one day.
	drift = 0.001
)

// firm reports whether calls of the same class of input have been measured, and
// agree. A partition is of a class of input, and firm by itself.
func (h *history) firm(c *Call, b *belief) bool {
	if h.work.n == 0 && h.prior != nil && h.prior.Move {
		return true
	}
	return h.work.n > 0 && h.work.reach(&c.x, c.exact) <= nearEnough && b.high <= firmSpread*b.low
}

// offload predicts what an offload consists of beside its computing, in the
// middle and at the ninth decile.
func (d *Decider) offload(h *history, c *Call) (mid, high cost.Offload) {
	dirty := float64(c.Dirty)
	if c.Dirty < 0 {
		dirty = h.dirty.mean
	}
	var up, down, upH, downH float64
	switch {
	case h.up.n > 0:
		up, upH = h.up.bytes(c)
		down, downH = h.down.bytes(c)
	case h.prior != nil && h.prior.BytesUp+h.prior.BytesDown > 0:
		up, down = h.prior.BytesUp, h.prior.BytesDown
		upH, downH = 2*up, 2*down
	default:
		// What is dirty may have to travel. Of the answer nothing is known: its
		// output counts too.
		up = frameBytes + dirty*d.packed()
		down = unknownAnswer + dirty*d.packed()/2
		if d.downBytes.n > 0 {
			up, down = max(up, math.Exp(d.upBytes.mean)), max(down, math.Exp(d.downBytes.mean))
		}
		upH, downH = 2*up, 3*down
	}
	mid = cost.Offload{
		BytesUp: int64(up), BytesDown: int64(down),
		RoundTrips: max(1, int(h.trips.mean+0.5)), Capture: duration(h.capture.mean), Apply: duration(h.apply.mean),
	}
	if h.capture.n == 0 {
		mid.Capture = duration(fixedCapture + dirty/captureRate)
		mid.Apply = mid.Capture
	}
	high = mid
	high.BytesUp, high.BytesDown = int64(upH), int64(downH)
	return mid, high
}

// bytes is a predicted size, and its ninth decile.
func (p *predictor) bytes(c *Call) (mid, high float64) {
	y := p.predict(&c.x, c.exact)
	limit := func(y float64) float64 { return math.Exp(min(y, 40)) }
	return limit(y), limit(y + p.quantile(ninetieth))
}

const (
	frameBytes = 500.0
	// unknownAnswer is what a call that has never moved is taken to bring back, in
	// bytes: mostly it is less, but the mean counts. It is little for most links,
	// and enough to try a slow one with long calls only.
	unknownAnswer = 128 << 10
	fixedCapture  = 200e-6
	captureRate   = 500e6 // bytes per second
)

// packed is which part of the dirty bytes travels, as learnt from all functions.
func (d *Decider) packed() float64 {
	if d.pack.n == 0 {
		return 0.5
	}
	return math.Exp(d.pack.mean)
}

func duration(s float64) time.Duration {
	if !(s < mostSeconds) {
		s = mostSeconds
	}
	return time.Duration(max(s, 0) * float64(time.Second))
}
