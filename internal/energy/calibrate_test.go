package energy

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// fakePhone is a meter of a device whose power is what its busy core draws.
type fakePhone struct {
	mu            sync.Mutex
	watts, joules float64
	last          time.Time
	fail          error
}

func (*fakePhone) Name() string                       { return "battery BAT0" }
func (*fakePhone) Covers() Coverage                   { return WholeDevice }
func (f *fakePhone) Joules() (float64, time.Duration) { return f.joules, 0 }

func (f *fakePhone) draw(watts float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watts = watts
}

func (f *fakePhone) Sample(now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.last.IsZero() {
		f.joules += f.watts * now.Sub(f.last).Seconds()
	}
	f.last = now
	return f.fail
}

// calibration of a phone with a little and a big core, that draws 1 W waiting.
func calibration(f *fakePhone, watts map[float64]float64) *Calibration {
	c := &Calibration{
		Meter:   f,
		Classes: []CoreClass{{MHz: 1000, CPUs: []int{0}}, {MHz: 3000, CPUs: []int{1}}},
		Busy: func(ctx context.Context, class CoreClass) (float64, error) {
			f.draw(watts[class.MHz])
			began := time.Now()
			<-ctx.Done()
			f.draw(watts[0])
			return class.MHz * 1e6 * time.Since(began).Seconds(), nil
		},
		Now: time.Now, Step: 2 * time.Second, Rounds: 3,
		Sleep: func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		},
	}
	f.watts = watts[0]
	return c
}

func TestADeviceIsFitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePhone{}
		c := calibration(f, map[float64]float64{0: 1, 1000: 1.5, 3000: 4})
		waiting, all, err := c.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(waiting-1) > 1e-6 || len(all) != 2 {
			t.Fatalf("waiting %g W, %+v", waiting, all)
		}
		// The core is busy a moment after the step has begun.
		if math.Abs(all[0].Watts-1.5) > 0.01 || math.Abs(all[1].Watts-4) > 0.01 || math.Abs(all[0].Speed-1.0/3) > 1e-6 || all[1].Speed != 1 {
			t.Errorf("%+v", all)
		}
		p := Fit("my phone", f, time.Now(), waiting, all, Default())
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if p.CPU.ActiveWatts() != all[1].Watts || !strings.Contains(p.Source, "doctor --calibrate") || !strings.Contains(p.Note, "OnePlus") {
			t.Errorf("%+v", p)
		}
	})
}

func TestANoisyCalibrationIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, watts := range []map[float64]float64{
			{0: 2, 1000: 2, 3000: 4},
			{0: 1, 1000: 4, 3000: 3},
			{0: 0, 1000: 0, 3000: 0},
		} {
			if _, _, err := calibration(&fakePhone{}, watts).Run(t.Context()); !errors.Is(err, errNoisy) {
				t.Errorf("%v: %v", watts, err)
			}
		}
		broken := errors.New("unplugged")
		if _, _, err := calibration(&fakePhone{fail: broken}, map[float64]float64{0: 1, 1000: 2, 3000: 4}).Run(t.Context()); !errors.Is(err, broken) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := calibration(&fakePhone{}, map[float64]float64{0: 1, 1000: 2, 3000: 4}).Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestWithoutAMeterSpeedsAreMeasuredAndNoWatts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := calibration(&fakePhone{}, map[float64]float64{})
		c.Meter = nil
		waiting, all, err := c.Run(t.Context())
		if err != nil || waiting != 0 || all[0].Watts != 0 || math.Abs(all[0].Speed-1.0/3) > 1e-6 {
			t.Errorf("%g %+v %v", waiting, all, err)
		}
	})
}

func TestKindsOfCoreAreFound(t *testing.T) {
	sys := fstest.MapFS{}
	for name, khz := range map[string]string{"cpu0": "1800000", "cpu1": "1800000", "cpu4": "2800000", "cpu5": "nonsense", "cpufreq": "5", "cpuidle": "5"} {
		sys["devices/system/cpu/"+name+"/cpufreq/cpuinfo_max_freq"] = &fstest.MapFile{Data: []byte(khz + "\n")}
	}
	got := CoreClasses(sys)
	if len(got) != 3 || got[0].MHz != 0 || got[0].CPUs[0] != 5 || len(got[1].CPUs) != 2 || got[1].MHz != 1800 || got[2].CPUs[0] != 4 {
		t.Errorf("%+v", got)
	}
	if got := CoreClasses(fstest.MapFS{}); len(got) != 1 || got[0].MHz != 0 || got[0].Name() != "processor" {
		t.Errorf("%+v", got)
	}
}
