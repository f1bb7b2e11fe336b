package cost

import (
	"math"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// Local is what a call costs that computes on the device for this long. A nil
// profile is energy.Default.
func Local(compute time.Duration, p *energy.Profile) Estimate {
	p = orDefault(p)
	s := max(compute, 0).Seconds()
	t := Term{Name: TermCompute, Seconds: s, Joules: s * p.CPU.ActiveWatts(), Text: "computing on the device costs " + secondsText(s)}
	return Estimate{Seconds: t.Seconds, Joules: t.Joules, Terms: []Term{t}}
}

// Remote is what an offload costs over a link. Over a link that is not Known
// that is infinite. A nil profile is energy.Default.
func Remote(o Offload, l Link, p *energy.Profile) Estimate {
	parts, ok := remote(o, l, orDefault(p))
	if !ok {
		return Estimate{Seconds: math.Inf(1), Joules: math.Inf(1)}
	}
	var e Estimate
	for i, part := range parts {
		e.Seconds += part.seconds
		e.Joules += part.joules
		if part.seconds > 0 || part.joules != 0 {
			name := partNames[i]
			e.Terms = append(e.Terms, Term{Name: name, Seconds: part.seconds, Joules: part.joules, Text: partText(name, part, o.sane(), l)})
		}
	}
	return e
}

// Predict is Remote without its terms: no allocation, for a decision on the
// path of a call.
func Predict(o Offload, l Link, p *energy.Profile) (seconds, joules float64) {
	parts, ok := remote(o, l, orDefault(p))
	if !ok {
		return math.Inf(1), math.Inf(1)
	}
	for _, part := range parts {
		seconds += part.seconds
		joules += part.joules
	}
	return seconds, joules
}

type part struct{ seconds, joules float64 }

// Indices of an offload's parts, in the order of time.
const (
	capturePart = iota
	wakePart
	uploadPart
	tripsPart
	queuePart
	computePart
	downloadPart
	applyPart
	tailPart
	partCount
)

var partNames = [partCount]string{
	TermCapture, TermWake, TermUpload, TermRoundTrips, TermQueue, TermCompute, TermDownload, TermApply, TermTail,
}

// remote follows the processor and the radio through an offload: capture, bytes
// up, a wait in which the radio may fall asleep, with the round trips of
// forwarded imports spread evenly over it, bytes down, apply, and the tail.
func remote(o Offload, l Link, p *energy.Profile) (parts [partCount]part, ok bool) {
	if !l.Known || !(l.Up > 0) || !(l.Down > 0) {
		return parts, false
	}
	o = o.sane()
	active, wait := p.CPU.ActiveWatts(), p.CPU.WaitWatts
	quiet := l.Quiet
	if quiet <= 0 {
		quiet = energy.Asleep
	}
	radio := p.Radio(l.Kind).Start(quiet)

	spent := 0.0
	// step notes a part that takes s seconds while the processor draws watts and
	// the radio does what do says.
	step := func(i int, s, watts float64, do func()) {
		do()
		parts[i] = part{s, s*watts + radio.Spent() - spent}
		spent = radio.Spent()
	}
	step(capturePart, o.Capture.Seconds(), active, func() { radio.Idle(o.Capture) })
	if radio.Sleeps() {
		step(wakePart, max(l.Wake, 0).Seconds(), wait, radio.Wake)
	}
	up := transfer(o.BytesUp, l.Up, l.RTT, l.WindowUp)
	step(uploadPart, up, wait, func() { radio.Send(o.BytesUp, duration(up)) })

	trips := float64(o.RoundTrips) * max(l.RTT, 0).Seconds()
	between := trips + o.Queue.Seconds() + o.Compute.Seconds()
	gap := duration(between / float64(o.RoundTrips))
	radio.Touch(o.RoundTrips-1, gap)
	radio.Idle(gap)
	// The radio's share of the wait goes to what the wait is made of.
	perSecond := wait
	if between > 0 {
		perSecond += (radio.Spent() - spent) / between
	}
	spent = radio.Spent()
	parts[tripsPart] = part{trips, trips * perSecond}
	parts[queuePart] = part{o.Queue.Seconds(), o.Queue.Seconds() * perSecond}
	parts[computePart] = part{o.Compute.Seconds(), o.Compute.Seconds() * perSecond}

	down := transfer(o.BytesDown, l.Down, l.RTT, l.WindowDown)
	step(downloadPart, down, wait, func() { radio.Receive(o.BytesDown, duration(down)) })
	step(applyPart, o.Apply.Seconds(), active, func() { radio.Idle(o.Apply) })
	parts[tailPart].joules = radio.Joules() - spent
	return parts, true
}

// transfer is how long n bytes take at rate bytes per second when at first only
// window bytes may be in flight. The propagation of the last byte is not
// included: it is part of a round trip.
func transfer(n int64, rate float64, rtt time.Duration, window int64) (seconds float64) {
	plain := float64(n) / rate
	return plain + slowStart(n, rtt.Seconds(), plain, window)
}

// slowStart is the time that a sender of n bytes, which take plain seconds at
// the link's rate, spends waiting for acknowledgements because only window bytes
// may be in flight at first: that doubles each round trip, until the link is
// full. A window of 0 knows no limit.
func slowStart(n int64, rtt, plain float64, window int64) (seconds float64) {
	if window <= 0 || n <= window || rtt <= 0 || plain <= 0 {
		return 0
	}
	perByte := plain / float64(n)
	left, w := float64(n), float64(window)
	for w < left && w*perByte < rtt {
		seconds += rtt - w*perByte
		left -= w
		w *= 2
	}
	return seconds
}

// withoutSlowStart is the inverse: what n bytes that took so long would have
// taken without slow start. It fails where the round trips alone explain all.
func withoutSlowStart(n int64, rtt, took float64, window int64) (plain float64, ok bool) {
	if window <= 0 || n <= window || rtt <= 0 {
		return took, true
	}
	// With k round trips waited for, took = plain + k*rtt - plain*sent/n.
	left, w, sent := float64(n), float64(window), 0.0
	for k := 0.0; ; k++ {
		plain = (took - k*rtt) / (1 - sent/float64(n))
		if plain <= 0 {
			return 0, false
		}
		if w >= left || w*plain/float64(n) >= rtt {
			return plain, true
		}
		sent += w
		left -= w
		w *= 2
	}
}

// Limits of what is believed of an offload, so that sums stay finite.
const (
	maxDuration   = 10 * 365 * 24 * time.Hour
	maxRoundTrips = 1 << 30
)

// sane clips what cannot be.
func (o Offload) sane() Offload {
	for _, d := range []*time.Duration{&o.Capture, &o.Queue, &o.Compute, &o.Apply} {
		*d = min(max(*d, 0), maxDuration)
	}
	o.BytesUp, o.BytesDown = max(o.BytesUp, 0), max(o.BytesDown, 0)
	o.RoundTrips = min(max(o.RoundTrips, 1), maxRoundTrips)
	return o
}

// duration is s seconds, clipped.
func duration(s float64) time.Duration {
	if !(s < maxDuration.Seconds()) {
		return maxDuration
	}
	return time.Duration(s * float64(time.Second))
}

func orDefault(p *energy.Profile) *energy.Profile {
	if p == nil {
		return energy.Default()
	}
	return p
}
