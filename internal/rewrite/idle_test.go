package rewrite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/measure"
	"github.com/clonecloud/clonecloud/internal/rewrite"
)

// idleGoal is the most that the default candidates may cost, nothing armed, as a
// ratio of the original's CPU time.
const idleGoal = 1.03

// Placements of one program: at least fewest, then as many as fit into its time.
const (
	fewestPlacements = 12
	mostPlacements   = 64
	programSeconds   = 30
)

// placements is how many places in memory a program is measured at, given what
// one takes. Ratios have no say in it, which would bias them.
func placements(one time.Duration) int {
	if n, err := strconv.Atoi(os.Getenv("CLONECLOUD_PLACEMENTS")); err == nil && n > 0 {
		return n
	}
	return min(max(fewestPlacements, int(programSeconds/one.Seconds())), mostPlacements)
}

// The forms of a program that are compared.
const (
	original = iota
	stubbed
	again // the original at another place: what the machine and the place do
	forms
)

// comparison collects one program's ratios, one for each placement.
type comparison struct {
	name         string
	stubs, null  []float64
	instructions []float64 // ratios, none without counters
	seconds      float64   // the original's CPU time, the least
	calls        int       // of stubs in one run
	changed      string    // functions that are compiled to other code
}

// BenchmarkIdle gives, for every program, the CPU time of the default candidate
// set with nothing armed as a ratio of the original's.
//
// One compilation of each form would compare the addresses that their code got.
// So both are compiled anew for each of CLONECLOUD_PLACEMENTS placements (12 to 64,
// for half a minute), with code of random length that never runs in a few
// functions: the same functions for both, of lengths drawn for each. They run in
// turns, there and back (CLONECLOUD_ROUNDS times, 1), on the same memory; a
// placement gives the ratio of the least times, and the placements an interval.
// The column "null" has the original for both, and the same things done to it;
// "one place" is the range of its single placements, which is what a comparison
// of two compilations may say.
//
// Columns that the machine's noise does not touch: in how many functions the
// compiled code differs at all (0: nothing can cost but the stubs themselves),
// how often a stub is passed in one run, what that is of the run at 3 ns each
// (BenchmarkStubCall), and the ratio of retired instructions where the machine
// counts them.
func BenchmarkIdle(b *testing.B) {
	var table []comparison
	for _, p := range programs(b) {
		b.Run(strings.TrimSuffix(p.name, ".wasm"), func(b *testing.B) {
			for b.Loop() {
				c := compareIdle(b, p)
				table = append(table, c)
				r := measure.GeometricMean(c.stubs)
				b.ReportMetric(r.Mid, "ratio")
				b.ReportMetric(r.Low, "ratio-low")
				b.ReportMetric(r.High, "ratio-high")
				b.ReportMetric(float64(c.calls), "stub-calls")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	printIdle(table)
}

func printIdle(table []comparison) {
	fmt.Printf("\n%-16s %-22s %-22s %-12s %9s %6s %8s %10s %9s %12s  %s\n", "program", "ratio [95 %]", "null [95 %]", "one place", "seconds", "places", "changed", "stub calls", "stubs, %", "instructions", "verdict")
	for _, c := range table {
		instructions := "-"
		if len(c.instructions) > 0 {
			instructions = fmt.Sprintf("%.5f", measure.GeometricMean(c.instructions).Mid)
		}
		const stubSeconds = 3e-9
		r := measure.GeometricMean(c.stubs)
		fmt.Printf("%-16s %-22v %-22v %.3f-%.3f  %9.3f %6d %8s %10d %9.4f %12s  %s\n", c.name, r, measure.GeometricMean(c.null),
			slices.Min(c.null), slices.Max(c.null), c.seconds, len(c.stubs), c.changed, c.calls, 100*stubSeconds*float64(c.calls)/c.seconds, instructions, r.Verdict(idleGoal))
	}
}

// compareIdle measures one program.
func compareIdle(b *testing.B, p program) comparison {
	m, sel, out := defaults(b, p)
	c := comparison{name: strings.TrimSuffix(p.name, ".wasm"), changed: "-", calls: stubCalls(b, p, out)}
	if runtime.GOARCH == "amd64" {
		c.changed = strconv.Itoa(len(changed(b, m, out)))
	}
	mem := &arena{}
	random := rand.New(rand.NewPCG(7, uint64(len(p.bin)))) // the same placements every time
	began, n := time.Now(), 1
	for i := 0; i < n; i++ {
		sites := padSites(m, random)
		one := newPlacement(b, mem, map[int][]byte{
			original: padded(m, sites, random),
			stubbed:  restub(b, padded(m, sites, random), sel),
			again:    padded(m, sites, random),
		}, out, random)
		one.run(b, p.name)
		one.close()
		c.stubs = append(c.stubs, float64(one.least[stubbed])/float64(one.least[original]))
		c.null = append(c.null, float64(one.least[again])/float64(one.least[original]))
		if one.counted[original] > 0 {
			c.instructions = append(c.instructions, float64(one.counted[stubbed])/float64(one.counted[original]))
		}
		if s := one.least[original].Seconds(); c.seconds == 0 || s < c.seconds {
			c.seconds = s
		}
		if i == 0 {
			n = placements(time.Since(began))
		}
	}
	return c
}

// stubCalls counts in a run with everything armed and answered by "here".
func stubCalls(b *testing.B, p program, out *rewrite.Output) int {
	x := newRunner(b, nil, out)
	x.arm = true
	x.run(b)
	return x.a.offered
}

// restub rewrites a padded program with the candidates of the original, whose
// indices it keeps.
func restub(tb testing.TB, bin []byte, sel callgraph.Selection) []byte {
	tb.Helper()
	out, err := rewrite.Rewrite(parse(tb, bin), rewrite.Options{Candidates: sel.Indices(), Entries: sel.Entries()})
	if err != nil {
		tb.Fatal(err)
	}
	return out.Module
}

// placement is every form of a program, compiled to one place each.
type placement struct {
	runs    [forms]*runner
	order   []int
	least   [forms]time.Duration
	counted [forms]uint64 // retired instructions of one run
}

// newPlacement compiles in a random order, which decides where code lies, too.
func newPlacement(b *testing.B, mem *arena, bins map[int][]byte, out *rewrite.Output, random *rand.Rand) *placement {
	pl := &placement{order: random.Perm(forms)}
	for _, f := range pl.order {
		var o *rewrite.Output
		if f == stubbed {
			o = &rewrite.Output{}
			*o = *out
			o.Module = bins[f]
		}
		x := newRunner(b, bins[f], o)
		x.ctx = experimental.WithMemoryAllocator(x.ctx, mem)
		pl.runs[f] = x
	}
	return pl
}

func (pl *placement) close() {
	for _, x := range pl.runs {
		x.r.Close(context.Background())
	}
}

// run runs all forms there and back and keeps the least time of each. Nothing is
// collected meanwhile.
func (pl *placement) run(b *testing.B, name string) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	count, err := instructionCounter()
	if err != nil {
		count = nil // the machine has none, or does not let us
	}
	defer count.close()
	var first string
	for round := range idleRounds() {
		there := slices.Clone(pl.order)
		back := slices.Clone(pl.order)
		slices.Reverse(back)
		for i, f := range append(there, back...) {
			x := pl.runs[f]
			x.count = count
			took, wrote := x.run(b)
			if round == 0 && i == 0 {
				first = wrote
			}
			if wrote != first {
				b.Fatalf("%s: one form wrote %q, another %q", name, first, wrote)
			}
			if pl.least[f] == 0 || took < pl.least[f] {
				pl.least[f] = took
			}
			if pl.counted[f] == 0 || x.counted < pl.counted[f] {
				pl.counted[f] = x.counted
			}
		}
	}
}

// idleRounds is how often each placement is run there and back.
func idleRounds() int {
	if os.Getenv("CLONECLOUD_ROUNDS") == "" {
		return 1
	}
	return rounds()
}
