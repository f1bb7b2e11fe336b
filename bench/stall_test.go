package bench

import (
	"context"
	_ "embed"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/wire"
)

//go:embed testdata/spin.wasm
var spinModule []byte

// pings asks the node on a connection of its own until stop is closed, and
// returns the seconds of each answer.
func (w *world) pings(tb testing.TB, stop <-chan struct{}) []float64 {
	tb.Helper()
	r, err := link.NewRedialer(link.Options{Identity: w.own, Peer: w.node.ID, Addrs: w.node.Addresses, Prefer: link.PreferTCP})
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	c, err := r.Dial(context.Background(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	in, out := wire.NewReader(c, wire.ReaderConfig{}), wire.NewWriter(c)
	if _, err := wire.Greet(in, out, "bench"); err != nil {
		tb.Fatal(err)
	}
	var times []float64
	for nonce := uint64(1); ; nonce++ {
		select {
		case <-stop:
			return times
		case <-time.After(2 * time.Millisecond):
		}
		began := time.Now()
		if err := out.Send(wire.Header{Type: wire.TypePing}, &wire.Ping{Nonce: nonce}, nil); err != nil {
			tb.Fatal(err)
		}
		if _, err := in.ReadFrame(); err != nil {
			tb.Fatal(err)
		}
		times = append(times, time.Since(began).Seconds())
	}
}

// spin runs a program of which nothing but a loop of some seconds runs on the
// clone, and returns the node's answers to another connection meanwhile.
func spin(tb testing.TB, seconds byte) (took float64, times []float64) {
	tb.Helper()
	w := newWorld(tb)
	stop := make(chan struct{})
	res, err := make(chan *device.Result, 1), make(chan error, 1)
	go func() {
		defer close(stop)
		began := time.Now()
		r, e := device.Run(context.Background(), device.Options{
			Home: w.home, Software: "bench", App: "spin", Module: spinModule, Args: []string{"spin", string([]byte{seconds})},
			Where: device.WhereClone, Clone: &w.node, Prefer: link.PreferTCP,
		})
		took = time.Since(began).Seconds()
		res <- r
		err <- e
	}()
	times = w.pings(tb, stop)
	r := <-res
	if e := <-err; e != nil {
		tb.Fatal(e)
	}
	if r.Exit.Code != 0 || r.Report.Totals.CallsClone == 0 || r.Report.Totals.Fallbacks != 0 {
		tb.Fatalf("the loop did not run on the clone: %+v %+v", r.Exit, r.Report.Totals)
	}
	return took, times
}

// TestAGuestThatSpinsDoesNotStallTheNode: the figure is the benchmark's; here
// only a stall for as long as the guest computes is an error.
func TestAGuestThatSpinsDoesNotStallTheNode(t *testing.T) {
	took, times := spin(t, 2)
	if worst := quantile(times, 1); worst > took/2 {
		t.Errorf("the node took %.2f s to answer while a guest computed for %.2f s", worst, took)
	}
	if len(times) < 10 {
		t.Errorf("%d answers in %.2f s", len(times), took)
	}
}

// BenchmarkSpinningGuest has a clone compute for about ten seconds without a
// host call, while another connection asks the node every two milliseconds.
func BenchmarkSpinningGuest(b *testing.B) {
	var all []float64
	took := 0.0
	for b.Loop() {
		s, times := spin(b, 10)
		took, all = took+s, append(all, times...)
	}
	b.ReportMetric(took/float64(b.N), "spin-s")
	b.ReportMetric(quantile(all, 0.5)*1e3, "p50-ms")
	b.ReportMetric(quantile(all, 0.99)*1e3, "p99-ms")
	b.ReportMetric(quantile(all, 1)*1e3, "worst-ms")
	b.ReportMetric(0, "ns/op")
}
