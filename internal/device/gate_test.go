package device

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/policy"
	"github.com/clonecloud/clonecloud/internal/runner"
)

func mustParse(t *testing.T, words string) policy.Policy {
	t.Helper()
	p, err := policy.Parse(words)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// battery is a tree of /sys with one.
func battery(status, capacity string) fstest.MapFS {
	sys := fstest.MapFS{}
	for name, text := range map[string]string{"type": "Battery", "status": status, "capacity": capacity} {
		sys["class/power_supply/BAT0/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return sys
}

func TestAPolicyIsComparedWithThePowerSupply(t *testing.T) {
	mains := fstest.MapFS{"class/power_supply/AC/type": &fstest.MapFile{Data: []byte("Mains\n")}}
	for _, c := range []struct {
		name, words string
		sys         fstest.MapFS
		why         string
	}{
		{"a battery that discharges is not charging", "charging", battery("Discharging", "80"), "charging: the device runs on its battery"},
		{"a battery that charges is", "charging, battery>30%", battery("Charging", "80"), ""},
		{"a low battery forbids", "battery>30%", battery("Charging", "12"), "battery>30%: the battery is at 12 %"},
		{"a battery that says no status may still say its charge", "battery>30%", battery("Odd", "80"), ""},
		{"a device without a battery cannot empty it", "charging, battery>30%", mains, ""},
		{"a system that tells nothing is not believed to charge", "charging", fstest.MapFS{}, "charging: whether the device is charging is not known"},
		{"nor to be full", "battery>30%", fstest.MapFS{}, "battery>30%: the battery's charge is not known"},
		{"every word that fails is named", "wifi, charging", battery("Discharging", "80"), "wifi: the network is lte; charging: the device runs on its battery"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(mustParse(t, c.words), energy.LTE, t.TempDir(), c.sys, time.Now)
			if why := g.check(); why != c.why {
				t.Errorf("%q, want %q", why, c.why)
			}
		})
	}
	if g := newGate(policy.Policy{}, energy.WiFi, t.TempDir(), mains, time.Now); g != nil || g.check() != "" || g.last() != "" || g.close() != nil {
		t.Error("a gate where there is nothing to forbid and nothing to count")
	}
}

func TestAMonthsLimitHoldsAcrossRuns(t *testing.T) {
	home, noon := t.TempDir(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	gate := func() *gate {
		return newGate(mustParse(t, "metered<1MB/month"), energy.LTE, home, fstest.MapFS{}, func() time.Time { return noon })
	}
	g := gate()
	g.add(900_000)
	if why := g.check(); why != "" {
		t.Fatal(why)
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	g.add(1 << 30) // it is closed: what would be counted could not be given back
	g = gate()
	if why := g.check(); why != "" {
		t.Fatal(why)
	}
	g.add(100_000)
	if why := g.check(); why != "metered<1MB/month: 1 MB were used on metered networks this month" {
		t.Error(why)
	}
	noon = noon.AddDate(0, 1, 0)
	if why := g.check(); why != "" {
		t.Error(why)
	}
}

func TestAMonthThatCannotBeCountedForbidsWhereAWordAsksForIt(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(meteredDir(home), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if newGate(mustParse(t, "metered<1GB/month"), energy.LTE, home, fstest.MapFS{}, time.Now).check() == "" {
		t.Error("allowed without a counter")
	}
	for _, words := range []string{"", "always", "wired|lte"} {
		if why := newGate(mustParse(t, words), energy.LTE, home, fstest.MapFS{}, time.Now).check(); why != "" {
			t.Errorf("%q asks for no count, and forbids: %s", words, why)
		}
	}
}

func TestACallIsBlamedOnThePolicyThatHeldWhenItBegan(t *testing.T) {
	now := time.Now().Add(-time.Hour)
	sys := battery("Discharging", "80")
	g := newGate(mustParse(t, "charging"), energy.WiFi, t.TempDir(), sys, func() time.Time { return now })
	g.check()
	now = now.Add(30 * time.Minute)
	sys["class/power_supply/BAT0/status"].Data = []byte("Charging\n")
	if g.check() != "" || g.current() != "" || g.last() == "" {
		t.Error("still forbidden")
	}
	m := &manager{gate: g}
	call := func(ago time.Duration, rule string) *runner.Call {
		c := &runner.Call{Where: WhereDevice, Rule: rule, Reason: "as the runner said", Seconds: ago.Seconds()}
		m.blame(c)
		return c
	}
	if c := call(45*time.Minute, "no clone"); c.Rule != rulePolicy || c.Reason != "the policy forbids the link: charging: the device runs on its battery" {
		t.Errorf("%+v", c)
	}
	for _, c := range []*runner.Call{call(10*time.Minute, "no clone"), call(2*time.Hour, "no clone"), call(45*time.Minute, "first call")} {
		if c.Reason != "as the runner said" {
			t.Errorf("%+v", c)
		}
	}
	m.blame(nil)
	for range 3 * maxSpells {
		sys["class/power_supply/BAT0/status"].Data = []byte("Discharging\n")
		g.check()
		sys["class/power_supply/BAT0/status"].Data = []byte("Charging\n")
		g.check()
	}
	if len(g.spells) > maxSpells {
		t.Errorf("%d spells are kept", len(g.spells))
	}
}

func TestAStoredPolicyIsReadAsItWasWritten(t *testing.T) {
	home := filepath.Join(t.TempDir(), "new")
	if p, err := StoredPolicy(home); err != nil || p.String() != "" {
		t.Errorf("%v %v", p, err)
	}
	const words = "wifi|wired, battery>30%, metered<200MB/month"
	if err := StorePolicy(home, mustParse(t, words)); err != nil {
		t.Fatal(err)
	}
	if p, err := StoredPolicy(home); err != nil || p.String() != words {
		t.Errorf("%v %v", p, err)
	}
	if err := os.WriteFile(filepath.Join(home, whenFile), make([]byte, maxWhen+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := StoredPolicy(home); err == nil {
		t.Error("a file that is too large was read")
	}
}
