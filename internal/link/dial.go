package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
)

// Preference chooses transports.
type Preference string

// The zero Preference is Auto.
const (
	Auto       Preference = ""     // QUIC first, TCP a moment later
	PreferQUIC Preference = "quic" // QUIC only
	PreferTCP  Preference = "tcp"  // TCP only
)

// Options say whom to reach and how. They are not changed once given.
type Options struct {
	Identity *identity.Identity // ours
	Peer     ID                 // whom to reach
	Addrs    []string           // HOST:PORT, best first
	Prefer   Preference

	// Shape makes the link behave like the profile; Net, if set, is used
	// instead, so that a test can cut and corrupt it.
	Shape *shape.Profile
	Net   *shape.Control
	Seed  uint64 // of Shape's losses

	// Memory, if set, is the network; Addrs and Prefer mean nothing then.
	Memory *MemoryNet

	// EarlyData reaches the peer with the hello: as 0-RTT data when there is a
	// ticket. It must be idempotent. See Conn.Early.
	EarlyData []byte

	// Silence is after how long without a sign of life a watched link is lost;
	// 0 is DefaultSilence.
	Silence time.Duration
	// RedialTime bounds Redial in total; 0 is DefaultRedialTime.
	RedialTime time.Duration
}

// DefaultRedialTime is PROTOCOL rule 20's bound.
const DefaultRedialTime = 2 * time.Second

const (
	defaultDialTime = 10 * time.Second
	maxAddrs        = identity.MaxAddresses
	headStart       = 250 * time.Millisecond // of QUIC over TCP while nothing is known
	minHeadStart    = 50 * time.Millisecond
	maxHeadStart    = time.Second
	addrStagger     = 30 * time.Millisecond // between addresses of one transport
	rememberFor     = 10 * time.Minute      // that TCP won; then QUIC gets another chance
	redialPause     = 20 * time.Millisecond
	maxRedialPause  = 300 * time.Millisecond
	minSilence      = 50 * time.Millisecond
)

func (o *Options) validate() error {
	bad := func(s string) error { return fmt.Errorf("%w: %s", errOptions, s) }
	switch {
	case o.Identity == nil:
		return bad("no identity")
	case o.Peer.IsZero():
		return bad("no peer id")
	case len(o.Addrs) == 0 && o.Memory == nil:
		return bad("no address of the node is known: pair again")
	case len(o.Addrs) > maxAddrs:
		return bad(fmt.Sprintf("more than %d addresses", maxAddrs))
	case !slices.Contains([]Preference{Auto, PreferQUIC, PreferTCP}, o.Prefer):
		return bad(fmt.Sprintf("unknown transport %q: give quic, tcp or nothing", o.Prefer))
	case len(o.EarlyData) > MaxEarlyData:
		return bad(fmt.Sprintf("more than %d bytes of early data", MaxEarlyData))
	case o.Silence != 0 && (o.Silence < minSilence || o.Silence > maxSilence):
		return bad(fmt.Sprintf("silence must be from %v to %v", minSilence, maxSilence))
	case o.RedialTime < 0:
		return bad("negative redial time")
	}
	for _, a := range o.Addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return bad(fmt.Sprintf("address %q is not HOST:PORT", a))
		}
	}
	return nil
}

// Dial makes one connection and keeps nothing. Errors: ErrNotPaired,
// ErrWrongPeer, ErrVersion, ErrDraining, ErrBusy, ErrUnreachable.
func Dial(ctx context.Context, o Options) (Conn, error) {
	r, err := NewRedialer(o)
	if err != nil {
		return nil, err
	}
	defer r.Close() // the socket lives on until the connection ends
	return r.Dial(ctx, o.EarlyData)
}

// Redialer makes connections to one peer, cheaply from the second on. It may be
// used by several goroutines.
type Redialer struct {
	opts        Options
	net         *shape.Control
	meter       *Meter
	quicTickets tls.ClientSessionCache
	tcpTickets  tls.ClientSessionCache

	mu     sync.Mutex
	quic   *quic.Transport
	pc     net.PacketConn
	refs   int // QUIC connections that need the socket
	closed bool
	won    candidate // what worked last
	wonAt  time.Time
}

// NewRedialer checks the options; nothing is sent yet.
func NewRedialer(o Options) (*Redialer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Redialer{
		opts: o, net: o.Net, meter: &Meter{},
		// QUIC's tickets hold transport parameters: a cache for each.
		quicTickets: tls.NewLRUClientSessionCache(4),
		tcpTickets:  tls.NewLRUClientSessionCache(4),
	}
	if r.net == nil && o.Shape != nil {
		ctl, err := shape.New(*o.Shape, o.Seed)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errOptions, err)
		}
		r.net = ctl
	}
	return r, nil
}

// Meter is what is known of the path; it outlives connections.
func (r *Redialer) Meter() *Meter { return r.meter }

// Net is the shaped link, nil when the link is not shaped.
func (r *Redialer) Net() *shape.Control { return r.net }

// Dial connects within ctx, or within ten seconds if ctx has no deadline.
// early is Options.EarlyData for this connection.
func (r *Redialer) Dial(ctx context.Context, early []byte) (Conn, error) {
	if len(early) > MaxEarlyData {
		return nil, fmt.Errorf("%w: more than %d bytes of early data", errOptions, MaxEarlyData)
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDialTime)
		defer cancel()
	}
	type winner struct {
		c    *conn
		cand candidate
	}
	w, err := race(ctx, r.candidates(), func(ctx context.Context, cand candidate) (winner, error) {
		c, err := r.attempt(ctx, cand, early)
		return winner{c, cand}, err
	}, func(w winner) { _ = w.c.Close() })
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.won, r.wonAt = w.cand, time.Now()
	r.mu.Unlock()
	return w.c, nil
}

// Redial dials again and again until it succeeds, a reason appears that another
// attempt cannot cure, or Options.RedialTime is over. The error wraps ErrGone
// where every address refuses connections.
func (r *Redialer) Redial(ctx context.Context, early []byte) (Conn, error) {
	total := r.opts.RedialTime
	if total == 0 {
		total = DefaultRedialTime
	}
	ctx, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	ctx, stop := r.giveUp(ctx)
	defer stop()
	pause := redialPause
	for {
		c, err := r.Dial(ctx, early)
		if err == nil || fatal(err) {
			return c, err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
		pause = min(2*pause, maxRedialPause)
	}
}

// Close lets go of the socket once the last connection has ended. Connections
// go on.
func (r *Redialer) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.letGo()
}

func (r *Redialer) attempt(ctx context.Context, c candidate, early []byte) (*conn, error) {
	if c.transport == QUIC {
		return r.dialQUIC(ctx, c.addr, early)
	}
	return r.dialTCP(ctx, c.addr, early)
}

// candidates lists the ways to the peer in the order in which they start.
func (r *Redialer) candidates() []candidate {
	r.mu.Lock()
	won, recent := r.won, time.Since(r.wonAt) < rememberFor
	r.mu.Unlock()
	start := headStart
	if rtt, _, _ := r.meter.Estimates(); rtt.Known() {
		// A QUIC handshake with hello takes two round trips.
		start = time.Duration(4 * rtt.Mean * float64(time.Second))
		start = min(max(start, minHeadStart), maxHeadStart)
	}
	if r.opts.Memory != nil {
		return []candidate{{Memory, memAddr{}.String(), 0}}
	}
	order := []string{QUIC, TCP}
	switch {
	case r.opts.Prefer == PreferQUIC:
		order = []string{QUIC}
	case r.opts.Prefer == PreferTCP:
		order = []string{TCP}
	case recent && won.transport == TCP:
		order = []string{TCP, QUIC}
	}
	var out []candidate
	for i, tr := range order {
		for j, a := range r.addrs(won.addr) {
			out = append(out, candidate{tr, a, time.Duration(i)*start + time.Duration(j)*addrStagger})
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return int(a.after - b.after) })
	return out
}

// addrs puts the address that worked last first.
func (r *Redialer) addrs(first string) []string {
	out := slices.Clone(r.opts.Addrs)
	if i := slices.Index(out, first); i > 0 {
		out = slices.Insert(slices.Delete(out, i, i+1), 0, first)
	}
	return out
}

func (r *Redialer) silence() time.Duration {
	if r.opts.Silence == 0 {
		return DefaultSilence
	}
	return r.opts.Silence
}

func (r *Redialer) ticketsFor(alpn string) tls.ClientSessionCache {
	if alpn == alpnLink {
		return r.tcpTickets
	}
	return nil
}

// transport opens the UDP socket on first use and keeps it.
func (r *Redialer) transport() (*quic.Transport, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, net.ErrClosed
	}
	if r.quic != nil {
		return r.quic, nil
	}
	sock, err := openUDP()
	if err != nil {
		return nil, err
	}
	r.pc = sock
	if r.net != nil {
		r.pc = r.net.PacketConn(sock)
	}
	r.quic = &quic.Transport{Conn: r.pc}
	return r.quic, nil
}

// hold keeps the socket open while qc lives.
func (r *Redialer) hold(qc *quic.Conn) {
	r.mu.Lock()
	r.refs++
	r.mu.Unlock()
	context.AfterFunc(qc.Context(), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.refs--
		r.letGo()
	})
}

// letGo closes the socket when it is of no more use; r.mu is held.
func (r *Redialer) letGo() {
	if !r.closed || r.refs > 0 || r.quic == nil {
		return
	}
	tr, pc := r.quic, r.pc
	r.quic, r.pc = nil, nil
	// Not under the lock: closing waits for callbacks. The pause lets a last
	// CONNECTION_CLOSE leave a shaped socket.
	go func() {
		if r.net != nil {
			time.Sleep(r.net.Profile().OneWay + r.net.Profile().Jitter)
		}
		_ = tr.Close()
		_ = pc.Close()
	}()
}
