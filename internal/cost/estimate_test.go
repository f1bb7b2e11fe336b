package cost

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// device draws 1 W waiting, 3 W computing; its LTE radio costs 2 J to wake, 4 W
// up, 3 W down, and has a tail of 2 W for 10 s.
var device = &energy.Profile{
	Name: "test", Source: "test",
	CPU: energy.CPU{WaitWatts: 1, Classes: []energy.Class{{Watts: 2}, {Watts: 3}}},
	Radios: map[energy.Radio]*energy.RadioPower{energy.LTE: {
		Promotion:     energy.State{Watts: 2, For: energy.Duration(time.Second)},
		TransmitWatts: 4, ReceiveWatts: 3,
		Tail: []energy.State{{Watts: 2, For: energy.Duration(10 * time.Second)}},
	}},
}

var slow = Link{Known: true, Kind: energy.LTE, RTT: time.Second, Up: 112_500, Down: 1e6}

func TestAnOffloadCostsTheSumOfItsParts(t *testing.T) {
	const s = time.Second
	o := Offload{Capture: 1 * s, Queue: 2 * s, Compute: 3 * s, Apply: 4 * s, BytesUp: 225_000, BytesDown: 5_000_000, RoundTrips: 1}
	e := Remote(o, slow, device)
	want := []Term{
		{Name: TermCapture, Seconds: 1, Joules: 3},
		{Name: TermWake, Joules: 2},
		{Name: TermUpload, Seconds: 2, Joules: 2 * (1 + 4)},
		{Name: TermRoundTrips, Seconds: 1, Joules: 1 * (1 + 2)},
		{Name: TermQueue, Seconds: 2, Joules: 2 * (1 + 2)},
		{Name: TermCompute, Seconds: 3, Joules: 3 * (1 + 2)},
		{Name: TermDownload, Seconds: 5, Joules: 5 * (1 + 3)},
		{Name: TermApply, Seconds: 4, Joules: 4 * (3 + 2)},
		{Name: TermTail, Joules: 6 * 2},
	}
	if len(e.Terms) != len(want) {
		t.Fatalf("%+v", e.Terms)
	}
	for i, w := range want {
		got := e.Terms[i]
		if got.Name != w.Name || math.Abs(got.Seconds-w.Seconds) > 1e-9 || math.Abs(got.Joules-w.Joules) > 1e-6 || got.Text == "" {
			t.Errorf("%+v, expected %+v", got, w)
		}
	}
	if e.Seconds != 18 {
		t.Errorf("%g s", e.Seconds)
	}
	if l := Local(2*s, device); l.Seconds != 2 || l.Joules != 6 {
		t.Errorf("locally %+v", l)
	}
}

func TestEnergyDependsOnHowLongAgoTheRadioWasUsed(t *testing.T) {
	o := Offload{BytesUp: 112_500, Compute: time.Second}
	joules := func(quiet time.Duration) float64 {
		l := slow
		l.Quiet = quiet
		return Remote(o, l, device).Joules
	}
	asleep, awake, half := joules(0), joules(1), joules(5*time.Second)
	if math.Abs(asleep-awake-(2+20)) > 1e-6 || math.Abs(half-awake-10) > 1e-6 || joules(time.Hour) != asleep {
		t.Errorf("asleep %g J, awake %g J, in its tail %g J, long ago %g J", asleep, awake, half, joules(time.Hour))
	}
}

func TestARadioMayFallAsleepWhileTheCloneComputes(t *testing.T) {
	long := Remote(Offload{Compute: time.Minute}, slow, device)
	// 60 s and a round trip of waiting, the tail used up, and woken twice.
	if want := 61 + 2*2 + 20 + 20.0; math.Abs(long.Joules-want) > 1e-6 {
		t.Errorf("%g J, expected %g", long.Joules, want)
	}
	kept := Remote(Offload{Compute: time.Minute, RoundTrips: 11}, slow, device)
	if want := 71 + 2 + 71*2 + 20.0; math.Abs(kept.Joules-want) > 1e-6 {
		t.Errorf("with forwarded imports %g J, expected %g", kept.Joules, want)
	}
}

func TestTheDecidingTermIsSaidInWords(t *testing.T) {
	fast := slow
	fast.Up, fast.Down, fast.RTT = 6e6, 6e6, 10*time.Millisecond
	for name, c := range map[string]struct {
		local time.Duration
		o     Offload
		l     Link
		by    Objective
		want  string
	}{
		"a slow uplink keeps a call here": {
			5 * time.Second,
			Offload{Compute: 100 * time.Millisecond, BytesUp: 3_100_000},
			slow, Time,
			"upload of 3.1 MB at 0.9 Mb/s costs 28 s",
		},
		"its computing sends a call away": {
			5 * time.Second,
			Offload{Compute: 100 * time.Millisecond, BytesUp: 10_000},
			fast, Time,
			"computing on the device costs 5.0 s",
		},
		"a far clone keeps a short call here": {
			300 * time.Millisecond,
			Offload{Compute: time.Millisecond, BytesUp: 100},
			slow, Time,
			"1 round trip of 1.0 s costs 1.0 s",
		},
		"a chatty call stays": {
			30 * time.Second,
			Offload{Compute: time.Millisecond, RoundTrips: 40},
			slow, Time,
			"40 round trips of 1.0 s costs 40 s",
		},
		"a busy clone keeps a call here": {
			3 * time.Second,
			Offload{Compute: time.Second, Queue: 9 * time.Second},
			fast, Time,
			"waiting for the clone to be free costs 9.0 s",
		},
		"a tail keeps a short call here for the battery's sake": {
			2 * time.Second,
			Offload{Compute: 100 * time.Millisecond, BytesUp: 10_000},
			fast, Energy,
			"the lte radio's tail costs 20 J",
		},
		"an unknown link keeps it here": {time.Second, Offload{}, Link{}, Time, "nothing is known of the link"},
		"and for the battery too":       {time.Second, Offload{}, Link{}, Energy, "nothing is known of the link"},
	} {
		t.Run(name, func(t *testing.T) {
			l, r := Local(c.local, device), Remote(c.o, c.l, device)
			if got := l.DecidingFor(c.by, r).Text; got != c.want {
				t.Errorf("%q, expected %q", got, c.want)
			}
			if got := r.DecidingFor(c.by, l).Text; got != c.want {
				t.Errorf("from the other side %q, expected %q", got, c.want)
			}
			if c.by == Time && l.Deciding(r) != l.DecidingFor(Time, r) {
				t.Error("Deciding is not by time")
			}
		})
	}
}

func drawOffload(t *rapid.T) Offload {
	d := func(name string) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, name))
	}
	return Offload{
		Capture: d("capture"), Queue: d("queue"), Compute: d("compute"), Apply: d("apply"),
		BytesUp: rapid.Int64Range(0, 1e9).Draw(t, "up"), BytesDown: rapid.Int64Range(0, 1e9).Draw(t, "down"),
		RoundTrips: rapid.IntRange(1, 1000).Draw(t, "trips"),
	}
}

func drawLink(t *rapid.T) Link {
	return Link{
		Known: true, RTT: time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "rtt")),
		Up: rapid.Float64Range(1e3, 1e9).Draw(t, "uplink"), Down: rapid.Float64Range(1e3, 1e9).Draw(t, "downlink"),
		UpDev: rapid.Float64Range(0, 2).Draw(t, "updev"), DownDev: rapid.Float64Range(0, 2).Draw(t, "downdev"),
		Kind:     energy.Radio(rapid.IntRange(0, 5).Draw(t, "kind")),
		Quiet:    time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "quiet")),
		WindowUp: rapid.Int64Range(0, 1e6).Draw(t, "window"), WindowDown: rapid.Int64Range(0, 1e6).Draw(t, "window down"),
	}
}

func TestEstimatesAreConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, l := drawOffload(t), drawLink(t)
		p, _ := energy.Named(rapid.SampledFrom(energy.Names()).Draw(t, "profile"))
		e := Remote(o, l, p)
		seconds, joules := 0.0, 0.0
		for _, term := range e.Terms {
			seconds, joules = seconds+term.Seconds, joules+term.Joules
			if term.Seconds < 0 || term.Name != TermTail && term.Joules < 0 || term.Text == "" {
				t.Fatalf("%+v", term)
			}
		}
		if !near(seconds, e.Seconds) || !near(joules, e.Joules) {
			t.Fatalf("the terms add up to %g s, %g J, not to %+v", seconds, joules, e)
		}
		if s, j := Predict(o, l, p); !near(s, e.Seconds) || !near(j, e.Joules) {
			t.Fatalf("Predict says %g s, %g J, not %+v", s, j, e)
		}
		// Nothing is cheaper than waiting while it lasts.
		if e.Joules < p.CPU.WaitWatts*e.Seconds-1e-6 || math.IsInf(e.Joules, 0) || math.IsNaN(e.Joules) {
			t.Fatalf("%+v", e)
		}
		// More bytes never take less time; a worse quantile never either.
		more := o
		more.BytesUp += rapid.Int64Range(0, 1e6).Draw(t, "more")
		if s, _ := Predict(more, l, p); s < e.Seconds-1e-6 {
			t.Fatalf("%d bytes more take %g s less", more.BytesUp-o.BytesUp, e.Seconds-s)
		}
		if s, _ := Predict(o, l.At(0.9), p); s < e.Seconds-1e-6 && l.WindowUp+l.WindowDown == 0 {
			t.Fatalf("the slow link is faster: %g s, %g s", s, e.Seconds)
		}
		if s, _ := Predict(o, l.At(0.5), p); !near(s, e.Seconds) {
			t.Fatalf("the median is not the link itself: %g s, %g s", s, e.Seconds)
		}
	})
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(a)) }

func TestWhatCannotBeIsClipped(t *testing.T) {
	for _, o := range []Offload{
		{Capture: -1, Queue: math.MinInt64, Compute: math.MaxInt64, Apply: math.MaxInt64, RoundTrips: math.MinInt},
		{BytesUp: -1, BytesDown: math.MaxInt64, RoundTrips: math.MaxInt},
	} {
		for _, l := range []Link{slow, {Known: true, Up: 1e-300, Down: math.Inf(1), RTT: math.MaxInt64, WindowUp: 1, WindowDown: math.MaxInt64}} {
			e := Remote(o, l, nil)
			if !(e.Seconds >= 0 && e.Joules >= 0) {
				t.Errorf("%+v over %+v: %+v", o, l, e)
			}
		}
	}
	for _, l := range []Link{{}, {Known: true}, {Known: true, Up: math.NaN(), Down: 1}, {Known: true, Up: -1, Down: 1}} {
		if e := Remote(Offload{}, l, nil); !math.IsInf(e.Seconds, 1) || !math.IsInf(e.Joules, 1) {
			t.Errorf("%+v: %+v", l, e)
		}
	}
	if e := Local(-5, nil); e.Seconds != 0 || e.Joules != 0 {
		t.Errorf("%+v", e)
	}
}

func TestSlowStartCanBeTakenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 1e8).Draw(t, "bytes")
		rate := rapid.Float64Range(1e3, 1e9).Draw(t, "rate")
		rtt := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "rtt"))
		window := rapid.Int64Range(0, 1e7).Draw(t, "window")
		took := transfer(n, rate, rtt, window)
		plain := float64(n) / rate
		if took < plain-1e-9 || took > plain+rtt.Seconds()*math.Log2(2+float64(n)/float64(max(window, 1)))+1e-9 {
			t.Fatalf("%g s, %g s without slow start", took, plain)
		}
		if back, ok := withoutSlowStart(n, rtt.Seconds(), took, window); !ok || math.Abs(back-plain) > 1e-6*max(1, took) {
			t.Fatalf("%g s %v, expected %g s", back, ok, plain)
		}
	})
}

func TestTheObjectiveWeighsTimeAgainstEnergy(t *testing.T) {
	quick, frugal := Estimate{Seconds: 1, Joules: 10}, Estimate{Seconds: 1.5, Joules: 5}
	for o, quickWins := range map[Objective]bool{Time: true, Balanced: false, Energy: false, 0.2: true, -3: true, 7: false} {
		if got := o.Score(quick, frugal) < o.Score(frugal, quick); got != quickWins {
			t.Errorf("objective %g: quick wins %v", o, got)
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	o := Offload{Capture: 1e6, Compute: 1e9, BytesUp: 1 << 20, BytesDown: 1 << 16, RoundTrips: 5}
	l := slow
	l.WindowUp = QUICWindow
	b.ReportAllocs()
	for b.Loop() {
		s, j := Predict(o, l, device)
		if !(s > 0 && j > 0) {
			b.Fatal(s, j)
		}
	}
}

func TestPredictingAllocatesNothing(t *testing.T) {
	o := Offload{BytesUp: 1 << 20, RoundTrips: 5}
	if n := testing.AllocsPerRun(100, func() { Predict(o, slow, device) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
