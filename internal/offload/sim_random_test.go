package offload

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// simulate runs one seed and returns the simulation and what is wrong.
func simulate(seed uint64, verb bool) (*sim, string) {
	rng := rand.New(rand.NewPCG(seed, 17))
	prog := randomProgram(rng)
	room := 1 << 20
	if rng.IntN(4) == 0 {
		room = rng.IntN(40)
	}
	var conf DeviceConfig
	if rng.IntN(4) == 0 {
		conf.LogEntries = uint32(1 + rng.IntN(6))
	}
	if rng.IntN(2) == 0 {
		conf.Release = 1 // as often as possible
	}
	s := newSim(prog, room, 1+rng.IntN(2), rng, rng.IntN, conf)
	s.verb = verb
	s.budget = rng.IntN(6)
	bit := func() bool { return rng.IntN(2) == 0 }
	s.faults = faultSet{
		cut: bit(), drop: rng.IntN(6) == 0, dup: bit(), kill: bit(), forge: bit(), crash: rng.IntN(8) == 0,
		touch: bit(), prepare: bit(), cancel: rng.IntN(16) == 0, record: bit(),
	}
	s.run(nil)
	return s, s.verdict(room)
}

// envInt reads a number from the environment: CLONECLOUD_SIM_SEEDS,
// CLONECLOUD_SIM_SEED.
func envInt(name string, def uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return def
}

// TestSimulationOfAnyScheduleEndsAsTheLocalRun runs random programs under
// random schedules and faults. CLONECLOUD_SIM_SEED replays one seed with its
// log, CLONECLOUD_SIM_SEEDS sets how many are tried, CLONECLOUD_SIM_FROM the
// first.
func TestSimulationOfAnyScheduleEndsAsTheLocalRun(t *testing.T) {
	if seed := envInt("CLONECLOUD_SIM_SEED", 0); seed != 0 {
		s, wrong := simulate(seed, true)
		t.Log(strings.Join(s.log, "\n"))
		if wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		return
	}
	def := uint64(6000)
	if testing.Short() {
		def = 1000
	}
	n, from := envInt("CLONECLOUD_SIM_SEEDS", def), envInt("CLONECLOUD_SIM_FROM", 1)
	reach := map[string]int{}
	commits, replays := 0, 0
	for seed := from; seed < from+n; seed++ {
		s, wrong := simulate(seed, false)
		if wrong != "" {
			t.Fatalf("seed %d (replay it with CLONECLOUD_SIM_SEED=%d): %s", seed, seed, wrong)
		}
		for k, v := range s.reach {
			reach[k] += v
		}
		commits, replays = commits+s.commits, replays+s.replays
	}
	t.Logf("%d seeds, %d commits, %d bound re-runs, reached %v", n, commits, replays, reach)
	for _, what := range []string{
		"offload.Serve", "offload.CheckReads", "offload.ReleaseOutput", "offload.Prepare", "offload.WriteRecord",
		"offload.ApplyEffects", "offload.Undo", "offload.Install", "offload.RunLocal", "offload.CompleteLog",
		"why link", "why lost", "why trap", "why aborted", "why changed", "why prepare", "why apply", "why output", "why private",
	} {
		if reach[what] == 0 && n >= 6000 {
			t.Errorf("no seed reached %q: the simulation has become too tame", what)
		}
	}
}
