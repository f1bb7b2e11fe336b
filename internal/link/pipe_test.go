package link

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/shape"
)

func profile(t testing.TB, name string) shape.Profile {
	t.Helper()
	p, ok := shape.Named(name)
	if !ok {
		t.Fatal(name)
	}
	return p
}

func TestPipeTakesTheTimeThatTheProfileSays(t *testing.T) {
	for _, name := range []string{"wifi-2011", "3g-2011", "lte"} {
		synctest.Test(t, func(t *testing.T) {
			p := profile(t, name)
			d, c, _, err := Pipe(p, 1)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := d.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(got); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(d, got); err != nil {
				t.Fatal(err)
			}
			if ratio := float64(time.Since(start)) / float64(p.RTT()); ratio < 1 || ratio > 1.05 {
				t.Fatalf("%s: an echo took %v, %.2f round trips", name, time.Since(start), ratio)
			}
			_ = d.Close()
			_ = c.Close()
			time.Sleep(Settle)
		})
	}
}

func TestASilentLinkIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c, ctl, err := Pipe(profile(t, "wifi"), 1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // an idle link is not a silent one
		if d.Err() != nil || c.Err() != nil {
			t.Fatal(d.Err(), c.Err())
		}
		ctl.Cut()
		cut := time.Now()
		for _, end := range []Conn{d, c} {
			if _, err := end.Read(make([]byte, 1)); !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
			if took := time.Since(cut); took > DefaultSilence*3/2 {
				t.Fatalf("noticed after %v", took)
			}
		}
		_ = d.Close()
		_ = c.Close()
		time.Sleep(Settle)
	})
}

func TestAnUnwatchedLinkMayBeSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c, ctl, err := Pipe(profile(t, "wifi"), 1)
		if err != nil {
			t.Fatal(err)
		}
		d.Watch(false)
		time.Sleep(time.Second)
		sent := ctl.Counts(shape.Up).Packets
		ctl.Cut()
		time.Sleep(time.Hour)
		ctl.Restore()
		if d.Err() != nil || c.Err() != nil {
			t.Fatal(d.Err(), c.Err())
		}
		if n := ctl.Counts(shape.Up).Packets - sent; n != 0 {
			t.Fatalf("%d segments were sent while nobody watched", n)
		}
		_ = d.Close()
		_ = c.Close()
		time.Sleep(Settle)
	})
}
