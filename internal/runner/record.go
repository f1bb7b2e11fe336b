package runner

import "github.com/clonecloud/clonecloud/internal/decide"

// Features are what is known of a call at its entry, as package decide takes it.
type Features struct {
	Number int // the call is the Number-th of its function, from 0, without those inside of another
	Serial int // of all calls that are told, by entry
	Parent int // Serial of the call that it was made in; -1: of none
	Args   []float64
	Memory int64
	Files  int64
	Dirty  int64 // bytes
	Class  uint32
	Whole  bool
}

// recording tells every call with its features. Functions that are called too
// often to be told are disarmed and left out.
type recording struct {
	open   []Features // of the watched calls in progress
	number []int
	serial int
	last   Features // of the call that has ended
}

// mostRecorded is how many calls of a function are told.
const mostRecorded = 400

// record keeps the call that a.call describes here, and tells it.
func (a *auto) record(k int) (where, reason string, watch bool) {
	x, c := &a.records, &a.call
	if x.number == nil {
		x.number = make([]int, len(a.active))
	}
	if c.Nested {
		return siteDevice, "", false // at the clone it is a part of the outer call
	}
	x.number[k]++
	if x.number[k] > mostRecorded {
		a.r.arms.set(k, byDecision, false)
		return siteDevice, "", false
	}
	f := Features{
		Number: x.number[k] - 1, Serial: x.serial, Parent: -1, Args: append([]float64(nil), c.Args...),
		Memory: c.Memory, Files: c.Files, Dirty: c.Measure(), Class: c.Class, Whole: c.Whole,
	}
	x.serial++
	if n := len(x.open); n > 0 {
		f.Parent = x.open[n-1].Serial
	}
	x.open = append(x.open, f)
	a.out = decide.Decision{Watch: true}
	a.push(k)
	return siteDevice, "recorded", true
}

// ran notes that the innermost watched call has ended.
func (x *recording) ran(a *auto, k int) bool {
	if n := len(x.open); n > 0 {
		x.last, x.open = x.open[n-1], x.open[:n-1]
		a.decided = a.decided[:len(a.decided)-1]
		a.active[k]--
	}
	return true
}

// describe adds the features to the report of the call that has ended.
func (x *recording) describe(c *Call) {
	f := x.last
	c.Features = &f
}
