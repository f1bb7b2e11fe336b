package cost

import (
	"math"
	"time"
)

// track follows a positive quantity that varies by factors (seconds per byte, a
// round trip, a ratio of speeds): mean and variance of its logarithm, newer
// observations weighing more.
//
// It forgets with time: an old value weighs less against a new one, and is
// doubted more. It notices a change: two observations in a row that are both far
// off on the same side replace all that came before, so that a link that became
// ten times slower, or a clone that lied, is believed after two calls and not
// after twenty.
type track struct {
	mean, vari float64 // of the logarithm
	n          int
	last       time.Time
	// The last observation, if it was far off: how far, what and how heavy.
	odd, oddAt, oddWeight float64
}

// Constants of track. They are judgement, not theory; the tests say what they
// achieve.
const (
	newWeight  = 0.25             // of an observation against a fresh estimate
	halfLife   = 60 * time.Second // after which an estimate weighs half
	doubt      = 0.5              // what the deviation grows to with age
	firstDev   = 0.3              // of the first observations, before they show their own
	priorObs   = 3.0              // how many observations firstDev weighs
	maxDev     = 1.0              // a factor of 2.7: more is no knowledge
	far        = 3                // deviations
	farAtLeast = 0.25             // and no less than this factor (logarithm)
)

// observe takes in x; weight from 0 to 1 is how much it says compared with a
// full observation. What is no positive number is ignored.
func (t *track) observe(now time.Time, x, weight float64) {
	l := math.Log(x)
	if math.IsNaN(l) || math.IsInf(l, 0) || !(weight > 0) {
		return
	}
	weight = min(weight, 1)
	if t.n == 0 {
		t.restart(now, l, weight)
		return
	}
	diff := l - t.mean
	limit := max(far*t.dev(now), farAtLeast)
	if math.Abs(diff) <= limit {
		t.odd = 0
	} else if t.odd*diff > 0 {
		// The second in a row, on the same side: the world has changed.
		before := t.oddAt
		t.restart(now, (before*t.oddWeight+l*weight)/(t.oddWeight+weight), min(t.oddWeight+weight, 1))
		t.n = 2
		return
	} else {
		t.odd, t.oddAt, t.oddWeight = diff, l, weight
		diff = math.Copysign(limit, diff) // it may be alone
	}
	t.n++
	w := 1 - (1-newWeight)*fresh(now.Sub(t.last))
	w = max(w, 1/float64(t.n)) * weight // the first few are averaged evenly
	t.mean += w * diff
	wv := max(w, weight/(float64(t.n)+priorObs))
	if t.n <= int(1/newWeight) {
		wv = weight / (float64(t.n) + priorObs)
	}
	t.vari = min((1-wv)*(t.vari+wv*diff*diff), maxDev*maxDev)
	t.last = now
}

func (t *track) restart(now time.Time, l, weight float64) {
	*t = track{mean: l, vari: min(firstDev*firstDev/weight, maxDev*maxDev), n: 1, last: now}
}

// dev is the standard deviation of the logarithm, with the doubt of age.
func (t *track) dev(now time.Time) float64 {
	aged := doubt * (1 - fresh(now.Sub(t.last)))
	return math.Sqrt(t.vari + aged*aged)
}

// value is the median, the exponential of the logarithm's mean: a mean that one
// stalled transfer does not ruin.
func (t *track) value() float64 {
	if t.n == 0 {
		return 0
	}
	return math.Exp(t.mean)
}

// fresh is 1 for what is of now and halves every halfLife. A clock that was set
// back makes nothing fresher than now.
func fresh(age time.Duration) float64 {
	return math.Exp2(-max(age, 0).Seconds() / halfLife.Seconds())
}

// quantile is the factor by which the q-quantile of a log-normal quantity with
// this deviation exceeds its median.
func quantile(q, dev float64) float64 {
	q = min(max(q, 1e-6), 1-1e-6)
	return math.Exp(math.Sqrt2 * math.Erfinv(2*q-1) * dev)
}
