package link

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// ListenOptions configure a node's side.
type ListenOptions struct {
	Identity *identity.Identity
	// Listed says who may connect; identity.Store's method of that name fits.
	// It is asked for every connection.
	Listed func(ID) bool
	// Pair, if set, serves connections for pairing, from anyone; see package
	// pairing. It has five seconds.
	Pair func(context.Context, *Stranger) error
	// Refused, if set, hears why a connection was turned away.
	Refused func(error)

	// Memory, if set, is listened on instead of sockets.
	Memory *MemoryNet

	NoQUIC  bool // TCP only
	NoTCP   bool // QUIC only
	PerPeer int  // connections of one peer at a time; 0 is 16
}

const (
	defaultPerPeer = 16
	maxGreeting    = 128 // connections of a transport that have not said hello yet
	retryGreeting  = 32  // from here on, QUIC clients must prove their address
	acceptQueue    = 64
	portTries      = 16
	tcpKeepAlive   = 5 * time.Minute
)

// Listener takes connections on one UDP and one TCP socket with the same port.
type Listener struct {
	opts   ListenOptions
	tcpTLS *tls.Config
	tcp    net.Listener
	tr     *quic.Transport
	quic   *quic.EarlyListener
	addr   net.Addr

	ctx      context.Context
	stop     context.CancelCauseFunc
	wg       sync.WaitGroup
	accepted chan *conn
	greeting atomic.Int64 // over QUIC; over TCP it is the length of raw
	draining atomic.Bool

	mu          sync.Mutex
	perPeer     map[ID]int
	conns       map[*conn]struct{}
	living      map[*quic.Conn]struct{}
	raw         map[net.Conn]uint64 // TCP connections that are being greeted, by age
	came        uint64              // TCP connections so far
	waiting     map[controlKey]waitingLink
	waitChanged chan struct{}
}

// Listen opens addr, HOST:PORT; port 0 chooses one that is free for both
// transports. The listener lives until Close; ctx bounds only its opening.
func Listen(ctx context.Context, addr string, o ListenOptions) (*Listener, error) {
	if o.Identity == nil || o.Listed == nil {
		return nil, fmt.Errorf("%w: Listen needs an identity and a list of peers", errOptions)
	}
	if o.NoQUIC && o.NoTCP {
		return nil, fmt.Errorf("%w: both transports are off", errOptions)
	}
	if o.PerPeer == 0 {
		o.PerPeer = defaultPerPeer
	}
	alpns := []string{alpnLink}
	if o.Pair != nil {
		alpns = append(alpns, alpnPair)
	}
	l := &Listener{
		opts: o, tcpTLS: serverTLS(o.Identity, alpns),
		accepted: make(chan *conn, acceptQueue), perPeer: map[ID]int{}, conns: map[*conn]struct{}{},
		living: map[*quic.Conn]struct{}{},
		raw:    map[net.Conn]uint64{}, waiting: map[controlKey]waitingLink{}, waitChanged: make(chan struct{}),
	}
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	var udp *net.UDPConn
	if o.Memory != nil {
		l.tcp, l.addr = o.Memory, o.Memory.Addr()
	} else {
		var err error
		if udp, err = l.open(ctx, addr); err != nil {
			return nil, err
		}
	}
	if udp != nil {
		if err := l.openQUIC(udp, serverTLS(o.Identity, alpns)); err != nil {
			_ = l.Close()
			return nil, err
		}
		l.wg.Add(1)
		go l.acceptQUIC()
	}
	if l.tcp != nil {
		l.wg.Add(1)
		go l.acceptTCP()
	}
	return l, nil
}

// open binds both sockets. With port 0 the first socket's port may be taken for
// the second, so it tries a few.
func (l *Listener) open(ctx context.Context, addr string) (*net.UDPConn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, advise(fmt.Errorf("listen address %q is not HOST:PORT: %w", addr, err), "give one such as :7373 or 192.0.2.1:7373")
	}
	// Rare, because each probe wakes a phone's radio, and enough to be rid of
	// devices that are gone for good; a link in use is watched.
	lc := net.ListenConfig{KeepAlive: tcpKeepAlive}
	for try := 0; ; try++ {
		bind := net.JoinHostPort(host, port)
		if !l.opts.NoTCP {
			if l.tcp, err = lc.Listen(ctx, "tcp", bind); err != nil {
				return nil, advise(fmt.Errorf("listen on TCP %s: %w", bind, err), "is another node running? choose another port with --listen")
			}
			l.addr = l.tcp.Addr()
			bind = net.JoinHostPort(host, strconv.Itoa(l.addr.(*net.TCPAddr).Port))
		}
		if l.opts.NoQUIC {
			return nil, nil
		}
		pc, err := lc.ListenPacket(ctx, "udp", bind)
		if err == nil {
			if l.addr == nil {
				l.addr = pc.LocalAddr()
			}
			return pc.(*net.UDPConn), nil
		}
		if l.tcp != nil {
			_ = l.tcp.Close()
		}
		if port != "0" || try >= portTries {
			return nil, advise(fmt.Errorf("listen on UDP %s: %w", bind, err), "is another node running? choose another port with --listen")
		}
	}
}

func (l *Listener) openQUIC(udp *net.UDPConn, conf *tls.Config) error {
	silenceQUIC()
	reset, err := resetKey(l.opts.Identity)
	if err != nil {
		_ = udp.Close()
		return err
	}
	l.tr = &quic.Transport{
		Conn: &udpSocket{udp}, StatelessResetKey: reset,
		VerifySourceAddress: func(net.Addr) bool { return l.greeting.Load() > retryGreeting },
	}
	if l.quic, err = l.tr.ListenEarly(conf, quicConfig(true)); err != nil {
		return fmt.Errorf("listen on QUIC: %w", err)
	}
	return nil
}

// resetKey outlives a restart, so that a node that was killed can tell a device
// at once that its connection is gone.
func resetKey(own *identity.Identity) (*quic.StatelessResetKey, error) {
	der, err := x509.MarshalPKCS8PrivateKey(own.TLSCertificate().PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("derive reset key: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, der, nil, "clonecloud quic stateless reset", len(quic.StatelessResetKey{}))
	if err != nil {
		return nil, fmt.Errorf("derive reset key: %w", err)
	}
	return (*quic.StatelessResetKey)(secret), nil
}

// Addr is where the listener listens; both transports share host and port.
func (l *Listener) Addr() net.Addr { return l.addr }

// Accept returns the next connection whose hello was good. A connection with
// early data may not have completed its handshake yet: its first Read waits for
// that. The error is ctx's, or net.ErrClosed.
func (l *Listener) Accept(ctx context.Context) (Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Drain refuses new connections with ErrDraining; the others go on.
func (l *Listener) Drain() { l.draining.Store(true) }

// Disconnect closes all connections of a peer, as after unpairing.
func (l *Listener) Disconnect(id ID) {
	l.mu.Lock()
	var gone []*conn
	for c := range l.conns {
		if c.peer == id {
			gone = append(gone, c)
		}
	}
	l.mu.Unlock()
	for _, c := range gone {
		_ = c.Close()
	}
}

// Close ends the listener and every connection that it accepted, and waits for
// its own goroutines.
func (l *Listener) Close() error {
	l.stop(net.ErrClosed)
	if l.tcp != nil {
		_ = l.tcp.Close()
	}
	l.mu.Lock()
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	for c := range l.raw {
		_ = c.Close()
	}
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	if l.quic != nil {
		l.lingerQUIC()
		_ = l.quic.Close()
	}
	if l.tr != nil {
		_ = l.tr.Close()
		_ = l.tr.Conn.Close()
	}
	l.wg.Wait()
	return nil
}

// lingerQUIC gives the last written bytes a moment to leave the shared socket.
func (l *Listener) lingerQUIC() {
	const moment = 500 * time.Millisecond
	l.mu.Lock()
	living := slices.Collect(maps.Keys(l.living))
	l.mu.Unlock()
	deadline := time.Now().Add(moment)
	for _, qc := range living {
		waitQUIC(qc, max(time.Until(deadline), 0))
		_ = qc.CloseWithError(codeBye, "")
	}
}

// stopAccepting ends the listener and leaves its connections alone.
func (l *Listener) stopAccepting() {
	l.stop(net.ErrClosed)
	if l.tcp != nil {
		_ = l.tcp.Close()
	}
	l.wg.Wait()
}

func (l *Listener) acceptQUIC() {
	defer l.wg.Done()
	for {
		qc, err := l.quic.Accept(l.ctx)
		if err != nil {
			return
		}
		if l.greeting.Load() >= maxGreeting {
			l.refused(ErrBusy)
			_ = qc.CloseWithError(codeRefused, "")
			continue
		}
		l.greeting.Add(1)
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			defer l.greeting.Add(-1)
			l.serveQUIC(qc)
		}()
	}
}

func (l *Listener) acceptTCP() {
	defer l.wg.Done()
	pause := time.Duration(0)
	for {
		raw, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.refused(fmt.Errorf("accept: %w", err))
			select {
			case <-time.After(pause):
			case <-l.ctx.Done():
				return
			}
			continue
		}
		pause = 0
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.serveTCP(raw)
		}()
	}
}

// begun remembers a connection that is still being greeted, so that Close ends
// it; the function returned forgets it. Where there are too many the oldest goes:
// who means well is greeted within a few round trips, who does not would keep
// everybody out.
func (l *Listener) begun(raw net.Conn) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.raw) >= maxGreeting {
		var oldest net.Conn
		for c, at := range l.raw {
			if oldest == nil || at < l.raw[oldest] {
				oldest = c
			}
		}
		delete(l.raw, oldest)
		_ = oldest.Close()
	}
	l.came++
	l.raw[raw] = l.came
	if l.ctx.Err() != nil {
		_ = raw.Close()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.raw, raw)
	}
}

// admit decides about a hello and, if good, takes a place that release returns.
func (l *Listener) admit(peer ID, h hello) error {
	switch {
	case h.version != helloVersion:
		return fmt.Errorf("%s: %w: ours is %d, theirs %d", peer.Short(), ErrVersion, helloVersion, h.version)
	case h.kind != kindData:
		return errHello
	case !l.opts.Listed(peer):
		return fmt.Errorf("%s: %w", peer.Short(), ErrNotPaired)
	case l.draining.Load():
		return ErrDraining
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perPeer[peer] >= l.opts.PerPeer {
		return fmt.Errorf("%s: %w", peer.Short(), ErrBusy)
	}
	l.perPeer[peer]++
	return nil
}

func (l *Listener) release(peer ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perPeer[peer]--; l.perPeer[peer] <= 0 {
		delete(l.perPeer, peer)
	}
}

// deliver hands c to Accept; nobody accepting is a refusal.
func (l *Listener) deliver(c *conn) {
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	c.whenDone(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	})
	select {
	case l.accepted <- c:
	default:
		l.refused(ErrBusy)
		c.abort(ErrBusy)
		return
	}
	if l.ctx.Err() != nil {
		_ = c.Close()
	}
}

func (l *Listener) refused(err error) {
	if l.opts.Refused != nil && l.ctx.Err() == nil {
		l.opts.Refused(err)
	}
}
