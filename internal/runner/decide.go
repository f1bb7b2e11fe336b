package runner

import (
	"fmt"
	"time"

	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Sites of a call.
const (
	siteDevice = "device"
	siteClone  = "clone"
)

// policy says where calls run, and hears what became of them.
type policy interface {
	// choose answers a stub. dirty says how many bytes a Call would carry at
	// most; watch asks for the call's exit to be reported.
	choose(k int, link *wire.LinkState, dirty func() int64) (where, reason string, watch bool)
	// ran notes a call that ran here, and says whether it is worth telling.
	ran(k int, took time.Duration) bool
	// moved notes the time of an offload.
	moved(k int, took time.Duration)
	// failed notes an attempt that came to nothing.
	failed(k int, took time.Duration, why offload.Reason)
}

// decider says where a call runs. For `auto` it is deliberately simple: a
// candidate first runs here and is timed; it moves when what the link costs is
// well below what the device needs, and comes back when that proves wrong.
type decider struct {
	where string
	seen  map[int]*history
}

// history is what is known of one candidate's calls.
type history struct {
	local, remote ewma // seconds of a call
	calls         int
	skip          int // calls to leave alone before looking again
}

// ewma is an exponentially weighted mean; the zero value has seen nothing.
type ewma struct {
	mean float64
	n    int
}

func (e *ewma) add(v float64) {
	const weight = 0.3
	if e.n == 0 {
		e.mean = v
	} else {
		e.mean += weight * (v - e.mean)
	}
	e.n++
}

const (
	// worthMoving is the least time of a call, in seconds, that is considered.
	worthMoving = 0.050
	// margin is how much cheaper the clone must look.
	margin = 0.7
	// restCalls is how many calls a candidate is left alone for when it proved
	// too short to time or to move.
	restCalls = 1000
	// reported is the least time of a local call that is told to the manager.
	reported = 0.010
)

func newDecider(where string) *decider {
	return &decider{where: where, seen: map[int]*history{}}
}

var _ policy = (*decider)(nil)

// choose implements policy.
func (d *decider) choose(k int, link *wire.LinkState, dirty func() int64) (where, reason string, watch bool) {
	switch {
	case d.where == siteDevice:
		return siteDevice, "--where=device", false
	case d.where == siteClone:
		return siteClone, "--where=clone", false
	case !link.Up:
		return siteDevice, "no clone is connected", d.timed(k)
	}
	h := d.of(k)
	if h.skip > 0 {
		h.skip--
		return siteDevice, "short", false
	}
	if h.local.n == 0 {
		return siteDevice, "first call: timed here", true
	}
	if h.local.mean < worthMoving {
		h.skip = restCalls
		return siteDevice, "short", true
	}
	cost := h.predict(link, dirty())
	if cost < margin*h.local.mean {
		return siteClone, fmt.Sprintf("here %.2f s, there about %.2f s", h.local.mean, cost), true
	}
	return siteDevice, fmt.Sprintf("here %.2f s, there about %.2f s", h.local.mean, cost), true
}

// predict is the expected time of an offload in seconds: what was measured, or
// for a first one the link's cost and a clone that is as fast as the device.
func (h *history) predict(link *wire.LinkState, dirty int64) float64 {
	if h.remote.n > 0 {
		return h.remote.mean
	}
	cost := 2 * link.RttSeconds
	if link.UpBytesPerSecond > 0 {
		cost += float64(dirty) / link.UpBytesPerSecond
	}
	return cost
}

// timed reports whether to time a call although it cannot move.
func (d *decider) timed(k int) bool {
	h := d.of(k)
	if h.skip > 0 {
		h.skip--
		return false
	}
	return true
}

func (d *decider) of(k int) *history {
	h := d.seen[k]
	if h == nil {
		h = &history{}
		d.seen[k] = h
	}
	return h
}

// ran implements policy.
func (d *decider) ran(k int, took time.Duration) bool {
	h := d.of(k)
	h.calls++
	h.local.add(took.Seconds())
	if h.local.mean < worthMoving/50 {
		h.skip = restCalls
	}
	return took.Seconds() >= reported
}

// moved implements policy.
func (d *decider) moved(k int, took time.Duration) { d.of(k).remote.add(took.Seconds()) }

// failed implements policy: the clone is not asked again for a while.
func (d *decider) failed(k int, took time.Duration, _ offload.Reason) {
	h := d.of(k)
	h.remote.add(took.Seconds() + h.local.mean)
}
