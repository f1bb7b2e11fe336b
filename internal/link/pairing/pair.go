package pairing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
)

// The exchange, device first; names are one length byte and UTF-8:
//
//	pair:    version 1, kind 1, hint 8, proof 32, name
//	answer:  version 1, status 1, proof 32, name     (proof and name zero on refusal)
//	confirm: 1 byte, after the device has listed the node
//
//	unpair:  version 1, kind 1
//	answer:  version 1, status 1
const (
	version       = 1
	kindPair      = 0
	kindUnpair    = 1
	proofLen      = sha256.Size
	exporterLabel = "EXPORTER-clonecloud-pairing"
	roleDevice    = "device"
	roleNode      = "node"
	confirmByte   = 1
)

// prove is one side's proof that it knows the token on this connection.
func prove(t Token, role string, exported []byte, device, node identity.ID) []byte {
	m := hmac.New(sha256.New, t[:])
	for _, part := range [][]byte{[]byte("clonecloud pairing 1"), []byte(role), exported, device[:], node[:]} {
		m.Write([]byte{byte(len(part))})
		m.Write(part)
	}
	return m.Sum(nil)
}

// Options say how a device reaches the node for pairing.
type Options struct {
	Identity *identity.Identity
	Store    *identity.Store
	Name     string // the device's, shown on the node
	Prefer   link.Preference
	Shape    *shape.Profile
}

// Pair makes the device and the node of the URL list each other, and returns
// the node as it was listed. Besides this package's errors it returns link's:
// ErrUnreachable, ErrWrongPeer, ErrNoPairing.
func Pair(ctx context.Context, text string, o Options) (identity.Peer, error) {
	u, err := Parse(text)
	if err != nil {
		return identity.Peer{}, err
	}
	s, err := link.DialStranger(ctx, link.Options{Identity: o.Identity, Peer: u.Node, Addrs: u.Addrs, Prefer: o.Prefer, Shape: o.Shape})
	if err != nil {
		return identity.Peer{}, fmt.Errorf("pair with %s: %w", u.Node.Short(), err)
	}
	defer s.Close()
	peer, err := askToPair(s, u, o)
	if err != nil {
		return identity.Peer{}, fmt.Errorf("pair with %s: %w", u.Node.Short(), err)
	}
	return peer, nil
}

func askToPair(s *link.Stranger, u URL, o Options) (identity.Peer, error) {
	exported, err := s.Export(exporterLabel, proofLen)
	if err != nil {
		return identity.Peer{}, fmt.Errorf("export key material: %w", err)
	}
	device := o.Identity.ID()
	hint := u.Token.hint()
	msg := []byte{version, kindPair}
	msg = append(msg, hint[:]...)
	msg = append(msg, prove(u.Token, roleDevice, exported, device, u.Node)...)
	msg = appendName(msg, o.Name)
	if _, err := s.Write(msg); err != nil {
		return identity.Peer{}, fmt.Errorf("send: %w", err)
	}
	if err := readStatus(s); err != nil {
		return identity.Peer{}, err
	}
	proof := make([]byte, proofLen)
	if _, err := io.ReadFull(s, proof); err != nil {
		return identity.Peer{}, fmt.Errorf("read answer: %w", err)
	}
	name, err := readName(s)
	if err != nil {
		return identity.Peer{}, fmt.Errorf("read answer: %w", err)
	}
	if !hmac.Equal(proof, prove(u.Token, roleNode, exported, device, u.Node)) {
		return identity.Peer{}, ErrImpostor
	}
	if name == "" {
		name = u.Name
	}
	if err := o.Store.Add(identity.Peer{ID: u.Node, Name: name, Addresses: u.Addrs}); err != nil {
		return identity.Peer{}, err
	}
	// The node keeps the token open for us until it hears this; not arriving
	// does not undo the pairing.
	_, _ = s.Write([]byte{confirmByte})
	return o.Store.Get(u.Node)
}

// Unpair removes the node from the device's list and, when it can be reached
// within ctx, the device from the node's. told reports the latter; err is about
// the device's own list only.
func Unpair(ctx context.Context, id identity.ID, o Options) (told bool, err error) {
	peer, err := o.Store.Get(id)
	if err != nil {
		return false, fmt.Errorf("unpair: %w", err)
	}
	// First ours: from here on nothing can be offloaded there, whatever the
	// network does.
	if err := o.Store.Remove(id); err != nil {
		return false, fmt.Errorf("unpair: %w", err)
	}
	if len(peer.Addresses) == 0 {
		return false, nil
	}
	s, err := link.DialStranger(ctx, link.Options{Identity: o.Identity, Peer: id, Addrs: peer.Addresses, Prefer: o.Prefer, Shape: o.Shape})
	if err != nil {
		return false, nil
	}
	defer s.Close()
	if _, err := s.Write([]byte{version, kindUnpair}); err != nil {
		return false, nil
	}
	err = readStatus(s)
	return err == nil || errors.Is(err, ErrNotListed), nil
}

// Serve answers one connection for pairing or unpairing; it is what
// link.ListenOptions.Pair wants. Afterwards, changed is called with the peer
// that was added or removed, if it is not nil.
func (o *Offers) Serve(changed func(id identity.ID, added bool)) func(context.Context, *link.Stranger) error {
	return func(_ context.Context, s *link.Stranger) error {
		var head [2]byte
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return fmt.Errorf("pairing: %w", err)
		}
		if head[0] != version {
			return refuse(s, ErrProtocol)
		}
		switch head[1] {
		case kindPair:
			return o.servePair(s, changed)
		case kindUnpair:
			return o.serveUnpair(s, changed)
		default:
			return refuse(s, ErrProtocol)
		}
	}
}

func (o *Offers) servePair(s *link.Stranger, changed func(identity.ID, bool)) error {
	var hint tokenHint
	proof := make([]byte, proofLen)
	if _, err := io.ReadFull(s, hint[:]); err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	if _, err := io.ReadFull(s, proof); err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	name, err := readName(s)
	if err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	if err := o.allow(); err != nil {
		return refuse(s, err)
	}
	exported, err := s.Export(exporterLabel, proofLen)
	if err != nil {
		return fmt.Errorf("pairing: export key material: %w", err)
	}
	token, err := o.redeem(hint, s.Peer, proof, func(t Token) []byte {
		return prove(t, roleDevice, exported, s.Peer, o.own.ID())
	})
	if err != nil {
		return refuse(s, err)
	}
	if err := o.store.Add(identity.Peer{ID: s.Peer, Name: name, Added: time.Now().UTC().Truncate(time.Second)}); err != nil {
		o.giveBack(hint)
		return refuse(s, fmt.Errorf("%w: %w", ErrFull, err))
	}
	if changed != nil {
		changed(s.Peer, true)
	}
	answer := []byte{version, byte(statusOK)}
	answer = append(answer, prove(token, roleNode, exported, s.Peer, o.own.ID())...)
	answer = appendName(answer, o.name)
	if _, err := s.Write(answer); err != nil {
		return fmt.Errorf("pairing: answer: %w", err)
	}
	var b [1]byte
	if _, err := io.ReadFull(s, b[:]); err == nil && b[0] == confirmByte {
		o.confirm(hint)
	}
	return nil
}

func (o *Offers) serveUnpair(s *link.Stranger, changed func(identity.ID, bool)) error {
	err := o.store.Remove(s.Peer)
	if errors.Is(err, identity.ErrUnknownPeer) {
		return refuse(s, ErrNotListed)
	}
	if err != nil {
		return refuse(s, fmt.Errorf("%w: %w", ErrFull, err))
	}
	_, werr := s.Write([]byte{version, byte(statusOK)})
	if changed != nil {
		changed(s.Peer, false)
	}
	return werr
}

// refuse tells the other side why, and the caller.
func refuse(s *link.Stranger, why error) error {
	_, _ = s.Write([]byte{version, byte(statusOf(why))})
	return fmt.Errorf("pairing with %s refused: %w", s.Peer.Short(), why)
}

func readStatus(r io.Reader) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if head[0] != version {
		return ErrProtocol
	}
	return status(head[1]).err()
}

func appendName(b []byte, name string) []byte {
	name = identity.CleanName(name)
	b = append(b, byte(len(name)))
	return append(b, name...)
}

func readName(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	b := make([]byte, n[0])
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	return identity.CleanName(string(b)), nil
}
