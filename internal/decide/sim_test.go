package decide

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/energy"
)

// world is a simulated device with a clone: calls cost what the laws below say,
// and a virtual clock passes.
type world struct {
	now    time.Duration
	wall   int64
	d      *Decider
	link   cost.Link
	up     bool
	real   cost.Link // what the link really does; link is what is told
	rng    *rand.Rand
	noise  float64
	weight cost.Objective

	lost, best float64 // in the objective's units
	moved      int
	calls      int
}

// job is one call of a simulated function.
type job struct {
	k         int
	args      []float64
	seconds   float64 // here
	compute   float64 // there
	claims    float64 // what the clone says; 0: the truth
	dirty     int64
	up, down  int64
	fails     bool
	why       Failure
	class     uint32
	whole     bool
	lostAfter float64
}

func linkOf(kind energy.Radio, rtt time.Duration, up, down float64) cost.Link {
	return cost.Link{RTT: rtt, Up: up / 8, Down: down / 8, Kind: kind, Samples: 10, Known: true}
}

// links are those of the table in issue 3.
var links = map[string]cost.Link{
	"wifi": linkOf(energy.WiFi, 10*time.Millisecond, 50e6, 50e6),
	"3g":   linkOf(energy.ThreeG, 680*time.Millisecond, 400e3, 1e6),
	"lte":  linkOf(energy.LTE, 70*time.Millisecond, 12e6, 12e6),
	"5g":   linkOf(energy.NR, 47*time.Millisecond, 14.56e6, 265.8e6),
}

func newWorld(conf Config, functions int, seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), noise: 0.05, weight: conf.Objective, wall: 1e18}
	conf.Now = func() time.Duration { return w.now }
	conf.Wall = func() int64 { return w.wall + int64(w.now) }
	for i := range functions {
		conf.Functions = append(conf.Functions, uint32(100+i))
	}
	w.d = New(conf)
	return w
}

func (w *world) connect(l cost.Link) { w.link, w.real, w.up = l, l, true; w.d.SetLink(true, l) }

func (w *world) drop() { w.up = false; w.d.SetLink(false, cost.Link{}) }

func (w *world) pass(s float64) { w.now += time.Duration(s * 1e9) }

func (w *world) jitter(v float64) float64 { return v * math.Exp(w.noise*w.rng.NormFloat64()) }

// costs gives what both sites cost in truth.
func (w *world) costs(j *job) (here, there Cost, out Outcome) {
	s := w.jitter(j.seconds)
	here = w.d.localCost(s)
	o := cost.Offload{
		Capture: time.Millisecond, Apply: time.Millisecond, Compute: duration(w.jitter(j.compute)),
		BytesUp: int64(w.jitter(float64(j.up))), BytesDown: int64(w.jitter(float64(j.down))), RoundTrips: 1,
	}
	there.Seconds, there.Joules = cost.Predict(o, w.real, nil)
	claims := o.Compute.Seconds()
	if j.claims > 0 {
		claims = j.claims
	}
	out = Outcome{
		Seconds: there.Seconds, Compute: claims, Capture: 1e-3, Apply: 1e-3,
		BytesUp: o.BytesUp, BytesDown: o.BytesDown, RoundTrips: 1,
	}
	if !w.up {
		there = Cost{math.Inf(1), math.Inf(1)}
	}
	return here, there, out
}

// call has one call decided and carried out.
func (w *world) call(j job) Decision {
	c := Call{K: j.k, Parent: NoParent, Args: j.args, Memory: 1 << 24, Dirty: -1, Class: j.class, Whole: j.whole}
	c.Measure = func() int64 { return j.dirty }
	if !w.d.Armed(j.k) {
		w.pass(j.seconds)
		w.d.Tick()
		return Decision{Why: WhyShort}
	}
	d := w.d.Enter(&c)
	here, there, out := w.costs(&j)
	w.calls++
	chosen := here
	switch {
	case d.Site == Clone && j.fails:
		w.moved++
		w.pass(j.lostAfter)
		w.d.Failed(&c, j.why, j.lostAfter)
		w.d.Again(&c)
		w.pass(here.Seconds)
		w.d.Left(j.k)
		chosen.Seconds += j.lostAfter
	case d.Site == Clone:
		w.moved++
		w.pass(there.Seconds)
		w.d.Moved(&c, &d, out)
		chosen = there
	default:
		w.pass(here.Seconds)
		if d.Watch {
			w.d.Left(j.k)
		}
	}
	best := here
	if !j.fails && w.d.relative(there, here) < 1 {
		best = there
	}
	unit := func(c Cost) float64 {
		if w.weight == cost.Energy {
			return c.Joules
		}
		return c.Seconds
	}
	w.lost += unit(chosen) - unit(best)
	w.best += unit(best)
	return d
}

// warm forgets the regret so far.
func (w *world) warm() { w.lost, w.best, w.moved, w.calls = 0, 0, 0, 0 }

// kinds are functions of different nature, which draw their next call.
var kinds = map[string]func(*rand.Rand) job{
	"the same every time": func(*rand.Rand) job {
		return job{args: []float64{7}, seconds: 2, compute: 0.4, dirty: 1 << 20, up: 200e3, down: 100e3}
	},
	"square of an argument": func(r *rand.Rand) job {
		n := math.Exp2(3 + 7*r.Float64())
		t := n * n * 1e-5
		return job{args: []float64{n}, seconds: t, compute: t / 5, dirty: int64(n * 100), up: int64(n * 50), down: int64(n * 50)}
	},
	"large state": func(r *rand.Rand) job {
		mb := 1 + 9*r.Float64()
		return job{args: []float64{1}, seconds: 3, compute: 0.5, dirty: int64(mb * 1e6), up: int64(mb * 0.5e6), down: 20e3}
	},
	"depends on content": func(r *rand.Rand) job {
		t := math.Exp(1.2*r.NormFloat64()) * 0.5
		return job{args: []float64{1}, seconds: t, compute: t / 6, dirty: 1 << 18, up: 50e3, down: 50e3}
	},
	"a pointer and a flag": func(r *rand.Rand) job {
		flag := float64(r.IntN(2))
		t := 0.05 + 3*flag
		return job{args: []float64{1e6 + 1e5*r.Float64(), flag}, seconds: t, compute: t / 4, dirty: 1 << 18, up: 100e3, down: 10e3}
	},
	"never worth it": func(*rand.Rand) job {
		return job{args: []float64{7}, seconds: 0.3, compute: 0.25, dirty: 8 << 20, up: 4e6, down: 4e6}
	},
}

// TestRegretAgainstAnOracleInSimulation holds the time or energy lost against
// the best choice for each call, known afterwards, over links and kinds of
// functions, after five calls.
func TestRegretAgainstAnOracleInSimulation(t *testing.T) {
	for _, objective := range []struct {
		name   string
		weight cost.Objective
	}{{"time", cost.Time}, {"energy", cost.Energy}} {
		sum, cells, worst, worstName := 0.0, 0, 0.0, ""
		for linkName, l := range links {
			for kind, draw := range kinds {
				lost := 0.0
				const seeds = 5
				for seed := range uint64(seeds) {
					w := newWorld(Config{Objective: objective.weight}, 1, seed)
					w.connect(l)
					for i := range 65 {
						if i == 5 {
							w.warm()
						}
						w.call(draw(w.rng))
					}
					lost += w.lost / w.best / seeds
				}
				name := fmt.Sprintf("%s, %s, %s", linkName, kind, objective.name)
				t.Logf("%-45s %6.2f %%", name, 100*lost)
				sum += lost
				cells++
				if lost > worst {
					worst, worstName = lost, name
				}
				limit := 0.10
				if kind == "depends on content" {
					limit = 0.25 // nothing tells long calls from short ones; issue 4 races
				}
				if lost > limit {
					t.Errorf("%s: lost %.1f %%", name, 100*lost)
				}
			}
		}
		t.Logf("%s: mean %.2f %%, worst %.1f %% (%s)", objective.name, 100*sum/float64(cells), 100*worst, worstName)
		if mean := sum / float64(cells); mean > 0.04 {
			t.Errorf("%s: mean loss of %.1f %%", objective.name, 100*mean)
		}
	}
}
