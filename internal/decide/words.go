package decide

import (
	"fmt"
	"math"

	"github.com/clonecloud/clonecloud/internal/cost"
)

// String names the rule.
func (w Why) String() string {
	return [whys]string{
		"no clone", "blocked", "too short", "first call", "nested", "cheaper here", "cheaper there",
		"too slow there", "too risky", "better inside", "no better", "sample here", "sample there", "partition", "not firm",
	}[w%whys]
}

// Term is the part of the costs that decided, in words: "upload of 3.1 MB at 0.9
// Mb/s costs 27 s". It is empty where nothing was weighed.
func (d *Decider) Term(out *Decision) string {
	if !out.Known[Device] || !out.Known[Clone] {
		return ""
	}
	local := cost.Local(duration(out.Predicted[Device].Seconds), d.conf.Power)
	return local.DecidingFor(d.conf.Objective, cost.Remote(out.Offload, d.link, d.conf.Power)).Text
}

// Reason says why a call runs where it does, for a person.
func (d *Decider) Reason(out *Decision) string {
	both := ""
	if out.Known[Device] && out.Known[Clone] {
		both = d.compared(out)
	}
	term := d.Term(out)
	if term != "" {
		term = ": " + term
	}
	switch out.Why {
	case WhyNoClone:
		if out.Up {
			return "nothing is known of the link yet"
		}
		return "no clone is connected"
	case WhyBlocked:
		return "moving it has come to nothing: " + out.Block.String()
	case WhyShort:
		return "too short to move: a round trip alone costs " + secondsText(d.floor.Seconds)
	case WhyFirst:
		return "first call: timed here"
	case WhyNested:
		return "inside another call of it"
	case WhySlowdown:
		return fmt.Sprintf("%s: more than %.3g times as slow there", both, d.conf.MaxSlowdown)
	case WhyRisk:
		return fmt.Sprintf("%s, but it may take %s there", both, secondsText(out.High[Clone]))
	case WhyInside:
		return both + ": calls inside of it move instead"
	case WhyKeep:
		return both + ": too close for a change"
	case WhySampleHere, WhySampleThere:
		return both + ": sampled, to know"
	case WhyUnsure:
		return both + ": a whole program, and too little is known of such input"
	case WhyPartition:
		return both + ": by the partition" + term
	case WhyCheaperHere, WhyCheaperThere:
	}
	if out.Uncertain {
		both += ", uncertain"
	}
	return both + term
}

// compared is "here 1.2 s, there 0.4 s", with joules where they count.
func (d *Decider) compared(out *Decision) string {
	l, r := out.Predicted[Device], out.Predicted[Clone]
	if d.conf.Objective == cost.Time {
		return fmt.Sprintf("here %s, there %s", secondsText(l.Seconds), secondsText(r.Seconds))
	}
	return fmt.Sprintf("here %s and %.2g J, there %s and %.2g J", secondsText(l.Seconds), l.Joules, secondsText(r.Seconds), r.Joules)
}

// String says what went wrong, for a person.
func (f Failure) String() string {
	switch f {
	case FailedPinned:
		return "it needs what only this device has"
	case FailedLimit:
		return "it is too large"
	case FailedLink:
		return "the link was lost"
	case FailedLate:
		return "the clone takes too long"
	case FailedOther:
	}
	return "its attempts end without a result"
}

// secondsText is a time as a person says it.
func secondsText(s float64) string {
	switch {
	case math.IsInf(s, 0) || s >= 1e6:
		return "for ever"
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	case s >= 1:
		return fmt.Sprintf("%.1f s", s)
	case s >= 1e-3:
		return fmt.Sprintf("%.0f ms", s*1e3)
	}
	return fmt.Sprintf("%.0f us", s*1e6)
}
