package e2e

import (
	"io/fs"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/policy"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// charger is a tree of /sys with a battery, whose charger can be unplugged.
type charger struct{ unplugged atomic.Bool }

func (c *charger) Open(name string) (fs.File, error) {
	status := "Charging\n"
	if c.unplugged.Load() {
		status = "Discharging\n"
	}
	sys := fstest.MapFS{}
	for file, text := range map[string]string{"type": "Battery\n", "status": status, "capacity": "80\n"} {
		sys["class/power_supply/BAT0/"+file] = &fstest.MapFile{Data: []byte(text)}
	}
	return sys.Open(name)
}

func TestACallIsTakenBackWhenThePolicyForbidsTheLinkThatItUses(t *testing.T) {
	w := NewWorld(t)
	words, err := policy.Parse("charging")
	if err != nil {
		t.Fatal(err)
	}
	p := effectsProgram()
	here := w.Run(p, OnDevice)
	sys := &charger{}
	withPolicy := func(o *device.Options) { o.When, o.Sys = words, sys }
	there := w.Run(p, Only("work"), withPolicy)
	if there.Report.Totals.CallsClone == 0 || there.Report.Policy == nil || there.Report.Policy.Blocked != "" {
		t.Fatalf("with a charger: %+v, policy %+v", there.Report.Totals, there.Report.Policy)
	}
	back := w.Run(p, Only("work"), withPolicy, func(o *device.Options) {
		o.Tap = func(toClone bool, f *wire.Frame) bool {
			if f.Type == wire.TypeApplied {
				sys.unplugged.Store(true)
			}
			return f.Type != wire.TypeReturn // nothing else ends the attempt
		}
	})
	if back.Stdout != here.Stdout || back.Stderr != here.Stderr || back.Exit.Code != here.Exit.Code || !maps.Equal(back.Files, here.Files) {
		t.Errorf("it is not as on the device:\n%+v\nwant\n%+v", back, here)
	}
	if r := back.Report; r.Totals.CallsClone != 0 || r.Totals.Fallbacks != 1 || r.Policy.Blocked != "charging: the device runs on its battery" {
		t.Errorf("%+v, policy %+v", r.Totals, r.Policy)
	}
	if c := back.Report.Calls; len(c) != 1 || !strings.Contains(c[0].Reason, "charging") {
		t.Errorf("the call says nothing of it: %+v", c)
	}
}
