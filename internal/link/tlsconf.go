package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// Application protocols. The version of ours is in the hello, where a mismatch
// can be explained; a TLS alert could not.
const (
	alpnLink = "clonecloud"
	alpnPair = "clonecloud-pair"
)

// errCertificate refuses a certificate that no version of ours makes.
var errCertificate = errors.New("peer certificate is not one self-signed ECDSA P-256 certificate")

// peerOf returns whom a TLS connection is with. TLS has checked that the peer
// holds the key; for a resumed connection the certificates come from the ticket.
func peerOf(cs tls.ConnectionState) (ID, error) {
	if len(cs.PeerCertificates) != 1 {
		return ID{}, errCertificate
	}
	pub, ok := cs.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return ID{}, errCertificate
	}
	return identity.OfCertificate(cs.PeerCertificates[0]), nil
}

func baseTLS(own *identity.Identity) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{own.TLSCertificate()},
		MinVersion:   tls.VersionTLS13,
		// A bulk writer wants full records at once; nothing here is rendered
		// while it arrives.
		DynamicRecordSizingDisabled: true,
	}
}

// clientTLS accepts exactly one server: the one with id peer. verdict keeps
// the reason of a refusal, which crypto/tls and QUIC would flatten to an alert.
func clientTLS(own *identity.Identity, peer ID, alpn string, cache tls.ClientSessionCache, verdict *verdict) *tls.Config {
	conf := baseTLS(own)
	conf.NextProtos = []string{alpn}
	// Not a host name: it makes the session cache's key the peer.
	conf.ServerName = peer.Short() + ".clonecloud.invalid"
	conf.ClientSessionCache = cache
	// There is no authority to verify against; VerifyConnection compares the
	// key itself, also when a session is resumed.
	conf.InsecureSkipVerify = true //nolint:gosec // see above
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		got, err := peerOf(cs)
		if err == nil && got != peer {
			err = fmt.Errorf("%w: expected %s, found %s", ErrWrongPeer, peer.Short(), got.Short())
		}
		if err == nil && cs.NegotiatedProtocol != alpn {
			err = fmt.Errorf("%w: application protocol %q", ErrProtocol, cs.NegotiatedProtocol)
		}
		verdict.set(err)
		return err
	}
	return conf
}

// serverTLS demands a certificate of every client and leaves the question
// whether it is listed to the hello: an alert at this point would reach the
// client as a nameless failure, after its handshake seemed complete, or not at
// all when the reset overtakes it.
func serverTLS(own *identity.Identity, alpns []string) *tls.Config {
	conf := baseTLS(own)
	conf.NextProtos = alpns
	conf.ClientAuth = tls.RequireAnyClientCert
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := peerOf(cs)
		return err
	}
	return conf
}
