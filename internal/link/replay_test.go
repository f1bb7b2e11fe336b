package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder passes datagrams between a dialer and a node and keeps what the
// dialer sent.
type recorder struct {
	net.PacketConn
	node net.Addr

	mu   sync.Mutex
	sent [][]byte
	from net.Addr
}

func (r *recorder) run() {
	buf := make([]byte, 2048)
	for {
		n, from, err := r.ReadFrom(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		to := r.node
		if from.String() == r.node.String() {
			to = r.from
		} else {
			r.from = from
			r.sent = append(r.sent, append([]byte(nil), buf[:n]...))
		}
		r.mu.Unlock()
		_, _ = r.WriteTo(buf[:n], to)
	}
}

func (r *recorder) take() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.sent
	r.sent = nil
	return out
}

// A replayed first flight reaches the node with its early data, because nothing
// in QUIC prevents that: it must be marked, and must be all that the node reads.
func TestAReplayedFirstFlightIsMarkedAndLeadsNowhere(t *testing.T) {
	n := newNode(t, nil)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{PacketConn: pc, node: n.quic.Addr()}
	var wg sync.WaitGroup
	wg.Go(rec.run)
	defer wg.Wait()
	defer func() { _ = pc.Close() }()
	o := n.options(PreferQUIC)
	o.Addrs = []string{pc.LocalAddr().String()}
	r, err := NewRedialer(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		rec.take()
		d, err := r.Dial(t.Context(), []byte("probe"))
		if err != nil {
			t.Fatal(err)
		}
		c := n.accept(t)
		if _, err := d.Write([]byte("pay 100")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 7)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		_ = c.Close()
	}
	flight := rec.take()
	time.Sleep(time.Second) // the node forgets the connection ids of what it closed
	attacker, err := net.Dial("udp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = attacker.Close() }()
	for _, p := range flight {
		_, _ = attacker.Write(p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c, err := n.Accept(ctx)
	if err != nil {
		t.Skip("the replay was not accepted at all, which is as good:", err)
	}
	data, replayable := c.Early()
	if string(data) != "probe" || !replayable {
		t.Fatalf("%q is not marked as replayable", data)
	}
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if b, err := io.ReadAll(c); len(b) > 0 || !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, ErrLost) {
		t.Fatalf("read %q, %v from a handshake that nobody completed", b, err)
	}
	_ = c.Close()
}

func TestTheSecondTCPDialResumesToo(t *testing.T) {
	n := newNode(t, nil)
	n.echo(t)
	r, err := NewRedialer(n.options(PreferTCP))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, want := range []bool{false, true} {
		d, err := r.Dial(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Stats().Resumed; got != want {
			t.Errorf("resumed %v, expected %v", got, want)
		}
		if err := roundTrip(d); err != nil { // the ticket comes with the answer
			t.Fatal(err)
		}
		_ = d.Close()
	}
}

func TestWhatWorkedIsTriedFirst(t *testing.T) {
	n := newNode(t, func(o *ListenOptions) { o.NoQUIC = true })
	o := n.options(Auto)
	dead := "127.0.0.1:1"
	o.Addrs = []string{dead, o.Addrs[0]}
	r, err := NewRedialer(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if first := r.candidates()[0]; first.transport != QUIC || first.addr != dead {
		t.Fatalf("%+v", first)
	}
	d, err := r.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	first, last := r.candidates()[0], r.candidates()[3]
	if first.transport != TCP || first.addr != o.Addrs[1] || first.after != 0 {
		t.Fatalf("%+v", first)
	}
	if last.transport != QUIC {
		t.Fatal("QUIC is not given another chance")
	}
}

func TestABulkUploadOverASlowLinkIsNotTakenForSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c, _, err := Pipe(profile(t, "3g-2011"), 1)
		if err != nil {
			t.Fatal(err)
		}
		const n = 2 << 20 // forty seconds' worth
		go func() { _, _ = d.Write(make([]byte, n)) }()
		if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		_ = c.Close()
		time.Sleep(Settle)
	})
}

func TestACancelOvertakesTheBulkThatIsQueuedInUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := profile(t, "wifi-2011")
		d, c, _, err := Pipe(p, 1)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = d.Write(make([]byte, 20<<20)) }()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		time.Sleep(5 * time.Second) // well inside half a minute of bulk
		start := time.Now()
		if _, err := d.Control().Write([]byte("cancel")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.Control(), make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		// No later than the network's own queue lets it.
		queue := time.Duration(float64(p.Queue) * 8 / float64(p.Up) * float64(time.Second))
		if took, most := time.Since(start), 2*queue+p.OneWay; took > most {
			t.Fatalf("%v, expected %v at most", took, most)
		}
		_ = d.Close()
		_ = c.Close()
		time.Sleep(Settle)
	})
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := Options{Identity: newIdentity(t), Peer: ID{1}, Addrs: []string{"127.0.0.1:1"}}
	for name, change := range map[string]func(*Options){
		"no identity":             func(o *Options) { o.Identity = nil },
		"no peer":                 func(o *Options) { o.Peer = ID{} },
		"no address":              func(o *Options) { o.Addrs = nil },
		"an address without port": func(o *Options) { o.Addrs = []string{"host"} },
		"too many addresses":      func(o *Options) { o.Addrs = make([]string, maxAddrs+1) },
		"an unknown transport":    func(o *Options) { o.Prefer = "udp" },
		"too much early data":     func(o *Options) { o.EarlyData = make([]byte, MaxEarlyData+1) },
		"no silence at all":       func(o *Options) { o.Silence = 1 },
		"a negative bound":        func(o *Options) { o.RedialTime = -1 },
	} {
		o := good
		change(&o)
		if _, err := NewRedialer(o); !errors.Is(err, errOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
