package cost

import (
	"math"
	"sync"
	"time"
)

// Key names what a speed is learnt of.
type Key struct {
	Clone    string `json:"clone"`    // its id
	Engine   string `json:"engine"`   // that runs the guest there
	Function string `json:"function"` // with its module, so that names do not collide
}

// Speeds learns how fast clones are and how loaded, from how long calls took
// there. It may be used by several goroutines.
//
// A speed is a ratio: the time that a call takes on the device over the time
// that it takes at the clone. That of a function at a clone under an engine is
// believed as soon as it was seen once. Before, the clone's other functions
// speak for it, under the same engine and else under any; of a clone that has
// run nothing yet, what it says of itself, between bounds and with much doubt;
// and if it says nothing, what all clones were.
//
// What a clone says is never believed against the device's own clock: see
// [Speeds.Observe].
type Speeds struct {
	mu     sync.Mutex
	ratios map[Key]*track // Key{} with parts left out: all of them
	queues map[string]*load
	claims map[string]float64
}

// load is the queueing at one clone, in seconds; most is none at all.
type load struct {
	recent, long, dev float64
	last              time.Time
	n                 int
}

const (
	maxKeys   = 4096
	maxClaim  = 50.0 // times as fast, or as slow, as the device
	claimDev  = 1.0  // of the logarithm
	cloneDev  = 0.5  // between functions of one clone, at least
	sameWorld = 0.15 // a clone's word within this share of the device's clock is good
	slack     = 20 * time.Millisecond
)

// NewSpeeds knows nothing.
func NewSpeeds() *Speeds {
	return &Speeds{ratios: map[Key]*track{}, queues: map[string]*load{}, claims: map[string]float64{}}
}

// Claim notes what a clone says of its speed, as a ratio to this device's. It
// counts until the first call.
func (s *Speeds) Claim(clone string, ratio float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ratio > 0 && len(s.claims) < maxKeys {
		s.claims[clone] = min(max(ratio, 1/maxClaim), maxClaim)
	}
}

// Answer is what is known of one call that ran at a clone.
type Answer struct {
	// Local is what the call takes, or would have taken, on the device; 0 if
	// that is not known.
	Local time.Duration
	// Waited is what the device's clock says: from the Call's first byte to the
	// Return's last.
	Waited time.Duration
	// Transfer is what the link explains of it: bytes and round trips.
	Transfer time.Duration
	// Queue and Compute are what the clone says.
	Queue, Compute time.Duration
}

// remote is what the clone took, as far as it can be believed: what it says if
// that agrees with the device's clock, or else what the clock says.
func (a Answer) remote() (queue, compute time.Duration) {
	there := max(a.Waited-a.Transfer, 0)
	queue, compute = max(a.Queue, 0), max(a.Compute, 0)
	said := later(queue, compute)
	// The clock is inexact by what the link varies.
	give := time.Duration(sameWorld*float64(a.Waited)) + slack
	switch {
	case said <= later(there, give) && there <= later(said, give):
		return queue, compute
	case said == 0 || said > there:
		// More than there was time for, or nothing: it was all computing.
		return 0, there
	default:
		// Less than the device saw: what is missing is computing too, for it
		// is a rule that no queue explains.
		queue = min(queue, there)
		return queue, there - queue
	}
}

func later(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Observe takes in one call.
func (s *Speeds) Observe(now time.Time, k Key, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, compute := a.remote()
	q := s.queues[k.Clone]
	if q == nil {
		q = &load{}
		s.room(len(s.queues), func() { clear(s.queues) })
		s.queues[k.Clone] = q
	}
	q.observe(now, queue.Seconds())
	if a.Local <= 0 {
		return
	}
	ratio := a.Local.Seconds() / max(compute.Seconds(), 1e-6)
	for _, key := range []Key{k, {Clone: k.Clone, Engine: k.Engine}, {Clone: k.Clone}, {}} {
		t := s.ratios[key]
		if t == nil {
			t = &track{}
			s.room(len(s.ratios), s.forgetOldest)
			s.ratios[key] = t
		}
		t.observe(now, ratio, 1)
	}
}

// room makes room if a table is full.
func (s *Speeds) room(n int, makeRoom func()) {
	if n >= maxKeys {
		makeRoom()
	}
}

func (s *Speeds) forgetOldest() {
	var oldest Key
	var t *track
	for k, other := range s.ratios {
		if k.Function != "" && (t == nil || other.last.Before(t.last)) {
			oldest, t = k, other
		}
	}
	delete(s.ratios, oldest)
}

// Speed is what is believed of a clone's speed for one function.
type Speed struct {
	Ratio   float64 // device time over clone time
	Dev     float64 // standard deviation of its logarithm
	Samples int     // of this very function; 0: others speak for it
}

// Speed returns what is believed now. Of a clone of which nothing is known the
// ratio is 1, with much doubt.
func (s *Speeds) Speed(now time.Time, k Key) Speed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.ratios[k]; t != nil && t.n > 0 {
		return Speed{t.value(), t.dev(now), t.n}
	}
	for _, key := range []Key{{Clone: k.Clone, Engine: k.Engine}, {Clone: k.Clone}} {
		if t := s.ratios[key]; t != nil && t.n > 0 {
			return Speed{t.value(), math.Hypot(t.dev(now), cloneDev), 0}
		}
	}
	if c := s.claims[k.Clone]; c > 0 {
		return Speed{c, claimDev, 0}
	}
	if t := s.ratios[Key{}]; t != nil && t.n > 0 {
		return Speed{t.value(), math.Hypot(t.dev(now), claimDev), 0}
	}
	return Speed{1, 2 * claimDev, 0}
}

// Compute is how long a call that takes local on the device takes at the clone.
func (v Speed) Compute(local time.Duration) time.Duration {
	return duration(max(local, 0).Seconds() / v.Ratio)
}

// At is the speed in the q-quantile of times: slower for a greater q.
func (v Speed) At(q float64) Speed {
	v.Ratio /= quantile(q, v.Dev)
	return v
}

// Constants of queueing.
const (
	queueHalfLife = 20 * time.Second // after which half of a queue has gone
	longWeight    = 0.1              // of one call in the clone's long mean
)

func (l *load) observe(now time.Time, q float64) {
	recent := l.at(now)
	l.n++
	if l.n == 1 {
		recent = q
	}
	// Half the news, half what was expected; the long mean begins at no queue.
	diff := q - recent
	l.recent = recent + diff/2
	l.dev += (math.Abs(diff) - l.dev) / 2
	l.long += (q - l.long) * max(longWeight, 1/float64(l.n+1))
	l.last = now
}

// at is the queue that is expected at now: the last ones, fading to the clone's
// long mean. A clone that is always busy, or calls its slowness a queue, does
// not win by waiting.
func (l *load) at(now time.Time) float64 {
	fresh := math.Exp2(-max(now.Sub(l.last), 0).Seconds() / queueHalfLife.Seconds())
	return l.long + (l.recent-l.long)*fresh
}

// Queue is how long a call will wait at a clone before it computes, with its
// mean deviation.
func (s *Speeds) Queue(now time.Time, clone string) (mean, dev time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.queues[clone]
	if l == nil {
		return 0, 0
	}
	return duration(l.at(now)), duration(max(l.dev, math.Abs(l.recent-l.long)/2))
}
