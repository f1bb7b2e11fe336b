package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Meter measures what this device uses. Sample must be called at the beginning
// and the end of what is measured, and at least every SampleEvery in between.
type Meter interface {
	// Name says what is read: "battery BAT0", "RAPL package-0".
	Name() string
	// Covers says what the joules are of: the device, or its processor alone.
	Covers() Coverage
	// Sample reads the meter at now. After an error the meter has skipped what
	// lay between, and can be sampled again.
	Sample(now time.Time) error
	// Joules is what was used between the samples so far, and how much time
	// between samples had to be skipped.
	Joules() (joules float64, skipped time.Duration)
}

// Coverage is what a meter's joules are of.
type Coverage string

// The coverages.
const (
	WholeDevice Coverage = "device"
	Processor   Coverage = "processor"
)

// SampleEvery is how often a meter must be read: a battery's power is taken to
// be constant in between, and an energy counter may wrap once.
const SampleEvery = time.Second

const (
	maxGap    = 30 * time.Second // between samples of a battery
	minSystem = 0.01             // watts: a device that measures and draws less has another unit
)

// ErrNoMeter wraps the reasons why there is nothing to read.
var ErrNoMeter = errors.New("no energy meter")

// OpenMeter finds what measures this device, in the tree of /sys: its battery,
// if it is discharging, or else the processor's energy counter (RAPL). The error
// wraps ErrNoMeter and says, for each of them, why not.
func OpenMeter(sys fs.FS) (Meter, error) {
	b, errB := openBattery(sys)
	if errB == nil {
		return b, nil
	}
	r, errR := openRAPL(sys)
	if errR == nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %w; %w", ErrNoMeter, errB, errR)
}

// rapl reads the energy counters of the processor's packages and memory, which
// count microjoules up to a range and begin again at 0.
type rapl struct {
	sys     fs.FS
	zones   []zone
	last    time.Time
	joules  float64
	skipped time.Duration
}

type zone struct {
	dir, name string
	wrap      uint64 // microjoules after which it begins again; 0: not known
	before    uint64
}

// Packages are zones of their own; of a package's parts only memory is not in
// the package's counter. The same packages may be listed a second time under
// intel-rapl-mmio.
var (
	packageZone = regexp.MustCompile(`^intel-rapl:\d+$`)
	partZone    = regexp.MustCompile(`^intel-rapl:\d+:\d+$`)
)

const powercap = "class/powercap"

func openRAPL(sys fs.FS) (*rapl, error) {
	entries, err := fs.ReadDir(sys, powercap)
	if err != nil {
		return nil, fmt.Errorf("the processor shows no energy counter (%w)", err)
	}
	m := &rapl{sys: sys}
	for _, e := range entries {
		dir := path.Join(powercap, e.Name())
		name, _ := readText(sys, path.Join(dir, "name"))
		isPackage := packageZone.MatchString(e.Name()) && strings.HasPrefix(name, "package")
		isMemory := partZone.MatchString(e.Name()) && name == "dram"
		if !isPackage && !isMemory {
			continue
		}
		now, err := readUint(sys, path.Join(dir, "energy_uj"))
		if err != nil {
			return nil, fmt.Errorf("the processor's energy counter cannot be read: %w", advisePermission(err))
		}
		wrap, _ := readUint(sys, path.Join(dir, "max_energy_range_uj"))
		m.zones = append(m.zones, zone{dir, name, wrap, now})
	}
	if len(m.zones) == 0 {
		return nil, errors.New("the processor shows no energy counter (no package in /sys/" + powercap + ")")
	}
	return m, nil
}

// advisePermission says what to do about a counter that only root may read,
// which is the default since the counter was found to betray secrets.
func advisePermission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (only root may, unless it says otherwise: chmod a+r)", err)
	}
	return err
}

func (m *rapl) Name() string {
	var names []string
	for _, z := range m.zones {
		names = append(names, z.name)
	}
	return "RAPL " + strings.Join(names, ", ")
}

func (m *rapl) Covers() Coverage { return Processor }

func (m *rapl) Sample(now time.Time) error {
	first := m.last.IsZero()
	gone := now.Sub(m.last)
	m.last = now
	var used float64
	var failed error
	for i := range m.zones {
		z := &m.zones[i]
		v, err := readUint(m.sys, path.Join(z.dir, "energy_uj"))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		uj, ok := z.since(v)
		if !ok {
			failed = errors.Join(failed, fmt.Errorf("%s went back from %d to %d uJ, and its range is %d", z.name, z.before, v, z.wrap))
		}
		z.before = v
		used += float64(uj) / 1e6
	}
	if first {
		return failed
	}
	// A kilowatt is no processor, whatever happened to the counter. A clock that
	// was set back says nothing about it.
	if failed == nil && gone > 0 && used/gone.Seconds() > maxWatts {
		failed = fmt.Errorf("%.3g J in %v is more than any processor uses", used, gone)
	}
	if failed != nil {
		m.skipped += max(gone, 0)
		return fmt.Errorf("read the processor's energy counter: %w", oneLine(failed))
	}
	m.joules += used
	return nil
}

// since is how many microjoules passed since the sample before.
func (z *zone) since(v uint64) (uint64, bool) {
	if v >= z.before {
		return v - z.before, true
	}
	if z.wrap <= z.before {
		return 0, false
	}
	return z.wrap - z.before + v, true
}

func (m *rapl) Joules() (float64, time.Duration) { return m.joules, m.skipped }

// battery integrates the power that a discharging battery gives.
type battery struct {
	sys     fs.FS
	dir     string
	last    time.Time
	watts   float64 // at the sample before; 0: none
	joules  float64
	skipped time.Duration
}

func openBattery(sys fs.FS) (*battery, error) {
	dirs := batteries(sys)
	if len(dirs) == 0 {
		return nil, errors.New("there is no battery")
	}
	var errs error
	for _, dir := range dirs {
		if _, err := batteryWatts(sys, dir); err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		return &battery{sys: sys, dir: dir}, nil
	}
	return nil, oneLine(errs)
}

func (b *battery) Name() string     { return "battery " + path.Base(b.dir) }
func (b *battery) Covers() Coverage { return WholeDevice }

func (b *battery) Sample(now time.Time) error {
	watts, err := batteryWatts(b.sys, b.dir)
	gone := now.Sub(b.last)
	before, first := b.watts, b.last.IsZero()
	b.last, b.watts = now, watts
	switch {
	case first:
		return err
	case err != nil || before == 0 || gone > maxGap:
		b.skipped += max(gone, 0)
		return err
	case gone > 0: // a clock that was set back has used nothing
		b.joules += (before + watts) / 2 * gone.Seconds()
	}
	return nil
}

func (b *battery) Joules() (float64, time.Duration) { return b.joules, b.skipped }

// batteryWatts is the power that a battery gives now. Drivers differ in the sign
// of a current that flows out, so the sign is not looked at: the status is.
func batteryWatts(sys fs.FS, dir string) (float64, error) {
	name := path.Base(dir)
	status, err := readText(sys, path.Join(dir, "status"))
	if err != nil {
		return 0, fmt.Errorf("battery %s cannot be read: %w", name, err)
	}
	if status != "Discharging" {
		return 0, fmt.Errorf("battery %s is not discharging (its status is %q): unplug the charger to measure", name, status)
	}
	watts, errW := readMicro(sys, path.Join(dir, "power_now"))
	if errW != nil {
		amps, errI := readMicro(sys, path.Join(dir, "current_now"))
		volts, errV := readMicro(sys, path.Join(dir, "voltage_now"))
		if errI != nil || errV != nil {
			if errors.Is(errW, fs.ErrNotExist) {
				errW = nil // few drivers have it
			}
			return 0, fmt.Errorf("battery %s shows neither power_now nor current_now and voltage_now: %w", name, oneLine(errors.Join(errW, errI, errV)))
		}
		watts = amps * volts
	}
	watts = math.Abs(watts)
	if !(watts >= minSystem && watts <= maxWatts) {
		return 0, fmt.Errorf("battery %s reads %.3g W, which no running device draws: its driver may count in other units", name, watts)
	}
	return watts, nil
}

// oneLine is an error joined of several, on one line.
func oneLine(err error) error { return joined{err} }

type joined struct{ error }

func (j joined) Error() string { return strings.ReplaceAll(j.error.Error(), "\n", "; ") }
func (j joined) Unwrap() error { return j.error }

// readText reads a small file of /sys, without its line's end.
func readText(sys fs.FS, name string) (string, error) {
	data, err := fs.ReadFile(sys, name)
	if err != nil {
		return "", err
	}
	if len(data) > 4096 {
		return "", fmt.Errorf("%s is %d bytes long", name, len(data))
	}
	return strings.TrimSpace(string(data)), nil
}

func readUint(sys fs.FS, name string) (uint64, error) {
	text, err := readText(sys, name)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds %.40q, which is no number", name, text)
	}
	return v, nil
}

// readMicro reads a number of millionths.
func readMicro(sys fs.FS, name string) (float64, error) {
	text, err := readText(sys, name)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds %.40q, which is no number", name, text)
	}
	return float64(v) / 1e6, nil
}
