package pairing

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type party struct {
	id    *identity.Identity
	store *identity.Store
}

func newParty(t *testing.T) party {
	t.Helper()
	dir := t.TempDir()
	id, err := identity.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := identity.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return party{id, store}
}

func (p party) options(pref link.Preference) Options {
	return Options{Identity: p.id, Store: p.store, Name: "phone", Prefer: pref}
}

type node struct {
	party
	offers *Offers
	l      *link.Listener
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{party: newParty(t)}
	n.offers = NewOffers(n.id, n.store, "cellar")
	l, err := link.Listen(t.Context(), "127.0.0.1:0", link.ListenOptions{
		Identity: n.id, Listed: n.store.Listed, Pair: n.offers.Serve(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.l = l
	t.Cleanup(func() { _ = l.Close() })
	return n
}

func (n *node) url(t *testing.T) URL {
	t.Helper()
	u, err := n.offers.New(Addresses(n.l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPairingMakesBothSidesListEachOther(t *testing.T) {
	for _, p := range []link.Preference{link.PreferQUIC, link.PreferTCP, link.Auto} {
		t.Run("over "+string(p), func(t *testing.T) {
			n, d := newNode(t), newParty(t)
			peer, err := Pair(t.Context(), n.url(t).String(), d.options(p))
			if err != nil {
				t.Fatal(err)
			}
			if peer.ID != n.id.ID() || peer.Name != "cellar" || len(peer.Addresses) != 1 {
				t.Fatalf("%+v", peer)
			}
			got, err := n.store.Get(d.id.ID())
			if err != nil || got.Name != "phone" {
				t.Fatalf("%+v %v", got, err)
			}
			c, err := link.Dial(t.Context(), link.Options{Identity: d.id, Peer: peer.ID, Addrs: peer.Addresses, Prefer: p})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		})
	}
}

func TestUnpairTellsTheNode(t *testing.T) {
	n, d := newNode(t), newParty(t)
	if _, err := Pair(t.Context(), n.url(t).String(), d.options(link.Auto)); err != nil {
		t.Fatal(err)
	}
	told, err := Unpair(t.Context(), n.id.ID(), d.options(link.Auto))
	if err != nil || !told {
		t.Fatal(told, err)
	}
	if n.store.Listed(d.id.ID()) || d.store.Listed(n.id.ID()) {
		t.Fatal("still listed")
	}
}

func TestUnpairWorksAloneWhenTheNodeIsGone(t *testing.T) {
	n, d := newNode(t), newParty(t)
	if _, err := Pair(t.Context(), n.url(t).String(), d.options(link.PreferTCP)); err != nil {
		t.Fatal(err)
	}
	_ = n.l.Close()
	told, err := Unpair(t.Context(), n.id.ID(), d.options(link.PreferTCP))
	if err != nil || told || d.store.Listed(n.id.ID()) {
		t.Fatal(told, err)
	}
}

// pairOver runs one attempt on connected in-memory strangers, so that it can
// run on a fake clock.
func pairOver(t *testing.T, n *node, d party, u URL, exported [2]string) error {
	t.Helper()
	dr, nw := io.Pipe()
	nr, dw := io.Pipe()
	export := func(s string) func(string, int) ([]byte, error) {
		return func(string, int) ([]byte, error) { return []byte(s), nil }
	}
	type rw struct {
		io.Reader
		io.Writer
	}
	done := make(chan error, 1)
	go func() {
		done <- n.offers.Serve(nil)(context.Background(), &link.Stranger{ReadWriter: rw{nr, nw}, Peer: d.id.ID(), Export: export(exported[1])})
		_ = nw.Close()
		_ = nr.Close()
	}()
	_, err := askToPair(&link.Stranger{ReadWriter: rw{dr, dw}, Peer: n.id.ID(), Export: export(exported[0])}, u, d.options(""))
	_ = dw.Close()
	_ = dr.Close()
	<-done
	return err
}

var sameConn = [2]string{"k", "k"}

func offline(t *testing.T) (*node, party) {
	n := &node{party: newParty(t)}
	n.offers = NewOffers(n.id, n.store, "cellar")
	return n, newParty(t)
}

func (n *node) offline(t *testing.T) URL {
	t.Helper()
	u, err := n.offers.New([]string{"192.0.2.1:4000"})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestATokenIsRefusedForItsOwnReason(t *testing.T) {
	other := func(u URL) URL { u.Token[3] ^= 1; return u }
	tests := []struct {
		name string
		want error
		run  func(t *testing.T, n *node, d party) error
	}{
		{"a fresh token pairs", nil, func(t *testing.T, n *node, d party) error {
			return pairOver(t, n, d, n.offline(t), sameConn)
		}},
		{"a wrong token is wrong", ErrWrongToken, func(t *testing.T, n *node, d party) error {
			return pairOver(t, n, d, other(n.offline(t)), sameConn)
		}},
		{"a token is good to the end of its life", nil, func(t *testing.T, n *node, d party) error {
			u := n.offline(t)
			time.Sleep(Lifetime)
			return pairOver(t, n, d, u, sameConn)
		}},
		{"an old token has expired", ErrExpired, func(t *testing.T, n *node, d party) error {
			u := n.offline(t)
			time.Sleep(Lifetime + time.Second)
			return pairOver(t, n, d, u, sameConn)
		}},
		{"a token works once", ErrUsed, func(t *testing.T, n *node, d party) error {
			u := n.offline(t)
			if err := pairOver(t, n, d, u, sameConn); err != nil {
				t.Fatal(err)
			}
			return pairOver(t, n, newParty(t), u, sameConn)
		}},
		{"a token works once for the same device too", ErrUsed, func(t *testing.T, n *node, d party) error {
			u := n.offline(t)
			if err := pairOver(t, n, d, u, sameConn); err != nil {
				t.Fatal(err)
			}
			return pairOver(t, n, d, u, sameConn)
		}},
		{"a proof made on another connection is worth nothing", ErrWrongToken, func(t *testing.T, n *node, d party) error {
			return pairOver(t, n, d, n.offline(t), [2]string{"k", "man in the middle"})
		}},
		{"wrong attempts withdraw the token", ErrWithdrawn, func(t *testing.T, n *node, d party) error {
			u := n.offline(t)
			for range MaxFailures {
				if err := pairOver(t, n, d, other(u), sameConn); !errors.Is(err, ErrWrongToken) {
					t.Fatal(err)
				}
			}
			return pairOver(t, n, d, u, sameConn)
		}},
		{"a burst of attempts is slowed down", ErrTooFast, func(t *testing.T, n *node, d party) error {
			u := n.offline(t)
			for range burst {
				_ = pairOver(t, n, d, other(u), sameConn)
			}
			return pairOver(t, n, d, u, sameConn)
		}},
		{"patience restores the rate", nil, func(t *testing.T, n *node, d party) error {
			for range burst {
				_ = pairOver(t, n, d, other(n.offline(t)), sameConn)
			}
			time.Sleep(2 * perAttempt)
			return pairOver(t, n, d, n.offline(t), sameConn)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, d := offline(t)
				err := tt.run(t, n, d)
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v", err)
				}
				if listed := n.store.Listed(d.id.ID()); tt.want != nil && !errors.Is(tt.want, ErrUsed) && listed {
					t.Fatal("listed although refused")
				}
			})
		})
	}
}

func TestADeviceCutOffBeforeItsAnswerMayUseTheTokenAgain(t *testing.T) {
	n, d := offline(t)
	u := n.offline(t)
	hint := u.Token.hint()
	zero := func(Token) []byte { return nil }
	if _, err := n.offers.redeem(hint, d.id.ID(), nil, zero); err != nil {
		t.Fatal(err)
	}
	if _, err := n.offers.redeem(hint, newParty(t).id.ID(), nil, zero); !errors.Is(err, ErrUsed) {
		t.Fatal("another device used it", err)
	}
	if err := pairOver(t, n, d, u, sameConn); err != nil {
		t.Fatal(err)
	}
}

func TestANodeWithoutPairingSaysSo(t *testing.T) {
	n, d := newParty(t), newParty(t)
	l, err := link.Listen(t.Context(), "127.0.0.1:0", link.ListenOptions{Identity: n.id, Listed: n.store.Listed})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	u := URL{Node: n.id.ID(), Addrs: []string{l.Addr().String()}}
	for _, p := range []link.Preference{link.PreferQUIC, link.PreferTCP} {
		if _, err := Pair(t.Context(), u.String(), d.options(p)); !errors.Is(err, link.ErrNoPairing) {
			t.Fatalf("%s: %v", p, err)
		}
	}
}

func TestANodeWithAnotherKeyIsNotTrusted(t *testing.T) {
	n, d := newNode(t), newParty(t)
	u := n.url(t)
	u.Node = newParty(t).id.ID()
	for _, p := range []link.Preference{link.PreferQUIC, link.PreferTCP} {
		if _, err := Pair(t.Context(), u.String(), d.options(p)); !errors.Is(err, link.ErrWrongPeer) {
			t.Fatalf("%s: %v", p, err)
		}
	}
}
