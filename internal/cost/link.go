package cost

import (
	"math"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// Estimator learns what a link can do from the traffic that it carries. It is
// told of every transfer and every round trip, never asks for any, and may be
// used by several goroutines.
//
// All times are the caller's clock. A clock that jumps does no harm: backwards,
// nothing ages; forwards, estimates are doubted more until the next observation.
type Estimator struct {
	mu   sync.Mutex
	kind energy.Radio
	name string
	path *path
	old  map[string]*path // of networks that this device was on before
	used time.Time        // of the last byte
	conn window
}

// path is what is known of one network.
type path struct {
	rtt, up, down, wake track // seconds; seconds per byte, twice; seconds
	lost                float64
	seen                time.Time
}

// window is the slow start of the present connection.
type window struct{ up, down int64 }

const (
	maxNetworks = 16
	// wakeAfter is the quiet after which a round trip is taken to include the
	// waking of a radio: longer than the tails of 3G and LTE.
	wakeAfter = 18 * time.Second
	// bulk is the size of a transfer that says half of what can be said about
	// a rate. A smaller one says more about the system's buffers.
	bulk = 16 << 10
	// lossWeight of one packet.
	lossWeight = 1.0 / 512
)

// Initial windows of senders, for Connected. A TCP that package shape models has
// no slow start.
const (
	QUICWindow = 32 * 1280 // quic-go's
	TCPWindow  = 10 * 1448 // RFC 6928
)

// NewEstimator knows nothing yet, of a network of this kind.
func NewEstimator(kind energy.Radio) *Estimator {
	return &Estimator{kind: kind, path: new(path), old: map[string]*path{}}
}

// Network says which network the device is on: its name, such as an SSID or an
// interface's address, and its kind. On another network than before nothing
// that was learnt holds; what was learnt of this one at an earlier time is taken
// up again, aged.
func (e *Estimator) Network(now time.Time, name string, kind energy.Radio) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name == e.name && kind == e.kind {
		return
	}
	e.path.seen = now
	e.old[e.key()] = e.path
	e.name, e.kind, e.conn, e.used = name, kind, window{}, time.Time{}
	if e.path = e.old[e.key()]; e.path == nil {
		e.path = new(path)
	}
	delete(e.old, e.key())
	if len(e.old) > maxNetworks {
		var oldest string
		for k, p := range e.old {
			if o := e.old[oldest]; o == nil || p.seen.Before(o.seen) {
				oldest = k
			}
		}
		delete(e.old, oldest)
	}
}

func (e *Estimator) key() string { return e.kind.String() + " " + e.name }

// Reset forgets everything.
func (e *Estimator) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.path, e.old, e.conn, e.used = new(path), map[string]*path{}, window{}, time.Time{}
}

// Connected says that a connection is new and may at first have so many bytes in
// flight, each way; 0 means that it has no slow start.
func (e *Estimator) Connected(initialWindow int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = window{max(initialWindow, 0), max(initialWindow, 0)}
}

// RTT takes in one round trip of a small message.
func (e *Estimator) RTT(now time.Time, d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	cold := !e.used.IsZero() && now.Sub(e.used) >= wakeAfter
	e.used = now
	if cold && e.path.rtt.n > 0 {
		// At least a microsecond, so that a link without any wake says so.
		e.path.wake.observe(now, max(d.Seconds()-e.path.rtt.value(), 1e-6), 1)
		return
	}
	e.path.rtt.observe(now, d.Seconds(), 1)
}

// Sent takes in that n bytes, sent without a pause, took d from the first to
// the last: at the receiver, or else until they were acknowledged, less a round
// trip.
func (e *Estimator) Sent(now time.Time, n int64, d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.carried(now, &e.path.up, &e.conn.up, n, d)
}

// Received takes in that n bytes arrived in d, from the first to the last.
func (e *Estimator) Received(now time.Time, n int64, d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.carried(now, &e.path.down, &e.conn.down, n, d)
}

func (e *Estimator) carried(now time.Time, t *track, window *int64, n int64, d time.Duration) {
	if n <= 0 || d < 0 {
		return
	}
	e.used = now
	if s, ok := withoutSlowStart(n, e.path.rtt.value(), d.Seconds(), *window); ok {
		t.observe(now, max(s, 1e-9)/float64(n), float64(n)/float64(n+bulk))
	}
	if *window > 0 {
		*window = min(*window+n, math.MaxInt64/4)
	}
}

// Packets takes in that lost of total packets had to be sent again.
func (e *Estimator) Packets(lost, total int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if total <= 0 || lost < 0 || lost > total {
		return
	}
	keep := math.Pow(1-lossWeight, float64(total))
	e.path.lost = keep*e.path.lost + (1-keep)*float64(lost)/float64(total)
}

// Link is what is believed now.
func (e *Estimator) Link(now time.Time) Link {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.path
	l := Link{
		Kind: e.kind, Loss: p.lost, Samples: p.rtt.n + p.up.n + p.down.n,
		WindowUp: e.conn.up, WindowDown: e.conn.down,
	}
	if !e.used.IsZero() {
		l.Quiet = max(now.Sub(e.used), 1)
	}
	if p.rtt.n > 0 {
		l.RTT = duration(p.rtt.value())
		l.RTTDev = duration(p.rtt.value() * p.rtt.dev(now))
	}
	if p.wake.n > 0 {
		l.Wake = duration(p.wake.value())
	}
	up, down := p.up, p.down
	// One direction says something about the other, and doubtfully.
	if up.n == 0 && down.n > 0 {
		up = down
		up.vari += 1
	} else if down.n == 0 && up.n > 0 {
		down = up
		down.vari += 1
	}
	if up.n > 0 {
		l.Up, l.UpDev = 1/up.value(), up.dev(now)
		l.Down, l.DownDev = 1/down.value(), down.dev(now)
	}
	l.Known = p.rtt.n > 0 && up.n > 0
	return l
}

// At is the link as it is in the q-quantile of times: At(0.9) is a link so slow
// that nine transfers of ten are faster, At(0.5) is l itself.
func (l Link) At(q float64) Link {
	if !l.Known {
		return l
	}
	if rtt := l.RTT.Seconds(); rtt > 0 {
		l.RTT = duration(rtt * quantile(q, l.RTTDev.Seconds()/rtt))
	}
	l.Up /= quantile(q, l.UpDev)
	l.Down /= quantile(q, l.DownDev)
	return l
}

// After is the link as it is a while after it was published, if nothing has been
// sent since.
func (l Link) After(d time.Duration) Link {
	if l.Quiet > 0 {
		l.Quiet = later(l.Quiet, max(d, 0))
	}
	return l
}

// Quantity is a mean and a standard deviation that somebody else has measured.
type Quantity struct {
	Mean, StdDev float64
	Samples      int // 0: not known
}

// Measured makes a Link of what a transport says of itself: the round trip in
// seconds, the rates in bytes per second. A rate that is not known is taken from
// the other direction, doubtfully.
func Measured(kind energy.Radio, rtt, up, down Quantity) Link {
	if up.Samples == 0 {
		up = Quantity{down.Mean, down.StdDev + down.Mean, down.Samples}
	} else if down.Samples == 0 {
		down = Quantity{up.Mean, up.StdDev + up.Mean, up.Samples}
	}
	l := Link{
		Kind: kind, RTT: duration(rtt.Mean), RTTDev: duration(rtt.StdDev),
		Up: up.Mean, Down: down.Mean, Samples: rtt.Samples + up.Samples + down.Samples,
		Known: rtt.Samples > 0 && up.Samples > 0 && up.Mean > 0 && down.Mean > 0,
	}
	if l.Known {
		l.UpDev, l.DownDev = up.StdDev/up.Mean, down.StdDev/down.Mean
	}
	return l
}
