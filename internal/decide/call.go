package decide

import (
	"math"

	"github.com/clonecloud/clonecloud/internal/cost"
)

// Site is where a call may run.
type Site uint8

// The sites.
const (
	Device Site = iota
	Clone
	sites
)

// String is the site's name in reports.
func (s Site) String() string {
	if s == Clone {
		return "clone"
	}
	return "device"
}

// Features of a call, as logarithms to base 2 of 1 + the value.
const (
	maxArgs       = 4
	featureMemory = maxArgs     // bytes
	featureFiles  = maxArgs + 1 // bytes of the files that are open
	featureDirty  = maxArgs + 2 // bytes that differ from the base
	// featureSite is 0 for a call that ran here and 1 for one at the clone: its
	// slope is the logarithm of the clone's seconds to those here.
	featureSite = maxArgs + 3
	features    = maxArgs + 4
)

// NoParent is the Parent of a call from no candidate that is known.
const NoParent = -1

// Call is one entry of a candidate.
type Call struct {
	K      int       // the candidate
	Parent int       // the candidate that it was called from, or NoParent
	Args   []float64 // up to four numbers; more are left out
	Memory int64     // bytes
	Files  int64     // bytes of the files that are open
	Dirty  int64     // bytes; negative: ask Measure
	// Measure counts the dirty bytes. It costs system calls, so that it is asked
	// only where a call may move. nil: not known.
	Measure func() int64
	// Class tells inputs apart that the numbers do not: the arguments of a
	// program. 0: the numbers say it all.
	Class uint32
	// Nested says that the same candidate is being executed already.
	Nested bool
	// Whole says that the call is a whole program, or holds most of one: it moves
	// only on a firm prediction (PROTOCOL rule 23).
	Whole bool

	x     vector
	exact uint32
}

type vector [features]float32

// logOf compresses a value that may be a size, a pointer, a flag or a float.
func logOf(v float64) float32 {
	v = math.Abs(v)
	switch {
	case v != v || v > 1e30:
		return 100 // beyond any size
	case v < 1e-30:
		return 0
	}
	return float32(math.Log2(1 + v))
}

// prepare computes the features.
func (c *Call) prepare() {
	h := uint32(2166136261) ^ c.Class ^ uint32(c.Files)*2654435761
	for i := range min(len(c.Args), maxArgs) {
		c.x[i] = logOf(c.Args[i])
	}
	for i := len(c.Args); i < maxArgs; i++ {
		c.x[i] = 0
	}
	for _, a := range c.Args {
		b := math.Float64bits(a)
		h = (h ^ uint32(b) ^ uint32(b>>32)) * 16777619
	}
	c.x[featureMemory], c.x[featureFiles] = logOf(float64(c.Memory)), logOf(float64(c.Files))
	c.x[featureDirty] = missing
	if c.Dirty >= 0 {
		c.x[featureDirty] = logOf(float64(c.Dirty))
	}
	c.exact = h
}

// Outcome is what became of a call that moved and was committed.
type Outcome struct {
	Seconds        float64 // from the entry to the return, as the guest saw it
	Compute        float64 // seconds that the clone says it computed
	Capture, Apply float64 // seconds, here
	BytesUp        int64
	BytesDown      int64
	RoundTrips     int // Call and Return are the first
}

// Failure is why an attempt came to nothing.
type Failure uint8

// The failures.
const (
	FailedLink   Failure = iota // the link, the clone, a refusal for load: nothing about the function
	FailedPinned                // it needs what only the device has
	FailedLimit                 // too large, too many effects
	FailedLate                  // it was given up because it took too long
	FailedOther                 // a trap, a changed file, an abandonment
)

// Cost is seconds and joules.
type Cost struct{ Seconds, Joules float64 }

// Why is the rule that decided.
type Why uint8

// The rules.
const (
	WhyNoClone Why = iota
	WhyBlocked
	WhyShort
	WhyFirst
	WhyNested
	WhyCheaperHere
	WhyCheaperThere
	WhySlowdown
	WhyRisk
	WhyInside
	WhyKeep // the difference is too small for a change of site
	WhySampleHere
	WhySampleThere
	WhyPartition
	WhyUnsure
	whys
)

// Decision is the answer to a Call, with what it rests on.
type Decision struct {
	Site  Site
	Why   Why
	Watch bool // tell Ran when the call has returned
	// Known says which of Predicted mean something.
	Known     [sites]bool
	Predicted [sites]Cost
	// Middle is the median of the seconds, where Predicted is their mean.
	Middle [sites]float64
	// Low and High are the first and ninth decile of the seconds.
	Low, High [sites]float64
	// Uncertain: the deciles overlap so far that either site may be better.
	Uncertain bool
	// Patience, if not 0, is after how many seconds an attempt is to be given
	// up: waiting longer is then more than running the call here.
	Patience float64
	Offload  cost.Offload // what the prediction for the clone consists of
	Block    Failure      // of WhyBlocked
	Up       bool         // there was a clone
}
