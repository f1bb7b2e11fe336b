package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"
)

// tree makes a fake /sys. A value of "!" is a file that may not be read.
func tree(files ...string) sysTree {
	t := sysTree{fstest.MapFS{}}
	for i := 0; i < len(files); i += 2 {
		t.set(files[i], files[i+1])
	}
	return t
}

type sysTree struct{ fstest.MapFS }

func (t sysTree) set(name, value string) { t.MapFS[name] = &fstest.MapFile{Data: []byte(value + "\n")} }

func (t sysTree) Open(name string) (fs.File, error) {
	if f := t.MapFS[name]; f != nil && string(f.Data) == "!\n" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return t.MapFS.Open(name)
}

func (t sysTree) ReadFile(name string) ([]byte, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	return t.MapFS.ReadFile(name)
}

const (
	bat = "class/power_supply/BAT0/"
	cpu = "class/powercap/intel-rapl:0/"
)

func phone(status string, more ...string) sysTree {
	return tree(append([]string{bat + "type", "Battery", bat + "status", status}, more...)...)
}

func laptop(uj string) sysTree {
	return tree(cpu+"name", "package-0", cpu+"energy_uj", uj, cpu+"max_energy_range_uj", "1000000000")
}

func TestWhatCannotBeMeasuredSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		sys  fs.FS
		says string
	}{
		"an empty tree":                      {tree(), "no battery"},
		"an empty tree, of RAPL":             {tree(), "no energy counter"},
		"a battery that charges":             {phone("Charging", bat+"power_now", "5000000"), "unplug"},
		"a full battery":                     {phone("Full", bat+"power_now", "5000000"), "unplug"},
		"a battery without any reading":      {phone("Discharging"), "neither power_now nor"},
		"a current without a voltage":        {phone("Discharging", bat+"current_now", "500000"), "voltage_now"},
		"a status that may not be read":      {phone("!"), "permission denied"},
		"a current that may not be read":     {phone("Discharging", bat+"current_now", "!"), "permission denied"},
		"a power that is a word":             {phone("Discharging", bat+"power_now", "lots"), "no number"},
		"a power that is no number's size":   {phone("Discharging", bat+"power_now", "99999999999999999999"), "no number"},
		"a power of nothing":                 {phone("Discharging", bat+"power_now", "0"), "no running device"},
		"a current in milliamperes":          {phone("Discharging", bat+"current_now", "350", bat+"voltage_now", "3850000"), "other units"},
		"a power of megawatts":               {phone("Discharging", bat+"power_now", "5000000000000"), "other units"},
		"a file that never ends":             {phone("Discharging", bat+"power_now", strings.Repeat("1", 5000)), "5001 bytes"},
		"the battery of a mouse":             {phone("Discharging", bat+"power_now", "1000000", bat+"scope", "Device"), "no battery"},
		"a battery that is not there":        {phone("Discharging", bat+"power_now", "1000000", bat+"present", "0"), "no battery"},
		"a charger":                          {tree(bat+"type", "Mains", bat+"online", "1"), "no battery"},
		"a counter for root alone":           {laptop("!"), "only root may"},
		"a counter that is negative":         {laptop("-5"), "no number"},
		"a powercap without packages":        {tree("class/powercap/dtpm/name", "dtpm"), "no package"},
		"a package that is listed elsewhere": {tree("class/powercap/intel-rapl-mmio:0/name", "package-0", "class/powercap/intel-rapl-mmio:0/energy_uj", "5"), "no package"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := OpenMeter(c.sys)
			if !errors.Is(err, ErrNoMeter) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v %v, expected %q", m, err, c.says)
			}
		})
	}
}

func TestADischargingBatteryIsIntegratedWhateverItsSign(t *testing.T) {
	for name, files := range map[string][]string{
		"power":                          {bat + "power_now", "2000000"},
		"power, negative":                {bat + "power_now", "-2000000"},
		"current out is positive":        {bat + "current_now", "500000", bat + "voltage_now", "4000000"},
		"current out is negative":        {bat + "current_now", "-500000", bat + "voltage_now", "4000000"},
		"power is nonsense, not current": {bat + "power_now", "?", bat + "current_now", "-500000", bat + "voltage_now", "4000000"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := OpenMeter(phone("Discharging", files...))
			if err != nil {
				t.Fatal(err)
			}
			if m.Covers() != WholeDevice || m.Name() != "battery BAT0" {
				t.Errorf("%s covers %s", m.Name(), m.Covers())
			}
			now := time.Unix(1e9, 0)
			for range 11 {
				if err := m.Sample(now); err != nil {
					t.Fatal(err)
				}
				now = now.Add(time.Second)
			}
			if j, skipped := m.Joules(); math.Abs(j-20) > 1e-9 || skipped != 0 {
				t.Errorf("%g J, %v skipped", j, skipped)
			}
		})
	}
}

func TestABatteryIsNotBelievedAcrossAGap(t *testing.T) {
	sys := phone("Discharging", bat+"power_now", "2000000")
	m, err := OpenMeter(sys)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	sample := func(after time.Duration, power, status string, wantErr bool) {
		t.Helper()
		sys.set(bat+"power_now", power)
		sys.set(bat+"status", status)
		now = now.Add(after)
		if err := m.Sample(now); (err != nil) != wantErr {
			t.Fatal(err)
		}
	}
	sample(0, "2000000", "Discharging", false)
	sample(time.Second, "4000000", "Discharging", false) // 3 J
	sample(time.Hour, "4000000", "Discharging", false)   // a gap
	sample(-2*time.Hour, "4000000", "Discharging", false)
	sample(time.Second, "4000000", "Charging", true) // the charger: skipped
	sample(time.Second, "4000000", "Discharging", false)
	sample(time.Second, "4000000", "Discharging", false) // 4 J
	if j, skipped := m.Joules(); math.Abs(j-7) > 1e-9 || skipped != time.Hour+2*time.Second {
		t.Errorf("%g J, %v skipped", j, skipped)
	}
}

// A counter that wraps any number of times, never twice between samples, adds up
// to what was used.
func TestAnEnergyCounterMayWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const wrap = 1_000_000_000
		at := rapid.Uint64Range(0, wrap-1).Draw(t, "start")
		sys := laptop(fmt.Sprint(at))
		m, err := OpenMeter(sys)
		if err != nil {
			t.Fatal(err)
		}
		now, want := time.Unix(1e9, 0), 0.0
		if err := m.Sample(now); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(t, "samples") {
			used := rapid.Uint64Range(0, wrap-1).Draw(t, "used")
			at = (at + used) % wrap
			want += float64(used) / 1e6
			sys.set(cpu+"energy_uj", fmt.Sprint(at))
			now = now.Add(time.Second)
			if err := m.Sample(now); err != nil {
				t.Fatal(err)
			}
		}
		if j, skipped := m.Joules(); math.Abs(j-want) > 1e-6 || skipped != 0 {
			t.Fatalf("%g J, expected %g; %v skipped", j, want, skipped)
		}
	})
}

func TestPackagesAndMemoryAreAddedAndNothingTwice(t *testing.T) {
	sys := tree()
	for zone, name := range map[string]string{
		"intel-rapl:0": "package-0", "intel-rapl:1": "package-1", "intel-rapl:0:0": "core", "intel-rapl:0:2": "dram",
		"intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0",
	} {
		sys.set("class/powercap/"+zone+"/name", name)
		sys.set("class/powercap/"+zone+"/energy_uj", "0")
	}
	m, err := OpenMeter(sys)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	if err := m.Sample(now); err != nil {
		t.Fatal(err)
	}
	for name := range sys.MapFS {
		if strings.HasSuffix(name, "energy_uj") {
			sys.set(name, "1000000")
		}
	}
	if err := m.Sample(now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if j, _ := m.Joules(); j != 3 || m.Covers() != Processor || m.Name() != "RAPL package-0, dram, package-1" {
		t.Errorf("%s: %g J of the %s", m.Name(), j, m.Covers())
	}
}

func TestACounterThatMakesNoSenseIsSkipped(t *testing.T) {
	sys := laptop("1000")
	delete(sys.MapFS, cpu+"max_energy_range_uj")
	m, err := OpenMeter(sys)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	for i, c := range []struct {
		value, says string
	}{
		{"1000", ""},
		{"2001000", ""},                  // 2 J
		{"1000", "went back"},            // no range is known
		{"99000001000", "any processor"}, // 99 kJ in a second
		{"!", "permission"},
		{"99001001000", ""}, // 1 J
	} {
		sys.set(cpu+"energy_uj", c.value)
		err := m.Sample(now)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("sample %d: %v", i, err)
		}
		now = now.Add(time.Second)
	}
	if j, skipped := m.Joules(); math.Abs(j-3) > 1e-9 || skipped != 3*time.Second {
		t.Errorf("%g J, %v skipped", j, skipped)
	}
}

func TestTheBatteryGoesBeforeTheProcessor(t *testing.T) {
	sys := phone("Discharging", bat+"power_now", "2000000", cpu+"name", "package-0", cpu+"energy_uj", "5")
	if m, err := OpenMeter(sys); err != nil || m.Covers() != WholeDevice {
		t.Fatalf("%v %v", m, err)
	}
	sys.set(bat+"status", "Charging")
	if m, err := OpenMeter(sys); err != nil || m.Covers() != Processor {
		t.Fatalf("%v %v", m, err)
	}
}

func TestTheSupplyIsRead(t *testing.T) {
	none := Supply{Known: true, Charging: true, Charge: -1}
	for name, c := range map[string]struct {
		sys  fs.FS
		want Supply
	}{
		"nothing is shown":       {tree(), Supply{}},
		"a charger alone":        {tree(bat+"type", "Mains"), none},
		"a mouse's battery":      {phone("Discharging", bat+"scope", "Device", bat+"capacity", "5"), none},
		"on battery":             {phone("Discharging", bat+"capacity", "37"), Supply{true, true, false, 0.37}},
		"charging":               {phone("Charging", bat+"capacity", "100"), Supply{true, true, true, 1}},
		"full":                   {phone("Full", bat+"charge_now", "3100000", bat+"charge_full", "3000000"), Supply{true, true, true, 1}},
		"held at 80 %":           {phone("Not charging", bat+"capacity", "80"), Supply{true, true, true, 0.8}},
		"energy before capacity": {phone("Discharging", bat+"energy_now", "10", bat+"energy_full", "40", bat+"capacity", "99"), Supply{true, true, false, 0.25}},
		"a status of no meaning": {phone("Unknown", bat+"capacity", "50"), Supply{false, true, false, 0.5}},
		"a charge of no meaning": {phone("Discharging", bat+"capacity", "140"), Supply{true, true, false, -1}},
		"a charge for others":    {phone("Discharging", bat+"capacity", "!"), Supply{true, true, false, -1}},
		"two batteries, one in use": {
			phone("Discharging", bat+"energy_now", "10", bat+"energy_full", "20",
				"class/power_supply/BAT1/type", "Battery", "class/power_supply/BAT1/status", "Full",
				"class/power_supply/BAT1/energy_now", "20", "class/power_supply/BAT1/energy_full", "20"),
			Supply{true, true, false, 0.75},
		},
	} {
		if got := ReadSupply(c.sys); got != c.want {
			t.Errorf("%s: %+v, expected %+v", name, got, c.want)
		}
	}
}
