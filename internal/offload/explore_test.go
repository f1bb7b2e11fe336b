package offload

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Placing faults everywhere: a small program under a fixed schedule, with
// every fault at every step, and with every two faults at every two steps.

// placed is a fault: the n-th that is possible at a step.
type placed struct{ step, n int }

// policy picks a progress event among n.
type policy struct {
	name string
	pick func(step, n int) int
}

var policies = []policy{
	{"device first", func(_, _ int) int { return 0 }},
	{"clone first", func(_, n int) int { return n - 1 }},
	{"in turn", func(step, n int) int { return step % n }},
}

// place runs the program with the faults, and returns how many faults are
// possible at each step.
func place(prog []item, room, sites int, p policy, faults []placed, set faultSet, conf DeviceConfig, verb bool) (*sim, []int) {
	rng := rand.New(rand.NewPCG(1, 1))
	turn := 0
	choose := func(n int) int { turn++; return turn % n }
	s := newSim(prog, room, sites, rng, choose, conf)
	s.verb, s.pace, s.faults = verb, 30*time.Millisecond, set
	s.budget = 1 << 30
	var options []int
	s.next = func(step int, ev []event) int {
		progress := 0
		for progress < len(ev) && !ev[progress].fault {
			progress++
		}
		for len(options) <= step {
			options = append(options, 0)
		}
		options[step] = len(ev) - progress
		for _, f := range faults {
			if f.step == step && progress+f.n < len(ev) {
				return progress + f.n
			}
		}
		return p.pick(step, progress)
	}
	s.run(nil)
	return s, options
}

// small programs, each with two calls; between them they have every class of
// import.
var small = []struct {
	name string
	room int
	conf DeviceConfig
	prog []item
}{
	{"early output, input, then files", 1 << 20, DeviceConfig{Release: 1}, []item{
		{call: true, ops: []op{{opCompute, 1, 2}, {opRead, 0, 0}, {opPrint, 1, 0}, {opStdin, 1, 0}, {opClock, 0, 0}, {opPrintVol, 0, 0}, {opRandom, 0, 0}, {opPrintVol, 0, 0}, {opOpen, 1, 0}}},
		{call: true, ops: []op{{opGrow, 0, 7}, {opWrite, 0, 1}, {opPrint, 0, 0}, {opWrite, 1, 2}, {opRead, 0, 0}}},
	}},
	{"output that breaks at commit", 9, DeviceConfig{}, []item{
		{call: true, ops: []op{{opWrite, 0, 1}, {opPrint, 1, 0}, {opWrite, 1, 2}, {opPrint, 0, 0}, {opPrint, 2, 0}}},
		{call: true, ops: []op{{opPrint, 1, 0}, {opWrite, 0, 3}, {opStdin, 0, 0}}},
	}},
	{"an exit in the second call", 1 << 20, DeviceConfig{Release: 1}, []item{
		{call: true, ops: []op{{opPrint, 0, 0}, {opPinned, 1, 0}, {opStdin, 2, 0}, {opPrint, 2, 0}}},
		{call: true, ops: []op{{opStdin, 0, 0}, {opStdin, 1, 0}, {opWrite, 2, 0}, {opExit, 0, 7}}},
	}},
}

func allFaults() faultSet {
	return faultSet{cut: true, drop: true, dup: true, kill: true, forge: true, crash: true, touch: true, cancel: true}
}

func TestEveryPlacementOfOneFaultEndsAsTheLocalRun(t *testing.T) { explore(t, 1) }

func TestEveryPlacementOfTwoFaultsEndsAsTheLocalRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	explore(t, 2)
}

func explore(t *testing.T, depth int) {
	runs := 0
	stride := 1
	if depth > 1 {
		stride = int(envInt("CLONECLOUD_SIM_STRIDE", 101)) // 1 is exhaustive
	}
	for _, c := range small {
		for _, p := range policies {
			for sites := 1; sites <= 2; sites++ {
				var walk func(faults []placed)
				walk = func(faults []placed) {
					s, options := place(c.prog, c.room, sites, p, faults, allFaults(), c.conf, false)
					runs++
					if wrong := s.verdict(c.room); wrong != "" {
						s, _ = place(c.prog, c.room, sites, p, faults, allFaults(), c.conf, true)
						t.Fatalf("%s, %s, %d sites, faults %v: %s\n%s", c.name, p.name, sites, faults, wrong, strings.Join(s.log, "\n"))
					}
					if len(faults) == depth {
						return
					}
					from := 0
					if len(faults) > 0 {
						from = faults[len(faults)-1].step + 1
					}
					for step := from; step < len(options); step++ {
						for n := range options[step] {
							if len(faults) == depth-1 && depth > 1 && (step*31+n*7+runs)%stride != 0 {
								continue
							}
							walk(append(faults[:len(faults):len(faults)], placed{step, n}))
						}
					}
				}
				walk(nil)
			}
		}
	}
	t.Logf("%d runs with up to %d faults", runs, depth)
}
