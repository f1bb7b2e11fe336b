package decide

import (
	"math"
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
	site prior   // of the slope of featureSite
	grow float64 // prior mean of the other slopes, but for featureDirty
	how  Estimator
	// noise is the variance of what no feature explains: of the square of each
	// error, what is left when the doubt about the coefficients is taken off.
	noise  average
	fitted float64               // what noise was when the coefficients were fitted
	w      [features + 1]float64 // intercept last
	p      [features + 1][features + 1]float64

	ring [ringSize]point // the latest observations
	next int

	errs  [ringSize]float32 // of the latest predictions: log of actual over predicted
	nerrs int
	known [quantiles]float64 // of the errors, beside their mean
	mean  float64            // logarithm of the mean of actual over predicted
	off   int                // how many predictions in a row were far off to one side
}

// prior is what is believed of a slope beforehand.
type prior struct{ mean, variance float64 }

type point struct {
	x     vector
	y     float32
	exact uint32
}

const (
	ringSize = 16
	// forgetting is how much an observation counts after each further one.
	forgetting = 0.97
	// slopeVar is the prior variance of a slope, in logs per octave: a quantity
	// that grows with the square of an argument has a slope of 2 ln 2 = 1.4.
	slopeVar = 0.35
	// noiseVar is the variance of what no feature explains, until it is learnt.
	noiseVar             = 0.02
	leastNoise, topNoise = 0.002, 4.0
	guessVar             = 0.5 // what a guess is less certain
	// refitAt is by how much noise may grow before the coefficients are fitted again.
	refitAt  = 3
	levelVar = 1.0
	// mostDoubt is the largest standard deviation, as a logarithm, that is believed.
	mostDoubt = 1.5
	// bandwidth is how many octaves away a call is still a neighbour.
	bandwidth = 0.35
	recency   = 0.75 // weight of a neighbour after each further call
	elsewhere = 0.1  // weight of one at the other site
	shrink    = 0.15 // weight of no correction at all
	// priorError is what a prediction is taken to be off by (a factor of 1.5)
	// before errors are known: pseudo-errors of that size stay in the quantiles.
	priorError   = 0.4
	pseudoWeight = 1.0
	// mostSkew bounds what one error says about the mean, as a logarithm.
	mostSkew = 1.5
	// surprise is by how many standard deviations, squared, an observation may be
	// off before the level is doubted.
	surprise = 16
	// unseen is a variance that says that no such call has been seen.
	unseen = 0.5
	// farOff is an error, as a logarithm, that two times in a row on one side
	// means that things have changed, beside what errors there were before.
	farOff = 0.5
	// seasoned is how many predictions there must have been before.
	seasoned = 3
)

// Estimator is how predictors predict. The zero one is for use; the others are
// for the measurement that chose it.
type Estimator uint8

// The estimators.
const (
	Both Estimator = iota
	LeastSquares
	Nearest
)

func (p *predictor) reset(x *vector, y float64, slope int) {
	p.base = *x
	p.base[featureSite] = 0
	p.w = [features + 1]float64{}
	for i := range featureDirty {
		p.w[i] = p.grow
	}
	p.w[featureSite] = p.site.mean
	p.noise, p.fitted = average{noiseVar, 3}, noiseVar
	p.w[features] = y - p.site.mean*float64(x[featureSite])
	if slope >= 0 {
		p.w[slope] = math.Ln2 // proportional to the feature until measured
	}
	p.forgetAll()
}

func (p *predictor) forgetAll() {
	p.p = [features + 1][features + 1]float64{}
	for i := range p.p {
		p.p[i][i] = p.limit(i)
	}
}

// limit is the variance of a coefficient of which nothing is known.
func (p *predictor) limit(i int) float64 {
	switch i {
	case featureSite:
		return p.site.variance
	case features:
		return levelVar
	}
	return slopeVar
}

// doubt is the variance of what least squares say of x, by what they have seen.
func (p *predictor) doubt(x *vector) (v float64) {
	var u [features + 1]float64
	for i := range features {
		u[i] = octaves(x[i], p.base[i])
	}
	u[features] = 1
	for i := range u {
		if u[i] == 0 {
			continue
		}
		for j := range u {
			v += u[i] * p.p[i][j] * u[j]
		}
	}
	return min(max(v, 0), mostDoubt*mostDoubt)
}

// predict returns the natural logarithm of the quantity; n must not be 0.
func (p *predictor) predict(x *vector, exact uint32) float64 {
	linear := p.linear(x)
	if p.how == LeastSquares {
		return linear
	}
	var sum, weight float64
	ages := [sites]float64{1, 1}
	for i := range min(p.n, ringSize) {
		q := &p.ring[(p.next-1-i+2*ringSize)%ringSize]
		at := Site(q.x[featureSite])
		w := ages[at]
		ages[at] *= recency
		if q.x[featureSite] != x[featureSite] {
			w *= elsewhere
		}
		if q.exact != exact || octaves(q.x[featureDirty], x[featureDirty]) != 0 {
			d := distance(&q.x, x)
			if d > 9*bandwidth*bandwidth {
				continue
			}
			w *= math.Exp(-d / (2 * bandwidth * bandwidth))
			if q.exact != exact {
				w *= 0.5
			}
		}
		if p.how == Nearest {
			sum += w * float64(q.y)
		} else {
			sum += w * (float64(q.y) - p.linear(&q.x))
		}
		weight += w
	}
	if p.how == Nearest {
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
		if d := octaves(x[i], p.base[i]); d != 0 {
			y += p.w[i] * d
		}
	}
	return min(max(y, -40), 60)
}

// distance is the squared distance in octaves.
func distance(a, b *vector) (d float64) {
	for i := range featureSite {
		e := octaves(a[i], b[i])
		d += e * e
	}
	return d
}

// missing is a feature that was not asked for.
const missing = -1

// octaves is how far two values are apart; one that is missing may be the other.
func octaves(a, b float32) float64 {
	if a < 0 || b < 0 {
		return 0
	}
	return float64(a - b)
}

// again reports how calls of exactly these features went: how many of the recent
// ones there are at the site, and their standard deviation.
func (p *predictor) again(x *vector, exact uint32) (n int, dev float64) {
	var sum, squares float64
	for i := range min(p.n, ringSize) {
		if q := &p.ring[i]; q.exact == exact && q.x[featureSite] == x[featureSite] {
			n++
			sum += float64(q.y)
			squares += float64(q.y) * float64(q.y)
		}
	}
	if n > 1 {
		mean := sum / float64(n)
		dev = math.Sqrt(max(squares/float64(n)-mean*mean, 0) * float64(n) / float64(n-1))
	}
	return n, dev
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
