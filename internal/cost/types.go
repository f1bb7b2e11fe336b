package cost

import (
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// Link is what is believed of the way to a clone. It is a plain value: a manager
// publishes it, a runner decides by it.
type Link struct {
	RTT, RTTDev    time.Duration // round trip and its standard deviation
	Up, Down       float64       // bytes per second
	UpDev, DownDev float64       // standard deviation of a transfer's time, relative: 0.1 is 10 %
	Loss           float64       // fraction of packets lost
	Kind           energy.Radio
	Samples        int           // observations behind it
	Known          bool          // false: nothing has been observed, and the rest means nothing
	Wake           time.Duration // delay of the first byte after the radio slept, as observed
	Quiet          time.Duration // since the radio was last used; 0: not known, taken to be asleep
	// What the sender may have in flight, in bytes: a connection that has
	// carried little is still in slow start. 0: no limit.
	WindowUp, WindowDown int64
}

// Offload is what one offload consists of.
type Offload struct {
	Capture, Queue, Compute, Apply time.Duration
	BytesUp, BytesDown             int64
	RoundTrips                     int // Call and Return are the first; forwarded imports add to it. 0 is taken as 1
}

// Term is one part of an estimate.
type Term struct {
	Name            string // one of the Term constants
	Seconds, Joules float64
	Text            string // "upload of 3.1 MB at 0.9 Mb/s costs 27 s"
}

// Names of terms.
const (
	TermCapture    = "capture"
	TermWake       = "wake"
	TermRoundTrips = "round trips"
	TermUpload     = "upload"
	TermQueue      = "queue"
	TermCompute    = "compute"
	TermDownload   = "download"
	TermApply      = "apply"
	TermTail       = "tail" // joules alone
)

// Estimate is what a call would cost at one site. Its joules are always a
// model's (energy.Model).
type Estimate struct {
	Seconds, Joules float64
	Terms           []Term
}

// Objective is what to save: the weight of energy in a comparison, from 0 to 1;
// the rest is time's.
type Objective float64

// The named objectives.
const (
	Time     Objective = 0
	Energy   Objective = 1
	Balanced Objective = 0.5
)
