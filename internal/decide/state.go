package decide

import (
	"cmp"
	"errors"
	"math"
	"slices"
)

// State is what was learnt of one module's functions, to be kept between runs.
// It is a value: Encode and DecodeState turn it into bytes and back, and Merge
// joins what two runs have learnt at the same time.
type State struct {
	Functions []FunctionState
	Fit       []FitState
	// Speed is the logarithm of what a clone takes for what takes a second here,
	// Packed that of bytes sent over bytes dirty; their counts are observations.
	Speed, SpeedDev, Packed float64
	SpeedCount, PackedCount int
}

// FunctionState is what was learnt of a function from one caller.
type FunctionState struct {
	Function, Parent uint32 // indices in the module; AnyParent: from no candidate
	Fails            int    // attempts in a row that came to nothing
	Why              Failure
	Here, There      []Sample // oldest first
	Inner            []InnerState
}

// InnerState is what calls inside of a function's saved, by radio.
type InnerState struct {
	Radio           uint8
	Seconds, Joules float64 // shares
	Count           int
}

// FitState is what predictions of offloads over a radio were off by.
type FitState struct {
	Radio uint8
	Log   float64
	Count int
}

// Sample is one measured call.
type Sample struct {
	Stamp                                             int64 // nanoseconds since 1970
	Exact                                             uint32
	Guess                                             bool // most of it ran elsewhere: what it would have taken
	X                                                 [features]float32
	Seconds, Compute, Up, Down, Trips, Capture, Apply float64
}

// ErrState wraps every complaint about stored state. Who meets it starts anew.
var ErrState = errors.New("stored predictions are damaged")

const (
	stateMagic   = "ccdecide"
	stateVersion = 1
	// Limits of a stored state.
	maxStateFuncs = 128
	maxStateBytes = 8 << 20
)

// State returns what the Decider has learnt.
func (d *Decider) State() *State {
	s := &State{
		Speed: d.speed.log.mean, SpeedDev: d.speed.dev.mean, SpeedCount: d.speed.log.n,
		Packed: d.pack.mean, PackedCount: d.pack.n,
	}
	for i := range d.fit {
		if a := &d.fit[i]; a.n > 0 {
			s.Fit = append(s.Fit, FitState{uint8(i), a.mean, a.n})
		}
	}
	for k := range d.funcs {
		f := &d.funcs[k]
		for _, h := range f.all {
			if h.here.n+h.there.n == 0 && f.block.fails == 0 {
				continue
			}
			s.Functions = append(s.Functions, d.kept(f, h))
		}
	}
	s.Functions = append(s.Functions, d.others...)
	s.shorten()
	return s
}

// shorten keeps the functions that take most time.
func (s *State) shorten() {
	if len(s.Functions) <= maxStateFuncs {
		return
	}
	slices.SortStableFunc(s.Functions, func(a, b FunctionState) int { return cmp.Compare(b.seconds(), a.seconds()) })
	s.Functions = s.Functions[:maxStateFuncs]
}

// seconds is the time of the samples.
func (f *FunctionState) seconds() (sum float64) {
	for _, list := range [][]Sample{f.Here, f.There} {
		for i := range list {
			sum += list[i].Seconds
		}
	}
	return sum
}

// kept is the State of one history.
func (d *Decider) kept(f *function, h *history) FunctionState {
	out := FunctionState{Function: f.index, Parent: AnyParent, Fails: f.block.fails, Why: f.block.why}
	if h.parent >= 0 {
		out.Parent = d.funcs[h.parent].index
	}
	keep := func(to *[]Sample) func(*record) {
		return func(r *record) {
			*to = append(*to, Sample{r.stamp, r.exact, r.guess, r.x, r.seconds, r.compute, r.up, r.down, r.trips, r.capture, r.apply})
		}
	}
	h.here.each(keep(&out.Here))
	h.there.each(keep(&out.There))
	for i := range h.inner {
		if a := &h.inner[i]; a.seconds.n > 0 {
			out.Inner = append(out.Inner, InnerState{uint8(i), a.seconds.mean, a.joules.mean, a.seconds.n})
		}
	}
	return out
}

// restore learns what is stored as if it had just happened. Functions that are no
// candidates now are carried along.
func (d *Decider) restore(s *State) {
	if s == nil {
		return
	}
	d.speed.log, d.speed.dev = average{s.Speed, min(s.SpeedCount, 5)}, average{s.SpeedDev, min(s.SpeedCount, 5)}
	d.pack = average{s.Packed, min(s.PackedCount, 5)}
	for _, f := range s.Fit {
		if f.Radio < radios {
			d.fit[f.Radio] = average{f.Log, min(f.Count, 5)}
		}
	}
	for i := range s.Functions {
		fs := &s.Functions[i]
		k, parent := d.candidate(fs.Function), NoParent
		if fs.Parent != AnyParent {
			parent = d.candidate(fs.Parent)
		}
		if k < 0 || (parent < 0 && fs.Parent != AnyParent) {
			d.others = append(d.others, *fs)
			continue
		}
		d.funcs[k].restore(fs, parent, &d.speed, func(s *Sample) {
			d.upBytes.observe(math.Log(1+s.Up), 0.3)
			d.downBytes.observe(math.Log(1+s.Down), 0.3)
		})
	}
}

func (f *function) restore(fs *FunctionState, parent int, s *speed, sent func(*Sample)) {
	h := f.at(parent)
	if fs.Fails > 0 {
		f.block = blockade{why: fs.Why, fails: min(fs.Fails, mostFails)}
		f.block.until = 1 << (2 * f.block.fails)
	}
	here, there := fs.Here, fs.There
	for len(here)+len(there) > 0 { // as they happened
		if len(there) == 0 || (len(here) > 0 && here[0].Stamp <= there[0].Stamp) {
			h.ran(here[0].record(), s)
			here = here[1:]
		} else {
			h.moved(there[0].record(), s)
			sent(&there[0])
			there = there[1:]
		}
	}
	for _, in := range fs.Inner {
		if in.Radio < radios {
			h.inner[in.Radio] = saving{average{in.Seconds, min(in.Count, 5)}, average{in.Joules, min(in.Count, 5)}}
		}
	}
}

func (s *Sample) record() *record {
	return &record{s.Stamp, s.Exact, s.X, s.Seconds, s.Guess, s.Compute, s.Up, s.Down, s.Trips, s.Capture, s.Apply}
}

// Merge joins what is stored with what a run hands back: of each function the
// latest samples of both, and of all else what the run says.
func Merge(stored, run *State) *State {
	if stored == nil {
		return run
	}
	out := *run
	out.Functions = slices.Clone(run.Functions)
	for i := range stored.Functions {
		old := &stored.Functions[i]
		at := slices.IndexFunc(out.Functions, func(f FunctionState) bool { return f.Function == old.Function && f.Parent == old.Parent })
		if at < 0 {
			out.Functions = append(out.Functions, *old)
			continue
		}
		f := &out.Functions[at]
		f.Here, f.There = join(old.Here, f.Here), join(old.There, f.There)
	}
	out.shorten()
	return &out
}

// join keeps the latest of both lists, each once.
func join(old, latest []Sample) []Sample {
	out := slices.Clone(latest)
	for _, s := range old {
		if !slices.Contains(latest, s) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b Sample) int { return int(min(max(a.Stamp-b.Stamp, -1), 1)) })
	return out[max(0, len(out)-ringSize):]
}
