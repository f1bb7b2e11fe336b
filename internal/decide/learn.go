package decide

import (
	"cmp"
	"math"
	"slices"
)

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
