package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/clonecloud/clonecloud/internal/profile"
)

// profileRow is one context: what was measured here, and with the clone.
type profileRow struct {
	context     []uint32 // down to its own function
	here, there profile.Stats
}

// rows lists the contexts, those that take the most time first.
func (p *profiled) rows() []*profileRow {
	byContext := map[string]*profileRow{}
	var all []*profileRow
	add := func(t *profile.Tree, into func(*profileRow) *profile.Stats) {
		t.Walk(func(n *profile.Node, context []*profile.Node) {
			var path []uint32
			for _, c := range context {
				path = append(path, c.Func)
			}
			key := fmt.Sprint(path)
			if byContext[key] == nil {
				byContext[key] = &profileRow{context: path}
				all = append(all, byContext[key])
			}
			*into(byContext[key]) = n.Stats
		})
	}
	add(p.device, func(r *profileRow) *profile.Stats { return &r.here })
	add(p.clone, func(r *profileRow) *profile.Stats { return &r.there })
	slices.SortStableFunc(all, func(a, b *profileRow) int {
		return cmp.Or(cmp.Compare(b.here.Device.Nanos, a.here.Device.Nanos), cmp.Compare(b.there.Away, a.there.Away), slices.Compare(a.context, b.context))
	})
	return all
}

func (p *profiled) nameOf(f uint32) string {
	if f == profile.Other {
		return "(other)"
	}
	return p.name(f)
}

// shownRows is how many contexts the table shows.
const shownRows = 40

// table writes the profile for a person.
func (p *profiled) table(w io.Writer) error {
	fmt.Fprintf(w, "%s: one run here", p.app)
	if p.replays > 0 {
		fmt.Fprintf(w, ", %s with calls on the clone", plural(p.replays, "run"))
	}
	fmt.Fprintln(w)
	if p.note != "" {
		fmt.Fprintln(w, p.note)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "\nFUNCTION\tCALLS\tDEVICE s\tSELF s\tCLONE s\tOFFLOADED s\tUP MB\tDOWN MB\tCONTEXT\n")
	rows := p.rows()
	sampled := false
	for _, r := range rows[:min(len(rows), shownRows)] {
		last := len(r.context) - 1
		var callers []string
		for _, f := range r.context[:last] {
			callers = append(callers, shorten(p.nameOf(f)))
		}
		calls := fmt.Sprint(r.calls())
		if r.here.Rested > 0 {
			calls, sampled = ">"+calls, true
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shorten(p.nameOf(r.context[last])), calls,
			timed(r.here.Device.Nanos, r.here.Device.Calls), timed(r.here.Device.Self, r.here.Calls),
			timed(r.scaled(r.there.Clone.Nanos), r.there.Clone.Calls), timed(r.scaled(r.there.Away), r.there.Clone.Calls),
			megabytes(r.scaled(r.there.Up), r.there.Clone.Calls), megabytes(r.scaled(r.there.Down), r.there.Clone.Calls),
			strings.Join(callers, " > "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	switch {
	case len(rows) == 0:
		fmt.Fprintln(w, "No call of a candidate was seen: clonecloud inspect lists them, --offload FUNC adds one.")
	case len(rows) > shownRows:
		fmt.Fprintf(w, "and %d more; --json lists all\n", len(rows)-shownRows)
	}
	if sampled {
		fmt.Fprintln(w, "> the function is so short and frequent that not every call was looked at")
	}
	if p.replays > 0 {
		fmt.Fprintln(w, "CLONE is the clone's own time, OFFLOADED all that the device waited; both, and MB, for as many calls as ran here.")
	}
	return nil
}

// calls are those of the run here, or of all others where it made none.
func (r *profileRow) calls() uint64 { return cmp.Or(r.here.Calls, r.there.Calls) }

// scaled brings a sum over calls on the clone to as many as ran here.
func (r *profileRow) scaled(sum uint64) uint64 {
	if r.there.Clone.Calls == 0 || r.here.Device.Calls == 0 {
		return sum
	}
	return uint64(float64(sum) * float64(r.here.Device.Calls) / float64(r.there.Clone.Calls))
}

// timed is a time in seconds; none without calls.
func timed(nanos, calls uint64) string {
	if calls == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4f", float64(nanos)/1e9)
}

func megabytes(n, calls uint64) string {
	if calls == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", float64(n)/1e6)
}

// profileJSON is what profile prints with --json. Times are seconds.
type profileJSON struct {
	App       string            `json:"app"`
	Replays   int               `json:"replays"` // runs with the clone
	Note      string            `json:"note,omitempty"`
	Functions []functionProfile `json:"functions"`
}

// functionProfile is one context. Device is of the one run there; clone of all
// its runs, as are bytes and offloadedSeconds.
type functionProfile struct {
	Function         string            `json:"function"`
	Index            uint32            `json:"index"`
	Context          []string          `json:"context"`
	Calls            uint64            `json:"calls"`
	Sampled          bool              `json:"sampled,omitempty"` // not every call was looked at
	Reentries        uint64            `json:"reentries,omitempty"`
	Device           siteProfile       `json:"device"`
	Clone            siteProfile       `json:"clone"`
	OffloadedSeconds float64           `json:"offloadedSeconds"` // that the device waited for calls on the clone
	Fallbacks        uint64            `json:"fallbacks,omitempty"`
	BytesUp          uint64            `json:"bytesUp"`
	BytesDown        uint64            `json:"bytesDown"`
	DirtiedPerCall   *float64          `json:"dirtiedBytesPerCall,omitempty"`
	Imports          map[string]uint64 `json:"imports,omitempty"`
}

type siteProfile struct {
	Calls       uint64  `json:"calls"`
	Seconds     float64 `json:"seconds"`
	SelfSeconds float64 `json:"selfSeconds"`
}

func siteJSON(c profile.Cost) siteProfile {
	return siteProfile{c.Calls, float64(c.Nanos) / 1e9, float64(c.Self) / 1e9}
}

func (p *profiled) json() *profileJSON {
	out := &profileJSON{App: p.app, Replays: p.replays, Note: p.note, Functions: []functionProfile{}}
	for _, r := range p.rows() {
		last := len(r.context) - 1
		f := functionProfile{
			Function: p.nameOf(r.context[last]), Index: r.context[last], Context: []string{},
			Calls: r.calls(), Sampled: r.here.Rested > 0, Reentries: r.here.Reentries,
			Device: siteJSON(r.here.Device), Clone: siteJSON(r.there.Clone), OffloadedSeconds: float64(r.there.Away) / 1e9,
			Fallbacks: r.there.Fallbacks, BytesUp: r.there.Up, BytesDown: r.there.Down,
		}
		for _, c := range r.context[:last] {
			f.Context = append(f.Context, p.nameOf(c))
		}
		// What a clone sends back is exact; on the device it is a lower bound.
		dirty := &r.here
		if r.there.Clone.Calls > 0 && r.there.DirtyCalls > 0 {
			dirty = &r.there
		}
		if dirty.DirtyCalls > 0 {
			mean := float64(dirty.Dirtied) / float64(dirty.DirtyCalls)
			f.DirtiedPerCall = &mean
		}
		for kind, n := range r.here.Imports {
			if n > 0 {
				if f.Imports == nil {
					f.Imports = map[string]uint64{}
				}
				f.Imports[profile.Import(kind).String()] = n
			}
		}
		out.Functions = append(out.Functions, f)
	}
	return out
}
