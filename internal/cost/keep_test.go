package cost

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
)

func TestSpeedsAreKeptAcrossRuns(t *testing.T) {
	s, now := NewSpeeds(), start
	for i := range 20 {
		now = now.Add(time.Second)
		k := Key{"box", "compiler", fmt.Sprint("f", i%3)}
		s.Observe(now, k, Answer{Local: time.Second, Waited: 100 * time.Millisecond, Compute: time.Duration(90+i) * time.Millisecond})
	}
	data, err := json.Marshal(s.Export())
	if err != nil {
		t.Fatal(err)
	}
	var kept []Learnt
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	again := NewSpeeds()
	if n := again.Import(kept); n != 6 || !reflect.DeepEqual(again.Export(), kept) {
		t.Fatalf("%d taken: %+v", n, kept)
	}
	for _, f := range []string{"f0", "f1", "f2", "never seen"} {
		k := Key{"box", "compiler", f}
		was, is := s.Speed(now, k), again.Speed(now, k)
		if !near(was.Ratio, is.Ratio) || !near(was.Dev, is.Dev) || was.Samples != is.Samples {
			t.Errorf("%s: %+v, was %+v", f, is, was)
		}
	}
	if n := again.Import([]Learnt{{kept[0].Key, 1000, 0, 1, now}}); n != 0 {
		t.Error("what was known was replaced")
	}
}

func TestDamagedSpeedsAreLeftOut(t *testing.T) {
	s := NewSpeeds()
	for _, bad := range []Learnt{
		{key, 0, 0.1, 1, start},
		{key, -1, 0.1, 1, start},
		{key, math.NaN(), 0.1, 1, start},
		{key, math.Inf(1), 0.1, 1, start},
		{key, 2, math.NaN(), 1, start},
		{key, 2, -1, 1, start},
		{key, 2, 0.1, 0, start},
		{key, 2, 0.1, 1, time.Time{}},
	} {
		if s.Import([]Learnt{bad}) != 0 {
			t.Errorf("%+v was taken", bad)
		}
	}
	if s.Import([]Learnt{{key, 2, 1e300, 1, start}}) != 1 || s.Speed(start, key).Dev > 2 {
		t.Errorf("%+v", s.Speed(start, key))
	}
}

func TestALinkThatWasPublishedAWhileAgoHasBeenQuietForLonger(t *testing.T) {
	l := Link{Quiet: time.Second}
	if got := l.After(time.Minute).Quiet; got != 61*time.Second {
		t.Error(got)
	}
	if got := (Link{}).After(time.Minute).Quiet; got != 0 {
		t.Errorf("a radio that sleeps for all that is known has been quiet for %v", got)
	}
	if got := l.After(-time.Minute).Quiet; got != time.Second {
		t.Error(got)
	}
	if got := (Link{Quiet: math.MaxInt64}).After(time.Minute).Quiet; got != math.MaxInt64 {
		t.Error(got)
	}
}
