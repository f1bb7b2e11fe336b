package energy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CoreClass is a kind of core of this device's processor.
type CoreClass struct {
	MHz  float64 // its highest frequency; 0: not known
	CPUs []int   // the processors of the class
}

// CoreClasses lists the kinds of core in the tree of /sys, slow ones first: one
// of unknown frequency where it does not say.
func CoreClasses(sys fs.FS) []CoreClass {
	by := map[float64][]int{}
	entries, _ := fs.ReadDir(sys, "devices/system/cpu")
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "cpu")
		n, err := strconv.ParseUint(digits, 10, 10)
		if !ok || err != nil {
			continue
		}
		khz, err := readUint(sys, path.Join("devices/system/cpu", e.Name(), "cpufreq/cpuinfo_max_freq"))
		if err != nil || khz > 1e8 {
			khz = 0
		}
		by[float64(khz)/1e3] = append(by[float64(khz)/1e3], int(n))
	}
	var all []CoreClass
	for mhz, cpus := range by {
		slices.Sort(cpus)
		all = append(all, CoreClass{mhz, cpus})
	}
	slices.SortFunc(all, func(a, b CoreClass) int { return cmp.Compare(a.MHz, b.MHz) })
	if len(all) == 0 {
		all = []CoreClass{{}}
	}
	return all
}

// Calibration measures a device. Its functions are this machine's, or a test's.
type Calibration struct {
	Meter   Meter // nil: there is none
	Classes []CoreClass
	// Busy computes on a core of the class until the context ends, and returns
	// how much work that was, in any unit.
	Busy func(ctx context.Context, c CoreClass) (work float64, err error)
	// Now and Sleep are the clock.
	Now   func() time.Time
	Sleep func(time.Duration)
	// Each step lasts so long, and all are repeated in turn.
	Step   time.Duration
	Rounds int
}

// Calibrated is what was measured of one class.
type Calibrated struct {
	CoreClass
	Speed float64 // work per second, the fastest class being 1
	Watts float64 // with one core busy; 0 without a meter
}

var errNoisy = errors.New("the measurements make no sense together: let nothing else run, dim the screen, and try again")

// Run measures the waiting device and one busy core of each class, in turn, and
// takes the medians. Without a meter waiting is 0 watts. An error wraps the
// meter's, or says that computing was not seen to cost more than waiting.
func (c *Calibration) Run(ctx context.Context) (waiting float64, all []Calibrated, err error) {
	idle := make([]float64, 0, c.Rounds)
	watts, speeds := make([][]float64, len(c.Classes)), make([][]float64, len(c.Classes))
	for range c.Rounds {
		if c.Meter != nil {
			w, err := c.power(ctx)
			if err != nil {
				return 0, nil, err
			}
			idle = append(idle, w)
		}
		for i, class := range c.Classes {
			w, speed, err := c.busy(ctx, class)
			if err != nil {
				return 0, nil, err
			}
			watts[i], speeds[i] = append(watts[i], w), append(speeds[i], speed)
		}
	}
	if c.Meter != nil {
		waiting = median(idle)
	}
	for i, class := range c.Classes {
		all = append(all, Calibrated{class, median(speeds[i]), median(watts[i])})
	}
	slices.SortStableFunc(all, func(a, b Calibrated) int { return cmp.Compare(a.Speed, b.Speed) })
	fastest := all[len(all)-1].Speed
	before := waiting
	for i := range all {
		all[i].Speed /= fastest
		if c.Meter != nil && all[i].Watts <= before {
			return 0, nil, fmt.Errorf("%w (waiting %.3g W, busy %.3g W at %.0f MHz)", errNoisy, before, all[i].Watts, all[i].MHz)
		}
		before = all[i].Watts
	}
	return waiting, all, nil
}

// busy computes for one step and returns the power and the work per second.
func (c *Calibration) busy(ctx context.Context, class CoreClass) (watts, speed float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		work float64
		err  error
	}
	done := make(chan result, 1)
	began := c.Now()
	go func() {
		work, err := c.Busy(ctx, class)
		done <- result{work, err}
	}()
	if c.Meter != nil {
		watts, err = c.power(ctx)
	} else {
		c.Sleep(c.Step)
	}
	cancel()
	r := <-done
	took := c.Now().Sub(began).Seconds()
	if err = errors.Join(err, r.err); err != nil {
		return 0, 0, err
	}
	if took <= 0 || r.work <= 0 {
		return 0, 0, fmt.Errorf("%w (%g work in %g s)", errNoisy, r.work, took)
	}
	return watts, r.work / took, nil
}

// power is the mean power of one step.
func (c *Calibration) power(ctx context.Context) (float64, error) {
	began := c.Now()
	if err := c.Meter.Sample(began); err != nil {
		return 0, fmt.Errorf("calibrate: %w", err)
	}
	before, skipped := c.Meter.Joules() // what lay before this step is not its
	for c.Now().Sub(began) < c.Step {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		c.Sleep(min(c.Step, SampleEvery/2))
		if err := c.Meter.Sample(c.Now()); err != nil {
			return 0, fmt.Errorf("calibrate: %w", err)
		}
	}
	after, skippedNow := c.Meter.Joules()
	took := c.Now().Sub(began) - (skippedNow - skipped)
	if took <= 0 {
		return 0, fmt.Errorf("calibrate: %w", errNoisy)
	}
	return (after - before) / took.Seconds(), nil
}

// Fit makes a profile of what was measured: the processor of this device, the
// radios of another profile, which cannot be measured without one at hand.
func Fit(name string, m Meter, when time.Time, waiting float64, all []Calibrated, radios *Profile) *Profile {
	p := &Profile{
		Name:   name,
		Source: fmt.Sprintf("measured on this device by clonecloud doctor --calibrate on %s, with its %s", when.Format(time.DateOnly), m.Name()),
		Note:   fmt.Sprintf("The radios are those of %s: %s", radios.Name, radios.Source),
		CPU:    CPU{WaitWatts: waiting},
		Radios: radios.Radios,
	}
	if m.Covers() == Processor {
		p.Note = "The processor's power alone, not the device's. " + p.Note
	}
	for _, c := range all {
		p.CPU.Classes = append(p.CPU.Classes, Class{Name: c.Name(), MHz: c.MHz, Watts: c.Watts})
	}
	return p
}

// Name is how a person tells the class from others.
func (c CoreClass) Name() string {
	if c.MHz == 0 {
		return "processor"
	}
	return fmt.Sprintf("%.0f MHz", c.MHz)
}

func median(xs []float64) float64 {
	xs = slices.Clone(xs)
	slices.Sort(xs)
	return xs[len(xs)/2]
}
