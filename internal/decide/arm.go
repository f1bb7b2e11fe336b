package decide

import (
	"math"
	"time"
)

// armament says which candidates are armed. A disarmed candidate's call costs a
// load, a test and a branch, and is not seen; so a function that is too short
// ever to move is disarmed, and armed again for a few calls after a pause that
// doubles, or when the link changes.
type armament struct {
	state   []armed
	version int
	next    time.Duration // when the first of those asleep is to be woken
}

type armed struct {
	asleep  bool
	samples int // calls since it was armed
	long    int // of these, those that were not short
	pause   time.Duration
	wake    time.Duration
}

const (
	// samples is after how many calls an armed function may be disarmed.
	samples = 3
	// always short: no link is so fast that such a call could repay an offload.
	alwaysShort = 500e-6
	// shortAlone is the same where there is no clone, and nothing to gain.
	shortAlone = 5e-3

	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Minute
	never      = time.Duration(math.MaxInt64)
)

func (a *armament) init(n int) {
	a.state = make([]armed, n)
	for k := range a.state {
		a.state[k].pause = firstPause
	}
	a.next, a.version = never, 1
}

// Armed reports whether candidate k is to ask.
func (d *Decider) Armed(k int) bool { return !d.arm.state[k].asleep }

// ArmVersion changes whenever an answer of Armed does.
func (d *Decider) ArmVersion() int { return d.arm.version }

// Tick arms what is to be sampled again; it costs a comparison mostly, and is
// for host calls that are no candidate's.
func (d *Decider) Tick() {
	if d.arm.next != never {
		d.arm.tick(d.conf.Now())
	}
}

func (a *armament) tick(now time.Duration) {
	if now < a.next {
		return
	}
	a.next = never
	for k := range a.state {
		s := &a.state[k]
		if !s.asleep {
			continue
		}
		if s.wake <= now {
			a.arm(k)
		} else {
			a.next = min(a.next, s.wake)
		}
	}
}

func (a *armament) arm(k int) {
	s := &a.state[k]
	s.asleep, s.samples, s.long = false, 0, 0
	a.version++
}

// wakeAll arms everything, as when the link has changed.
func (a *armament) wakeAll(time.Duration) {
	for k := range a.state {
		a.state[k].pause = firstPause
		if a.state[k].asleep {
			a.arm(k)
		}
	}
	a.next = never
}

// consider may disarm candidate k after a call that took so many seconds here.
func (d *Decider) consider(k int, took float64, now time.Duration) {
	s := &d.arm.state[k]
	short := alwaysShort
	if !d.up {
		short = shortAlone
	}
	s.samples++
	if took > short {
		s.long++
	}
	// One in sixteen may be long: those that are will be met again.
	if s.samples < samples || s.long*16 > s.samples {
		return
	}
	s.asleep, s.wake = true, now+s.pause
	s.pause = min(2*s.pause, lastPause)
	d.arm.version++
	d.arm.next = min(d.arm.next, s.wake)
}
