package decide

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// learnt is a State with something in every field.
func learnt(t testing.TB) *State {
	t.Helper()
	w := newWorld(Config{}, 3, 1)
	w.connect(links["wifi"])
	for i := range 40 {
		j := kinds["square of an argument"](w.rng)
		j.k = i % 2
		w.call(j)
		j = steady()
		j.k, j.fails, j.why = 2, true, FailedPinned
		w.call(j)
	}
	w.d.funcs[0].at(NoParent).inner[1].seconds.observe(0.5, 1)
	w.d.funcs[0].at(NoParent).inner[1].joules.observe(0.4, 1)
	return w.d.State()
}

func TestStateSurvivesEncoding(t *testing.T) {
	s := learnt(t)
	got, err := DecodeState(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, got) {
		t.Errorf("a state comes back as another:\n%+v\n%+v", s, got)
	}
}

func TestAnotherRunGoesOnWhereOneEnded(t *testing.T) {
	w := newWorld(Config{}, 1, 1)
	w.connect(links["wifi"])
	for range 6 {
		w.call(steady())
	}
	again := newWorld(Config{Stored: w.d.State()}, 1, 2)
	again.connect(links["wifi"])
	d := again.call(steady())
	if d.Site != Clone {
		t.Errorf("the first call of the next run: %v, %v", d.Site, d.Why)
	}
	p := w.call(steady()).Predicted
	for s := range p {
		if q := d.Predicted[s].Seconds / p[s].Seconds; q < 0.8 || q > 1.25 {
			t.Errorf("%v: predicted %v, by the run before %v", Site(s), d.Predicted[s].Seconds, p[s].Seconds)
		}
	}
}

func TestFunctionsThatAreNoCandidatesNowAreCarriedAlong(t *testing.T) {
	s := learnt(t)
	w := newWorld(Config{Stored: s}, 1, 1)
	if got := w.d.State(); len(got.Functions) != len(s.Functions) {
		t.Errorf("%d functions of %d are left", len(got.Functions), len(s.Functions))
	}
}

func TestDamagedStateIsRefusedAndNothingElse(t *testing.T) {
	good := learnt(t).Encode()
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if _, err := DecodeState(bad); !errors.Is(err, ErrState) {
				t.Fatalf("byte %d of %d changed: %v", i, len(good), err)
			}
		}
	}
	for n := range good {
		if _, err := DecodeState(good[:n]); !errors.Is(err, ErrState) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestMergeKeepsTheLatestOfBothRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sample := rapid.Custom(func(t *rapid.T) Sample {
			return Sample{Stamp: rapid.Int64Range(0, 50).Draw(t, "stamp"), Seconds: rapid.Float64Range(0, 10).Draw(t, "seconds")}
		})
		list := func(name string) []Sample {
			l := rapid.SliceOfN(sample, 0, ringSize).Draw(t, name)
			return join(nil, l)
		}
		a, b := list("stored"), list("run")
		got := Merge(&State{Functions: []FunctionState{{Function: 1, Here: a}}}, &State{Functions: []FunctionState{{Function: 1, Here: b}}}).Functions[0].Here
		if len(got) > ringSize {
			t.Fatalf("%d samples", len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i].Stamp < got[i-1].Stamp {
				t.Fatal("not in order")
			}
		}
		for _, s := range append(a, b...) {
			kept := false
			for _, g := range got {
				kept = kept || g == s
			}
			if !kept && (len(got) < ringSize || s.Stamp > got[0].Stamp) {
				t.Fatalf("%+v is lost", s)
			}
		}
	})
}

// FuzzDecodeState: whatever is stored, a Decider that takes it decides, and
// hands back a state that can be read.
func FuzzDecodeState(f *testing.F) {
	f.Add(learnt(f).Encode())
	f.Add((&State{}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum would keep the fuzzer out.
		d := decoder{b: data}
		s := d.state()
		if d.bad {
			return
		}
		w := newWorld(Config{Stored: s}, 3, 1)
		w.connect(links["wifi"])
		for range 4 {
			w.call(steady())
		}
		if _, err := DecodeState(w.d.State().Encode()); err != nil {
			t.Fatal(err)
		}
	})
}
