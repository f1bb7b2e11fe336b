package decide

import (
	"math"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/energy"
)

// steady is a call worth moving over every link of the table but 3G.
func steady() job {
	return job{args: []float64{7}, seconds: 2, compute: 0.3, dirty: 1 << 18, up: 50e3, down: 50e3}
}

func TestACallIsTimedHereFirstAndThenMoves(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	if d := w.call(steady()); d.Site != Device || d.Why != WhyFirst {
		t.Errorf("the first call: %v, %v", d.Site, d.Why)
	}
	d := w.call(steady())
	if d.Site != Clone || d.Why != WhyCheaperThere {
		t.Errorf("the second call: %v, %v", d.Site, d.Why)
	}
	if d.Patience < d.Predicted[Clone].Seconds || math.IsInf(d.Patience, 0) {
		t.Errorf("an attempt is given up after %v s", d.Patience)
	}
}

func TestACloneThatLiesAboutItsSpeedIsLearntWithinThreeCalls(t *testing.T) {
	for name, j := range map[string]job{
		"it is twenty times as slow as it says":    {args: []float64{7}, seconds: 1, compute: 6, claims: 0.3, dirty: 4096, up: 5e3, down: 5e3},
		"it is slow and says so":                   {args: []float64{7}, seconds: 1, compute: 6, dirty: 4096, up: 5e3, down: 5e3},
		"it says that it has not computed at all":  {args: []float64{7}, seconds: 1, compute: 6, claims: 1e-9, dirty: 4096, up: 5e3, down: 5e3},
		"it was fast for twenty calls and is slow": {args: []float64{7}, seconds: 1, compute: 6, claims: 0.2, dirty: 4096, up: 5e3, down: 5e3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Config{}, 1, 1)
			w.connect(links["wifi"])
			if name[:6] == "it was" {
				fast := j
				fast.compute, fast.claims = 0.2, 0
				for range 20 {
					w.call(fast)
				}
			} else {
				w.call(j) // the first is timed here
			}
			w.warm()
			for range 20 {
				w.call(j)
			}
			if w.moved > 3 {
				t.Errorf("%d of 20 calls moved to a clone that is six times as slow", w.moved)
			}
		})
	}
}

func TestACloneThatSaysLessThanItIsIsBelievedByItsAnswers(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	j := steady()
	j.claims = 1e6 // longer than the call took
	for range 10 {
		w.call(j)
	}
	if w.moved < 8 {
		t.Errorf("%d of 10 calls moved", w.moved)
	}
}

func TestALinkThatBecomesAnotherChangesDecisions(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	j := steady()
	j.up, j.down, j.dirty = 1e6, 1e6, 2e6
	for range 8 {
		w.call(j)
	}
	if d := w.call(j); d.Site != Clone {
		t.Fatalf("over Wi-Fi: %v, %v", d.Site, d.Why)
	}
	w.connect(links["3g"])
	w.warm()
	for range 10 {
		w.call(j)
	}
	if w.moved != 0 {
		t.Errorf("%d calls moved over a link that takes 28 s for them", w.moved)
	}
	w.connect(links["wifi"])
	if d := w.call(j); d.Site != Clone {
		t.Errorf("back on Wi-Fi: %v, %v", d.Site, d.Why)
	}
}

func TestACloneThatGoesAndComesBackIsUsedAgain(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	for range 4 {
		w.call(steady())
	}
	w.drop()
	w.warm()
	for range 4 {
		if d := w.call(steady()); d.Site != Device || d.Why != WhyNoClone {
			t.Fatalf("without a clone: %v, %v", d.Site, d.Why)
		}
	}
	w.connect(links["wifi"])
	if d := w.call(steady()); d.Site != Clone {
		t.Errorf("the clone is back: %v, %v", d.Site, d.Why)
	}
}

func TestAttemptsLostToTheLinkMakeItDoubtedForAWhile(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	j := job{args: []float64{7}, seconds: 1, compute: 0.5, dirty: 4096, up: 5e3, down: 5e3}
	for range 4 {
		w.call(j)
	}
	lost := j
	lost.fails, lost.why, lost.lostAfter = true, FailedLink, 2
	w.warm()
	for range 6 {
		w.call(lost)
	}
	if w.moved > 2 {
		t.Errorf("%d of 6 calls tried a link that loses them all", w.moved)
	}
	w.pass(600)
	if d := w.call(j); d.Site != Clone {
		t.Errorf("ten minutes later: %v, %v", d.Site, d.Why)
	}
}

func TestAFunctionThatAlwaysFallsBackStopsTrying(t *testing.T) {
	for _, why := range []Failure{FailedPinned, FailedLimit, FailedOther} {
		w := newWorld(Config{}, 2, 1)
		w.connect(links["wifi"])
		j := steady()
		j.fails, j.why, j.lostAfter = true, why, 0.1
		for range 200 {
			w.call(j)
		}
		if w.moved > 4 {
			t.Errorf("%v: %d of 200 calls tried", why, w.moved)
		}
		other := steady()
		other.k = 1
		w.call(other)
		if d := w.call(other); d.Site != Clone {
			t.Errorf("%v: another function pays for it: %v", why, d.Why)
		}
	}
}

func TestAnAttemptThatWasTooLateSaysThatTheCloneIsSlow(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	w.call(steady())
	late := steady()
	late.fails, late.why, late.lostAfter = true, FailedLate, 20
	w.call(late)
	if w.moved != 1 {
		t.Fatal("nothing was tried")
	}
	if d := w.call(steady()); d.Site != Device {
		t.Errorf("after it: %v, %v", d.Site, d.Why)
	}
}

func TestClockJumpsTeachNothing(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	for range 3 {
		w.call(steady())
	}
	for _, jump := range []time.Duration{-time.Hour, 1000 * 24 * time.Hour, math.MaxInt64/2 - 1} {
		c := Call{K: 0, Parent: NoParent, Args: []float64{7}, Dirty: 0}
		w.drop()
		d := w.d.Enter(&c)
		if d.Site != Device {
			t.Fatal(d.Why)
		}
		w.now += jump
		w.d.Left(0)
		w.now -= jump
		w.connect(links["wifi"])
	}
	d := w.call(steady())
	if p := d.Predicted[Device].Seconds; p < 1 || p > 4 {
		t.Errorf("a call of 2 s is expected to take %v", p)
	}
}

func TestShortFunctionsDisarmThemselvesAndAreSampledAgain(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	short := job{seconds: 20e-6, compute: 20e-6}
	calls := func(n int) (asked int) {
		for range n {
			if w.d.Armed(0) {
				asked++
			}
			w.call(short)
		}
		return asked
	}
	if asked := calls(1000); asked > 2*samples {
		t.Errorf("%d of 1000 short calls asked", asked)
	}
	w.pass(1)
	w.d.Tick()
	if !w.d.Armed(0) {
		t.Error("it is not sampled again after a second")
	}
	// In an hour of short calls, a call in 50,000 asks at most.
	if asked := calls(5_000_000); asked > 100 {
		t.Errorf("%d of 5,000,000 short calls asked", asked)
	}
	w.drop()
	if !w.d.Armed(0) {
		t.Error("it is not sampled when the link has changed")
	}
	calls(10)
	w.connect(links["lte"])
	if !w.d.Armed(0) {
		t.Error("it is not sampled when the clone is back")
	}
}

func TestAFunctionThatBecomesLongIsFoundAgain(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	for range 100 {
		w.call(job{seconds: 20e-6, compute: 20e-6})
	}
	w.warm()
	for range 20 {
		w.call(job{seconds: 2, compute: 0.2, dirty: 4096, up: 5e3, down: 5e3})
	}
	if w.moved < 14 {
		t.Errorf("%d of 20 long calls moved", w.moved)
	}
}

func TestExplorationStaysWithinItsBudget(t *testing.T) {
	w := newWorld(Config{}, 1, 3)
	w.connect(links["wifi"])
	j := job{args: []float64{7}, seconds: 1, compute: 1.3, dirty: 4096, up: 5e3, down: 5e3}
	for range 5 {
		w.call(j)
	}
	w.warm()
	for range 1000 {
		w.call(j)
	}
	if w.moved == 0 {
		t.Error("a clone that was a little too slow is never tried again")
	}
	if share := w.lost / w.best; share > 2*exploreShare {
		t.Errorf("exploring has cost %.2f %% (%d samples)", 100*share, w.moved)
	}
}

func TestDecisionsDoNotFlapWhereSitesCostTheSame(t *testing.T) {
	w := newWorld(Config{}, 1, 3)
	w.connect(links["wifi"])
	j := job{args: []float64{7}, seconds: 1, compute: 0.96, dirty: 4096, up: 5e3, down: 5e3}
	last, changes := Device, 0
	for range 200 {
		if d := w.call(j); d.Site != last {
			last = d.Site
			changes++
		}
	}
	if changes > 16 {
		t.Errorf("%d changes of site in 200 calls that cost the same", changes)
	}
}

func TestUnderEnergyACallMayBeSlowerButNotByMoreThanAllowed(t *testing.T) {
	// Waiting costs less than computing: three times the time is still less energy.
	slow := job{args: []float64{7}, seconds: 2, compute: 3.4, dirty: 4096, up: 5e3, down: 5e3}
	for _, c := range []struct {
		name      string
		objective cost.Objective
		slowdown  float64
		moves     bool
	}{
		{"time", cost.Time, 2, false},
		{"energy", cost.Energy, 2, true},
		{"energy, with a slowdown of 1.2", cost.Energy, 1.2, false},
	} {
		w := newWorld(Config{Objective: c.objective, MaxSlowdown: c.slowdown}, 1, 1)
		w.connect(links["wifi"])
		for range 6 {
			w.call(slow)
		}
		d := w.call(slow)
		if (d.Site == Clone) != c.moves {
			t.Errorf("%s: %v, %v, %+v", c.name, d.Site, d.Why, d.Predicted)
		}
	}
}

func TestAPartitionIsThePriorUntilSomethingIsMeasured(t *testing.T) {
	for _, move := range []bool{true, false} {
		row := Row{Function: 100, Parent: AnyParent, Move: move, Local: 2, Compute: 0.2, BytesUp: 1e4, BytesDown: 1e4}
		if !move {
			row.Compute = 4
		}
		w := newWorld(Config{Partition: []Row{row}}, 1, 1)
		w.connect(links["wifi"])
		if d := w.call(steady()); (d.Site == Clone) != move || d.Why != WhyPartition {
			t.Errorf("the partition says %v: %v, %v", move, d.Site, d.Why)
		}
	}
	// It is wrong, and measurements say so.
	wrong := Row{Function: 100, Parent: AnyParent, Move: true, Local: 2, Compute: 0.2, BytesUp: 1e4, BytesDown: 1e4}
	w := newWorld(Config{Partition: []Row{wrong}}, 1, 1)
	w.connect(links["wifi"])
	slow := job{args: []float64{7}, seconds: 2, compute: 9, dirty: 4096, up: 1e4, down: 1e4}
	for range 10 {
		w.call(slow)
	}
	if w.moved > 3 {
		t.Errorf("%d of 10 calls followed a partition that is wrong", w.moved)
	}
}

func TestACallInsideOfWhichBetterCallsMoveStaysHere(t *testing.T) {
	w := newWorld(Config{}, 2, 1)
	w.connect(links["wifi"])
	// The outer call computes 1 s itself and calls the inner one twice. Whole it
	// takes 40 MB along; the inner one takes little.
	outer := func() (moved bool) {
		c := Call{K: 0, Parent: NoParent, Args: []float64{1}, Memory: 1 << 26, Dirty: 40 << 20}
		d := w.d.Enter(&c)
		if d.Site == Clone {
			w.pass(8)
			w.d.Moved(&c, &d, Outcome{Seconds: 8, Compute: 1, Capture: 0.1, Apply: 0.1, BytesUp: 30e6, BytesDown: 10e6, RoundTrips: 1})
			return true
		}
		w.pass(1)
		for range 2 {
			in := Call{K: 1, Parent: 0, Args: []float64{2}, Memory: 1 << 26, Dirty: 4096}
			if d := w.d.Enter(&in); d.Site == Clone {
				w.pass(0.5)
				w.d.Moved(&in, &d, Outcome{Seconds: 0.5, Compute: 0.45, Capture: 1e-3, Apply: 1e-3, BytesUp: 2e3, BytesDown: 2e3, RoundTrips: 1})
			} else {
				w.pass(5)
				w.d.Left(1)
			}
		}
		w.d.Left(0)
		return false
	}
	moved := 0
	for range 12 {
		if outer() {
			moved++
		}
	}
	if moved > 3 {
		t.Errorf("the outer call moved %d times of 12, where the calls inside of it are better", moved)
	}
	h := w.d.funcs[0].at(NoParent)
	if s := h.inner[energy.WiFi].seconds.mean; s < 0.5 {
		t.Errorf("what calls inside of it save is taken for %.0f %% of the call", 100*s)
	}
}

func TestAWholeProgramMovesOnlyOnAFirmPrediction(t *testing.T) {
	run := func(stored *State, class uint32, size float64) (*world, Decision) {
		w := newWorld(Config{Stored: stored}, 1, 1)
		w.connect(links["wifi"])
		return w, w.call(job{args: []float64{size}, class: class, whole: true, seconds: size / 50, compute: size / 500, dirty: 4096, up: 5e3, down: 5e3})
	}
	w, d := run(nil, 1, 100)
	if d.Site != Device || d.Why != WhyFirst {
		t.Fatalf("a first run: %v, %v", d.Site, d.Why)
	}
	stored := w.d.State()
	if _, d := run(stored, 1, 100); d.Site != Clone {
		t.Errorf("the same input again: %v, %v", d.Site, d.Why)
	}
	if _, d := run(stored, 2, 3000); d.Site != Device || d.Why != WhyUnsure {
		t.Errorf("an input that is 30 times as large: %v, %v", d.Site, d.Why)
	}
}

func TestAProgramWaitsForItsCloneOnlyWithinThePromise(t *testing.T) {
	program := func(size float64) *Call {
		return &Call{Parent: NoParent, Args: []float64{size}, Memory: 1 << 24, Class: uint32(size), Whole: true, Dirty: -1}
	}
	w := newWorld(Config{}, 1, 1)
	if s := w.d.WorthWaiting(program(100)); s != 0 {
		t.Errorf("of which nothing is known: %v s", s)
	}
	for _, c := range []struct{ seconds, least, most float64 }{
		{0.01, 0, 0}, {0.1, 0, 0}, {2, 0.03, 0.1}, {100, 2, 5},
	} {
		w := newWorld(Config{}, 1, 1)
		for range 3 {
			w.call(job{args: []float64{100}, class: 100, whole: true, seconds: c.seconds})
		}
		s := w.d.WorthWaiting(program(100))
		if s < c.least || s > c.most || s > slack(c.seconds) {
			t.Errorf("a program of %v s waits for %v s", c.seconds, s)
		}
		if other := w.d.WorthWaiting(program(3000)); other > slack(c.seconds) {
			t.Errorf("one of %v s or more waits for %v s", c.seconds, other)
		}
	}
	slow := newWorld(Config{CloneSpeed: 2}, 1, 1)
	slow.call(job{args: []float64{100}, class: 100, whole: true, seconds: 100})
	if s := slow.d.WorthWaiting(program(100)); s != 0 {
		t.Errorf("for a clone that is slower: %v s", s)
	}
}
