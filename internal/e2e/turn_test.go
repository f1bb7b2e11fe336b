package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// largeModule is the number of functions from which each called one is offered
// in one of the module's programs and not in all.
const largeModule = 1000

// turn is one program and the functions to offer in it, one after the other.
type turn struct {
	testprogs.Program
	offered   []string // what is stubbed: all that may move
	names     map[uint32]string
	called    map[uint32]int // calls of each function
	chosen    []uint32
	heavy     []uint32
	idle      int            // functions that may move and that it does not call
	elsewhere int            // functions that it calls and another program offers
	fixed     map[string]int // called functions that may not move, by reason
}

// turns plans the runs of a module's programs: every function that a program
// calls and that may move; of a large module each in one of the programs that call
// it, dealt out in order, and those that are its work in every program. By default
// a sample of that.
func turns(t *testing.T, w *World, programs []testprogs.Program) (all []*turn) {
	t.Helper()
	c := newCensus(t, programs[0].Wasm)
	called := make([]map[uint32]int, len(programs))
	callers := map[uint32]int{}
	for i := range programs {
		called[i] = c.called(w, &programs[i])
		for f := range called[i] {
			callers[f]++
		}
	}
	dealt := map[uint32]int{}
	for i, p := range programs {
		x := &turn{Program: p, offered: c.movable, names: c.names, called: called[i], fixed: map[string]int{}}
		for f, why := range c.fixed {
			if called[i][f] > 0 {
				x.fixed[why]++
			}
		}
		for _, ref := range c.movable {
			at, _ := strconv.Atoi(ref)
			f := uint32(at)
			if called[i][f] == 0 {
				x.idle++
				continue
			}
			turn := dealt[f] == at%callers[f]
			dealt[f]++
			if slices.Contains(p.Heavy, c.names[f]) {
				x.heavy = append(x.heavy, f)
			} else if len(c.movable) >= largeModule && c.names[f] != "_start" && !turn {
				x.elsewhere++
				continue
			}
			x.chosen = append(x.chosen, f)
		}
		if !nightly {
			x.sample()
		}
		all = append(all, x)
	}
	return all
}

// sample keeps one function that is worth it, _start, and two others, not the
// same in every program of a module.
func (x *turn) sample() {
	few := slices.Clone(x.heavy[:min(1, len(x.heavy))])
	step := len(x.chosen)/2 + 1
	for i := len(x.Name) % step; i < len(x.chosen); i += step {
		few = append(few, x.chosen[i])
	}
	for _, f := range x.chosen {
		if x.names[f] == "_start" {
			few = append(few, f)
		}
	}
	slices.Sort(few)
	x.chosen = slices.Compact(few)
}

// tally is what came of the functions that were offered.
type tally struct {
	idle, offered, moved int
	// stayed and partly are functions of which no call moved, and of which some
	// did not, by reason.
	stayed, partly map[string][]string
}

func newTally() *tally { return &tally{stayed: map[string][]string{}, partly: map[string][]string{}} }

func (y *tally) add(z *tally) {
	y.idle, y.offered, y.moved = y.idle+z.idle, y.offered+z.offered, y.moved+z.moved
	for _, m := range [][2]map[string][]string{{y.stayed, z.stayed}, {y.partly, z.partly}} {
		for why, who := range m[1] {
			m[0][why] = append(m[0][why], who...)
		}
	}
}

func (y *tally) String() string {
	s := fmt.Sprintf("%d functions were offered, each alone and where it is called; %d moved; %d are not called", y.offered, y.moved, y.idle)
	for _, m := range []struct {
		what string
		all  map[string][]string
	}{{"did not move", y.stayed}, {"moved, but some calls did not", y.partly}} {
		for _, why := range slices.Sorted(maps.Keys(m.all)) {
			who := m.all[why]
			s += fmt.Sprintf("\n\t%4d %s: %s: %s", len(who), m.what, why, strings.Join(who[:min(4, len(who))], ", "))
			if len(who) > 4 {
				s += ", ..."
			}
		}
	}
	return s
}

// numbers are what differs between two reasons of a kind.
var numbers = regexp.MustCompile(`0x[0-9a-f]+|\d+`)

// TestEachFunctionOffloadedInTurn runs every program with one function moved at a
// time: each function that the program calls and that may move, _start too. What
// a run leaves, its memory included, is what the local run left; clocks and
// random numbers are made the same in all runs. A function that is called moves,
// or the report says why not. By default a sample is taken; nightly all, and the
// face application.
func TestEachFunctionOffloadedInTurn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs hundreds of processes")
	}
	w := NewRepeatableWorld(t)
	var modules []string
	programs := map[string][]testprogs.Program{}
	for _, p := range slices.Concat(testprogs.All(), applications(t)) {
		if !nightly && p.Name == "facerecognition" {
			continue // TestTheExamplesEndAsTheyDoOnTheDevice moves its work
		}
		if programs[p.Module()] == nil {
			modules = append(modules, p.Module())
		}
		programs[p.Module()] = append(programs[p.Module()], p)
	}
	sum := newTally()
	for _, module := range modules {
		t.Run(module, func(t *testing.T) {
			w.tb = t
			for _, x := range turns(t, w, programs[module]) {
				t.Run(strings.TrimPrefix(x.Name, module+"/"), func(t *testing.T) {
					w.tb = t
					y := inTurn(t, w, x)
					sum.add(y)
					t.Logf("%d functions may move; %d are called here and offered in another program; called that may not move: %v\n%v",
						len(x.offered), x.elsewhere, x.fixed, y)
				})
				w.tb = t
			}
		})
		w.tb = t
	}
	t.Logf("over all programs: %v", sum)
}

// inTurn moves one function after the other.
func inTurn(t *testing.T, w *World, x *turn) *tally {
	t.Helper()
	p := &x.Program
	y := newTally()
	y.idle = x.idle
	local := w.Run(p, OnDevice)
	if same(t, p, local, w.Run(p, OnDevice)); t.Failed() {
		t.Fatal("two local runs differ: nothing can be compared")
	}
	wrong := 0
	for _, f := range x.chosen {
		who := fmt.Sprintf("%s (%d)", x.names[f], f)
		ok := t.Run(strconv.Itoa(int(f)), func(t *testing.T) {
			w.tb = t
			remote := w.Run(p, InTurn(f, x.offered, x.called[f]))
			if same(t, p, local, remote); t.Failed() {
				t.Errorf("with %s moved; calls: %s", who, calls(remote.Report.Calls))
			}
			y.count(t, x, f, who, remote.Report.Calls)
		})
		w.tb = t
		if !ok {
			if wrong++; wrong == 20 {
				t.Fatal("too many functions fail")
			}
		}
	}
	return y
}

// count notes what became of the calls of f.
func (y *tally) count(t *testing.T, x *turn, f uint32, who string, all []device.CallReport) {
	t.Helper()
	y.offered++
	moved, stayed, why := 0, 0, ""
	for _, c := range all {
		if c.Index != f {
			t.Errorf("a call of function %d is reported, where only %s may move", c.Index, who)
		}
		if c.Where == device.WhereClone {
			moved++
		} else if stayed++; why == "" {
			why = c.Reason
		}
	}
	why = numbers.ReplaceAllString(why, "N")
	switch {
	case moved+stayed == 0:
		t.Errorf("%s is called, and no call of it was offered", who)
	case stayed > 0 && why == "":
		t.Errorf("a call of %s did not move, and the report does not say why", who)
	case moved > 0:
		y.moved++
		if stayed > 0 {
			y.partly[why] = append(y.partly[why], who)
		}
	default:
		y.stayed[why] = append(y.stayed[why], who)
		if slices.Contains(x.heavy, f) && !x.Traps {
			t.Errorf("%s is the program's work and did not move: %s", who, why)
		}
	}
}
