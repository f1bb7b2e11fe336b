package policy

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func openCounter(t testing.TB, dir string) *Counter {
	t.Helper()
	c, err := OpenCounter(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Counter) mustUse(t testing.TB, now time.Time, n int64) {
	t.Helper()
	if err := c.Add(now, n); err != nil {
		t.Fatal(err)
	}
}

func expectUsed(t testing.TB, c *Counter, now time.Time, want int64) {
	t.Helper()
	if got, err := c.Used(now); err != nil || got != want {
		t.Fatalf("%d bytes in %s, expected %d; %v", got, now.Format("2006-01"), want, err)
	}
}

func TestAMonthIsCountedAcrossProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, b := openCounter(t, dir), openCounter(t, dir)
	a.mustUse(t, noon, 1000)
	expectUsed(t, a, noon, 1000)
	expectUsed(t, b, noon, step) // what a has not used yet may be used
	b.mustUse(t, noon, 3*step)
	for _, c := range []*Counter{a, b} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c := openCounter(t, dir)
	expectUsed(t, c, noon, 1000+3*step)
	c.mustUse(t, noon, -5)
	expectUsed(t, c, noon.AddDate(0, 1, 0), 0)
	expectUsed(t, c, noon.AddDate(0, -1, 0), 1000+3*step)
}

func TestACrashCountsAStepTooManyAtMost(t *testing.T) {
	dir := t.TempDir()
	openCounter(t, dir).mustUse(t, noon, 10*step+1) // never closed
	got, err := openCounter(t, dir).Used(noon)
	if err != nil || got < 10*step+1 || got > 11*step {
		t.Fatalf("%d %v", got, err)
	}
}

func TestALineThatACrashCutShortSpoilsNothing(t *testing.T) {
	dir := t.TempDir()
	c := openCounter(t, dir)
	c.mustUse(t, noon, step)
	name := filepath.Join(dir, "2026-11.log")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(name, append(append([]byte(nil), whole...), whole[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		after := openCounter(t, dir)
		already := int64(step)
		if cut >= len(whole)-1 {
			already += step // all but the line's end
		}
		expectUsed(t, after, noon, already)
		after.mustUse(t, noon, step)
		expectUsed(t, after, noon, already+step)
	}
	for _, garbage := range []string{"\x00\x00\x00", "99999999999 deadbeef\n", strings.Repeat("9", 1<<20), line(1<<60) + "\n"} {
		if err := os.WriteFile(name, append([]byte(garbage), whole...), 0o600); err != nil {
			t.Fatal(err)
		}
		expectUsed(t, openCounter(t, dir), noon, step)
	}
}

func TestAClockThatIsSetBackWinsNoNewMonth(t *testing.T) {
	c := openCounter(t, t.TempDir())
	october, december := noon.AddDate(0, -1, 0), noon.AddDate(0, 1, 0)
	c.mustUse(t, noon, 7*step)
	expectUsed(t, c, october, 7*step) // set back: what was used counts on
	c.mustUse(t, october, step)
	expectUsed(t, c, october, 8*step)
	expectUsed(t, c, noon, 8*step) // and set right: so does what was used meanwhile
	expectUsed(t, c, december, 0)
}

func TestAClockOfTheFarFutureCostsOneMonthAlone(t *testing.T) {
	c := openCounter(t, t.TempDir())
	c.mustUse(t, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), 5*step)
	expectUsed(t, c, noon, 5*step)
	c.mustUse(t, noon, step)
	expectUsed(t, c, noon, 6*step)
	expectUsed(t, c, noon.AddDate(0, 1, 0), 0)
}

func TestADeviceThatDoesNotKnowTheTimeYetGoesOnWithTheLatestMonth(t *testing.T) {
	c := openCounter(t, t.TempDir())
	c.mustUse(t, noon, 7*step)
	boot := time.Unix(42, 0).UTC()
	expectUsed(t, c, boot, 7*step)
	c.mustUse(t, boot, step)
	expectUsed(t, c, noon, 8*step)
	expectUsed(t, c, noon.AddDate(0, 1, 0), 0)
	expectUsed(t, c, noon.AddDate(0, -1, 0), 8*step) // and a clock set back still wins nothing
}

// However the clock is moved within a few months, a month never counts less
// after it was moved than what was used while it was that month.
func TestNoMoveOfTheClockForgetsAMonth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		c := openCounter(t, dir)
		used := map[string]int64{}
		for range rapid.IntRange(1, 12).Draw(rt, "moves") {
			now := noon.AddDate(0, rapid.IntRange(-3, 3).Draw(rt, "month"), 0)
			n := rapid.Int64Range(0, 3*step).Draw(rt, "bytes")
			if rapid.Bool().Draw(rt, "restart") {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = openCounter(t, dir)
			}
			c.mustUse(t, now, n)
			used[now.Format("2006-01")] += n
			got, err := c.Used(now)
			if err != nil || got < used[now.Format("2006-01")] {
				rt.Fatalf("%s: %d bytes, %d were used; %v", now.Format("2006-01"), got, used[now.Format("2006-01")], err)
			}
		}
	})
}

func TestManyCountAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		c := openCounter(t, dir)
		for range 4 {
			wg.Go(func() {
				for range 20 {
					c.mustUse(t, noon, 100_000)
				}
			})
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	wg.Wait()
	got, err := openCounter(t, dir).Used(noon)
	if err != nil || got < 32_000_000 || got > 32_000_000+4*step {
		t.Fatalf("%d %v", got, err)
	}
}

func TestACounterThatCannotBeWrittenSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := openCounter(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(noon, 1); err == nil {
		t.Error("counted into nothing")
	}
	if _, err := c.Used(noon); err == nil {
		t.Error("read from nothing")
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCounter(dir); err == nil {
		t.Error("opened a file")
	}
}
