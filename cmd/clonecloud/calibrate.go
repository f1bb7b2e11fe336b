package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// Each part of a measurement is taken three times. With a meter it lasts for
// seconds, for a battery's current is a mean over one or so.
const (
	calibrateRounds = 3
	speedStep       = 300 * time.Millisecond // without a meter
)

// calibration is what doctor --calibrate prints with --json.
type calibration struct {
	JoulesAre energy.Basis      `json:"joulesAre"` // of this calibration
	Meter     string            `json:"meter,omitempty"`
	NoMeter   string            `json:"noMeter,omitempty"` // why there is none
	WaitWatts float64           `json:"waitWatts,omitempty"`
	Classes   []calibratedClass `json:"classes"`
	Profile   string            `json:"profile,omitempty"` // the file that was written
}

type calibratedClass struct {
	Name  string  `json:"name"`
	Cores int     `json:"cores,omitempty"`
	Speed float64 `json:"speed"` // the fastest class being 1
	Watts float64 `json:"watts,omitempty"`
}

// calibrate measures this device and keeps what it finds as its power profile.
// Without a meter there is nothing to keep: joules stay a model's.
func (c *doctorCmd) calibrate(a *app) error {
	sys := os.DirFS(c.Sysfs)
	run := energy.Calibration{
		Classes: energy.CoreClasses(sys), Busy: burn, Now: time.Now, Sleep: time.Sleep,
		Step: speedStep, Rounds: calibrateRounds,
	}
	out := calibration{JoulesAre: energy.Model}
	meter, err := energy.OpenMeter(sys)
	if err != nil {
		out.NoMeter = err.Error()
	} else {
		run.Meter, run.Step = meter, c.Step
		out.Meter, out.JoulesAre = meter.Name(), energy.Measured
		a.say("measuring with %s for %v: let nothing else run", meter.Name(), time.Duration(1+len(run.Classes))*calibrateRounds*c.Step)
	}
	waiting, all, err := run.Run(a.ctx)
	if err != nil {
		return withHint(err, "nothing was changed; the power profile is what it was")
	}
	out.WaitWatts = waiting
	for _, class := range all {
		out.Classes = append(out.Classes, calibratedClass{class.Name(), len(class.CPUs), class.Speed, class.Watts})
	}
	if meter != nil {
		if out.Profile, err = keepProfile(a.home, energy.Fit("this device", meter, time.Now(), waiting, all, energy.Choose(a.home, sys).Profile)); err != nil {
			return err
		}
	}
	if c.JSON {
		enc := json.NewEncoder(a.stdio.out)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	out.print(a)
	return nil
}

// keepProfile writes the device's own profile.
func keepProfile(home string, p *energy.Profile) (string, error) {
	data, err := p.Encode()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", fmt.Errorf("keep the power profile: %w", err)
	}
	path := filepath.Join(home, energy.OwnFile)
	if err := identity.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("keep the power profile: %w", err)
	}
	return path, nil
}

func (out *calibration) print(a *app) {
	w := a.stdio.out
	for _, class := range out.Classes {
		fmt.Fprintf(w, "%s: speed %.2f", class.Name, class.Speed)
		if class.Cores > 0 {
			fmt.Fprintf(w, ", %s", plural(class.Cores, "core"))
		}
		if out.JoulesAre == energy.Measured {
			fmt.Fprintf(w, ", %.2f W with one core busy (measured)", class.Watts)
		}
		fmt.Fprintln(w)
	}
	if out.JoulesAre == energy.Measured {
		fmt.Fprintf(w, "waiting: %.2f W (measured with %s)\nkept as this device's power profile: %s\n", out.WaitWatts, out.Meter, out.Profile)
		return
	}
	fmt.Fprintf(w, "%s\njoules stay a model's: without a meter speeds are measured and no power, and no profile was written\n", out.NoMeter)
}

// burn computes on one core of a class until the context ends and returns how
// many rounds that were.
func burn(ctx context.Context, class energy.CoreClass) (float64, error) {
	// The thread is pinned and must not serve other goroutines after: it ends
	// with this one, which does not unlock it.
	type result struct {
		rounds float64
		err    error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		if err := pinThread(class.CPUs); err != nil {
			done <- result{0, err}
			return
		}
		rounds, x := 0.0, uint64(88172645463325252)
		for ctx.Err() == nil {
			for range 100_000 {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
			}
			rounds++
		}
		if x == 0 { // it never is; but the compiler does not know
			done <- result{0, errors.New("the processor computes wrongly")}
			return
		}
		done <- result{rounds, nil}
	}()
	r := <-done
	return r.rounds, r.err
}
