package cost

import (
	"fmt"
	"math"
)

// Deciding returns the term that decides between two estimates by time: see
// DecidingFor.
func (e Estimate) Deciding(other Estimate) Term { return e.DecidingFor(Time, other) }

// DecidingFor returns the term that decides between e and other: of the one that
// costs more, the term that exceeds the other's of the same name by most.
//
// Of a call that stays on the device because of a slow link this is the upload;
// of one that moves, the computing that it would have cost here.
func (e Estimate) DecidingFor(o Objective, other Estimate) Term {
	dear, cheap := e, other
	if o.Score(e, other) < o.Score(other, e) {
		dear, cheap = other, e
	}
	if math.IsInf(dear.Seconds, 1) {
		return Term{Name: TermRoundTrips, Seconds: dear.Seconds, Joules: dear.Joules, Text: "nothing is known of the link"}
	}
	var best Term
	most := math.Inf(-1)
	for _, t := range dear.Terms {
		c := cheap.term(t.Name)
		excess := o.weigh(t.Seconds-c.Seconds, t.Joules-c.Joules, cheap)
		if excess > most {
			best, most = t, excess
		}
	}
	return best
}

// Score compares e with a reference, usually the other site's estimate: the
// weighted mean of its time and its energy, both relative to the reference's.
// Less is better, and e is the better of two if o.Score(e, f) < o.Score(f, e).
func (o Objective) Score(e, reference Estimate) float64 {
	return o.weigh(e.Seconds, e.Joules, reference)
}

func (o Objective) weigh(seconds, joules float64, reference Estimate) float64 {
	w := min(max(float64(o), 0), 1)
	score := 0.0
	if w < 1 {
		score += (1 - w) * relative(seconds, reference.Seconds)
	}
	if w > 0 {
		score += w * relative(joules, reference.Joules)
	}
	return score
}

// relative is x in units of ref, where nothing costs less than the smallest
// thing worth telling apart (a nanosecond, a nanojoule).
func relative(x, ref float64) float64 {
	if math.IsInf(x, 1) {
		return x
	}
	return x / max(ref, 1e-9)
}

// term returns the term of that name, or one that costs nothing.
func (e Estimate) term(name string) Term {
	for _, t := range e.Terms {
		if t.Name == name {
			return t
		}
	}
	return Term{Name: name}
}

// partText says what a part is, for a person.
func partText(name string, p part, o Offload, l Link) string {
	costs := " costs " + secondsText(p.seconds)
	switch name {
	case TermUpload:
		return fmt.Sprintf("upload of %s at %s", bytesText(o.BytesUp), rateText(l.Up)) + costs
	case TermDownload:
		return fmt.Sprintf("download of %s at %s", bytesText(o.BytesDown), rateText(l.Down)) + costs
	case TermRoundTrips:
		trips := "1 round trip"
		if o.RoundTrips != 1 {
			trips = fmt.Sprintf("%d round trips", o.RoundTrips)
		}
		return trips + " of " + secondsText(l.RTT.Seconds()) + costs
	case TermCapture:
		return "capturing the state" + costs
	case TermWake:
		return fmt.Sprintf("waking the %s radio", l.Kind) + costs
	case TermQueue:
		return "waiting for the clone to be free" + costs
	case TermCompute:
		return "computing at the clone" + costs
	case TermApply:
		return "applying the result" + costs
	case TermTail:
		return fmt.Sprintf("the %s radio's tail costs %.2g J", l.Kind, p.joules)
	default:
		return name + costs
	}
}

// secondsText is a time as a person says it.
func secondsText(s float64) string {
	switch {
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	case s >= 1:
		return fmt.Sprintf("%.1f s", s)
	case s >= 1e-3:
		return fmt.Sprintf("%.0f ms", s*1e3)
	default:
		return fmt.Sprintf("%.0f us", s*1e6)
	}
}

// rateText is bytes per second in bits per second.
func rateText(r float64) string {
	bits := r * 8
	switch {
	case bits >= 10e6:
		return fmt.Sprintf("%.0f Mb/s", bits/1e6)
	case bits >= 100e3:
		return fmt.Sprintf("%.1f Mb/s", bits/1e6)
	default:
		return fmt.Sprintf("%.0f kb/s", bits/1e3)
	}
}

// bytesText is a size in decimal units, so that it divides by a rate.
func bytesText(n int64) string {
	switch {
	case n >= 10e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f KB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%d B", n)
	}
}
