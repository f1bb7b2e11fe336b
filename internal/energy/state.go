package energy

import (
	"math"
	"time"
)

// Asleep is how long ago a radio was used that sleeps for certain.
const Asleep = time.Duration(math.MaxInt64)

// Activity follows one radio through its states while it is used, and adds up
// what that costs beyond what it would have drawn anyway: a tail that an earlier
// use had left running is not counted again, and two uses that are closer than a
// tail share it.
//
// The radio is asleep, in promotion, transmitting, receiving, or in its tail.
type Activity struct {
	power  *RadioPower
	quiet  time.Duration // since the last byte; Asleep
	anyway float64       // joules of the tail that was running at the beginning
	joules float64       // so far
	woken  int
}

// Start begins to follow a radio that was last used quiet ago; see Asleep.
func (p *RadioPower) Start(quiet time.Duration) Activity {
	quiet = max(quiet, 0)
	return Activity{power: p, quiet: quiet, anyway: p.tail(quiet, Asleep)}
}

// Idle lets d pass without traffic.
func (a *Activity) Idle(d time.Duration) {
	if d <= 0 {
		return
	}
	to := later(a.quiet, d)
	a.joules += a.power.tail(a.quiet, to)
	a.quiet = to
}

// Send transmits n bytes in d, after waking the radio if it sleeps.
func (a *Activity) Send(n int64, d time.Duration) {
	a.use(a.power.TransmitWatts, a.power.TransmitJoulesPerByte, n, d)
}

// Receive receives n bytes in d, after waking the radio if it sleeps.
func (a *Activity) Receive(n int64, d time.Duration) {
	a.use(a.power.ReceiveWatts, a.power.ReceiveJoulesPerByte, n, d)
}

// Wake wakes the radio if it sleeps. The promotion's time is the caller's: what
// a person sees of it is measured, not modelled.
func (a *Activity) Wake() {
	if a.Sleeps() {
		a.joules += a.power.Promotion.joules()
		a.woken++
		a.quiet = 0
	}
}

func (a *Activity) use(watts, perByte float64, n int64, d time.Duration) {
	a.Wake()
	a.joules += watts*max(d, 0).Seconds() + perByte*float64(max(n, 0))
	a.quiet = 0
}

// Touch exchanges n small messages, each after a pause of every.
func (a *Activity) Touch(n int, every time.Duration) {
	for i := range n {
		before, woken := a.joules, a.woken
		a.Idle(every)
		a.Send(0, 0)
		if i == 1 { // all that follow are like this one
			rest := n - 2
			a.joules += float64(rest) * (a.joules - before)
			a.woken += rest * (a.woken - woken)
			return
		}
	}
}

// Sleeps reports whether the radio has to be woken before the next byte.
func (a *Activity) Sleeps() bool { return a.quiet >= a.power.TailLength() }

// Woken is how often the radio has had to be woken.
func (a *Activity) Woken() int { return a.woken }

// Quiet is the time since the last byte, or Asleep.
func (a *Activity) Quiet() time.Duration { return a.quiet }

// Spent is what the radio drew so far, its present tail cut off here.
func (a *Activity) Spent() float64 { return a.joules }

// Joules is what was used so far, with the tail that now runs to its end and
// without the one that was running at the beginning.
func (a *Activity) Joules() float64 {
	return max(0, a.joules+a.power.tail(a.quiet, Asleep)-a.anyway)
}

// TailLength is how long after the last byte the radio sleeps.
func (p *RadioPower) TailLength() (d time.Duration) {
	for _, s := range p.Tail {
		d = later(d, time.Duration(s.For))
	}
	return d
}

// TailJoules is what a whole tail costs.
func (p *RadioPower) TailJoules() float64 { return p.tail(0, Asleep) }

// tail is what the radio draws between from and to after its last byte.
func (p *RadioPower) tail(from, to time.Duration) (joules float64) {
	began := time.Duration(0)
	for _, s := range p.Tail {
		ends := later(began, time.Duration(s.For))
		if lo, hi := max(from, began), min(to, ends); hi > lo {
			joules += s.Watts * (hi - lo).Seconds()
		}
		began = ends
	}
	return joules
}

func (s State) joules() float64 { return s.Watts * time.Duration(s.For).Seconds() }

// later adds without overflow; d is not negative.
func later(t, d time.Duration) time.Duration {
	if t > Asleep-d {
		return Asleep
	}
	return t + d
}
