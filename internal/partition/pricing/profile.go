package pricing

import (
	"math"

	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/profile"
)

// unknownBytes is taken for a migration, each way, of which nothing is known:
// one page.
const unknownBytes = 4096

// Bounds of what a profile is believed, whose sums may stand at their limit.
const (
	mostCalls = 1e12 // a run
	mostBytes = 1e15 // of one migration, each way
)

// Measured says what a partition.Profile rests on.
type Measured struct {
	Runs     uint64
	Contexts int
	// Faster is how many times as fast as the device the clone was, over all
	// calls that ran at both; 0 if there were none, and the clone is taken to be
	// as fast as the device.
	Faster float64
}

// FromProfile gives the mean run of a profile, at the device and one clone.
//
// A context's time at a site is that of its calls there. Where calls ran at one
// site alone, the other's time follows from how much faster the clone was for
// the nearest context above that ran at both, or else for all. A clone has no
// stubs, so it tells the time of a whole call: what is left of it after the
// contexts below is the context's own. Bytes are those of migrations that
// happened; where none did, they are the pages that calls dirtied, each way,
// and on the way back at least those of one call of each context below: a lower
// bound.
func FromProfile(t *profile.Tree, clone string) (*partition.Profile, Measured) {
	f := &flattening{runs: math.Max(float64(t.Runs), 1)}
	f.add(t.Root, -1)
	m := Measured{Runs: t.Runs, Contexts: len(f.nodes) - 1, Faster: f.faster()}
	overall := m.Faster
	if overall == 0 {
		overall = 1
	}
	p := &partition.Profile{Clones: []string{clone}, Contexts: make([]partition.Context, len(f.nodes))}
	whole := f.deviceTimes(overall)
	away := f.cloneTimes(whole, overall)
	for i, n := range f.nodes {
		c := partition.Context{Parent: f.parent[i], Func: n.Func, Calls: f.calls(i), Candidate: n.Func < profile.Other}
		c.Pinned = i == 0
		c.Seconds = []float64{whole[i], away[i]}
		for _, below := range f.below[i] { // less what is theirs
			c.Seconds[0] -= whole[below]
			c.Seconds[1] -= away[below]
		}
		c.Seconds[0], c.Seconds[1] = max(c.Seconds[0], 0), max(c.Seconds[1], 0)
		c.Up, c.Down = bytesOf(n)
		if c.Calls > 0 {
			c.Trips = f.trips(i) / c.Calls
		}
		p.Contexts[i] = c
	}
	for i := len(f.nodes) - 1; i > 0; i-- {
		if above := f.parent[i]; f.nodes[above].Clone.Calls == 0 {
			p.Contexts[above].Down = max(p.Contexts[above].Down, p.Contexts[i].Down)
		}
	}
	return p, m
}

// flattening is a profile tree as a list, callers first.
type flattening struct {
	runs   float64
	nodes  []*profile.Node
	parent []int
	below  [][]int
}

func (f *flattening) add(n *profile.Node, parent int) {
	at := len(f.nodes)
	f.nodes, f.parent, f.below = append(f.nodes, n), append(f.parent, parent), append(f.below, nil)
	if parent >= 0 {
		f.below[parent] = append(f.below[parent], at)
	}
	for _, c := range n.Children {
		f.add(c, at)
	}
}

// calls is how many calls of context i would migrate in a run.
func (f *flattening) calls(i int) float64 {
	return min((float64(f.nodes[i].Calls)+float64(f.nodes[i].Reentries))/f.runs, mostCalls)
}

// entered is how many outermost calls a run has, as times are counted by.
func (f *flattening) entered(i int) float64 {
	n := f.nodes[i]
	all := float64(n.Device.Calls) + float64(n.Clone.Calls) + float64(n.Mixed.Calls)
	if all == 0 {
		all = float64(n.Calls)
	}
	return min(all/f.runs, mostCalls)
}

// ratio is how many times as fast the clone was for one context, 0 if unknown.
func ratio(n *profile.Node) float64 {
	if n.Device.Calls == 0 || n.Clone.Calls == 0 || n.Clone.Nanos == 0 {
		return 0
	}
	return believable(mean(n.Device.Nanos, n.Device.Calls) / mean(n.Clone.Nanos, n.Clone.Calls))
}

// believable bounds a ratio of speeds: what is beyond is no measurement.
func believable(ratio float64) float64 {
	const most = 1e4
	return min(max(ratio, 1/most), most)
}

// mean is in seconds.
func mean(nanos, calls uint64) float64 { return float64(nanos) / float64(calls) / 1e9 }

// faster is the ratio over all contexts, each by the time that it takes.
func (f *flattening) faster() float64 {
	device, clone := 0.0, 0.0
	for i, n := range f.nodes {
		if ratio(n) > 0 {
			device += f.entered(i) * mean(n.Device.Nanos, n.Device.Calls)
			clone += f.entered(i) * mean(n.Clone.Nanos, n.Clone.Calls)
		}
	}
	if clone == 0 {
		return 0
	}
	return believable(device / clone)
}

// deviceTimes gives the seconds of a run that each context takes on the device,
// contexts below included. Those that were seen there are the sum of their own
// times and those below; others follow from the clone's.
func (f *flattening) deviceTimes(overall float64) []float64 {
	whole := make([]float64, len(f.nodes))
	for i := len(f.nodes) - 1; i >= 0; i-- {
		n := f.nodes[i]
		below := 0.0
		for _, c := range f.below[i] {
			below += whole[c]
		}
		switch seen := float64(n.Device.Calls) + float64(n.Mixed.Calls); {
		case seen > 0:
			whole[i] = f.entered(i)*(float64(n.Device.Self)/seen/1e9) + below
		case n.Clone.Calls > 0:
			whole[i] = max(f.entered(i)*mean(n.Clone.Nanos, n.Clone.Calls)*overall, below)
		default:
			whole[i] = below
		}
	}
	return whole
}

// cloneTimes gives the same at the clone.
func (f *flattening) cloneTimes(whole []float64, overall float64) []float64 {
	away, factor := make([]float64, len(f.nodes)), make([]float64, len(f.nodes))
	for i, n := range f.nodes {
		factor[i] = overall
		if f.parent[i] >= 0 {
			factor[i] = factor[f.parent[i]]
		}
		if r := ratio(n); r > 0 {
			factor[i] = r
		}
		if n.Clone.Calls > 0 {
			away[i] = f.entered(i) * mean(n.Clone.Nanos, n.Clone.Calls)
		} else {
			away[i] = whole[i] / factor[i]
		}
	}
	return away
}

// bytesOf gives the bytes of one migration.
func bytesOf(n *profile.Node) (up, down float64) {
	if n.Clone.Calls > 0 {
		calls := float64(n.Clone.Calls)
		return min(float64(n.Up)/calls, mostBytes), min(float64(n.Down)/calls, mostBytes)
	}
	b := float64(unknownBytes)
	if n.DirtyCalls > 0 {
		b = min(max(b, float64(n.Dirtied)/float64(n.DirtyCalls)), mostBytes)
	}
	return b, b
}

// trips is how often in a run the imports of a context and those below would
// ask the device and wait: reads of what the clone lacks, at worst all of them,
// and what only the device can answer.
func (f *flattening) trips(i int) float64 {
	n := f.nodes[i]
	sum := float64(n.Imports[profile.ImportRead]) + float64(n.Imports[profile.ImportImmediate])
	sum /= f.runs
	for _, c := range f.below[i] {
		sum += f.trips(c)
	}
	return sum
}
