package link

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newIdentity(t testing.TB) *identity.Identity {
	t.Helper()
	id, err := identity.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// node is a listener that knows one device.
type node struct {
	*Listener
	id, device *identity.Identity
}

func newNode(t testing.TB, change func(*ListenOptions)) *node {
	t.Helper()
	n := &node{id: newIdentity(t), device: newIdentity(t)}
	o := ListenOptions{Identity: n.id, Listed: func(id ID) bool { return id == n.device.ID() }}
	if change != nil {
		change(&o)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	n.Listener = l
	t.Cleanup(func() { _ = l.Close() })
	return n
}

func (n *node) options(p Preference) Options {
	return Options{Identity: n.device, Peer: n.id.ID(), Addrs: []string{n.Addr().String()}, Prefer: p}
}

// connect returns both ends.
func (n *node) connect(t testing.TB, o Options) (device, clone Conn) {
	t.Helper()
	d, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, n.accept(t)
}

func (n *node) accept(t testing.TB) Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := n.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func bothTransports(t *testing.T, f func(t *testing.T, p Preference)) {
	for _, p := range []Preference{PreferQUIC, PreferTCP} {
		t.Run(string(p), func(t *testing.T) { f(t, p) })
	}
}

func TestBytesArriveInOrderBothWays(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		d, c := n.connect(t, n.options(p))
		if d.Transport() != string(p) || d.Peer() != n.id.ID() || c.Peer() != n.device.ID() {
			t.Fatalf("transport %s, peers %s %s", d.Transport(), d.Peer(), c.Peer())
		}
		sent := make([]byte, 3<<20)
		_, _ = rand.Read(sent)
		errs := make(chan error, 2)
		go func() { _, err := d.Write(sent); errs <- err }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		go func() { _, err := c.Write(got); errs <- err }()
		back := make([]byte, len(sent))
		if _, err := io.ReadFull(d, back); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sent, back) {
			t.Fatal("bytes changed under way")
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		s := d.Stats()
		if s.BytesUp != int64(len(sent)) || s.BytesDown != int64(len(sent)) || !s.RTT.Known() {
			t.Fatalf("stats %+v", s)
		}
	})
}

func TestWhatWasWrittenBeforeCloseArrives(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		d, c := n.connect(t, n.options(p))
		sent := make([]byte, 1<<20)
		go func() {
			_, _ = d.Write(sent)
			_ = d.Close()
		}()
		got, err := io.ReadAll(c)
		if err != nil || len(got) != len(sent) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	})
}

func TestControlPassesWhileTheDataStreamIsFull(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		d, c := n.connect(t, n.options(p))
		go func() {
			for {
				if _, err := d.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}()
		time.Sleep(200 * time.Millisecond) // nobody reads: the stream fills
		if _, err := d.Control().Write([]byte("cancel")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 6)
		if _, err := io.ReadFull(c.Control(), got); err != nil || string(got) != "cancel" {
			t.Fatalf("%q %v", got, err)
		}
		if _, err := c.Control().Write([]byte("ok")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d.Control(), got[:2]); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDialTellsAnUnknownDeviceThatItIsNotPaired(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		o := n.options(p)
		o.Identity = newIdentity(t)
		if c, err := Dial(t.Context(), o); !errors.Is(err, ErrNotPaired) {
			t.Fatalf("%v %v", c, err)
		}
	})
}

func TestDialRefusesAnotherPeer(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		o := n.options(p)
		o.Peer = newIdentity(t).ID()
		if c, err := Dial(t.Context(), o); !errors.Is(err, ErrWrongPeer) {
			t.Fatalf("%v %v", c, err)
		}
	})
}

func TestTCPIsUsedWhereUDPDoesNotPass(t *testing.T) {
	n := newNode(t, func(o *ListenOptions) { o.NoQUIC = true })
	// A UDP socket that swallows everything, as a firewall does.
	hole, err := net.ListenPacket("udp", n.Addr().String())
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = hole.Close() }()
	d, _ := n.connect(t, n.options(Auto))
	if d.Transport() != TCP {
		t.Fatal(d.Transport())
	}
}

func TestZeroRTTCarriesEarlyDataOnTheSecondDial(t *testing.T) {
	n := newNode(t, nil)
	r, err := NewRedialer(n.options(PreferQUIC))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range []bool{false, true, true} {
		d, err := r.Dial(t.Context(), []byte("probe"))
		if err != nil {
			t.Fatal(err)
		}
		c := n.accept(t)
		data, replayable := c.Early()
		if string(data) != "probe" || replayable != want || d.Stats().Early != want {
			t.Fatalf("dial %d: early %q replayable %v, stats %+v", i, data, replayable, d.Stats())
		}
		if _, err := d.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("y")); err != nil { // the ticket is behind it
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		_ = c.Close()
	}
}
