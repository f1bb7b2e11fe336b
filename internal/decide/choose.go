package decide

import (
	"math"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
)

// verdict is what choose goes by.
type verdict struct {
	now    time.Duration
	belief *belief
	stay   Cost // staying, with calls inside of it that move
	there  Cost // moving: expected,
	best   Cost // with a clone as fast, or
	worst  Cost // as slow, as it is in one call of ten,
	small  Cost // and of a call that turns out short
}

// choose applies rules 3 and 4 to what was predicted.
func (d *Decider) choose(h *history, out *Decision, v *verdict) {
	local := out.Predicted[Device]
	// In units of the cost of staying.
	ratio := d.expected(d.relative(v.there, v.stay), v.now)
	low, high := d.relative(v.best, v.stay), d.relative(v.worst, v.stay)
	hereLow := v.belief.low / v.belief.mean * math.Exp(-1.28*math.Sqrt(drift*float64(h.sinceHere)))
	// What is lost if the call turns out short: all but its computing.
	small := d.localCost(v.belief.low)
	short := d.relative(v.small, small) - 1
	out.Uncertain = v.belief.high > firmSpread*v.belief.low && (low < 1) != (short < 0) || low < 1 && high > 1.5

	margin := stayMargin
	if h.last == Clone {
		margin = moveMargin
	}
	gain := (1 - ratio) * v.stay.Seconds
	risk := max((high-1)*v.stay.Seconds, short*small.Seconds)
	bound := max(slack(v.stay.Seconds), 2*gain)
	if h.there.n == 0 {
		bound = max(bound, v.stay.Seconds) // the first one teaches most, and Patience ends it
	}
	switch {
	case ratio >= margin:
		out.Why = WhyCheaperHere
		switch {
		case d.relative(v.there, local) < stayMargin:
			out.Why = WhyInside
		case ratio < 1:
			out.Why = WhyKeep
		}
	case d.conf.Objective != cost.Time && v.there.Seconds > d.conf.MaxSlowdown*local.Seconds:
		out.Why = WhySlowdown
	case risk > bound:
		out.Why = WhyRisk
	default:
		out.Site, out.Why = Clone, WhyCheaperThere
	}
	if h.prior != nil && h.there.n == 0 && h.prior.Move == (out.Site == Clone) {
		out.Why = WhyPartition
	}
	d.explore(h, out, ratio, low, hereLow, v.stay)
}

// staying is what the call costs here when calls inside of it move as they did.
func (d *Decider) staying(h *history, local Cost) Cost {
	s := &h.inner[d.link.Kind%radios]
	if s.seconds.n == 0 {
		return local
	}
	return Cost{local.Seconds * (1 - min(max(s.seconds.mean, 0), 0.999)), local.Joules * (1 - min(max(s.joules.mean, 0), 0.999))}
}

func (h *history) chose(s Site) {
	h.last = s
	if s == Device {
		h.sinceHere, h.sinceAway = 0, h.sinceAway+1
	} else {
		h.sinceAway, h.sinceHere = 0, h.sinceHere+1
	}
}

// exploreShare bounds exploration: the sum of what samples of the other site
// were expected to lose stays below this share of the time that candidates have
// taken in the run.
const exploreShare = 0.01

// explore may turn a decision round to learn about the other site. It does so
// only if the optimistic tenth of the prediction would win there, if the loss
// that is expected fits the budget and is no more than what knowing better could
// save over as many further calls as there have been, and ever more seldom.
func (d *Decider) explore(h *history, out *Decision, ratio, low, hereLow float64, stay Cost) {
	budget := exploreShare*d.earned - d.spent
	switch {
	case out.Site == Device && h.sinceAway >= h.waitAway && low < 1:
		regret := max(ratio-1, 0) * stay.Seconds
		if regret > budget || regret > (1-low)*stay.Seconds*float64(h.calls) || out.Why == WhySlowdown {
			return
		}
		d.spent += regret
		h.waitAway = min(2*h.waitAway, longestLag)
		out.Site, out.Why = Clone, WhySampleThere
	case out.Site == Clone && h.sinceHere >= h.waitHere && hereLow < ratio:
		regret := max(1-ratio, 0) * stay.Seconds
		if regret > budget || regret > (ratio-hereLow)*stay.Seconds*float64(h.calls) {
			return
		}
		d.spent += regret
		h.waitHere = min(2*h.waitHere, longestLag)
		out.Site, out.Why = Device, WhySampleHere
	}
}
