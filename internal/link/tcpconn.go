package link

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"time"
)

// farewellTime is how long Close waits for a close_notify to be accepted.
const farewellTime = 200 * time.Millisecond

// tcpEnd is a data connection with, in time, its control connection.
type tcpEnd struct {
	data *tlsStream

	mu     sync.Mutex
	ctl    *tlsStream
	closed bool
}

var _ transportEnd = (*tcpEnd)(nil)

func (t *tcpEnd) LocalAddr() net.Addr                  { return t.data.LocalAddr() }
func (t *tcpEnd) RemoteAddr() net.Addr                 { return t.data.RemoteAddr() }
func (t *tcpEnd) rtt() (mean, deviation time.Duration) { return 0, 0 }

// own takes the control connection, unless the end has come before it.
func (t *tcpEnd) own(ctl *tlsStream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.ctl != nil {
		return false
	}
	t.ctl = ctl
	return true
}

func (t *tcpEnd) shut(err error) {
	t.mu.Lock()
	t.closed = true
	ctl := t.ctl
	t.mu.Unlock()
	both := []*tlsStream{t.data}
	if ctl != nil {
		both = append(both, ctl)
	}
	if err != nil {
		// No farewell over a dead link: it could block, and must not read as a
		// clean end.
		for _, c := range both {
			_ = c.NetConn().Close()
		}
		return
	}
	// The farewell takes up to five seconds, crypto/tls's own bound, when the
	// peer does not read. Close does not wait for that.
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, c := range both {
			_ = c.Close()
		}
	}()
	timer := time.NewTimer(farewellTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// dialTCP makes one attempt at one address: data and control connection side by
// side, so that the second costs no round trips.
func (r *Redialer) dialTCP(ctx context.Context, addr string, early []byte) (*conn, error) {
	start := time.Now()
	h := hello{version: helloVersion, silence: r.silence(), early: early}
	if _, err := rand.Read(h.link[:]); err != nil {
		return nil, fmt.Errorf("choose link id: %w", err)
	}
	type result struct {
		tc  *tlsStream
		err error
	}
	ctlCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ctl := make(chan result, 1)
	go func() {
		defer cancel(nil)
		tc, err := r.handshakeTCP(ctlCtx, addr, alpnLink)
		ctl <- result{tc, err}
	}()
	data, err := r.handshakeTCP(ctx, addr, alpnLink)
	var rtt time.Duration
	if err == nil {
		rtt, err = helloTCP(ctx, data, h)
	}
	if err != nil {
		cancel(err)
		go func() {
			if res := <-ctl; res.tc != nil {
				_ = res.tc.NetConn().Close()
			}
		}()
		if data != nil {
			_ = data.NetConn().Close()
		}
		return nil, fmt.Errorf("dial %s over TCP: %w", addr, err)
	}
	r.meter.observeRTT(rtt)
	end := &tcpEnd{data: data}
	socket := data.raw.detach()
	c := newConn(data, end, r.opts.Peer, r.streamName(), r.meter)
	c.socket = socket
	c.dialer, c.silence = true, r.silence()
	c.stats = Stats{Resumed: data.ConnectionState().DidResume, Setup: time.Since(start)}
	c.whenDone(func() { cancel(net.ErrClosed) })
	go func() {
		res := <-ctl
		if res.err == nil {
			res.err = joinTCP(end, res.tc, hello{version: helloVersion, kind: kindControl, link: h.link})
		}
		if res.err != nil {
			c.ctl.ended(fmt.Errorf("the control connection did not come up: %w", res.err))
			return
		}
		c.begin(res.tc)
	}()
	return c, nil
}

// joinTCP sends the control connection's hello. Its answer is the first thing
// on the stream, and is read here, off the dialer's path.
func joinTCP(end *tcpEnd, tc *tlsStream, h hello) error {
	if !end.own(tc) {
		_ = tc.NetConn().Close()
		return net.ErrClosed
	}
	_ = tc.SetDeadline(time.Now().Add(ctlWait))
	if _, err := tc.Write(h.encode()); err != nil {
		return err
	}
	if err := readReply(tc); err != nil {
		return err
	}
	return tc.SetDeadline(time.Time{})
}

func (r *Redialer) handshakeTCP(ctx context.Context, addr, alpn string) (*tlsStream, error) {
	raw, err := r.connectTCP(ctx, addr)
	if err != nil {
		return nil, err
	}
	var v verdict
	tc := tlsClient(raw, clientTLS(r.opts.Identity, r.opts.Peer, alpn, r.ticketsFor(alpn), &v))
	ctx, cancel := context.WithTimeout(ctx, 2*handshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, v.or(err)
	}
	return tc, nil
}

func (r *Redialer) connectTCP(ctx context.Context, addr string) (net.Conn, error) {
	if r.net != nil {
		if err := r.net.Connect(ctx); err != nil {
			return nil, err
		}
	}
	if r.opts.Memory != nil {
		raw, err := r.opts.Memory.dial(ctx)
		if err == nil && r.net != nil {
			raw = r.net.Conn(raw)
		}
		return raw, err
	}
	d := net.Dialer{KeepAlive: -1} // the watch does this better
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if tc, ok := raw.(*net.TCPConn); ok {
		_ = tc.SetNoDelay(true) // Go's default; it is what the echo figures rest on
	}
	if r.net != nil {
		return r.net.Conn(raw), nil
	}
	return raw, nil
}

func helloTCP(ctx context.Context, tc *tlsStream, h hello) (time.Duration, error) {
	stop := context.AfterFunc(ctx, func() { _ = tc.SetDeadline(time.Unix(1, 0)) })
	start := time.Now()
	_ = tc.SetDeadline(start.Add(2 * handshakeTimeout))
	_, err := tc.Write(h.encode())
	if err == nil {
		err = readReply(tc)
	}
	if !stop() {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, err
	}
	return time.Since(start), tc.SetDeadline(time.Time{})
}

// serveTCP takes one incoming connection through its hello.
func (l *Listener) serveTCP(raw net.Conn) {
	defer l.begun(raw)()
	tc := tlsServer(raw, l.tcpTLS)
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	_ = raw.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := tc.HandshakeContext(ctx); err != nil {
		l.refused(err)
		_ = raw.Close()
		return
	}
	if tc.ConnectionState().NegotiatedProtocol == alpnPair {
		l.servePairing(ctx, stranger(tc.ConnectionState(), tc, tc.RemoteAddr()))
		l.closeGently(tc)
		return
	}
	h, err := readHello(tc)
	var peer ID
	if err == nil {
		peer, err = peerOf(tc.ConnectionState())
	}
	if err == nil && h.kind == kindControl && h.version == helloVersion {
		l.joinControl(peer, h, tc)
		return
	}
	if err == nil {
		err = l.admit(peer, h)
	}
	if err != nil {
		l.refuseTCP(tc, err)
		return
	}
	end := &tcpEnd{data: tc}
	socket := tc.raw.detach()
	_ = tc.SetDeadline(time.Now().Add(handshakeTimeout))
	c := newConn(tc, end, peer, l.streamName(), nil)
	c.socket = socket
	c.early = h.early
	c.stats = Stats{Resumed: tc.ConnectionState().DidResume}
	key := controlKey{peer, h.link}
	c.whenDone(func() { l.release(peer); l.forget(key) })
	if !l.expectControl(key, c, end) {
		c.abort(ErrProtocol)
		return
	}
	if _, err := tc.Write(encodeReply(statusOK, "")); err != nil {
		c.abort(classify(err))
		return
	}
	_ = tc.SetDeadline(time.Time{})
	c.expect(h.silence)
	l.deliver(c)
}

// refuseTCP says why and lets the words arrive: closing a socket with unread
// bytes resets it, and a reset overtakes what was written.
func (l *Listener) refuseTCP(tc *tlsStream, err error) {
	l.refused(err)
	if _, werr := tc.Write(encodeReply(statusOf(err), err.Error())); werr != nil {
		_ = tc.NetConn().Close()
		return
	}
	l.closeGently(tc)
}

func (l *Listener) closeGently(tc *tlsStream) {
	_ = tc.CloseWrite()
	_ = tc.SetReadDeadline(time.Now().Add(lingerTime))
	var sink [512]byte
	for range 64 {
		if _, err := tc.Read(sink[:]); err != nil {
			break
		}
	}
	_ = tc.NetConn().Close()
}

// controlKey joins a control connection to its data connection; only the same
// peer can.
type controlKey struct {
	peer ID
	link linkID
}

type waitingLink struct {
	c   *conn
	end *tcpEnd
}

// joinControl gives a control connection to its data connection. It may come
// first: both were dialled at once.
func (l *Listener) joinControl(peer ID, h hello, tc *tlsStream) {
	key := controlKey{peer, h.link}
	deadline := time.NewTimer(ctlWait)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		w, ok := l.waiting[key]
		changed := l.waitChanged
		if ok {
			delete(l.waiting, key)
		}
		l.mu.Unlock()
		if ok {
			l.attachControl(w, tc)
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			l.refuseTCP(tc, errHello)
			return
		case <-l.ctx.Done():
			_ = tc.NetConn().Close()
			return
		}
	}
}

func (l *Listener) attachControl(w waitingLink, tc *tlsStream) {
	if !w.end.own(tc) {
		_ = tc.NetConn().Close()
		return
	}
	_ = tc.SetDeadline(time.Now().Add(handshakeTimeout))
	_, err := tc.Write(encodeReply(statusOK, ""))
	if err == nil {
		err = tc.SetDeadline(time.Time{})
	}
	if err != nil {
		w.c.ctl.ended(err)
		return
	}
	w.c.ctl.attach(tc)
}

// expectControl makes c findable by its control connection; false if the id is
// taken, which an honest dialer's random id never is.
func (l *Listener) expectControl(key controlKey, c *conn, end *tcpEnd) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.waiting[key]; taken {
		return false
	}
	l.waiting[key] = waitingLink{c, end}
	close(l.waitChanged)
	l.waitChanged = make(chan struct{})
	return true
}

func (l *Listener) forget(key controlKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, key)
}
