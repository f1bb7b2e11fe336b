package shape

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// mss is the TCP payload of one Ethernet packet with timestamps.
const mss = 1448

// lane is one direction of the link: the bottleneck's virtual clock.
type lane struct {
	mu     sync.Mutex
	oneWay time.Duration
	jitter time.Duration
	rate   int64 // bits/s, 0 unlimited
	loss   float64
	queue  int
	rng    *rand.Rand
	busy   time.Time // when the bottleneck has sent all that was admitted

	corrupt  int   // payloads still to be damaged
	cutAfter int64 // bytes until the link is cut; < 0: never
	counts   Counts
}

// Counts are what happened in one direction.
type Counts struct {
	Bytes   int64 // admitted to the link, retransmissions of the model excluded
	Packets int64 // datagrams and stream segments
	Lost    int64 // by Loss; a stream's lost segments arrive late
	Dropped int64 // by a full queue or a cut link, datagrams only
}

func newLane(seed, stream uint64) *lane {
	return &lane{rng: rand.New(rand.NewPCG(seed, stream)), cutAfter: -1}
}

func (l *lane) configure(p Profile, rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.oneWay, l.jitter, l.rate, l.loss, l.queue = p.OneWay, p.Jitter, rate, p.Loss, p.Queue
	if l.queue == 0 {
		l.queue = DefaultQueue
	}
}

// txTime is how long n bytes occupy the bottleneck.
func (l *lane) txTime(n int) time.Duration {
	if l.rate == 0 {
		return 0
	}
	return time.Duration(float64(n) * 8 / float64(l.rate) * float64(time.Second))
}

// delay is the propagation of one packet.
func (l *lane) delay() time.Duration {
	if l.jitter == 0 {
		return l.oneWay
	}
	return l.oneWay + time.Duration(l.rng.Int64N(int64(l.jitter)+1))
}

// fits reports whether n more bytes find room in the queue at now; if not, it
// returns when they would.
func (l *lane) fits(now, busy time.Time, n int) (time.Time, bool) {
	backlog := busy.Sub(now)
	if l.rate == 0 || backlog <= 0 {
		return now, true
	}
	room := l.txTime(max(l.queue-n, 0))
	if backlog <= room {
		return now, true
	}
	return now.Add(backlog - room), false
}

// datagram admits a packet: it says when it arrives, or that it never does.
func (l *lane) datagram(now time.Time, n int) (arrive time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Packets++
	if _, ok := l.fits(now, l.busy, n); !ok {
		l.counts.Dropped++
		return time.Time{}, false
	}
	if l.busy.Before(now) {
		l.busy = now
	}
	l.busy = l.busy.Add(l.txTime(n))
	l.counts.Bytes += int64(n)
	// A lost packet has used the bottleneck: radio loss happens behind it.
	if l.loss > 0 && l.rng.Float64() < l.loss {
		l.counts.Lost++
		return time.Time{}, false
	}
	return l.busy.Add(l.delay()), true
}

// flow is what one TCP connection adds to the lane in one direction. Its lane's
// mutex guards it.
type flow struct {
	busy   time.Time // when this connection's segments have left
	slow   time.Time // half rate until then
	behind time.Time // arrival of the segment before: order is kept
}

// segment admits a piece of a stream, or says when to try again.
func (l *lane) segment(f *flow, now time.Time, n int, rtt time.Duration) (arrive, retry time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := f.busy
	if own.Before(l.busy) {
		own = l.busy
	}
	if at, ok := l.fits(now, own, n); !ok {
		return time.Time{}, at, false
	}
	l.counts.Packets++
	l.counts.Bytes += int64(n)
	tx := l.txTime(n)
	l.busy = later(l.busy, now).Add(tx)
	own = later(f.busy, now).Add(tx)
	if f.slow.After(now) {
		own = own.Add(tx)
	}
	extra := time.Duration(0)
	if l.loss > 0 && l.rng.Float64() < 1-math.Pow(1-l.loss, math.Ceil(float64(n)/mss)) {
		l.counts.Lost++
		l.busy = l.busy.Add(tx)
		f.slow = now.Add(rtt)
		extra = rtt
	}
	f.busy = later(own, l.busy)
	arrive = later(f.busy.Add(l.delay()+extra), f.behind)
	f.behind = arrive
	return arrive, now, true
}

// inFlight is how many bytes may be under way at once: the queue, the path, and
// what a receiver would buffer.
func (l *lane) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return 16 << 20
	}
	return l.queue + int(float64(l.rate)/8*(l.oneWay+l.jitter).Seconds()) + 64<<10
}

// pieceSize is how finely a stream is cut: a packet, but not so small that the
// process cannot keep up with the rate.
func (l *lane) pieceSize() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.rate == 0:
		return 64 << 10
	case l.rate > 100e6:
		return 11 * mss
	default:
		return mss
	}
}

// spoil damages b when that was asked for, and reports whether the link is to
// be cut in front of it.
func (l *lane) spoil(b []byte) (cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.corrupt > 0 && len(b) > 0 {
		l.corrupt--
		b[len(b)-1] ^= 0x40
	}
	if l.cutAfter >= 0 {
		if l.cutAfter < int64(len(b)) {
			l.cutAfter = -1
			return true
		}
		l.cutAfter -= int64(len(b))
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
