package cost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/energy"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// feed gives an estimator n transfers each way at a rate, a second apart.
func feed(e *Estimator, now *time.Time, n int, rtt time.Duration, rate float64) {
	for range n {
		*now = now.Add(time.Second)
		e.RTT(*now, rtt)
		e.Sent(*now, 1e6, duration(1e6/rate))
		e.Received(*now, 2e6, duration(1e6/rate))
	}
}

func within(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if !(math.Abs(got/want-1) <= share) {
		t.Errorf("%s is %g, expected %g within %g %%", what, got, want, share*100)
	}
}

func TestALinkIsLearntFromItsTraffic(t *testing.T) {
	e, now := NewEstimator(energy.WiFi), start
	if l := e.Link(now); l.Known || l.Samples != 0 || l.Quiet != 0 {
		t.Fatalf("out of nothing: %+v", l)
	}
	feed(e, &now, 1, 10*time.Millisecond, 1e6)
	l := e.Link(now)
	if !l.Known || l.Kind != energy.WiFi || l.UpDev < 0.2 {
		t.Errorf("after one sample: %+v", l)
	}
	feed(e, &now, 30, 10*time.Millisecond, 1e6)
	l = e.Link(now.Add(time.Second))
	within(t, "rtt", l.RTT.Seconds(), 0.010, 0.001)
	within(t, "up", l.Up, 1e6, 0.001)
	within(t, "down", l.Down, 2e6, 0.001)
	if l.UpDev > 0.1 || l.Quiet != time.Second || l.Samples != 93 {
		t.Errorf("%+v", l)
	}
}

func TestAChangedLinkIsBelievedAfterTwoTransfers(t *testing.T) {
	for _, factor := range []float64{0.01, 0.1, 0.5, 2, 10, 100} {
		e, now := NewEstimator(energy.WiFi), start
		feed(e, &now, 50, 10*time.Millisecond, 1e6)
		feed(e, &now, 1, 10*time.Millisecond, 1e6*factor)
		if l := e.Link(now); factor < 0.2 && l.Up < 1e6*factor*2 {
			t.Errorf("factor %g: one stall is believed at once: %g", factor, l.Up)
		}
		feed(e, &now, 1, 10*time.Millisecond, 1e6*factor)
		within(t, fmt.Sprintf("up, changed by %g,", factor), e.Link(now).Up, 1e6*factor, 0.05)
	}
}

func TestOneStallAmongManyIsNoNews(t *testing.T) {
	e, now := NewEstimator(energy.WiFi), start
	for i := range 100 {
		feed(e, &now, 1, 10*time.Millisecond, map[bool]float64{true: 1e4, false: 1e6}[i%10 == 9])
	}
	if l := e.Link(now); l.Up < 8e5 || l.At(0.97).Up > 0.85*l.Up {
		t.Errorf("up %g, in the worst of times %g", l.Up, l.At(0.97).Up)
	}
}

func TestAnEstimateAgesAndThenYields(t *testing.T) {
	e, now := NewEstimator(energy.WiFi), start
	feed(e, &now, 50, 10*time.Millisecond, 1e6)
	fresh, old := e.Link(now), e.Link(now.Add(time.Hour))
	if old.Up != fresh.Up || old.UpDev < fresh.UpDev+0.3 || old.RTTDev < 4*time.Millisecond {
		t.Errorf("fresh %+v, old %+v", fresh, old)
	}
	now = now.Add(time.Hour)
	feed(e, &now, 1, 10*time.Millisecond, 5e5)
	within(t, "up", e.Link(now).Up, 5e5, 0.1)
}

func TestAnotherNetworkIsAnotherLink(t *testing.T) {
	e, now := NewEstimator(energy.WiFi), start
	e.Network(now, "home", energy.WiFi)
	feed(e, &now, 20, 10*time.Millisecond, 1e6)
	e.Packets(10, 100)
	e.Connected(QUICWindow)
	e.Network(now, "home", energy.WiFi)
	if !e.Link(now).Known || e.Link(now).Loss == 0 {
		t.Fatal("the same network is forgotten")
	}
	e.Network(now, "street", energy.LTE)
	if l := e.Link(now); l.Known || l.Samples != 0 || l.Loss != 0 || l.WindowUp != 0 || l.Kind != energy.LTE {
		t.Fatalf("the street's link is home's: %+v", l)
	}
	feed(e, &now, 20, 70*time.Millisecond, 1e5)
	e.Network(now.Add(time.Hour), "home", energy.WiFi)
	l := e.Link(now.Add(time.Hour))
	within(t, "up at home again", l.Up, 1e6, 0.01)
	if l.UpDev < 0.4 {
		t.Errorf("an hour old and not doubted: %+v", l)
	}
	for i := range 10 * maxNetworks {
		e.Network(now, fmt.Sprint("hotel", i), energy.WiFi)
	}
	if len(e.old) > maxNetworks {
		t.Errorf("%d networks are remembered", len(e.old))
	}
	e.Reset()
	e.Network(now, "home", energy.WiFi)
	if e.Link(now).Known {
		t.Error("known after a reset")
	}
}

func TestAWakingRadioIsToldFromALongerWay(t *testing.T) {
	e, now := NewEstimator(energy.LTE), start
	feed(e, &now, 10, 70*time.Millisecond, 1e6)
	for range 5 {
		now = now.Add(time.Minute)
		e.RTT(now, 370*time.Millisecond)
		now = now.Add(time.Second)
		e.RTT(now, 70*time.Millisecond)
	}
	l := e.Link(now)
	within(t, "rtt", l.RTT.Seconds(), 0.070, 0.01)
	within(t, "wake", l.Wake.Seconds(), 0.300, 0.01)
	asleep, awake := l, l
	asleep.Quiet, awake.Quiet = time.Hour, time.Second
	within(t, "the difference", Remote(Offload{}, asleep, nil).Seconds-Remote(Offload{}, awake, nil).Seconds, 0.300, 0.01)
}

func TestASmallTransferSaysLittleAboutTheRate(t *testing.T) {
	e, now := NewEstimator(energy.WiFi), start
	feed(e, &now, 10, 10*time.Millisecond, 1e6)
	for range 20 {
		now = now.Add(time.Millisecond)
		e.Sent(now, 100, 130*time.Microsecond) // 770 kB/s
	}
	within(t, "up", e.Link(now).Up, 1e6, 0.05)
}

func TestOneDirectionSpeaksForTheOtherDoubtfully(t *testing.T) {
	e := NewEstimator(energy.WiFi)
	e.RTT(start, 10*time.Millisecond)
	e.Received(start, 1e6, time.Second)
	if l := e.Link(start); !l.Known || l.Up != l.Down || l.UpDev < l.DownDev+0.5 {
		t.Errorf("%+v", l)
	}
}

func TestSlowStartIsNotTakenForASlowLink(t *testing.T) {
	const rate, rtt = 1.5e6, 70 * time.Millisecond
	e, now := NewEstimator(energy.LTE), start
	e.RTT(now, rtt)
	e.Connected(QUICWindow)
	window := int64(QUICWindow)
	for i := range 6 {
		n := int64(128 << 10)
		took := transfer(n, rate, rtt, window)
		l := e.Link(now)
		if l.WindowUp != window {
			t.Fatalf("window %d, expected %d", l.WindowUp, window)
		}
		if i > 0 {
			within(t, "predicted time", transfer(n, l.Up, l.RTT, l.WindowUp), took, 0.01)
		}
		now = now.Add(time.Second)
		e.Sent(now, n, duration(took))
		window += n
	}
	within(t, "up", e.Link(now).Up, rate, 0.01)
}

func TestLossIsAShareOfPackets(t *testing.T) {
	e := NewEstimator(energy.WiFi)
	for range 100 {
		e.Packets(2, 100)
	}
	within(t, "loss", e.Link(start).Loss, 0.02, 0.01)
	for _, bad := range [][2]int{{-1, 5}, {5, 1}, {0, 0}, {1, -1}} {
		e.Packets(bad[0], bad[1])
	}
	within(t, "loss after nonsense", e.Link(start).Loss, 0.02, 0.01)
}

// Whatever it is told, and however the clock jumps, an estimator gives numbers
// that can be reckoned with, and comes back to the truth.
func TestNothingUnhingesAnEstimator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, now := NewEstimator(energy.WiFi), start
		jumps := rapid.SampledFrom([]time.Duration{
			0, 1, time.Second, -time.Second, time.Hour, -time.Hour, 100 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour,
		})
		times := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Int64Range(1, int64(time.Minute)))
		for range rapid.IntRange(0, 30).Draw(t, "observations") {
			now = now.Add(jumps.Draw(t, "jump"))
			d := time.Duration(times.Draw(t, "time"))
			n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1e7)).Draw(t, "bytes")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				e.RTT(now, d)
			case 1:
				e.Sent(now, n, d)
			case 2:
				e.Received(now, n, d)
			case 3:
				e.Packets(int(n%100), int(n%1000))
			case 4:
				e.Connected(n)
			}
			l := e.Link(now)
			for _, x := range []float64{l.Up, l.Down, l.UpDev, l.DownDev, l.Loss, l.RTT.Seconds(), l.RTTDev.Seconds(), l.Wake.Seconds()} {
				if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
					t.Fatalf("%+v", l)
				}
			}
			if l.Known && (l.Up <= 0 || l.Down <= 0) || l.Loss > 1 || l.Quiet < 0 {
				t.Fatalf("%+v", l)
			}
		}
		e.Connected(0)
		feed(e, &now, 12, 10*time.Millisecond, 1e6)
		if l := e.Link(now); math.Abs(l.Up/1e6-1) > 0.3 || math.Abs(l.Down/2e6-1) > 0.3 {
			t.Fatalf("after 12 true samples: %+v", l)
		}
	})
}

// Of transfers whose time varies by a factor, nine in ten are faster than
// At(0.9) says, about.
func TestQuantilesHold(t *testing.T) {
	for _, dev := range []float64{0.1, 0.3, 0.6} {
		rng := rand.New(rand.NewPCG(1, 2))
		below := map[float64]int{0.5: 0, 0.9: 0}
		const rounds, calls = 40, 50
		for range rounds {
			e, now := NewEstimator(energy.WiFi), start
			for range calls {
				took := math.Exp(rng.NormFloat64() * dev)
				if l := e.Link(now); l.Known {
					for q := range below {
						if took < 1e6/l.At(q).Up {
							below[q]++
						}
					}
				}
				now = now.Add(time.Second)
				e.RTT(now, time.Millisecond)
				e.Sent(now, 1e6, duration(took))
			}
		}
		for q, n := range below {
			if share := float64(n) / (rounds * (calls - 1)); math.Abs(share-q) > 0.1 {
				t.Errorf("deviation %g: %g of the transfers are faster than At(%g)", dev, share, q)
			}
		}
	}
}

func TestATransportsOwnWordMakesALink(t *testing.T) {
	rtt, rate := Quantity{0.1, 0.02, 5}, Quantity{1e6, 1e5, 7}
	l := Measured(energy.LTE, rtt, rate, Quantity{})
	if !l.Known || l.Down != 1e6 || l.DownDev < 1 || math.Abs(l.UpDev-0.1) > 1e-12 || l.RTT != 100*time.Millisecond || l.Kind != energy.LTE {
		t.Errorf("%+v", l)
	}
	if l := Measured(energy.LTE, rtt, Quantity{}, Quantity{}); l.Known {
		t.Errorf("%+v", l)
	}
	if l := Measured(energy.LTE, Quantity{}, rate, rate); l.Known {
		t.Errorf("%+v", l)
	}
}

func BenchmarkEstimator(b *testing.B) {
	e, now := NewEstimator(energy.WiFi), start
	feed(e, &now, 10, 10*time.Millisecond, 1e6)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		e.Sent(now, 1e5, 100*time.Millisecond)
		if !e.Link(now).Known {
			b.Fatal()
		}
	}
}
