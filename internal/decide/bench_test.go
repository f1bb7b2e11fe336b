package decide

import (
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
)

// staying are armed entries that stay here, each for another reason.
func staying(tb testing.TB) map[string]func() {
	tb.Helper()
	out := map[string]func(){}
	add := func(name string, w *world, j job) {
		args := [4]float64{1 << 20, 7, 3, 0}
		began := time.Now()
		w.d.conf.Now = func() time.Duration { return time.Since(began) } // a real clock, with its cost
		c := Call{K: 0, Parent: NoParent, Memory: 1 << 24}
		c.Measure = func() int64 { return j.dirty }
		out[name] = func() {
			c.Args, c.Dirty = args[:], -1
			if d := w.d.Enter(&c); d.Site != Device {
				tb.Fatal(name, " moves: ", d.Why)
			}
			w.d.Forget()
		}
	}
	args := []float64{1 << 20, 7, 3, 0}
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	for range 20 {
		w.call(job{args: args, seconds: 0.006, compute: 0.001})
	}
	add("too short for the link", w, job{})
	w = newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	slow := job{args: args, seconds: 0.1, compute: 0.2, dirty: 1 << 20, up: 5e5, down: 5e5}
	for range 20 {
		w.call(slow)
	}
	add("cheaper here", w, slow)
	w = newWorld(Config{Objective: cost.Energy}, 1, 1)
	w.connect(links["3g"])
	for range 20 {
		w.call(slow)
	}
	add("cheaper here, by energy over 3G", w, slow)
	w = newWorld(Config{}, 1, 1)
	for range 20 {
		w.call(slow)
	}
	add("no clone", w, slow)
	return out
}

func TestAnEntryThatStaysHereDoesNotAllocate(t *testing.T) {
	for name, enter := range staying(t) {
		if n := testing.AllocsPerRun(1000, enter); n > 0 {
			t.Errorf("%s: %.1f allocations", name, n)
		}
	}
}

// BenchmarkStay is a decision of an armed entry that stays here; the goal is 2 us
// with the rest of the entry.
func BenchmarkStay(b *testing.B) {
	for name, enter := range staying(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				enter()
			}
		})
	}
}

// BenchmarkRound is an entry that stays here, and its exit, which learns.
func BenchmarkRound(b *testing.B) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	args := []float64{1 << 20, 7, 3, 0}
	for b.Loop() {
		c := Call{K: 0, Parent: NoParent, Memory: 1 << 24, Args: args, Dirty: -1}
		w.d.Enter(&c)
		w.now += 6 * time.Millisecond
		w.d.Left(0)
	}
	b.ReportAllocs()
}
