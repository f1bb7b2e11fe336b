package shape

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// memPackets is one end of a datagram link in memory: what is written goes to
// out, what is read comes from in. Sends never wait.
type memPackets struct {
	in, out chan []byte
	closed  chan struct{}
}

func newMemPackets() *memPackets {
	return &memPackets{in: make(chan []byte, 1<<16), out: make(chan []byte, 1<<16), closed: make(chan struct{})}
}

func (m *memPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-m.in:
		return copy(b, p), m.LocalAddr(), nil
	case <-m.closed:
		return 0, nil, net.ErrClosed
	}
}

func (m *memPackets) WriteTo(b []byte, _ net.Addr) (int, error) {
	m.out <- bytes.Clone(b)
	return len(b), nil
}
func (m *memPackets) Close() error                     { close(m.closed); return nil }
func (m *memPackets) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (m *memPackets) SetDeadline(time.Time) error      { return nil }
func (m *memPackets) SetReadDeadline(time.Time) error  { return nil }
func (m *memPackets) SetWriteDeadline(time.Time) error { return nil }

func control(t testing.TB, p Profile) *Control {
	t.Helper()
	c, err := New(p, 7)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// near reports whether got is within a part of want.
func near(got, want time.Duration, part float64) bool {
	return math.Abs(float64(got)/float64(want)-1) <= part
}

func TestADatagramArrivesAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newMemPackets()
		pc := control(t, Profile{OneWay: 40 * time.Millisecond, Up: 1e6, Down: 2e6}).PacketConn(mem)
		defer func() { _ = pc.Close() }()
		start := time.Now()
		if _, err := pc.WriteTo(make([]byte, 1250), mem.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		<-mem.out
		if got := time.Since(start); got != 50*time.Millisecond { // 10 ms on the wire
			t.Fatal(got)
		}
		start = time.Now()
		mem.in <- make([]byte, 1250)
		if _, _, err := pc.ReadFrom(make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 45*time.Millisecond {
			t.Fatal(got)
		}
	})
}

func TestAFullQueueDropsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newMemPackets()
		ctl := control(t, Profile{Up: 1e6, Queue: 10_000})
		pc := ctl.PacketConn(mem)
		defer func() { _ = pc.Close() }()
		for i := range 100 {
			_, _ = pc.WriteTo(bytes.Repeat([]byte{byte(i)}, 1000), mem.LocalAddr())
		}
		time.Sleep(time.Minute)
		if n := len(mem.out); n != 10 {
			t.Fatalf("%d packets passed a queue of 10", n)
		}
		for i := range 10 {
			if p := <-mem.out; p[0] != byte(i) {
				t.Fatal("not the first ones, or out of order")
			}
		}
		if c := ctl.Counts(Up); c.Dropped != 90 || c.Packets != 100 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestLossAndJitterComeAsOftenAsTheyShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, loss = 20_000, 0.03
		mem := newMemPackets()
		ctl := control(t, Profile{OneWay: 10 * time.Millisecond, Jitter: 4 * time.Millisecond, Loss: loss})
		pc := ctl.PacketConn(mem)
		defer func() { _ = pc.Close() }()
		var sum time.Duration
		got := 0
		for range n {
			start := time.Now()
			_, _ = pc.WriteTo([]byte{1}, mem.LocalAddr())
			select {
			case <-mem.out:
				got++
				sum += time.Since(start)
			case <-time.After(time.Second):
			}
		}
		// Four standard deviations of a binomial.
		if want := n * (1 - loss); math.Abs(float64(got)-want) > 4*math.Sqrt(n*loss*(1-loss)) {
			t.Errorf("%d of %d arrived, expected %.0f", got, n, want)
		}
		if mean := sum / time.Duration(got); !near(mean, 12*time.Millisecond, 0.02) {
			t.Errorf("mean delay %v", mean)
		}
	})
}

func TestEqualSeedsLoseTheSamePackets(t *testing.T) {
	run := func() (lost []byte) {
		synctest.Test(t, func(t *testing.T) {
			mem := newMemPackets()
			pc := control(t, Profile{Loss: 0.3}).PacketConn(mem)
			for i := range 200 {
				_, _ = pc.WriteTo([]byte{byte(i)}, mem.LocalAddr())
			}
			synctest.Wait()
			for len(mem.out) > 0 {
				lost = append(lost, (<-mem.out)[0])
			}
			_ = pc.Close()
		})
		return lost
	}
	if a, b := run(), run(); !bytes.Equal(a, b) || len(a) == 200 {
		t.Fatal(a, b)
	}
}

// streams returns a shaped stream and the other end.
func streams(c *Control) (shaped, far net.Conn) {
	a, b := net.Pipe()
	return c.Conn(a), b
}

// transfer times n bytes in a direction, from the first write to the last byte.
func transfer(t testing.TB, c *Control, d Direction, n int) time.Duration {
	t.Helper()
	near, far := streams(c)
	w, r := near, far
	if d == Down {
		w, r = far, near
	}
	start := time.Now()
	sent := bytes.Repeat([]byte("0123456789abcde"), n/15+1)[:n]
	go func() {
		_, _ = w.Write(sent)
	}()
	got := make([]byte, n)
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if !bytes.Equal(got, sent) {
		t.Fatal("bytes changed or out of order")
	}
	_ = near.Close()
	_ = far.Close()
	time.Sleep(2 * lingerFor)
	return took
}

func TestABulkTransferRunsAtTheRate(t *testing.T) {
	for _, tt := range []struct {
		p Profile
		d Direction
	}{
		{Profile{OneWay: 20 * time.Millisecond, Up: 8e6}, Up},
		{Profile{OneWay: 20 * time.Millisecond, Down: 8e6}, Down},
		{Profile{OneWay: 23500 * time.Microsecond, Down: 265.8e6}, Down},
		{Profile{OneWay: 340 * time.Millisecond, Up: 400e3}, Up},
		{Profile{OneWay: 5 * time.Millisecond, Jitter: 10 * time.Millisecond, Up: 50e6}, Up},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := control(t, tt.p)
			rate := max(tt.p.Up, tt.p.Down)
			n := int(rate / 8 * 4) // four seconds' worth
			want := tt.p.OneWay + tt.p.Jitter/2 + 4*time.Second
			if got := transfer(t, c, tt.d, n); !near(got, want, 0.02) {
				t.Errorf("%+v %v: took %v, expected %v", tt.p, tt.d, got, want)
			}
		})
	}
}

func TestStreamsShareTheBottleneck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 10 * time.Millisecond, Up: 8e6})
		start := time.Now()
		done := make(chan time.Duration, 2)
		for range 2 {
			go func() { transfer(t, c, Up, 1e6); done <- time.Since(start) - 2*lingerFor }()
		}
		first, second := <-done, <-done
		if !near(max(first, second), 2*time.Second, 0.03) || !near(min(first, second), 2*time.Second, 0.1) {
			t.Fatal(first, second)
		}
	})
}

func TestLossSlowsAStreamAsTheModelSays(t *testing.T) {
	// The figures that the package comment compares itself with.
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 25 * time.Millisecond, Up: 5e6, Loss: 0.01})
		const n = 20 << 20
		rate := n * 8 / transfer(t, c, Up, n).Seconds() / 1e6
		if rate < 3.9 || rate > 4.7 {
			t.Fatalf("%.2f Mbit/s", rate)
		}
		t.Logf("%.2f Mbit/s", rate)
	})
}

func TestAnythingWrittenArrivesUnchangedInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := Profile{
			OneWay: time.Duration(rapid.IntRange(0, 1000).Draw(rt, "oneWay")) * time.Millisecond,
			Jitter: time.Duration(rapid.IntRange(0, 100).Draw(rt, "jitter")) * time.Millisecond,
			Up:     int64(rapid.IntRange(MinRate, 1e9).Draw(rt, "up")),
			Loss:   rapid.Float64Range(0, MaxLoss).Draw(rt, "loss"),
			Queue:  rapid.IntRange(MinQueue, 1<<20).Draw(rt, "queue"),
		}
		n := rapid.IntRange(1, 50_000).Draw(rt, "bytes")
		synctest.Test(t, func(t *testing.T) { transfer(t, control(t, p), Up, n) })
	})
}

func TestConnectingCostsARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 30 * time.Millisecond})
		start := time.Now()
		if err := c.Connect(t.Context()); err != nil || time.Since(start) != 60*time.Millisecond {
			t.Fatal(time.Since(start), err)
		}
		c.Cut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestACutLosesDatagramsAndHoldsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 10 * time.Millisecond})
		mem := newMemPackets()
		pc := c.PacketConn(mem)
		defer func() { _ = pc.Close() }()
		s, far := streams(c)
		_, _ = pc.WriteTo([]byte("under way"), mem.LocalAddr())
		c.Cut()
		_, _ = pc.WriteTo([]byte("sent into the cut"), mem.LocalAddr())
		if _, err := s.Write([]byte("held")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		c.Restore()
		got := make([]byte, 4)
		if _, err := io.ReadFull(far, got); err != nil || string(got) != "held" {
			t.Fatal(string(got), err)
		}
		time.Sleep(time.Minute)
		if len(mem.out) != 0 {
			t.Fatal("a datagram survived the cut")
		}
		_ = far.Close()
		_ = s.Close()
		time.Sleep(2 * lingerFor)
	})
}

func TestAStallLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 10 * time.Millisecond})
		mem := newMemPackets()
		pc := c.PacketConn(mem)
		defer func() { _ = pc.Close() }()
		c.Stall()
		_, _ = pc.WriteTo([]byte{1}, mem.LocalAddr())
		time.Sleep(time.Minute)
		if len(mem.out) != 0 {
			t.Fatal("passed a stalled link")
		}
		c.Restore()
		<-mem.out
	})
}

func TestCutAfterCountsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: time.Millisecond, Up: 1e6})
		s, far := streams(c)
		c.CutAfter(Up, 10*mss)
		go func() { _, _ = s.Write(make([]byte, 100*mss)) }()
		_ = far.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := io.Copy(io.Discard, far)
		// What was on the link when it was cut waits with the rest.
		if !errors.Is(err, os.ErrDeadlineExceeded) || n > 10*mss {
			t.Fatal(n, err)
		}
		_ = s.Close()
		time.Sleep(2 * lingerFor)
		_ = far.Close()
	})
}

func TestCorruptFlipsOneBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{})
		s, far := streams(c)
		c.Corrupt(Up, 1)
		for _, want := range []string{"ab\x23", "abc"} { // 'c' ^ 0x40
			_, _ = s.Write([]byte("abc"))
			got := make([]byte, 3)
			if _, err := io.ReadFull(far, got); err != nil || string(got) != want {
				t.Fatalf("%q %v", got, err)
			}
		}
		_ = far.Close()
		_ = s.Close()
		time.Sleep(2 * lingerFor)
	})
}

func TestBreakResetsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 10 * time.Millisecond})
		s, far := streams(c)
		read := make(chan error, 1)
		go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
		synctest.Wait()
		c.Break()
		if err := <-read; !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		_ = s.Close()
		_ = far.Close()
		time.Sleep(2 * lingerFor)
	})
}

func TestDeadlinesOfAShapedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 10 * time.Millisecond, Up: 1e5})
		s, far := streams(c)
		start := time.Now()
		_ = s.SetReadDeadline(start.Add(time.Second))
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatal(err, time.Since(start))
		}
		_ = s.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := s.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Time{})
		go func() { _, _ = far.Write([]byte{9}) }()
		b := make([]byte, 1)
		if _, err := s.Read(b); err != nil || b[0] != 9 {
			t.Fatal("dead after a deadline", err)
		}
		go func() { _, _ = io.Copy(io.Discard, far) }()
		_ = s.Close()
		time.Sleep(2 * lingerFor)
		_ = far.Close()
	})
}

func TestCloseLetsWhatWasWrittenArriveThenTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control(t, Profile{OneWay: 500 * time.Millisecond, Up: 1e6})
		s, far := streams(c)
		sent := bytes.Repeat([]byte("x"), 50_000)
		_, _ = s.Write(sent)
		_ = s.Close()
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatal(len(got), err)
		}
		_ = far.Close()
	})
}
