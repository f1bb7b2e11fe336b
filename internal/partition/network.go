package partition

import (
	"math"
	"time"
)

// NetworkClass names networks on which the same partition serves: those nearest
// to one of the well-known link profiles.
type NetworkClass string

// The classes, with the names of the link profiles.
const (
	WiFi      NetworkClass = "wifi"
	LTE       NetworkClass = "lte"
	FiveG     NetworkClass = "5g"
	WiFi2011  NetworkClass = "wifi-2011"
	ThreeG    NetworkClass = "3g-2011"
	NoNetwork NetworkClass = "none"
)

// Network is a link as it is measured or assumed.
type Network struct {
	RTT      time.Duration
	Up, Down float64 // bits per second
}

// centres are the middles of the classes: the link profiles' own values.
var centres = []struct {
	class NetworkClass
	at    Network
}{
	{WiFi, Network{10 * time.Millisecond, 50e6, 50e6}},
	{LTE, Network{70 * time.Millisecond, 12e6, 12e6}},
	{FiveG, Network{47 * time.Millisecond, 14.56e6, 265.8e6}},
	{WiFi2011, Network{69 * time.Millisecond, 6e6, 6e6}},
	{ThreeG, Network{680 * time.Millisecond, 400e3, 1e6}},
}

// Networks lists the classes in the order in which tables show them.
func Networks() []NetworkClass {
	var out []NetworkClass
	for _, c := range centres {
		out = append(out, c.class)
	}
	return append(out, NoNetwork)
}

// Centre gives the network that a class stands for; ok is false for NoNetwork
// and for what is no class.
func (c NetworkClass) Centre() (n Network, ok bool) {
	for _, known := range centres {
		if known.class == c {
			return known.at, true
		}
	}
	return Network{}, false
}

// Bounds of what a network is taken to be: outside, a partition does not change
// any more, or there is no network.
const (
	shortestRTT = 100 * time.Microsecond
	longestRTT  = 30 * time.Second
	slowest     = 1e3  // bits per second
	fastest     = 1e11 // bits per second
)

// ClassOf gives the class whose centre is nearest, where distance is taken
// between the logarithms of round trip and rates: a factor of two counts the
// same anywhere. A network that carries less than 1 kbit/s one way, or takes
// over 30 s for a round trip, is none. A rate of 0 or less, or NaN, is not a
// rate that was measured to be fast, so it too is none.
func (n Network) ClassOf() NetworkClass {
	if !(n.Up >= slowest) || !(n.Down >= slowest) || n.RTT > longestRTT || n.RTT < 0 {
		return NoNetwork
	}
	p := n.point()
	best, least := NoNetwork, math.Inf(1)
	for _, c := range centres {
		q := c.at.point()
		d := 0.0
		for i := range p {
			d += (p[i] - q[i]) * (p[i] - q[i])
		}
		if d < least {
			best, least = c.class, d
		}
	}
	return best
}

func (n Network) point() [3]float64 {
	return [3]float64{
		math.Log2(max(n.RTT, shortestRTT).Seconds()),
		math.Log2(min(n.Up, fastest)), math.Log2(min(n.Down, fastest)),
	}
}
