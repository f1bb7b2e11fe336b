package runner

import (
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

// reported is the least time of a local call, in seconds, that is told to the
// manager.
const reported = 0.010

// fixed is the policy of --where=device and --where=clone.
type fixed struct{ where string }

var _ policy = fixed{}

// choose implements policy.
func (f fixed) choose(int, *wire.LinkState, func() int64) (where, reason string, watch bool) {
	return f.where, "--where=" + f.where, false
}

// ran implements policy.
func (fixed) ran(_ int, took time.Duration) bool { return took.Seconds() >= reported }

// moved implements policy.
func (fixed) moved(int, time.Duration) {}

// failed implements policy.
func (fixed) failed(int, time.Duration, offload.Reason) {}
