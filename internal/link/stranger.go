package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Stranger is a TLS connection to somebody who need not be listed: what pairing
// runs over, and nothing else. Peer has proved to hold its key.
type Stranger struct {
	io.ReadWriter
	Peer   ID
	Remote net.Addr
	// Export derives key material that both ends of this very connection share
	// and nobody between them, with the label given (RFC 8446, 7.5).
	Export func(label string, length int) ([]byte, error)

	close func()
}

// Close ends the connection, letting what was written arrive.
func (s *Stranger) Close() {
	if s.close != nil {
		s.close()
	}
}

func stranger(cs tls.ConnectionState, rw io.ReadWriter, remote net.Addr) *Stranger {
	peer, err := peerOf(cs)
	if err != nil {
		return nil
	}
	return &Stranger{ReadWriter: rw, Peer: peer, Remote: remote, Export: func(label string, n int) ([]byte, error) {
		return cs.ExportKeyingMaterial(label, nil, n)
	}}
}

func (l *Listener) servePairing(ctx context.Context, s *Stranger) {
	if s == nil || l.opts.Pair == nil {
		return
	}
	if err := l.opts.Pair(ctx, s); err != nil {
		l.refused(err)
	}
}

// DialStranger reaches o.Peer for pairing; the peer need not list us, and must
// prove to be o.Peer. Addresses and transports race as in Dial.
func DialStranger(ctx context.Context, o Options) (*Stranger, error) {
	r, err := NewRedialer(o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, defaultDialTime)
	defer cancel()
	return race(ctx, r.candidates(), func(ctx context.Context, c candidate) (*Stranger, error) {
		if c.transport == QUIC {
			return r.strangerQUIC(ctx, c.addr)
		}
		return r.strangerTCP(ctx, c.addr)
	}, (*Stranger).Close)
}

// strangerLinger is how long the end of a pairing may travel.
const strangerLinger = 300 * time.Millisecond

func (r *Redialer) strangerTCP(ctx context.Context, addr string) (*Stranger, error) {
	tc, err := r.handshakeTCP(ctx, addr, alpnPair)
	if err != nil {
		return nil, fmt.Errorf("dial %s over TCP: %w", addr, pairAlert(err))
	}
	_ = tc.SetDeadline(time.Now().Add(2 * handshakeTimeout))
	s := stranger(tc.ConnectionState(), tc, tc.RemoteAddr())
	s.close = func() { _ = tc.Close() }
	return s, nil
}

func (r *Redialer) strangerQUIC(ctx context.Context, addr string) (*Stranger, error) {
	remotes, err := resolveUDP(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", addr, err)
	}
	tr, err := r.transport()
	if err != nil {
		return nil, err
	}
	var v verdict
	qc, err := tr.Dial(ctx, remotes[0], clientTLS(r.opts.Identity, r.opts.Peer, alpnPair, nil, &v), quicConfig(false))
	if err != nil {
		return nil, v.or(fmt.Errorf("dial %s over QUIC: %w", addr, pairAlert(err)))
	}
	r.hold(qc)
	st, err := qc.OpenStream()
	if err != nil {
		_ = qc.CloseWithError(codeBye, "")
		return nil, fmt.Errorf("dial %s over QUIC: %w", addr, err)
	}
	_ = st.SetDeadline(time.Now().Add(2 * handshakeTimeout))
	s := stranger(qc.ConnectionState().TLS, st, qc.RemoteAddr())
	s.close = func() {
		_ = st.Close()
		_ = st.SetReadDeadline(time.Now().Add(strangerLinger))
		go func() {
			_, _ = io.Copy(io.Discard, st) // until the other side has read all
			_ = qc.CloseWithError(codeBye, "")
		}()
	}
	return s, nil
}

// ErrNoPairing: the node answers and offers no pairing.
var ErrNoPairing = errors.New("the node does not accept pairing now")

// alertNoALPN is TLS's no_application_protocol.
const alertNoALPN = 120

func pairAlert(err error) error {
	if isAlert(err, alertNoALPN) {
		return fmt.Errorf("%w: %w", ErrNoPairing, err)
	}
	return err
}
