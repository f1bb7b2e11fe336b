package proc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/runner/proc"
)

// loopModule exports loop(n i64), which counts to n and calls nothing.
var loopModule = []byte{
	0x00, 'a', 's', 'm', 1, 0, 0, 0,
	1, 5, 1, 0x60, 1, 0x7e, 0,
	3, 2, 1, 0,
	7, 8, 1, 4, 'l', 'o', 'o', 'p', 0, 0,
	10, 18, 1, 16, 0,
	0x03, 0x40, // loop
	0x20, 0, 0x42, 1, 0x7d, 0x22, 0, // local.tee (n - 1)
	0x50, 0x45, // not zero
	0x0d, 0, // br_if
	0x0b, 0x0b,
}

// newLoop returns a guest function that counts.
func newLoop(ctx context.Context) (func(n uint64) error, error) {
	kind, _ := engine.DefaultKind()
	e, err := engine.New(ctx, engine.Config{Kind: kind})
	if err != nil {
		return nil, err
	}
	m, err := e.Compile(ctx, loopModule)
	if err != nil {
		return nil, err
	}
	in, err := e.Instantiate(ctx, m, "")
	if err != nil {
		return nil, err
	}
	f, ok := in.Function("loop")
	if !ok {
		return nil, errors.New("no export loop")
	}
	return func(n uint64) error { return f.Call(ctx, []uint64{n}) }, nil
}

// runGuest computes in a guest for the milliseconds that the first eight bytes
// of the stream name, while another goroutine echoes every byte that follows.
func runGuest(c *proc.Child) int {
	loop, err := newLoop(context.Background())
	if err != nil {
		return 1
	}
	var want [8]byte
	if _, err := io.ReadFull(c.Conn, want[:]); err != nil {
		return 2
	}
	target := time.Duration(binary.BigEndian.Uint64(want[:])) * time.Millisecond
	n := calibrate(loop, target)
	go func() {
		var b [1]byte
		for {
			if _, err := c.Conn.Read(b[:]); err != nil {
				return
			}
			if _, err := c.Conn.Write(b[:]); err != nil {
				return
			}
		}
	}()
	start := time.Now()
	if err := loop(n); err != nil {
		return 3
	}
	var out [9]byte
	out[0] = 0xff // the end; a ping is a zero
	binary.BigEndian.PutUint64(out[1:], uint64(time.Since(start)))
	if _, err := c.Conn.Write(out[:]); err != nil {
		return 4
	}
	select {} // the parent ends it: see the package comment on last words
}

// calibrate returns the count that takes at least target.
func calibrate(loop func(uint64) error, target time.Duration) uint64 {
	n := uint64(1 << 16)
	for {
		start := time.Now()
		if loop(n) != nil {
			return 1
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			return uint64(float64(n) * 1.3 * float64(target) / float64(took))
		}
		n *= 2
	}
}

// ping drives the program "guest": it asks for a loop of this length, pings
// while the loop runs, calls between at each ping, and returns the pings' times
// and how long the loop ran.
func ping(t *testing.T, p *proc.Process, loop time.Duration, between func(i int)) (pings []time.Duration, ran time.Duration) {
	t.Helper()
	var req [8]byte
	binary.BigEndian.PutUint64(req[:], uint64(loop/time.Millisecond))
	if _, err := p.Conn().Write(req[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	for i := 0; ; i++ {
		sent := time.Now()
		if _, err := p.Conn().Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(p.Conn(), b); err != nil {
			t.Fatal(err)
		}
		pings = append(pings, time.Since(sent))
		if b[0] != 0 {
			break
		}
		between(i)
		time.Sleep(time.Millisecond)
	}
	var took [8]byte
	if _, err := io.ReadFull(p.Conn(), took[:]); err != nil {
		t.Fatal(err)
	}
	if len(pings) < 12 {
		t.Fatalf("%d pings: the process was stalled", len(pings))
	}
	// The first waits for the calibration, the last for the end.
	return pings[1 : len(pings)-1], time.Duration(binary.BigEndian.Uint64(took[:]))
}

// checkPings fails the test if the process was stalled. There is no absolute
// bound: a stall lasts as long as the loop, or what is left of it.
func checkPings(t *testing.T, pings []time.Duration, ran time.Duration) {
	t.Helper()
	worst, mid := percentile(pings, 1), percentile(pings, 0.5)
	t.Logf("guest ran %v; %d pings, median %v, worst %v", ran, len(pings), mid, worst)
	if worst > ran/3 {
		t.Errorf("a ping took %v of a loop of %v", worst, ran)
	}
}

// With default settings the ping that meets a collection waits for the guest's
// whole loop, in the child as in a parent that would run the guest itself.
func TestASpinningGuestStallsNeitherItsProcessNorItsParent(t *testing.T) {
	if testing.Short() {
		t.Skip("computes for seconds")
	}
	p := start(t, proc.Config{Args: []string{"guest"}, Stderr: os.Stderr, TimeLimit: 2 * time.Minute})
	garbage := make([][]byte, 8)
	var collections []time.Duration
	pings, ran := ping(t, p, 3500*time.Millisecond, func(i int) {
		if i%50 != 0 {
			return
		}
		garbage[i%len(garbage)] = make([]byte, 1<<20)
		begun := time.Now()
		runtime.GC()
		collections = append(collections, time.Since(begun))
	})
	runtime.KeepAlive(garbage)
	checkPings(t, pings, ran)
	checkPings(t, collections, ran)
}
