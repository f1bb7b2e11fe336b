package main

import (
	"math"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/partition/db"
)

// priors turns the stored partition of a network class and an objective, if
// there is one, into what a run decides by where it has measured nothing. A
// stored partition tells no inputs apart: only that of any input is taken.
func priors(entries []db.Entry, network partition.NetworkClass, objective cost.Objective) []decide.Row {
	kind := map[cost.Objective]partition.Kind{cost.Time: partition.Time, cost.Energy: partition.Energy, cost.Balanced: partition.Balanced}[objective]
	for i := range entries {
		e := &entries[i]
		if e.Network == network && e.Objective == kind && e.Input == partition.AnyInput && (kind != partition.Balanced || e.Weight == balance) {
			return rowsOf(e)
		}
	}
	return nil
}

// rowsOf gives one row for each function and caller that moves: a decider knows
// no more of a context. Contexts that share both are added up. Whole programs are
// left out: they move at once only on what is known of their very class of input
// (PROTOCOL rule 23), and a stored partition is of any.
func rowsOf(e *db.Entry) []decide.Row {
	type key struct{ function, parent uint32 }
	sums := map[key]*decide.Row{}
	calls := map[key]float64{}
	var order []key
	for _, m := range e.Moves {
		if !(m.Calls > 0) || len(m.Context) == 0 || m.Function == "_start" {
			continue
		}
		k := key{m.Context[len(m.Context)-1], decide.AnyParent}
		if n := len(m.Context); n > 1 {
			k.parent = m.Context[n-2]
		}
		r := sums[k]
		if r == nil {
			r = &decide.Row{Function: k.function, Parent: k.parent, Move: true}
			sums[k], order = r, append(order, k)
		}
		calls[k] += m.Calls
		r.Local += m.Here.Seconds
		r.Compute += m.Compute
		r.BytesUp += m.BytesUp * m.Calls
		r.BytesDown += m.BytesDown * m.Calls
	}
	rows := make([]decide.Row, 0, len(order))
	for _, k := range order {
		r, n := sums[k], calls[k]
		r.Local, r.Compute, r.BytesUp, r.BytesDown = r.Local/n, r.Compute/n, r.BytesUp/n, r.BytesDown/n
		rows = append(rows, *r)
	}
	return rows
}

// networkClass is the class that a run over this link begins with. Of a link that
// is not shaped nothing is known before it is used; then the kind of network says
// it, and Wi-Fi is assumed as everywhere. What the link turns out to be is
// measured and priced all the same: only seconds and bytes are taken from a row.
func networkClass(link *shape.Profile, kind energy.Radio) partition.NetworkClass {
	if link != nil {
		if link.Cut {
			return partition.NoNetwork
		}
		rate := func(bits int64) float64 {
			if bits == 0 { // unlimited
				return math.Inf(1)
			}
			return float64(bits)
		}
		return partition.Network{RTT: link.RTT(), Up: rate(link.Up), Down: rate(link.Down)}.ClassOf()
	}
	switch kind {
	case energy.ThreeG:
		return partition.ThreeG
	case energy.LTE:
		return partition.LTE
	case energy.NR:
		return partition.FiveG
	case energy.UnknownRadio, energy.WiFi, energy.Wired:
	}
	return partition.WiFi
}
