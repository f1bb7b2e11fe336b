package e2e

import (
	"testing"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// TestRunsThatDecideForThemselvesGiveWhatLocalRunsGive: wherever calls run, by
// whatever was learnt in earlier runs, with a clone that comes and goes, what a
// program prints, leaves and ends with is what it is on the device alone.
func TestRunsThatDecideForThemselvesGiveWhatLocalRunsGive(t *testing.T) {
	// Programs that take long enough on an interpreter for something to move.
	some := map[string]bool{"c-recursion": true, "c-files": true, "cpp-objects": true, "as-program/all": true, "goprog/hash": true}
	w := NewWorld(t)
	slow := func(o *device.Options) { o.Engine = engine.Interpreter.String() }
	moved, decided := 0, 0
	for _, p := range testprogs.All() {
		if !some[p.Name] || (testing.Short() && p.Name != "c-recursion" && p.Name != "cpp-objects") {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			w.tb = t
			local := w.Run(&p, OnDevice, slow)
			for i, how := range []Setup{
				func(*device.Options) {},
				func(o *device.Options) { o.Objective = cost.Energy },
				func(o *device.Options) { o.Objective = cost.Balanced },
				func(*device.Options) { w.Stop() },
				func(*device.Options) { w.Start() },
			} {
				got := w.Run(&p, slow, how, func(o *device.Options) { o.Where = device.WhereAuto })
				same(t, &p, local, got)
				moved += got.Report.Totals.CallsClone
				decided += len(got.Report.Calls)
				if i == 3 && got.Report.Totals.CallsClone > 0 {
					t.Error("calls moved to a clone that is not there")
				}
			}
		})
	}
	t.Logf("%d of %d calls that were told ran on the clone", moved, decided)
}
