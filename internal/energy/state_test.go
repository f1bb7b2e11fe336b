package energy

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// umts has round numbers: 2 W to wake for 1 s, 4 W up, 3 W down, a tail of 2 W
// for 5 s and 1 W for 10 s.
var umts = &RadioPower{
	Promotion:     State{2, Duration(time.Second)},
	TransmitWatts: 4, ReceiveWatts: 3, TransmitJoulesPerByte: 1e-3,
	Tail: []State{{2, Duration(5 * time.Second)}, {1, Duration(10 * time.Second)}},
}

func TestARadioCostsWhatItsStatesCost(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		quiet time.Duration
		do    func(*Activity)
		want  float64
		woken int
	}{
		"nothing costs nothing":                         {Asleep, func(*Activity) {}, 0, 0},
		"a tail that runs anyway is nobody's":           {3 * s, func(a *Activity) { a.Idle(time.Hour) }, 0, 0},
		"a first byte wakes it and leaves a whole tail": {Asleep, func(a *Activity) { a.Send(0, s) }, 2 + 4 + 20, 1},
		"bytes cost beside time":                        {Asleep, func(a *Activity) { a.Send(1000, s) }, 2 + 4 + 1 + 20, 1},
		"receiving has its own power":                   {Asleep, func(a *Activity) { a.Receive(1000, s) }, 2 + 3 + 20, 1},
		"right after other traffic only the traffic is new, and the tail is later": {
			1, func(a *Activity) { a.Send(0, s) }, 4, 0,
		},
		"within the tail the rest of it is replaced":      {5 * s, func(a *Activity) { a.Send(0, s) }, 4 + 20 - 10, 0},
		"in the last moment of the tail it need not wake": {15*s - 1, func(a *Activity) { a.Send(0, s) }, 4 + 20, 0},
		"at its end it must":                              {15 * s, func(a *Activity) { a.Send(0, s) }, 2 + 4 + 20, 1},
		"two sends share a tail": {
			Asleep, func(a *Activity) { a.Send(0, s); a.Idle(5 * s); a.Send(0, s) }, 2 + 4 + 10 + 4 + 20, 1,
		},
		"two sends far apart do not": {
			Asleep, func(a *Activity) { a.Send(0, s); a.Idle(time.Hour); a.Send(0, s) }, 2 * (2 + 4 + 20), 2,
		},
		"waking early is waking once": {Asleep, func(a *Activity) { a.Wake(); a.Send(0, s) }, 2 + 4 + 20, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := umts.Start(c.quiet)
			c.do(&a)
			if got := a.Joules(); math.Abs(got-c.want) > 1e-6 || a.Woken() != c.woken {
				t.Errorf("%.6f J, woken %d times; expected %.6f J, %d", got, a.Woken(), c.want, c.woken)
			}
		})
	}
}

func TestManySmallMessagesCostWhatTheyCostOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quiet := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "quiet"))
		every := time.Duration(rapid.Int64Range(0, int64(30*time.Second)).Draw(t, "every"))
		n := rapid.IntRange(0, 50).Draw(t, "n")
		a, b := umts.Start(quiet), umts.Start(quiet)
		a.Touch(n, every)
		for range n {
			b.Idle(every)
			b.Send(0, 0)
		}
		if math.Abs(a.Joules()-b.Joules()) > 1e-6 || a.Woken() != b.Woken() || a.Quiet() != b.Quiet() {
			t.Fatalf("%v %v", a, b)
		}
	})
}

// The whole of a sequence costs no more than its parts apart, for tails are
// shared, and no less than its traffic; cutting a pause in two changes nothing.
func TestSharedTailsAreCountedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "n")
		whole, halves := umts.Start(Asleep), umts.Start(Asleep)
		apart, traffic := 0.0, 0.0
		for range n {
			pause := time.Duration(rapid.Int64Range(0, int64(40*time.Second)).Draw(t, "pause"))
			d := time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "d"))
			bytes := rapid.Int64Range(0, 1e6).Draw(t, "bytes")
			whole.Idle(pause)
			whole.Send(bytes, d)
			halves.Idle(pause / 3)
			halves.Idle(pause - pause/3)
			halves.Send(bytes, d)
			one := umts.Start(Asleep)
			one.Send(bytes, d)
			apart += one.Joules()
			traffic += 4*d.Seconds() + float64(bytes)*1e-3
		}
		if j := whole.Joules(); j > apart+1e-6 || j < traffic+20-1e-6 || math.Abs(j-halves.Joules()) > 1e-6 {
			t.Fatalf("%g J; apart %g, traffic %g, with pauses cut %g", j, apart, traffic, halves.Joules())
		}
	})
}

func TestABuiltinProfileIsValidAndSaysWhereItsNumbersComeFrom(t *testing.T) {
	if len(Names()) < 4 {
		t.Fatalf("profiles: %v", Names())
	}
	phones := 0
	for _, name := range Names() {
		p, ok := Named(name)
		if !ok || p.Validate() != nil || len(p.Source) < 20 || p.Note == "" {
			t.Errorf("%s: %+v", name, p)
			continue
		}
		if p.CPU.ActiveWatts() <= p.CPU.WaitWatts || p.Radio(WiFi).TransmitWatts <= 0 {
			t.Errorf("%s: computing or transmitting is free", name)
		}
		if p.Radios[LTE] != nil && p.Radios[ThreeG] != nil {
			phones++
			if p.Radio(ThreeG).TailJoules() < p.Radio(WiFi).TailJoules()*10 {
				t.Errorf("%s: the tail of 3G is nothing special", name)
			}
		}
	}
	if phones < 3 || Default() == nil {
		t.Fatalf("%d phones", phones)
	}
}

func TestAKindOfRadioThatAProfileLacksIsTheMostSimilarOne(t *testing.T) {
	p := Default()
	old, _ := Named("nexus5")
	pi, _ := Named("raspberry-pi-4")
	for _, c := range []struct {
		got, want *RadioPower
	}{
		{p.Radio(NR), p.Radios[NR]},
		{old.Radio(NR), old.Radios[LTE]},
		{old.Radio(UnknownRadio), old.Radios[WiFi]},
		{pi.Radio(LTE), &silent},
		{p.Radio(Wired), &silent},
		{p.Radio(Radio(77)), p.Radio(Radio(77 % radios))},
	} {
		if c.got != c.want {
			t.Errorf("%+v, expected %+v", c.got, c.want)
		}
	}
}

func TestARadioIsCalledByItsName(t *testing.T) {
	for r := range radios {
		text, err := r.MarshalText()
		var back Radio
		if err != nil || back.UnmarshalText(text) != nil && r != UnknownRadio || back != r {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := ParseRadio("wlan"); err == nil {
		t.Error("wlan is no name")
	}
	if r, err := ParseRadio("NR"); err != nil || r != NR || !r.Cellular() || WiFi.Cellular() {
		t.Errorf("%v %v", r, err)
	}
}
