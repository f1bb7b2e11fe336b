package decide

import (
	"math"
	"slices"
)

// predictor predicts the logarithm of one positive quantity of a function's
// calls from their features.
//
// It is recursive least squares with forgetting on the logarithms, regularised
// so that a slope needs evidence, and then corrected by what the nearest recent
// calls were off by. The first finds that a time grows with the square of an
// argument; the second remembers what cannot be fitted. Which of the two, or
// both, was chosen by measurement: see bench/README.md.
type predictor struct {
	n    int // observations
	base vector
	w    [features + 1]float64 // intercept last
	p    [features + 1][features + 1]float64

	ring [ringSize]point // the latest observations
	next int

	errs   [ringSize]float32 // of the latest predictions: log of actual over predicted
	nerrs  int
	sorted [ringSize + 2]float32
	ns     int
	off    int // how many predictions in a row were far off to one side
}

type point struct {
	x     vector
	y     float32
	exact uint32
}

const (
	ringSize = 16
	// forgetting is how much an observation counts after each further one.
	forgetting = 0.9
	// slopeVar is the prior variance of a slope, in logs per octave: a quantity
	// that grows with the square of an argument has a slope of 2 ln 2 = 1.4.
	slopeVar = 0.25
	noiseVar = 0.02
	// bandwidth is how many octaves away a call is still a neighbour.
	bandwidth = 0.35
	recency   = 0.75 // weight of a neighbour after each further call
	shrink    = 0.15 // weight of no correction at all
	// priorError is what a prediction is taken to be off by (a factor of 1.5)
	// before errors are known: two such pseudo-errors stay in the quantiles.
	priorError = 0.4
	// farOff is an error, as a logarithm, that two times in a row on one side
	// means that things have changed, beside what errors there were before.
	farOff = 0.5
)

// how selects an estimator, for the measurement that chose one.
type how uint8

const (
	both how = iota
	leastSquares
	nearest
)

// estimator is what predictors use: a variable for the measurement only.
var estimator = both

func (p *predictor) reset(x *vector, y float64, slope int) {
	p.base = *x
	p.w = [features + 1]float64{}
	p.w[features] = y
	if slope >= 0 {
		p.w[slope] = math.Ln2 // proportional to the feature until measured
	}
	p.forgetAll()
}

func (p *predictor) forgetAll() {
	p.p = [features + 1][features + 1]float64{}
	for i := range features {
		p.p[i][i] = slopeVar
	}
	p.p[features][features] = 1
}

// predict returns the natural logarithm of the quantity; n must not be 0.
func (p *predictor) predict(x *vector, exact uint32) float64 {
	linear := p.linear(x)
	if estimator == leastSquares {
		return linear
	}
	var sum, weight float64
	age := 1.0
	for i := range min(p.n, ringSize) {
		q := &p.ring[(p.next-1-i+2*ringSize)%ringSize]
		w := age
		age *= recency
		if q.exact != exact || q.x[featureDirty] != x[featureDirty] {
			d := distance(&q.x, x)
			if d > 9*bandwidth*bandwidth {
				continue
			}
			w *= math.Exp(-d / (2 * bandwidth * bandwidth))
			if q.exact != exact {
				w *= 0.5
			}
		}
		if estimator == nearest {
			sum += w * float64(q.y)
		} else {
			sum += w * (float64(q.y) - p.linear(&q.x))
		}
		weight += w
	}
	if estimator == nearest {
		if weight < 1e-6 {
			return float64(p.ring[(p.next-1+ringSize)%ringSize].y)
		}
		return sum / weight
	}
	return linear + sum/(weight+shrink)
}

// linear is what least squares alone say. Slopes are not followed further than
// a few octaves from what was seen.
func (p *predictor) linear(x *vector) float64 {
	y := p.w[features]
	for i := range features {
		if d := x[i] - p.base[i]; d != 0 {
			y += p.w[i] * float64(d)
		}
	}
	return min(max(y, -40), 60)
}

// distance is the squared distance in octaves.
func distance(a, b *vector) (d float64) {
	for i := range a {
		e := float64(a[i] - b[i])
		d += e * e
	}
	return d
}

// reach is how far, in octaves, the nearest of the recent calls is away.
func (p *predictor) reach(x *vector, exact uint32) float64 {
	best := math.Inf(1)
	for i := range min(p.n, ringSize) {
		q := &p.ring[i]
		d := distance(&q.x, x)
		if q.exact == exact {
			d = min(d, 0.01)
		}
		best = min(best, d)
	}
	return math.Sqrt(best)
}

// observe learns a logarithm. slope is a feature that the quantity is
// proportional to until measured, or -1.
func (p *predictor) observe(x *vector, exact uint32, y float64, slope int) {
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return
	}
	if p.n == 0 {
		p.reset(x, y, slope)
	} else {
		e := y - p.predict(x, exact)
		p.notice(e)
		p.learn(x, y)
	}
	p.ring[p.next] = point{*x, float32(y), exact}
	p.next = (p.next + 1) % ringSize
	p.n++
}

// notice keeps the error of a prediction, and sees a change: after two errors
// in a row that are far off to one side what was learnt before counts little.
func (p *predictor) notice(e float64) {
	far := max(farOff, 2*p.spread())
	switch {
	case e > far && p.off >= 0:
		p.off++
	case e < -far && p.off <= 0:
		p.off--
	default:
		p.off = 0
	}
	if p.off >= 2 || p.off <= -2 {
		last := p.ring[(p.next-1+ringSize)%ringSize]
		n := p.n
		slopes := p.w
		p.reset(&last.x, float64(last.y), -1)
		copy(p.w[:features], slopes[:features]) // the shape stands; the level has moved
		p.ring[0], p.next, p.n, p.off = last, 1, min(n, 1), 0
		p.nerrs = 0
	}
	p.errs[p.nerrs%ringSize] = float32(e)
	p.nerrs++
	p.sort()
}

func (p *predictor) sort() {
	n := min(p.nerrs, ringSize)
	copy(p.sorted[:], p.errs[:n])
	p.sorted[n], p.sorted[n+1] = -priorError, priorError
	p.ns = n + 2
	slices.Sort(p.sorted[:p.ns])
}

// quantile of the errors, as a logarithm.
func (p *predictor) quantile(q float64) float64 {
	if p.ns == 0 {
		return (2*q - 1) * 2 * priorError // one observation, or none: a factor of 1.9 at 9 in 10
	}
	at := q * float64(p.ns-1)
	i := int(at)
	if i+1 >= p.ns {
		return float64(p.sorted[p.ns-1])
	}
	f := at - float64(i)
	return float64(p.sorted[i])*(1-f) + float64(p.sorted[i+1])*f
}

// spread is half the distance between the deciles.
func (p *predictor) spread() float64 { return (p.quantile(0.9) - p.quantile(0.1)) / 2 }

// learn is one step of recursive least squares.
func (p *predictor) learn(x *vector, y float64) {
	var u, pu [features + 1]float64
	for i := range features {
		u[i] = float64(x[i] - p.base[i])
	}
	u[features] = 1
	denominator := forgetting * noiseVar
	for i := range pu {
		for j := range u {
			if u[j] != 0 {
				pu[i] += p.p[i][j] * u[j]
			}
		}
		denominator += u[i] * pu[i]
	}
	e := y - p.linear(x)
	for i := range p.w {
		p.w[i] += pu[i] / denominator * e
	}
	for i := range pu {
		for j := range pu {
			p.p[i][j] -= pu[i] * pu[j] / denominator
		}
	}
	// Forgetting inflates the doubt, but never beyond what there was at first.
	for i := range pu {
		limit := slopeVar
		if i == features {
			limit = 1
		}
		if grown := p.p[i][i] / forgetting; grown <= limit {
			for j := range pu {
				if i != j {
					p.p[i][j] /= math.Sqrt(forgetting)
					p.p[j][i] /= math.Sqrt(forgetting)
				}
			}
			p.p[i][i] = grown
		}
	}
}

// average is an exponentially weighted mean; the zero value has seen nothing.
type average struct {
	mean float64
	n    int
}

func (a *average) observe(v, weight float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	a.n++
	a.mean += max(weight, 1/float64(a.n)) * (v - a.mean)
}
