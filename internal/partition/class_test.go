package partition

import (
	"context"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestANetworkIsOfTheNearestClass(t *testing.T) {
	for name, tc := range map[string]struct {
		n    Network
		want NetworkClass
	}{
		"a LAN is the fastest Wi-Fi":     {Network{300 * time.Microsecond, 1e9, 1e9}, WiFi},
		"loopback too":                   {Network{0, 1e12, 1e12}, WiFi},
		"slow LTE is Wi-Fi of 2011":      {Network{80 * time.Millisecond, 5e6, 6e6}, WiFi2011},
		"LTE":                            {Network{60 * time.Millisecond, 10e6, 20e6}, LTE},
		"a fast downlink is 5G":          {Network{40 * time.Millisecond, 20e6, 300e6}, FiveG},
		"EDGE is as bad as 3G":           {Network{time.Second, 100e3, 200e3}, ThreeG},
		"satellite is 3G":                {Network{600 * time.Millisecond, 2e6, 3e6}, ThreeG},
		"a dead link is none":            {Network{10 * time.Millisecond, 0, 50e6}, NoNetwork},
		"a rate that is no number":       {Network{10 * time.Millisecond, math.NaN(), 50e6}, NoNetwork},
		"a round trip of a minute":       {Network{time.Minute, 1e6, 1e6}, NoNetwork},
		"a clock that went back is none": {Network{-time.Second, 1e6, 1e6}, NoNetwork},
	} {
		if got := tc.n.ClassOf(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	for _, c := range Networks() {
		n, ok := c.Centre()
		if got := n.ClassOf(); got != c || ok != (c != NoNetwork) {
			t.Errorf("the centre of %s is of class %s", c, got)
		}
	}
}

func TestInputsOfOneMagnitudeAreOneClass(t *testing.T) {
	for _, tc := range []struct {
		in   Input
		want InputClass
	}{
		{Input{}, "m-.f-.a"},
		{Input{Args: []float64{0, -5, 64, 0.3}, Memory: 16 << 20, Files: 3}, "m12.f0.a-,!1,3,-1"},
		{Input{Args: []float64{1, 2, 3, 4, 5, 6}}, "m-.f-.a0,0,0,1"},
		{Input{Args: []float64{math.Inf(1), math.Inf(-1), math.NaN(), 5e-324}}, "m-.f-.a31,!31,-,-31"},
	} {
		if got := tc.in.Class(); got != tc.want || !got.Valid() {
			t.Errorf("%+v: %q (valid: %v), want %q", tc.in, got, got.Valid(), tc.want)
		}
	}
	for c, want := range map[InputClass]uint64{AnyInput: 0xd6a7cd2a7371b1a1, "m12.f0.a-,!1,3,-1": 0x2e054fe465fac43d} {
		if got := c.Hash(); got != want {
			t.Errorf("hash of %q is %#x, and was %#x: stored partitions would not be found", c, got, want)
		}
	}
	for _, bad := range []InputClass{"", "x", "m1 f2", "m\n"} {
		if bad.Valid() {
			t.Errorf("%q is valid", bad)
		}
	}
}

func TestClassesAreMonotonousAndValid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := Input{Args: rapid.SliceOfN(rapid.Float64(), 0, 6).Draw(rt, "args"), Memory: rapid.Int64().Draw(rt, "memory"), Files: rapid.Int64().Draw(rt, "files")}
		if c := in.Class(); !c.Valid() {
			rt.Fatalf("%+v: %q", in, c)
		}
		v := rapid.Float64Range(1e-6, 1e6).Draw(rt, "v")
		if bucket(v) == bucket(4*v) {
			rt.Fatalf("%v and four times it are in bucket %s", v, bucket(v))
		}
	})
}

// flat is a network on which a byte takes a microsecond and a round trip one
// second; the device draws 2 W computing and 1 W waiting.
type flat struct{ cut bool }

func (flat) Here(s float64) Cost { return Cost{Seconds: s, Joules: 2 * s} }
func (flat) Away(s float64) Cost { return Cost{Seconds: s, Joules: s} }
func (f flat) Migration(_ int, o Offload) (Cost, bool) {
	s := 1 + o.Trips + (o.Up+o.Down)/1e6
	return Cost{Seconds: s, Joules: s, Bytes: o.Up + o.Down}, !f.cut
}

func TestAPricedProfileMovesWhatIsWorthIt(t *testing.T) {
	p := &Profile{Clones: []string{"box"}, Contexts: []Context{
		{Parent: -1, Calls: 1, Seconds: []float64{0, 0}, Pinned: true},
		{Parent: 0, Func: 1, Calls: 2, Seconds: []float64{1, 0.1}, Up: 1e6, Candidate: true},
		{Parent: 1, Func: 2, Calls: 4, Seconds: []float64{20, 2}, Candidate: true},
		{Parent: 0, Func: 3, Calls: 1, Seconds: []float64{30, 3}, Trips: 40, Candidate: true},
	}}
	for _, tc := range []struct {
		name string
		by   flat
		want []int
		cost Cost
	}{
		{"over a network", flat{}, []int{0, 1, 1, 0}, Cost{36.1, 66.1, 2e6}},
		{"without one", flat{cut: true}, []int{0, 0, 0, 0}, Cost{51, 102, 0}},
	} {
		tree, err := Price(p, tc.by)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Solve(context.Background(), Problem{Tree: tree, Objective: Objective{Kind: Time}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range tc.want {
			if s.Sites[i] != tc.want[i] {
				t.Errorf("%s: sites %v, want %v", tc.name, s.Sites, tc.want)
			}
		}
		if !same(s.Cost.Seconds, tc.cost.Seconds) || !same(s.Cost.Joules, tc.cost.Joules) || s.Cost.Bytes != tc.cost.Bytes {
			t.Errorf("%s: cost %+v, want %+v", tc.name, s.Cost, tc.cost)
		}
	}
}
