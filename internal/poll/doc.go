// Package poll waits for byte streams without the runtime's poller.
//
// A manager passes small frames between a runner and a link, and on that path
// wake-ups are nearly all of the cost. The runtime's poller needs two for each
// frame: the thread that sits in epoll, and another to run the goroutine, with
// threads that look for work beside them. A [Loop] is one thread that waits for
// many descriptors and has what arrives handled on the spot; a [Conn] is a
// stream that the runtime's poller has never heard of. Together with blocking
// reads in the runner they halved the time of an empty offload (see
// docs/RATIONALE.md); either alone gains nothing.
//
// Where the system is not Linux, [Take] and [NewLoop] return nil, and callers
// read each stream in a goroutine of its own.
package poll

import (
	"errors"
	"runtime"
	"time"
)

// ErrWouldBlock is what Read returns on a Conn that is not to wait and has
// nothing. crypto/tls goes on after it, as it is temporary.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// errLoopClosed ends what a Loop still watched when it was closed.
var errLoopClosed = errors.New("the event loop was closed")

// Yield lets a goroutine that waits in system calls alone keep its processor.
//
// The runtime's monitor looks for goroutines that have had a processor for 10 ms.
// One that never blocks where the runtime can see it, because it waits in system
// calls, looks like that for ever: its processor is taken away every 20 us, each
// wait ends with a search for another, and the monitor never rests. Yielding now
// and then starts a new slice. The zero value is ready; it belongs to one
// goroutine, which calls Now before it waits.
type Yield struct{ last time.Time }

// yieldEvery is well below the 10 ms of the runtime's monitor.
const yieldEvery = 4 * time.Millisecond

// Now yields if it is time to.
func (y *Yield) Now() {
	if now := time.Now(); now.Sub(y.last) > yieldEvery {
		y.last = now
		runtime.Gosched()
	}
}
