package cost

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var key = Key{"box", "compiler", "photos:detect"}

// call is the truth of a call and what the clone says of it.
type call struct {
	local, queue, compute, transfer time.Duration
	saysQueue, saysCompute          time.Duration
}

func (c call) answer() Answer {
	return Answer{
		Local: c.local, Waited: c.queue + c.compute + c.transfer, Transfer: c.transfer,
		Queue: c.saysQueue, Compute: c.saysCompute,
	}
}

func TestACloneThatLiesIsLearntWithinThreeCalls(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		claim float64
		call  call
	}{
		"honest":                            {10, call{local: 5000 * ms, compute: 500 * ms, transfer: 100 * ms, saysCompute: 500 * ms}},
		"says it is 1000 times as fast":     {1000, call{local: 5000 * ms, compute: 2500 * ms, transfer: 100 * ms, saysCompute: 5 * ms}},
		"says it took no time":              {50, call{local: 5000 * ms, compute: 9000 * ms, transfer: 100 * ms}},
		"says all of it was queueing":       {50, call{local: 5000 * ms, compute: 5000 * ms, transfer: 100 * ms, saysQueue: 4900 * ms, saysCompute: 100 * ms}},
		"says more than there was time for": {1, call{local: 5000 * ms, compute: 100 * ms, transfer: 100 * ms, saysCompute: time.Hour}},
		"says a negative time":              {0, call{local: 5000 * ms, compute: 1000 * ms, transfer: 100 * ms, saysCompute: -time.Hour}},
		"claims to be slow":                 {0.01, call{local: 5000 * ms, compute: 250 * ms, transfer: 100 * ms, saysCompute: 250 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := NewSpeeds(), start
			s.Claim(key.Clone, c.claim)
			for range 3 {
				now = now.Add(10 * time.Second)
				s.Observe(now, key, c.call.answer())
			}
			queue, _ := s.Queue(now, key.Clone)
			got := s.Speed(now, key).Compute(c.call.local) + queue
			within(t, "what the clone takes", got.Seconds(), (c.call.queue + c.call.compute).Seconds(), 0.1)
		})
	}
}

// Whatever a clone claimed and says, after three calls that take the same time
// the sum that is predicted, queueing included, is within a tenth of what the
// device saw.
func TestTheDevicesClockIsBelievedNotTheClone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := func(name string, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))
		}
		c := call{
			local: time.Second + d("local", time.Minute), queue: 0, compute: time.Second + d("compute", time.Minute),
			transfer: d("transfer", 10*time.Second),
		}
		s, now := NewSpeeds(), start
		s.Claim(key.Clone, rapid.Float64().Draw(t, "claim"))
		share := rapid.Float64Range(0, 1).Draw(t, "share of queueing")
		for range 3 {
			says := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, int64(2*time.Minute))).Draw(t, "says")
			c.saysQueue = time.Duration(share * float64(says))
			c.saysCompute = time.Duration(says) - c.saysQueue
			now = now.Add(time.Second)
			s.Observe(now, key, c.answer())
		}
		queue, _ := s.Queue(now, key.Clone)
		got := (s.Speed(now, key).Compute(c.local) + queue).Seconds()
		// What agrees with the clock within sameWorld of the whole wait is
		// believed, so that is how far a lie goes.
		give := sameWorld*(c.compute+c.transfer).Seconds() + slack.Seconds()
		if want := c.compute.Seconds(); math.Abs(got-want) > 0.1*want+give*1.6 {
			t.Fatalf("predicted %g s, the device saw %g s", got, want)
		}
	})
}

func TestACloneThatBecomesSlowIsLearntWithinThreeCalls(t *testing.T) {
	s, now := NewSpeeds(), start
	fast := call{local: 10 * time.Second, compute: time.Second, saysCompute: time.Second}
	slow := call{local: 10 * time.Second, compute: 8 * time.Second, saysCompute: time.Second}
	for range 100 {
		now = now.Add(time.Second)
		s.Observe(now, key, fast.answer())
	}
	within(t, "ratio", s.Speed(now, key).Ratio, 10, 0.01)
	for range 3 {
		now = now.Add(time.Second)
		s.Observe(now, key, slow.answer())
	}
	within(t, "ratio", s.Speed(now, key).Ratio, 1.25, 0.1)
}

func TestOthersSpeakForAFunctionThatWasNeverSeen(t *testing.T) {
	s, now := NewSpeeds(), start
	if v := s.Speed(now, key); v.Ratio != 1 || v.Samples != 0 || v.Dev < 1 {
		t.Errorf("nothing known: %+v", v)
	}
	observe := func(k Key, ratio float64) {
		for range 5 {
			s.Observe(now, k, Answer{Local: time.Second, Waited: duration(1 / ratio), Compute: duration(1 / ratio)})
		}
	}
	expect := func(what string, k Key, ratio float64, samples int) Speed {
		t.Helper()
		v := s.Speed(now, k)
		if math.Abs(v.Ratio/ratio-1) > 0.02 || v.Samples != samples {
			t.Errorf("%s: %+v, expected a ratio of %g", what, v, ratio)
		}
		return v
	}
	observe(Key{"other", "compiler", "f"}, 4)
	expect("all clones", key, 4, 0)
	s.Claim(key.Clone, 8)
	claimed := expect("its own word", key, 8, 0)
	s.Claim(key.Clone, 1e9)
	expect("its own word, clipped", key, maxClaim, 0)
	observe(Key{key.Clone, "interpreter", "f"}, 0.5)
	expect("the same clone", key, 0.5, 0)
	observe(Key{key.Clone, key.Engine, "f"}, 6)
	of := expect("the same clone and engine", key, 6, 0)
	observe(key, 3)
	own := expect("itself", key, 3, 5)
	if !(own.Dev < of.Dev && of.Dev < claimed.Dev) {
		t.Errorf("doubt: itself %g, its clone %g, a claim %g", own.Dev, of.Dev, claimed.Dev)
	}
	if v := own.At(0.9); v.Ratio >= own.Ratio || v.Compute(3*time.Second) <= own.Compute(3*time.Second) {
		t.Errorf("in bad times it is %+v", v)
	}
}

func TestAQueueIsSoonHalfForgotten(t *testing.T) {
	s := NewSpeeds()
	s.Observe(start, key, Answer{Waited: 5 * time.Second, Queue: 4 * time.Second, Compute: time.Second})
	for after, want := range map[time.Duration]float64{0: 4, queueHalfLife: 3, time.Hour: 2, -time.Hour: 4} {
		if q, _ := s.Queue(start.Add(after), key.Clone); math.Abs(q.Seconds()-want) > 1e-6 {
			t.Errorf("after %v: %v, expected %g s", after, q, want)
		}
	}
	for i := range 30 {
		s.Observe(start.Add(time.Duration(i)*time.Minute), key, Answer{Waited: time.Second, Compute: time.Second})
	}
	if q, _ := s.Queue(start.Add(time.Hour), key.Clone); q > 300*time.Millisecond {
		t.Errorf("a queue of long ago is still %v", q)
	}
	if q, _ := s.Queue(start, "other"); q != 0 {
		t.Error(q)
	}
}

func TestSlownessThatIsCalledAQueueIsNotForgotten(t *testing.T) {
	s, now := NewSpeeds(), start
	for range 10 {
		now = now.Add(time.Minute)
		s.Observe(now, key, Answer{Local: 5 * time.Second, Waited: 5 * time.Second, Queue: 4900 * time.Millisecond, Compute: 100 * time.Millisecond})
	}
	queue, _ := s.Queue(now.Add(time.Hour), key.Clone)
	within(t, "the queue an hour later", queue.Seconds(), 4.9, 0.1)
}

func TestSpeedsAreBounded(t *testing.T) {
	s, now := NewSpeeds(), start
	for i := range maxKeys + 500 {
		now = now.Add(time.Second)
		k := Key{fmt.Sprint("clone", i%7), "compiler", fmt.Sprint("f", i)}
		s.Claim(k.Function, 2)
		s.Observe(now, k, Answer{Local: time.Second, Waited: time.Second / 2, Compute: time.Second / 2})
	}
	if len(s.ratios) > maxKeys || len(s.claims) > maxKeys {
		t.Errorf("%d ratios, %d claims", len(s.ratios), len(s.claims))
	}
	last := Key{fmt.Sprint("clone", (maxKeys+499)%7), "compiler", fmt.Sprint("f", maxKeys+499)}
	if v := s.Speed(now, last); v.Samples != 1 {
		t.Errorf("the newest is forgotten: %+v", v)
	}
}
