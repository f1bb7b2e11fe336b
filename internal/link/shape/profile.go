package shape

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Profile describes a link as the wrapped side sees it. The zero Profile is a
// perfect link.
type Profile struct {
	Name   string
	Source string // where the numbers come from, for people

	OneWay time.Duration // propagation, each way
	Jitter time.Duration // uniform in [0, Jitter], added to OneWay
	Up     int64         // bits per second sent; 0 is unlimited
	Down   int64         // bits per second received; 0 is unlimited
	Loss   float64       // probability that a packet is lost, each way
	Queue  int           // bytes waiting before tail drop; 0 is DefaultQueue
	Cut    bool          // nothing passes
}

// Limits of a profile, so that a slip of the pen is an error and not a link on
// which nothing ever arrives.
const (
	DefaultQueue = 64 << 10
	MaxOneWay    = 30 * time.Second
	MinRate      = 1_000           // bits/s
	MaxRate      = 100_000_000_000 // bits/s
	MaxLoss      = 0.5
	MinQueue     = 3_000 // bytes: two full packets
	MaxQueue     = 256 << 20
	maxText      = 512
)

// ErrProfile wraps every complaint about a profile.
var ErrProfile = errors.New("link profile")

const eraRates = "; the rates are this project's assumption for that era, not figures of the paper"

// named holds the profiles that --link accepts by name.
var named = []Profile{
	{
		Name:   "wifi",
		Source: "this project's assumption: home Wi-Fi today with the node near by, 10 ms round trip, 50 Mbit/s each way",
		OneWay: 5 * time.Millisecond, Jitter: time.Millisecond, Up: 50e6, Down: 50e6, Queue: 256 << 10,
	},
	{
		Name:   "lte",
		Source: "WebPageTest's LTE connection profile: 12 Mbit/s each way, 70 ms round trip",
		OneWay: 35 * time.Millisecond, Up: 12e6, Down: 12e6, Queue: 256 << 10,
	},
	{
		Name: "5g",
		Source: "Ookla medians for T-Mobile US over 5G, January to June 2024 (RCR Wireless News, 17 July 2024): " +
			"265.80 Mbit/s down, 14.56 Mbit/s up, 47 ms latency",
		OneWay: 23500 * time.Microsecond, Up: 14.56e6, Down: 265.8e6, Queue: 512 << 10,
	},
	{
		Name:   "wifi-2011",
		Source: "round trip 69 ms as CloneCloud (EuroSys 2011) is reported to have measured" + eraRates,
		OneWay: 34500 * time.Microsecond, Up: 6e6, Down: 6e6, Queue: 128 << 10,
	},
	{
		Name:   "3g-2011",
		Source: "round trip 680 ms as CloneCloud (EuroSys 2011) is reported to have measured" + eraRates,
		OneWay: 340 * time.Millisecond, Up: 400e3, Down: 1e6, Queue: 128 << 10,
	},
	{
		Name:   "none",
		Source: "no link: nothing passes",
		Cut:    true,
	},
}

// aliases are other spellings of named profiles.
var aliases = map[string]string{"3g": "3g-2011"}

// Named returns a built-in profile by name or alias.
func Named(name string) (Profile, bool) {
	name = strings.ToLower(name)
	if full, ok := aliases[name]; ok {
		name = full
	}
	i := slices.IndexFunc(named, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return named[i], true
}

// Names lists the built-in profiles and aliases, for usage texts.
func Names() []string {
	out := make([]string, 0, len(named)+len(aliases))
	for _, p := range named {
		out = append(out, p.Name)
		for alias, full := range aliases {
			if full == p.Name {
				out = append(out, alias)
			}
		}
	}
	return out
}

// RTT is the round trip of a small packet on the idle link, without jitter.
func (p Profile) RTT() time.Duration { return 2 * p.OneWay }

// String is one line for people.
func (p Profile) String() string {
	if p.Cut {
		return p.Name + ": cut"
	}
	rate := func(r int64) string {
		if r == 0 {
			return "unlimited"
		}
		return fmt.Sprintf("%g Mbit/s", float64(r)/1e6)
	}
	return fmt.Sprintf("%s: %v round trip, %s up, %s down, %g %% loss", p.Name, p.RTT(), rate(p.Up), rate(p.Down), p.Loss*100)
}

// Validate reports the first value that no real link has. The error wraps
// ErrProfile.
func (p Profile) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrProfile, fmt.Sprintf(format, args...))
	}
	switch {
	case len(p.Name) > maxText || len(p.Source) > maxText:
		return bad("name and source may have %d bytes at most", maxText)
	case p.OneWay < 0 || p.OneWay > MaxOneWay:
		return bad("oneWay is %v: give a delay from 0 to %v (it is half the round trip)", p.OneWay, MaxOneWay)
	case p.Jitter < 0 || p.Jitter > MaxOneWay:
		return bad("jitter is %v: give a delay from 0 to %v", p.Jitter, MaxOneWay)
	case !rateOK(p.Up) || !rateOK(p.Down):
		return bad("up is %d and down is %d: give bits per second from %d to %d, or 0 for unlimited; for a dead link set cut", p.Up, p.Down, MinRate, int64(MaxRate))
	case math.IsNaN(p.Loss) || p.Loss < 0 || p.Loss > MaxLoss:
		return bad("loss is %g: give a fraction from 0 to %g (1 %% is 0.01); for a dead link set cut", p.Loss, MaxLoss)
	case p.Queue != 0 && (p.Queue < MinQueue || p.Queue > MaxQueue):
		return bad("queue is %d: give bytes from %d to %d, or 0 for %d", p.Queue, MinQueue, MaxQueue, DefaultQueue)
	}
	return nil
}

func rateOK(r int64) bool { return r == 0 || (r >= MinRate && r <= MaxRate) }
