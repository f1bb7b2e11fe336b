package decide

import (
	"cmp"
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

// observe learns a logarithm. slope is a feature that the quantity is
// proportional to until measured, or -1.
func (p *predictor) observe(x *vector, exact uint32, y float64, slope int) {
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return
	}
	if p.n == 0 {
		p.reset(x, y, slope)
	} else {
		p.notice(x, y-p.predict(x, exact))
	}
	p.learn(x, y)
	p.ring[p.next] = point{*x, float32(y), exact}
	p.next = (p.next + 1) % ringSize
	p.n++
	if p.noise.mean > refitAt*p.fitted {
		p.refit()
	}
}

// hear learns a guess of a logarithm: as of a call with much noise, which is no
// neighbour of later ones.
func (p *predictor) hear(x *vector, y float64) {
	if p.n == 0 {
		p.observe(x, 0, y, -1)
		return
	}
	noise := p.noise
	p.noise = average{noise.mean + guessVar, 1}
	p.learn(x, y)
	p.noise = noise
}

// refit fits the latest calls again when they have turned out to be noisier than
// they were taken for: what was read out of the first of them was noise.
func (p *predictor) refit() {
	noise, n := p.noise, min(p.n, ringSize)
	for i := range n {
		q := &p.ring[(p.next-n+i+ringSize)%ringSize]
		if i == 0 {
			p.reset(&q.x, float64(q.y), -1)
		}
		p.noise = average{noise.mean, 1 << 20}
		p.learn(&q.x, float64(q.y))
	}
	p.noise, p.fitted = noise, noise.mean
}

// notice keeps the error of a prediction, and sees a change: after two errors
// in a row that are far off to one side what was learnt before counts little.
func (p *predictor) notice(x *vector, e float64) {
	usual := math.Sqrt(p.noise.mean)
	far := max(farOff, 2.5*usual)
	switch {
	case e > far && p.off >= 0:
		p.off++
	case e < -far && p.off <= 0:
		p.off--
	default:
		p.off = 0
	}
	if (p.off >= 2 || p.off <= -2) && p.nerrs >= seasoned {
		p.unsettle(Site(x[featureSite]))
		return
	}
	doubt := p.doubt(x)
	if doubt > unseen {
		return // it says how little was known
	}
	// One surprise says little about the next call.
	usual = 3 * math.Sqrt(p.noise.mean+doubt)
	p.errs[p.nerrs%ringSize] = float32(min(max(e, -usual), usual))
	p.nerrs++
	p.weigh()
}

// unsettle forgets how fast a site is, and its calls but the latest; the slopes
// stand.
func (p *predictor) unsettle(at Site) {
	n, kept := min(p.n, ringSize), [ringSize]point{}
	m := 0
	for i := range n {
		q := p.ring[(p.next-n+i+ringSize)%ringSize]
		if i == n-1 || Site(q.x[featureSite]) != at {
			kept[m] = q
			m++
		}
	}
	p.ring, p.n, p.next, p.off, p.nerrs = kept, m, m%ringSize, 0, 0
	p.noise, p.fitted = average{noiseVar, 3}, noiseVar
	i := coefficient(at)
	for j := range p.p {
		p.p[i][j], p.p[j][i] = 0, 0
	}
	p.p[i][i] = max(p.limit(i), levelVar)
}

// coefficient is that which says how fast a site is.
func coefficient(at Site) int {
	if at == Clone {
		return featureSite
	}
	return features
}

// Quantiles that are kept.
const (
	tenth = iota
	ninetieth
	quantiles
)

// errorAge is what an error weighs after each further one.
const errorAge = 0.85

// weigh computes the quantiles of the errors: the latest count most, and two
// pseudo-errors stay among them.
func (p *predictor) weigh() {
	type weighed struct{ e, w float64 }
	var all [ringSize + 2]weighed
	n, w, total, sum := 0, 1.0, 0.0, 0.0
	for i := range min(p.nerrs, ringSize) {
		e := float64(p.errs[(p.nerrs-1-i)%ringSize])
		all[n] = weighed{e, w}
		sum += w * math.Exp(min(max(e, -mostSkew), mostSkew))
		total += w
		w *= errorAge
		n++
	}
	p.mean = math.Log((sum + pseudoWeight) / (total + pseudoWeight))
	all[n], all[n+1] = weighed{-priorError, pseudoWeight / 2}, weighed{priorError, pseudoWeight / 2}
	n, total = n+2, total+pseudoWeight
	slices.SortFunc(all[:n], func(a, b weighed) int { return cmp.Compare(a.e, b.e) })
	for i, q := range [quantiles]float64{0.1, 0.9} {
		at := 0.0
		for j := range n {
			at += all[j].w
			if at >= q*total || j == n-1 {
				p.known[i] = all[j].e
				break
			}
		}
	}
}

// quantile of the errors, as a logarithm: of a tenth or nine tenths.
func (p *predictor) quantile(which int) float64 {
	if p.nerrs == 0 {
		return [quantiles]float64{-1.6 * priorError, 1.6 * priorError}[which]
	}
	return p.known[which]
}

// learn is one step of recursive least squares.
func (p *predictor) learn(x *vector, y float64) {
	var u, pu [features + 1]float64
	for i, v := range x {
		if p.base[i] < 0 {
			p.base[i] = v // the first of its kind
		}
	}
	for i := range features {
		u[i] = octaves(x[i], p.base[i])
	}
	u[features] = 1
	doubt := 0.0
	for i := range pu {
		for j := range u {
			if u[j] != 0 {
				pu[i] += p.p[i][j] * u[j]
			}
		}
		doubt += u[i] * pu[i]
	}
	e := y - p.linear(x)
	denominator := forgetting*p.noise.mean + doubt
	if more := e*e/surprise - denominator; more > 0 {
		// So far off, the level is not what it was taken for. The level's coefficient
		// is 1 in u, or the site's is; so this much more doubt gives as much gain.
		i := coefficient(Site(x[featureSite]))
		more = min(more, p.limit(i))
		p.p[i][i] += more
		pu[i] += more * u[i]
		denominator += more * u[i] * u[i]
	}
	// One surprise is no noise: it may be that something has changed.
	p.noise.observe(min(max(e*e-doubt, leastNoise), topNoise, 9*p.noise.mean), 0.15)
	for i := range p.w {
		p.w[i] += pu[i] / denominator * e
	}
	for i := range pu {
		for j := range pu {
			p.p[i][j] -= pu[i] * pu[j] / denominator
		}
	}
	// Forgetting inflates the doubt, but never beyond what there was at first, and
	// of the site's own speed only: a clone that becomes slow says nothing about
	// the device, whose calls are not seen meanwhile. Who is wrong about that finds
	// out when the call comes back.
	other := coefficient(Device)
	if Site(x[featureSite]) == Device {
		other = coefficient(Clone)
	}
	for i := range pu {
		if grown := p.p[i][i] / forgetting; grown <= p.limit(i) && i != other {
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
