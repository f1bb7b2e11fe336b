package shape

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Direction is seen from the wrapped side.
type Direction int

// The two directions.
const (
	Up   Direction = iota // what the wrapped side sends
	Down                  // what it receives
)

func (d Direction) String() string {
	switch d {
	case Up:
		return "up"
	case Down:
		return "down"
	default:
		return fmt.Sprintf("Direction(%d)", int(d))
	}
}

type gateState int

const (
	gateOpen    gateState = iota
	gateStalled           // everything waits
	gateCut               // datagrams vanish, streams wait
)

// Control is one live link. Its methods may be called from any goroutine while
// traffic flows.
type Control struct {
	up, down *lane

	mu      sync.Mutex
	profile Profile
	gate    gateState
	changed chan struct{} // closed and replaced whenever gate changes
	streams map[*stream]struct{}
}

// New makes a live link. Equal seeds give equal losses to equal traffic.
func New(p Profile, seed uint64) (*Control, error) {
	c := &Control{
		up: newLane(seed, 1), down: newLane(seed, 2),
		changed: make(chan struct{}),
		streams: map[*stream]struct{}{},
	}
	if err := c.SetProfile(p); err != nil {
		return nil, err
	}
	return c, nil
}

// SetProfile changes the link under way. Packets already on it keep their times.
func (c *Control) SetProfile(p Profile) error {
	if err := p.Validate(); err != nil {
		return err
	}
	c.mu.Lock()
	c.profile = p
	c.mu.Unlock()
	c.up.configure(p, p.Up)
	c.down.configure(p, p.Down)
	if p.Cut {
		c.setGate(gateCut)
	} else {
		c.setGate(gateOpen)
	}
	return nil
}

// Profile returns what the link is like now.
func (c *Control) Profile() Profile {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.profile
}

// Cut makes the link a black hole, what is on it included: datagrams vanish.
// A stream's bytes wait, as TCP would go on retransmitting them.
func (c *Control) Cut() { c.setGate(gateCut) }

// Stall makes everything wait, losing nothing.
func (c *Control) Stall() { c.setGate(gateStalled) }

// Restore ends a Cut or a Stall, and a profile's Cut.
func (c *Control) Restore() { c.setGate(gateOpen) }

// CutAfter cuts the link in front of the packet that would be the n+1st byte in
// that direction, counted from now.
func (c *Control) CutAfter(d Direction, n int64) {
	l := c.lane(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutAfter = n
}

// Corrupt flips one bit in each of the next n packets or segments in that
// direction, below TLS. Datagrams are the better victim of a retransmission;
// a stream must die of it.
func (c *Control) Corrupt(d Direction, n int) {
	l := c.lane(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.corrupt = n
}

// Break resets every stream that is open, as a middlebox or a dying kernel
// does. Datagram sockets have no such end.
func (c *Control) Break() {
	c.mu.Lock()
	all := make([]*stream, 0, len(c.streams))
	for s := range c.streams {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		s.reset()
	}
}

// Counts returns what has happened in a direction so far.
func (c *Control) Counts(d Direction) Counts {
	l := c.lane(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Connect costs what a TCP handshake costs: one round trip, and for ever while
// the link is cut or stalled. The error is ctx's.
func (c *Control) Connect(ctx context.Context) error {
	for _, l := range []*lane{c.up, c.down} {
		if err := c.passable(ctx); err != nil {
			return err
		}
		l.mu.Lock()
		d := l.delay()
		l.mu.Unlock()
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	return c.passable(ctx)
}

func (c *Control) passable(ctx context.Context) error {
	for {
		state, changed := c.gateNow()
		if state == gateOpen {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *Control) lane(d Direction) *lane {
	if d == Up {
		return c.up
	}
	return c.down
}

func (c *Control) setGate(g gateState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gate == g {
		return
	}
	c.gate = g
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Control) gateNow() (gateState, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gate, c.changed
}

// spoil applies the faults that were asked for to a payload about to be sent.
func (c *Control) spoil(l *lane, b []byte) {
	if l.spoil(b) {
		c.Cut()
	}
}

func (c *Control) rtt() time.Duration { return c.Profile().RTT() }

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
