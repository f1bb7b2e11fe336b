package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/testprocs"
)

// kills is how many runs of the loop are struck; nightly many more.
const kills = 12

// TestAnybodyMayBeKilledAtAnyMoment kills, again and again, one of the four
// processes that a run consists of, at a random moment of it. A run whose device
// lives ends as a local one; one whose device was killed leaves its files as
// they were before the call or as they are after it, once the device has started
// again, and has printed the beginning of what a local run prints.
func TestAnybodyMayBeKilledAtAnyMoment(t *testing.T) {
	rounds, seed := kills, rand.Uint64()
	if nightly {
		rounds = 200
	}
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	p := effectsProgram()
	local := NewWorld(t).Run(p, OnDevice)
	// How long a run takes that nobody disturbs, from the start of its process.
	began := time.Now()
	calm := NewWorld(t)
	calm.nodeProcess()
	undisturbed := calm.spawn(p, order{Where: device.WhereClone, Only: []string{"work"}}).outcome()
	whole := time.Since(began)
	if same(t, p, local, undisturbed); undisturbed.Report.Totals.CallsClone != 1 {
		t.Fatalf("undisturbed the call does not move: %s", calls(undisturbed.Report.Calls))
	}
	victims := []string{"the clone", "the node", "the device's runner", "the device's manager"}
	for i := range rounds {
		victim, at := victims[i%len(victims)], time.Duration(dice.Int64N(int64(whole)))
		t.Run(fmt.Sprintf("%d: %s after %v", i, victim, at.Round(time.Millisecond)), func(t *testing.T) {
			t.Parallel()
			w := NewWorld(t)
			node := w.nodeProcess()
			d := w.spawn(p, order{Where: device.WhereClone, Only: []string{"work"}})
			select {
			case <-d.done: // sooner than we struck
			case <-time.After(at):
			}
			struck := strikeProcess(d, node.Process.Pid, victim)
			out := d.outcome()
			switch {
			case victim == "the clone" || victim == "the node":
				if victim == "the node" && out.Report.App == "" && strings.Contains(out.Stderr, device.ErrNoClone.Error()) {
					return // it was asked for a clone, and there never was one
				}
				if same(t, p, local, out); t.Failed() {
					t.Logf("struck: %v; calls:%s; stderr %q", struck, calls(out.Report.Calls), out.Stderr)
				}
			case !struck:
				same(t, p, local, out)
			default:
				d.leftWhole(t, out, local, filesOf(t, p))
			}
		})
	}
}

// strikeProcess kills one process of a run, if it is there.
func strikeProcess(d *deviceProcess, node int, victim string) bool {
	var pids []int
	switch victim {
	case "the clone":
		pids = testprocs.Children(node)
	case "the node":
		pids = []int{node}
	case "the device's runner":
		pids = testprocs.Children(d.cmd.Process.Pid)
	case "the device's manager":
		pids = []int{d.cmd.Process.Pid}
	}
	struck := false
	for _, pid := range pids {
		struck = kill(pid) == nil || struck
	}
	return struck
}

// leftWhole checks what a killed device leaves.
func (d *deviceProcess) leftWhole(t *testing.T, out, local *Outcome, before map[string]string) {
	t.Helper()
	if !strings.HasPrefix(local.Stdout, out.Stdout) {
		t.Errorf("printed\n%s\nwhich is not how\n%s\nbegins", out.Stdout, local.Stdout)
	}
	files := d.next()
	switch {
	case maps.Equal(files, local.Files):
	case !maps.Equal(files, before):
		t.Errorf("after the next start there is\n%q\nneither\n%q\nnor\n%q", files, before, local.Files)
	case strings.Contains(out.Stdout, "three"):
		t.Errorf("it printed what follows its changes, and they are gone:\n%s", out.Stdout)
	}
}
