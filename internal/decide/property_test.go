package decide

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/energy"
)

// TestWhateverHappensDecisionsMakeSense: absurd values of arguments, times, sizes
// and links, calls that end out of order, clocks that jump. No decision moves a
// call without a clone, and what is predicted are numbers.
func TestWhateverHappensDecisionsMakeSense(t *testing.T) {
	odd := []float64{0, 1, -1, 1e-300, 1e300, math.Inf(1), math.Inf(-1), math.NaN(), 3, 1e9}
	rapid.Check(t, func(t *rapid.T) {
		now := time.Duration(0)
		number := rapid.OneOf(rapid.Float64Range(0.01, 1e3), rapid.Float64Range(0, 10), rapid.SampledFrom(odd))
		d := New(Config{
			Objective: cost.Objective(rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "objective")),
			Now:       func() time.Duration { return now }, Functions: []uint32{1, 2, 3},
		})
		up := false
		type open struct {
			c Call
			d Decision
		}
		var calls []open
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.SampledFrom([]int64{1e9, 1e10, 2e9, 0, 1, 1e6, 1e9, 1e13, -1e9, math.MaxInt64 / 1000}).Draw(t, "passes"))
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				up = rapid.IntRange(0, 3).Draw(t, "up") > 0
				d.SetLink(up, cost.Link{
					RTT: time.Duration(rapid.SampledFrom([]int64{0, 1e6, 1e8, -1, math.MaxInt64}).Draw(t, "rtt")), Up: 1e4 * number.Draw(t, "rate up"), Down: 1e4 * number.Draw(t, "rate down"), UpDev: number.Draw(t, "dev"),
					Kind: energy.Radio(rapid.IntRange(0, 5).Draw(t, "kind")), Known: rapid.IntRange(0, 3).Draw(t, "known") > 0, Samples: 1,
				})
			case 1, 2:
				c := Call{
					K: rapid.IntRange(0, 2).Draw(t, "k"), Parent: rapid.IntRange(-1, 2).Draw(t, "parent"), Memory: rapid.Int64().Draw(t, "memory"),
					Files: rapid.Int64().Draw(t, "files"), Dirty: rapid.SampledFrom([]int64{-1, 0, 4096, 1 << 20, math.MaxInt64}).Draw(t, "dirty"), Args: []float64{number.Draw(t, "a"), number.Draw(t, "b")},
					Whole: rapid.Bool().Draw(t, "whole"), Nested: rapid.Bool().Draw(t, "nested"), Class: rapid.Uint32().Draw(t, "class"),
				}
				out := d.Enter(&c)
				if out.Site == Clone && !up {
					t.Fatal("a call moves without a clone")
				}
				for s := range out.Predicted {
					if p := out.Predicted[s]; out.Known[s] && (math.IsNaN(p.Seconds) || math.IsNaN(p.Joules) || p.Seconds < 0) {
						t.Fatalf("%v is predicted to cost %+v", Site(s), p)
					}
				}
				if math.IsNaN(out.Patience) || out.Patience < 0 {
					t.Fatalf("patience of %v s", out.Patience)
				}
				if d.Reason(&out) == "" {
					t.Fatal("no reason")
				}
				if out.Site == Clone {
					calls = append(calls, open{c, out})
				}
			case 3:
				d.Left(rapid.IntRange(0, 2).Draw(t, "left"))
			case 4:
				if len(calls) == 0 {
					continue
				}
				o := calls[0]
				calls = calls[1:]
				if rapid.Bool().Draw(t, "fails") {
					d.Failed(&o.c, Failure(rapid.IntRange(0, int(FailedOther)).Draw(t, "failure")), number.Draw(t, "seconds"))
					d.Again(&o.c)
					continue
				}
				d.Moved(&o.c, &o.d, Outcome{
					Seconds: number.Draw(t, "seconds"), Compute: number.Draw(t, "compute"), Capture: number.Draw(t, "capture"), Apply: number.Draw(t, "apply"),
					BytesUp: rapid.Int64().Draw(t, "up"), BytesDown: rapid.Int64().Draw(t, "down"), RoundTrips: rapid.Int().Draw(t, "trips"),
				})
			case 5:
				s, err := DecodeState(d.State().Encode())
				if err != nil {
					t.Fatal(err)
				}
				d.Unwind(0)
				calls = nil
				d = New(Config{Now: func() time.Duration { return now }, Functions: []uint32{1, 2, 3}, Stored: s})
				up = false
			}
		}
	})
}
