package partition

import (
	"errors"
	"fmt"
	"math"
)

// Kind is what an objective minimises.
type Kind string

// The kinds of objective.
const (
	Time     Kind = "time"
	Energy   Kind = "energy"
	Balanced Kind = "balanced"
)

// Kinds lists the objectives in the order in which tables show them.
var Kinds = []Kind{Time, Energy, Balanced}

// Objective is what a partition minimises: seconds, the device's joules, or
// both. Balanced adds them after dividing each by what the run costs when it
// stays on the device, because a second and a joule have no common unit:
//
//	Weight * seconds/localSeconds + (1-Weight) * joules/localJoules
//
// so 1 is the local run whatever the weight. Of a quantity that is 0 locally
// there is nothing to save, and its term is left out.
type Objective struct {
	Kind   Kind
	Weight float64 // of time, from 0 to 1; Balanced only
}

// Validate reports an unknown kind or a weight out of range.
func (o Objective) Validate() error {
	switch o.Kind {
	case Time, Energy:
		return nil
	case Balanced:
		if !(o.Weight >= 0 && o.Weight <= 1) {
			return fmt.Errorf("objective balanced: weight %v, want from 0 (energy alone) to 1 (time alone)", o.Weight)
		}
		return nil
	}
	return fmt.Errorf("unknown objective %q: want time, energy or balanced", o.Kind)
}

// Value is the objective of a cost, given that of the local run.
func (o Objective) Value(c, local Cost) float64 {
	return o.weights(local).of(c)
}

func (o Objective) weights(local Cost) weights {
	switch o.Kind {
	case Time:
		return weights{1, 0, 0}
	case Energy:
		return weights{0, 1, 0}
	case Balanced:
		var w weights
		const nothing = 1e-30 // below it a quotient means nothing
		if local.Seconds > nothing {
			w[0] = o.Weight / local.Seconds
		}
		if local.Joules > nothing {
			w[1] = (1 - o.Weight) / local.Joules
		}
		return w
	}
	return weights{}
}

// weights turn a cost into one number.
type weights [3]float64

func (w weights) of(c Cost) float64 {
	return w[0]*c.Seconds + w[1]*c.Joules + w[2]*c.Bytes
}

// Budget bounds the cost of one run; the zero Budget bounds nothing.
type Budget struct {
	Seconds Limit // deadline
	Joules  Limit // what the battery may lose
	Bytes   Limit // over a metered link
}

// Limit is an upper bound; the zero Limit bounds nothing.
type Limit struct {
	On  bool
	Max float64
}

// AtMost is the limit of that value, 0 included.
func AtMost(v float64) Limit { return Limit{On: true, Max: v} }

func (b Budget) limits() [3]Limit { return [3]Limit{b.Seconds, b.Joules, b.Bytes} }

func (b Budget) any() bool { return b.Seconds.On || b.Joules.On || b.Bytes.On }

func (b Budget) validate() error {
	for i, l := range b.limits() {
		if l.On && (math.IsNaN(l.Max) || l.Max < 0) {
			return fmt.Errorf("budget of %s is %v: want 0 or more", budgetNames[i], l.Max)
		}
	}
	return nil
}

var budgetNames = [3]string{"seconds", "joules", "bytes"}

// admits says whether c is within b, up to rounding.
func (b Budget) admits(c Cost) bool {
	v := [3]float64{c.Seconds, c.Joules, c.Bytes}
	for i, l := range b.limits() {
		if l.On && v[i] > l.Max+rounding*max(l.Max, v[i]) {
			return false
		}
	}
	return true
}

// MonthlyBytes is the share of a month's data volume that one run may use: what
// is left of limit after used, spread evenly over the runs that are expected
// before the month ends (at least one).
func MonthlyBytes(limit, used, runsLeft float64) Limit {
	return AtMost(max(limit-used, 0) / max(runsLeft, 1))
}

// BatteryJoules is what one run may draw from a battery of that capacity, in
// joules, before its level (a share of 1) falls below least.
func BatteryJoules(capacity, level, least float64) Limit {
	return AtMost(max(capacity, 0) * max(level-least, 0))
}

// ErrInfeasible reports that no partition keeps within the budgets.
var ErrInfeasible = errors.New("no partition keeps within the budgets")
