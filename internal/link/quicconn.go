package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	handshakeTimeout = 5 * time.Second
	quicIdle         = 30 * time.Second // an unwatched connection's life; the ticket outlives it
	lingerTime       = 5 * time.Second  // what was written may travel this long after Close
)

func quicConfig(server bool) *quic.Config {
	conf := &quic.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 quicIdle,
		InitialStreamReceiveWindow:     1 << 20,
		MaxStreamReceiveWindow:         16 << 20,
		InitialConnectionReceiveWindow: 2 << 20,
		MaxConnectionReceiveWindow:     24 << 20,
		MaxIncomingStreams:             -1,
		MaxIncomingUniStreams:          -1,
	}
	if server {
		conf.Allow0RTT = true
		conf.MaxIncomingStreams = 2 // data and control
	}
	return conf
}

// Stream priorities: a Cancel leaves before the pages that are queued.
const (
	urgencyControl = 0
	urgencyData    = 3
)

// quicEnd is one QUIC connection as a transport.
type quicEnd struct {
	qc      *quic.Conn
	data    *quic.Stream
	wrote   atomic.Bool
	closed  atomic.Bool
	closing sync.Once
	writing sync.Mutex // one writer of data at a time
	reading sync.Mutex // one reader
	stream  *quicData  // the same stream with its gate
	sawEOF  bool       // before our own end; guarded by reading
}

var _ transportEnd = (*quicEnd)(nil)

func (q *quicEnd) LocalAddr() net.Addr  { return q.qc.LocalAddr() }
func (q *quicEnd) RemoteAddr() net.Addr { return q.qc.RemoteAddr() }

func (q *quicEnd) rtt() (mean, deviation time.Duration) {
	s := q.qc.ConnectionStats()
	return s.SmoothedRTT, s.MeanDeviation
}

// shut closes the connection. CONNECTION_CLOSE discards what is still in
// buffers on both sides, so a clean end first finishes the stream and then waits
// for the peer's end of it, which comes when the peer has read ours and closes.
// lingerTime bounds that.
func (q *quicEnd) shut(err error) {
	q.closing.Do(func() {
		q.closed.Store(true)
		q.interruptRead() // ends a Read under way
		if err != nil {
			code := codeLost
			if errors.Is(err, ErrProtocol) {
				code = codeProtocol
			}
			_ = q.qc.CloseWithError(code, "")
			return
		}
		_ = q.data.SetWriteDeadline(time.Unix(1, 0)) // and a Write
		q.writing.Lock()
		_ = q.data.Close()
		q.writing.Unlock()
		if !q.wrote.Load() {
			_ = q.qc.CloseWithError(codeBye, "")
			return
		}
		go func() {
			q.reading.Lock()
			defer q.reading.Unlock()
			_ = q.data.SetReadDeadline(time.Now().Add(lingerTime))
			if q.sawEOF {
				waitQUIC(q.qc, lingerTime)
			} else {
				_, _ = io.Copy(io.Discard, q.data)
			}
			_ = q.qc.CloseWithError(codeBye, "")
		}()
	})
}

func (q *quicEnd) interruptRead() {
	_ = q.stream.SetReadDeadline(time.Unix(1, 0))
}

// newQUICEnd joins a connection with its bulk stream.
func newQUICEnd(qc *quic.Conn, s *quic.Stream) (*quicEnd, *quicData) {
	end := &quicEnd{qc: qc, data: s}
	end.stream = &quicData{Stream: s, end: end, gate: qc.HandshakeComplete()}
	return end, end.stream
}

// quicData is the bulk stream. At a listener its first read waits until the
// handshake is complete: bytes that came earlier could be a replay.
type quicData struct {
	*quic.Stream
	end   *quicEnd
	gate  <-chan struct{}
	ready bool // guarded by end.reading
	until deadline
}

// SetReadDeadline holds for the wait at the gate too.
func (d *quicData) SetReadDeadline(t time.Time) error {
	d.until.set(t)
	return d.Stream.SetReadDeadline(t)
}

func (d *quicData) Write(p []byte) (int, error) {
	d.end.writing.Lock()
	defer d.end.writing.Unlock()
	if d.end.closed.Load() {
		return 0, net.ErrClosed
	}
	d.end.wrote.Store(true)
	return d.Stream.Write(p)
}

func (d *quicData) Read(p []byte) (int, error) {
	d.end.reading.Lock()
	defer d.end.reading.Unlock()
	if d.end.closed.Load() {
		return 0, net.ErrClosed
	}
	for !d.ready {
		select {
		case <-d.gate:
			d.ready = true
			continue
		case <-d.end.qc.Context().Done():
			return 0, context.Cause(d.end.qc.Context())
		default:
		}
		if d.end.closed.Load() {
			return 0, net.ErrClosed
		}
		if err := d.until.wait(d.gate, d.end.qc.Context().Done()); err != nil {
			return 0, err
		}
	}
	n, err := d.Stream.Read(p)
	if err == io.EOF && !d.end.closed.Load() { //nolint:errorlint // a stream's clean end is bare
		// The peer said it first, so it waits for our end and then closes. Were
		// it noted after our own Close, both could wait for the other.
		d.end.sawEOF = true
	}
	return n, err
}

// quicControl is the control stream; closing it is the connection's business.
type quicControl struct{ *quic.Stream }

// dialQUIC makes one attempt at one address. A host name with addresses of both
// families is tried over both.
func (r *Redialer) dialQUIC(ctx context.Context, addr string, early []byte) (*conn, error) {
	remotes, err := resolveUDP(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", addr, err)
	}
	if len(remotes) == 1 {
		return r.dialQUICAt(ctx, remotes[0], early)
	}
	cands := make([]candidate, len(remotes))
	byName := map[string]*net.UDPAddr{}
	for i, u := range remotes {
		cands[i] = candidate{QUIC, u.String(), time.Duration(i) * familyStagger}
		byName[u.String()] = u
	}
	return race(ctx, cands, func(ctx context.Context, c candidate) (*conn, error) {
		return r.dialQUICAt(ctx, byName[c.addr], early)
	}, func(c *conn) { _ = c.Close() })
}

func (r *Redialer) dialQUICAt(ctx context.Context, addr *net.UDPAddr, early []byte) (*conn, error) {
	start := time.Now()
	tr, err := r.transport()
	if err != nil {
		return nil, err
	}
	var v verdict
	tlsConf := clientTLS(r.opts.Identity, r.opts.Peer, alpnLink, r.quicTickets, &v)
	qc, err := tr.DialEarly(ctx, addr, tlsConf, quicConfig(false))
	if err != nil {
		return nil, v.or(fmt.Errorf("dial %s over QUIC: %w", addr, err))
	}
	r.hold(qc)
	stop := context.AfterFunc(ctx, func() { _ = qc.CloseWithError(codeBye, "") })
	c, err := r.helloQUIC(ctx, qc, early, start)
	if errors.Is(err, quic.Err0RTTRejected) {
		// The node has forgotten the ticket: same handshake, second hello.
		if qc, err = qc.NextConnection(ctx); err == nil {
			r.hold(qc)
			c, err = r.helloQUIC(ctx, qc, early, start)
		}
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = qc.CloseWithError(codeBye, "")
		return nil, v.or(fmt.Errorf("dial %s over QUIC: %w", addr, err))
	}
	return c, nil
}

func (r *Redialer) helloQUIC(ctx context.Context, qc *quic.Conn, early []byte, start time.Time) (*conn, error) {
	s, err := qc.OpenStream()
	if err != nil {
		return nil, err
	}
	sent := time.Now()
	h := hello{version: helloVersion, kind: kindData, silence: r.silence(), early: early}
	if _, err := s.Write(h.encode()); err != nil {
		return nil, err
	}
	if err := readReply(s); err != nil {
		return nil, err
	}
	answered := time.Now()
	select {
	case <-qc.HandshakeComplete():
	case <-qc.Context().Done():
		return nil, context.Cause(qc.Context())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctl, err := qc.OpenStream()
	if err != nil {
		return nil, err
	}
	state := qc.ConnectionState()
	end, data := newQUICEnd(qc, s)
	c := newConn(data, end, r.opts.Peer, QUIC, r.meter)
	c.dialer, c.silence = true, r.silence()
	c.refused = func() bool { return refused(qc.Context(), qc.RemoteAddr().String()) }
	c.stats = Stats{Resumed: state.TLS.DidResume, Early: state.Used0RTT, Setup: answered.Sub(start)}
	if !state.Used0RTT {
		r.meter.observeRTT(answered.Sub(sent))
	}
	s.SetPriority(urgencyData, true)
	ctl.SetPriority(urgencyControl, true)
	c.begin(quicControl{ctl})
	c.follow(qc.Context())
	return c, nil
}

// begin attaches the dialer's control stream and starts the watch; its first
// frame is what makes a QUIC stream visible to the peer.
func (c *conn) begin(ctl io.ReadWriteCloser) {
	c.ctl.attach(ctl)
	c.Watch(true)
}

// follow ends c when its QUIC connection does.
func (c *conn) follow(ctx context.Context) {
	context.AfterFunc(ctx, func() {
		err := classify(context.Cause(ctx))
		if err == io.EOF { //nolint:errorlint // classify returns it bare
			c.finish(io.EOF, nil)
			return
		}
		if errors.Is(err, net.ErrClosed) { // not by us: finish would have run
			err = fmt.Errorf("%w: the socket was closed", ErrLost)
		}
		c.abort(err)
	})
}

// serveQUIC takes one incoming connection through its hello.
func (l *Listener) serveQUIC(qc *quic.Conn) {
	ctx, cancel := context.WithTimeout(qc.Context(), handshakeTimeout)
	defer cancel()
	refuse := func(err error) {
		l.refused(err)
		_ = qc.CloseWithError(codeRefused, "")
	}
	l.track(qc)
	s, err := qc.AcceptStream(ctx)
	if err != nil {
		refuse(err)
		return
	}
	if d, ok := ctx.Deadline(); ok {
		_ = s.SetReadDeadline(d)
	}
	end, data := newQUICEnd(qc, s)
	state := qc.ConnectionState()
	if state.TLS.NegotiatedProtocol == alpnPair {
		l.servePairing(ctx, stranger(qc.ConnectionState().TLS, s, qc.RemoteAddr()))
		_ = s.Close()
		waitQUIC(qc, lingerTime)
		_ = qc.CloseWithError(codeBye, "")
		return
	}
	h, err := readHello(s)
	if err != nil {
		refuse(err)
		return
	}
	peer, err := peerOf(qc.ConnectionState().TLS)
	if err == nil {
		err = l.admit(peer, h)
	}
	if err != nil {
		_, _ = s.Write(encodeReply(statusOf(err), err.Error()))
		_ = s.Close()
		l.refused(err)
		// The reply must arrive before the close does.
		waitQUIC(qc, lingerTime)
		_ = qc.CloseWithError(codeRefused, "")
		return
	}
	if len(h.early) == 0 && !l.complete(ctx, qc) {
		l.release(peer)
		_ = qc.CloseWithError(codeRefused, "")
		return
	}
	_ = s.SetReadDeadline(time.Time{})
	c := newConn(data, end, peer, QUIC, nil)
	c.early, c.replay = h.early, qc.ConnectionState().Used0RTT
	c.stats = Stats{Resumed: state.TLS.DidResume, Early: c.replay, Setup: time.Since(c.born)}
	c.whenDone(func() { l.release(peer) })
	if _, err := s.Write(encodeReply(statusOK, "")); err != nil {
		c.abort(classify(err))
		return
	}
	c.expect(h.silence)
	c.follow(qc.Context())
	l.deliver(c)
	l.acceptControl(c, qc)
}

// track remembers a connection for as long as it lives, which is longer than
// anybody uses it: see shut. The transport ends what is left without a word, and
// a dialer would wait for that word in vain.
func (l *Listener) track(qc *quic.Conn) {
	l.mu.Lock()
	l.living[qc] = struct{}{}
	l.mu.Unlock()
	context.AfterFunc(qc.Context(), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.living, qc)
	})
}

// complete waits for the end of the handshake.
func (l *Listener) complete(ctx context.Context, qc *quic.Conn) bool {
	select {
	case <-qc.HandshakeComplete():
		return true
	case <-ctx.Done():
		return false
	}
}

// acceptControl waits for the control stream, which an honest dialer opens
// after the handshake.
func (l *Listener) acceptControl(c *conn, qc *quic.Conn) {
	ctx, cancel := context.WithTimeout(qc.Context(), ctlWait)
	defer cancel()
	if !l.complete(ctx, qc) && qc.Context().Err() == nil {
		c.abort(fmt.Errorf("%w: the handshake was not completed", ErrLost))
		return
	}
	s, err := qc.AcceptStream(ctx)
	if classify(err) == io.EOF { //nolint:errorlint // classify returns it bare
		return // a goodbye, which follow is about to hear of too
	}
	if err != nil {
		c.abort(fmt.Errorf("%w: the control stream did not come up: %w", ErrLost, err))
		return
	}
	s.SetPriority(urgencyControl, true)
	c.ctl.attach(quicControl{s})
}

func waitQUIC(qc *quic.Conn, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-qc.Context().Done():
	}
}
