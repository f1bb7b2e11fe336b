package decide

import (
	"math"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// blockade keeps a function from trying again what has come to nothing.
type blockade struct {
	why   Failure
	fails int // in a row
	until int // the function's call that may try again
}

// holds reports whether call number n is not to be tried.
func (b *blockade) holds(n int) bool { return b.fails > 0 && n < b.until }

const mostFails = 10

// failed counts a failure at call n: the next tries come 4, 16, 64... calls later.
func (b *blockade) failed(why Failure, n int) {
	b.why = why
	b.fails = min(b.fails+1, mostFails)
	b.until = n + 1<<(2*b.fails)
}

func (b *blockade) succeeded() { *b = blockade{} }

// risk is how often attempts have been lost to the link or the clone of late:
// nothing about a function.
type risk struct {
	share [radios]float64 // of attempts
	at    [radios]time.Duration
}

const (
	riskHalfLife = time.Minute
	riskWeight   = 0.5
)

// now ages the share of a radio.
func (r *risk) now(kind energy.Radio, now time.Duration) float64 {
	i := kind % radios
	if r.share[i] == 0 {
		return 0
	}
	age := max(now-r.at[i], 0)
	return r.share[i] * math.Exp2(-age.Seconds()/riskHalfLife.Seconds())
}

func (r *risk) observe(kind energy.Radio, lost bool, now time.Duration) {
	i := kind % radios
	s := r.now(kind, now) * (1 - riskWeight)
	if lost {
		s += riskWeight
	}
	if s < 1e-6 {
		s = 0
	}
	r.share[i], r.at[i] = s, now
}

// expected is a cost in units of the local one, of an attempt that may be lost:
// then it has cost as much for nothing, and the call runs here after all.
func (d *Decider) expected(ratio float64, now time.Duration) float64 {
	p := d.loss.now(d.link.Kind, now)
	return (1-p)*ratio + p*(min(ratio, 1)+1)
}
