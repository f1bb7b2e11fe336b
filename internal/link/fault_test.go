package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/shape"
)

// shaped returns options whose link is p, with its knobs.
func (n *node) shaped(t testing.TB, pref Preference, p shape.Profile) (Options, *shape.Control) {
	t.Helper()
	ctl, err := shape.New(p, 3)
	if err != nil {
		t.Fatal(err)
	}
	o := n.options(pref)
	o.Net = ctl
	return o, ctl
}

// echo serves connections until the listener closes.
func (n *node) echo(t testing.TB) {
	t.Helper()
	go func() {
		for {
			c, err := n.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
}

func roundTrip(c Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

func TestAStreamDiesOfACorruptedByteAndQUICDoesNot(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		n.echo(t)
		o, ctl := n.shaped(t, p, shape.Profile{OneWay: time.Millisecond})
		d, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		if _, err := d.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []shape.Direction{shape.Down, shape.Up} {
			ctl.Corrupt(dir, 1)
			err = roundTrip(d)
			if p == PreferTCP {
				break
			}
			if err != nil {
				t.Fatal("QUIC did not resend what was corrupted", err)
			}
		}
		if p == PreferTCP && !errors.Is(err, ErrLost) {
			t.Fatalf("a corrupted record passed: %v", err)
		}
	})
}

func TestACutLinkIsLostOnBothSides(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		o, ctl := n.shaped(t, p, shape.Profile{OneWay: time.Millisecond})
		o.Silence = 500 * time.Millisecond
		d, c := n.connect(t, o)
		if _, err := d.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctl.Cut()
		for _, end := range []Conn{d, c} {
			if _, err := end.Read(make([]byte, 1)); !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
			<-end.Done()
			if !errors.Is(end.Err(), ErrLost) {
				t.Fatal(end.Err())
			}
			if _, err := end.Write([]byte{1}); !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
			if _, err := end.Control().Read(make([]byte, 1)); !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
		}
	})
}

func TestABrokenConnectionIsLostAtOnce(t *testing.T) {
	n := newNode(t, nil)
	o, ctl := n.shaped(t, PreferTCP, shape.Profile{})
	d, c := n.connect(t, o)
	ctl.Break()
	for _, end := range []Conn{d, c} {
		if _, err := end.Read(make([]byte, 1)); !errors.Is(err, ErrLost) {
			t.Fatal(err)
		}
	}
}

func TestAShortStallIsSurvived(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		n.echo(t)
		o, ctl := n.shaped(t, p, shape.Profile{OneWay: time.Millisecond})
		d, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		ctl.Stall()
		time.AfterFunc(300*time.Millisecond, ctl.Restore)
		if err := roundTrip(d); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRedialComesBackAsSoonAsTheLinkDoes(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		n.echo(t)
		o, ctl := n.shaped(t, p, shape.Profile{OneWay: time.Millisecond})
		o.Silence = 300 * time.Millisecond
		r, err := NewRedialer(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		d, err := r.Dial(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := roundTrip(d); err != nil {
			t.Fatal(err)
		}
		ctl.Cut()
		<-d.Done()
		time.AfterFunc(300*time.Millisecond, ctl.Restore)
		d, err = r.Redial(t.Context(), []byte("resume"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		if err := roundTrip(d); err != nil {
			t.Fatal(err)
		}
		if p == PreferQUIC && !d.Stats().Early {
			t.Error("the redial did not use 0-RTT")
		}
	})
}

func TestRedialGivesUpWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemoryNet()
		ctl, err := shape.New(profile(t, "none"), 1)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRedialer(Options{Identity: newIdentity(t), Peer: ID{1}, Memory: mem, Net: ctl})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := r.Redial(t.Context(), nil); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		if took := time.Since(start); took != DefaultRedialTime {
			t.Fatal(took)
		}
	})
}

func TestAProfileThatCutsTheLinkMakesTheNodeUnreachable(t *testing.T) {
	n := newNode(t, nil)
	o := n.options(Auto)
	p := profile(t, "none")
	o.Shape = &p
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, o); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
}

func TestNobodyListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = Dial(ctx, Options{Identity: newIdentity(t), Peer: ID{1}, Addrs: []string{addr}})
	if !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
}

func TestARevokedDeviceIsRefusedAlsoWithATicket(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		var revoked atomic.Bool
		device := newIdentity(t)
		n := newNode(t, func(o *ListenOptions) {
			o.Listed = func(id ID) bool { return id == device.ID() && !revoked.Load() }
		})
		n.device = device
		n.echo(t)
		r, err := NewRedialer(n.options(p))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		d, err := r.Dial(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := roundTrip(d); err != nil {
			t.Fatal(err)
		}
		revoked.Store(true)
		n.Disconnect(device.ID())
		if _, err := d.Read(make([]byte, 1)); err == nil {
			t.Fatal("still connected")
		}
		_ = d.Close()
		if _, err := r.Dial(t.Context(), []byte("early")); !errors.Is(err, ErrNotPaired) {
			t.Fatal(err)
		}
	})
}

func TestADrainingNodeSaysSo(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, nil)
		d, _ := n.connect(t, n.options(p))
		n.Drain()
		if _, err := Dial(t.Context(), n.options(p)); !errors.Is(err, ErrDraining) {
			t.Fatal(err)
		}
		if _, err := d.Ping(t.Context()); err != nil {
			t.Fatal("draining ended a connection", err)
		}
	})
}

func TestOnePeerCannotTakeAllConnections(t *testing.T) {
	bothTransports(t, func(t *testing.T, p Preference) {
		n := newNode(t, func(o *ListenOptions) { o.PerPeer = 2 })
		first, clone := n.connect(t, n.options(p))
		go func() { // a node reads, so it sees the end
			_, _ = io.Copy(io.Discard, clone)
			_ = clone.Close()
		}()
		n.connect(t, n.options(p))
		if _, err := Dial(t.Context(), n.options(p)); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		_ = first.Close()
		for deadline := time.Now().Add(5 * time.Second); ; {
			if _, err := Dial(t.Context(), n.options(p)); err == nil {
				return
			} else if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestANodeThatRestartedIsNoticedAndDialledAgain(t *testing.T) {
	n := newNode(t, nil)
	addr := n.Addr().String()
	o := n.options(PreferQUIC)
	o.Silence = time.Minute
	r, err := NewRedialer(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := r.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	n.accept(t)
	// Gone without a word, as by SIGKILL: the socket closes under QUIC.
	_ = n.tr.Conn.Close()
	_ = n.Close()
	l, err := Listen(t.Context(), addr, ListenOptions{Identity: n.id, Listed: func(ID) bool { return true }})
	if err != nil {
		t.Skip("the port was taken meanwhile:", err)
	}
	defer func() { _ = l.Close() }()
	// The next packet to the new process is answered by a stateless reset.
	start := time.Now()
	_, _ = d.Write(make([]byte, 2000))
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	if time.Since(start) > 20*time.Second {
		t.Error("only the idle time-out noticed")
	}
	d, err = r.Redial(t.Context(), []byte("again")) // its ticket is unknown there
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
}

func TestTheFirstAddressThatAnswersWins(t *testing.T) {
	n := newNode(t, nil)
	for _, p := range []Preference{PreferQUIC, PreferTCP} {
		o := n.options(p)
		o.Addrs = []string{"192.0.2.1:9", "127.0.0.1:1", o.Addrs[0]} // TEST-NET never answers
		start := time.Now()
		d, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: %v", p, took)
		}
	}
}
