package link

import (
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/shape"
)

// bulk is enough for a train and little enough for the race detector.
const bulk = 768 << 10

func TestEstimatesFollowTheLink(t *testing.T) {
	for _, name := range []string{"wifi", "lte", "5g", "wifi-2011", "3g-2011"} {
		synctest.Test(t, func(t *testing.T) {
			p := profile(t, name)
			d, c, ctl, err := Pipe(p, 1)
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string, got Estimate, want float64) {
				t.Helper()
				if ratio := got.Mean / want; !got.Known() || ratio < 0.9 || ratio > 1.15 {
					t.Errorf("%s: %s %.4g, expected %.4g", name, what, got.Mean, want)
				}
			}
			both := func(p shape.Profile) {
				t.Helper()
				for _, w := range []struct{ from, to Conn }{{d, c}, {c, d}} {
					go func() { _, _ = w.from.Write(make([]byte, bulk)) }()
					if _, err := io.ReadFull(w.to, make([]byte, bulk)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second) // the report comes back
				}
				s, far := d.Stats(), c.Stats()
				check("up", s.UpRate, float64(p.Up)/8)
				check("down", s.DownRate, float64(p.Down)/8)
				check("clone's up", far.UpRate, float64(p.Down)/8)
				check("clone's down", far.DownRate, float64(p.Up)/8)
			}
			check("rtt", d.Stats().RTT, p.RTT().Seconds())
			both(p)
			// A link that becomes ten times slower is believed after a few
			// transfers.
			p.Up, p.Down = p.Up/10, p.Down/10
			if err := ctl.SetProfile(p); err != nil {
				t.Fatal(err)
			}
			d.Watch(false)
			for range 8 {
				for _, w := range []struct{ from, to Conn }{{d, c}, {c, d}} {
					go func() { _, _ = w.from.Write(make([]byte, bulk)) }()
					if _, err := io.ReadFull(w.to, make([]byte, bulk)); err != nil {
						t.Fatal(err)
					}
				}
			}
			both(p)
			_ = d.Close()
			_ = c.Close()
			time.Sleep(Settle)
		})
	}
}

func TestSmallTrafficSaysNothingAboutTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c, _, err := Pipe(profile(t, "lte"), 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := d.Write(make([]byte, 4<<10)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 4<<10)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if s := d.Stats(); s.UpRate.Known() || s.DownRate.Known() {
			t.Fatalf("%+v", s)
		}
		_ = d.Close()
		_ = c.Close()
		time.Sleep(Settle)
	})
}

func TestAnEstimateAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		for range 50 {
			m.observeRTT(10 * time.Millisecond)
			time.Sleep(10 * time.Millisecond)
		}
		rtt, up, _ := m.Estimates()
		if up.Known() || math.Abs(rtt.Mean-0.01) > 1e-9 || rtt.StdDev > 0.001 {
			t.Fatalf("%+v %+v", rtt, up)
		}
		time.Sleep(10 * halfLife)
		old, _, _ := m.Estimates()
		if old.Mean != rtt.Mean || old.StdDev < 0.004 || old.Age < 10*halfLife {
			t.Fatalf("an old estimate is as sure as a new one: %+v", old)
		}
		m.observeRTT(50 * time.Millisecond)
		if now, _, _ := m.Estimates(); now.Mean < 0.049 {
			t.Fatalf("an old estimate outweighs what was just seen: %+v", now)
		}
		m.Reset()
		if rtt, _, _ := m.Estimates(); rtt.Known() {
			t.Fatal("known after a reset")
		}
	})
}

func TestHostileObservationsAreIgnored(t *testing.T) {
	var m Meter
	m.observeUp(0)
	m.observeUp(math.NaN())
	m.observeUp(math.Inf(1))
	m.observeUp(-1)
	if _, up, _ := m.Estimates(); up.Known() && (math.IsInf(up.Mean, 0) || math.IsNaN(up.Mean) || up.Mean < 0) {
		t.Fatalf("%+v", up)
	}
	var a arrivals
	for _, s := range []span{{-5, -1}, {5, 5}, {9, 3}, {math.MinInt64, math.MaxInt64}, {0, 1 << 40}} {
		a.mark(s)
	}
	for i := range 1000 {
		for _, r := range a.read(time.Unix(int64(i), 0), 100) {
			if r < 0 || r > maxRate {
				t.Fatal(r)
			}
		}
	}
}
