package link

import (
	"math"
	"sync"
	"time"
)

// Estimate is what is believed of a quantity.
type Estimate struct {
	Mean    float64
	StdDev  float64       // of single observations; widened as the estimate ages
	Samples int           // 0: nothing is known and Mean means nothing
	Age     time.Duration // since the last observation
}

// Known reports whether anything has been observed.
func (e Estimate) Known() bool { return e.Samples > 0 }

// Aging of estimates: after this long without news an old estimate weighs half
// against a new observation, and half of the doubt about it is added.
const halfLife = 60 * time.Second

// doubt is the relative standard deviation that an estimate tends to as it ages
// for ever: a link seen long ago may be half or one and a half as fast.
const doubt = 0.5

// ewma is an exponentially weighted mean and variance.
type ewma struct {
	weight float64 // of a new observation against a fresh estimate
	mean   float64
	vari   float64
	n      int
	last   time.Time
}

func (e *ewma) observe(now time.Time, x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return
	}
	e.n++
	if e.n == 1 {
		// One observation says little: assume the variation RFC 6298
		// assumes of a first round trip.
		e.mean, e.vari = x, (x/2)*(x/2)
		e.last = now
		return
	}
	w := 1 - (1-e.weight)*fresh(now.Sub(e.last))
	// The first few observations are averaged evenly.
	w = max(w, 1/float64(e.n))
	diff := x - e.mean
	e.mean += w * diff
	e.vari = (1 - w) * (e.vari + w*diff*diff)
	e.last = now
}

// fresh is 1 for an estimate of just now and halves every halfLife.
func fresh(age time.Duration) float64 {
	return math.Exp2(-max(age, 0).Seconds() / halfLife.Seconds())
}

func (e *ewma) estimate(now time.Time) Estimate {
	if e.n == 0 {
		return Estimate{}
	}
	age := max(now.Sub(e.last), 0)
	aged := doubt * e.mean * (1 - fresh(age))
	return Estimate{Mean: e.mean, StdDev: math.Sqrt(e.vari + aged*aged), Samples: e.n, Age: age}
}

// Meter holds the estimates of the path to one peer. It outlives connections: a
// Redialer uses one for all of its own. The zero Meter is ready.
//
// The round trip comes from QUIC's acknowledgements, and on TCP from the hello
// and from pings on the control stream, which are sent only while data flows or
// the link is watched.
//
// Rates come from trains: a Write of trainMin bytes or more goes out back to
// back, so the time between its first and its last bytes' arrival is the
// bottleneck's. The sender marks where such a train begins and ends on the
// control stream; the receiver times it and reports. What the receiver takes
// slowly counts as a slow link: for a transfer it is one.
type Meter struct {
	mu       sync.Mutex
	rtt      ewma // seconds
	up, down ewma // seconds per byte: what a transfer's time is the sum of
}

const (
	rttWeight  = 1.0 / 8
	rateWeight = 1.0 / 4
)

// Reset forgets everything, as after a change of network.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rtt, m.up, m.down = ewma{}, ewma{}, ewma{}
}

func (m *Meter) observeRTT(d time.Duration)      { m.observe(&m.rtt, rttWeight, d.Seconds()) }
func (m *Meter) observeUp(bytesPerSec float64)   { m.observe(&m.up, rateWeight, 1/bytesPerSec) }
func (m *Meter) observeDown(bytesPerSec float64) { m.observe(&m.down, rateWeight, 1/bytesPerSec) }

func (m *Meter) observe(e *ewma, weight, x float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.weight = weight
	e.observe(time.Now(), x)
}

// Estimates returns round trip (seconds), rate up and rate down (bytes/s).
func (m *Meter) Estimates() (rtt, up, down Estimate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	return m.rtt.estimate(now), m.up.estimate(now).inverse(), m.down.estimate(now).inverse()
}

// inverse turns seconds per byte into bytes per second, its deviation to first
// order.
func (e Estimate) inverse() Estimate {
	if !e.Known() || e.Mean == 0 {
		return Estimate{}
	}
	e.Mean, e.StdDev = 1/e.Mean, e.StdDev/(e.Mean*e.Mean)
	return e
}

// Trains.
const (
	trainMin  = 64 << 10 // bytes of one Write worth timing
	trainMax  = 1 << 20  // longer Writes are timed in parts of this size
	maxTrains = 64       // marks waiting for their data
	maxRate   = 1 << 40  // bytes/s; more is a clock's granularity
)

// span is a range of the data stream, in bytes since its beginning: from where a
// Write began to where a part of it ended.
type span struct{ from, to int64 }

// arrivals times incoming trains. The data reader feeds it, the control reader
// gives it marks; either may come first.
type arrivals struct {
	mu    sync.Mutex
	total int64
	log   [256]arrival // ring of the latest reads
	n     int          // reads so far
	marks []span
	prev  span    // the train timed last, and
	until arrival // the read that completed it
}

type arrival struct {
	end int64
	at  time.Time
}

// read notes that n bytes came at now and returns the rates of the trains that
// this completes.
func (a *arrivals) read(now time.Time, n int) []float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total += int64(n)
	a.log[a.n%len(a.log)] = arrival{a.total, now}
	a.n++
	if len(a.marks) == 0 {
		return nil
	}
	return a.settle()
}

// mark notes that a train spans s.
func (a *arrivals) mark(s span) []float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.marks) >= maxTrains || s.to <= s.from {
		return nil
	}
	a.marks = append(a.marks, s)
	return a.settle()
}

func (a *arrivals) settle() []float64 {
	var rates []float64
	for len(a.marks) > 0 && a.marks[0].to <= a.total {
		if r, ok := a.rate(a.marks[0]); ok {
			rates = append(rates, r)
		}
		a.marks = a.marks[1:]
	}
	return rates
}

// rate times the reads that lie within s: bytes after the first of them over
// the time since it. A further part of a Write is timed from the end of the part
// before.
func (a *arrivals) rate(s span) (float64, bool) {
	var first, last arrival
	if a.prev.from == s.from && a.prev.to < s.to {
		first = a.until
	}
	size := s.to - max(s.from, first.end)
	for i := max(0, a.n-len(a.log)); i < a.n; i++ {
		r := a.log[i%len(a.log)]
		if r.end <= s.from {
			continue
		}
		if first.end == 0 {
			first = r
		}
		last = r
		if r.end >= s.to {
			break
		}
	}
	a.prev, a.until = s, last
	n, took := last.end-first.end, last.at.Sub(first.at)
	// A train that came in one or two gulps had been waiting for its reader.
	if first.end == 0 || n < size/4 || took <= 0 {
		return 0, false
	}
	return min(float64(n)/took.Seconds(), maxRate), true
}
