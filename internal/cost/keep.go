package cost

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Learnt is one thing that Speeds has learnt, in a form that can be kept. An
// empty Function speaks for all of the engine's, an empty Engine for all of the
// clone's, an empty Clone for all clones.
type Learnt struct {
	Key
	Ratio   float64   `json:"ratio"`
	Dev     float64   `json:"dev"`
	Samples int       `json:"samples"`
	Last    time.Time `json:"last"`
}

// Export returns what has been learnt of speeds, the latest first. Queues are
// of the moment and not in it.
func (s *Speeds) Export() []Learnt {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Learnt, 0, len(s.ratios))
	for k, t := range s.ratios {
		all = append(all, Learnt{k, t.value(), math.Sqrt(t.vari), t.n, t.last})
	}
	slices.SortFunc(all, func(a, b Learnt) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Clone, b.Clone), cmp.Compare(a.Engine, b.Engine), cmp.Compare(a.Function, b.Function))
	})
	return all
}

// Import takes up what was exported. What this Speeds knows already stands, and
// an entry that cannot be true is left out: kept files may be damaged. It
// returns how many entries were taken.
func (s *Speeds) Import(all []Learnt) (taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range all {
		mean := math.Log(l.Ratio)
		if math.IsNaN(mean) || math.IsInf(mean, 0) || !(l.Dev >= 0) || l.Samples <= 0 || l.Last.IsZero() {
			continue
		}
		if s.ratios[l.Key] != nil || len(s.ratios) >= maxKeys {
			continue
		}
		s.ratios[l.Key] = &track{mean: mean, vari: min(l.Dev, maxDev) * min(l.Dev, maxDev), n: l.Samples, last: l.Last}
		taken++
	}
	return taken
}
