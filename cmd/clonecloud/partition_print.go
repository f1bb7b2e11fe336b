package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/partition/db"
)

// partitioning is what partition prints with --json; docs/PARTITION.md
// describes it.
type partitioning struct {
	App         string       `json:"app"`
	Module      string       `json:"module"` // SHA-256
	Runs        uint64       `json:"runs"`   // behind the profile
	Contexts    int          `json:"contexts"`
	Clone       string       `json:"clone"`
	CloneFaster float64      `json:"cloneFaster,omitempty"` // times as fast as the device; absent: not measured
	JoulesAre   energy.Basis `json:"joulesAre"`
	Power       string       `json:"power"` // where the joules come from, for a person
	Partitions  []db.Entry   `json:"partitions"`
}

// print writes it for a person.
func (p *partitioning) print(w io.Writer, g *callgraph.Graph) error {
	fmt.Fprintf(w, "%s: a profile of %s, %s\n", p.App, plural(int(p.Runs), "run"), plural(p.Contexts, "call context"))
	if p.CloneFaster > 0 {
		fmt.Fprintf(w, "%s is %.3g times as fast as this device, by the calls that ran at both\n", p.Clone, p.CloneFaster)
	} else {
		fmt.Fprintf(w, "no call ran on a clone yet, so it is taken to be as fast as this device;\nclonecloud profile %s measures it\n", p.App)
	}
	fmt.Fprintf(w, "joules are a model's, from %s\n", p.Power)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "\nNETWORK\tOBJECTIVE\tON THE DEVICE\tPARTITIONED\tGOES TO THE CLONE\n")
	for _, e := range p.Partitions {
		first, rest := "nothing", []string(nil)
		if lines := moveLines(e.Moves, g); len(lines) > 0 {
			first, rest = lines[0], lines[1:]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Network, e.Objective, costText(e.Local), costText(e.Cost), first)
		for _, line := range rest {
			fmt.Fprintf(t, "\t\t\t\t%s\n", line)
		}
	}
	return t.Flush()
}

// moveLines says what moves, in which contexts: those that save most first.
func moveLines(moves []db.Move, g *callgraph.Graph) (lines []string) {
	const most = 6
	for i, m := range moves {
		if i == most {
			return append(lines, fmt.Sprintf("and %d more; --json lists all", len(moves)-most))
		}
		line := shorten(m.Function)
		if n := len(m.Context) - 1; n > 0 {
			line += " in " + callersText(m.Context[:n], g)
		}
		calls := fmt.Sprintf("%.3g calls", m.Calls)
		if m.Calls == 1 {
			calls = "1 call"
		}
		lines = append(lines, fmt.Sprintf("%s, %s: %s instead of %s", line, calls, secondsText(m.There.Seconds), secondsText(m.Here.Seconds)))
	}
	return lines
}

// callersText names the callers, outermost first, five at most.
func callersText(context []uint32, g *callgraph.Graph) string {
	var names []string
	for _, f := range context {
		names = append(names, shorten(functionName(g, f)))
	}
	if len(names) > 5 {
		names = append(append(names[:2:2], "..."), names[len(names)-2:]...)
	}
	return strings.Join(names, " > ")
}

// costText is seconds, joules and, if any, bytes.
func costText(c partition.Cost) string {
	s := fmt.Sprintf("%s, %s J", secondsText(c.Seconds), figures(c.Joules))
	if c.Bytes > 0 {
		s += ", " + bytesText(int64(c.Bytes))
	}
	return s
}

// secondsText is a time for people.
func secondsText(s float64) string {
	if s > 0 && s < 0.1 {
		return figures(s*1000) + " ms"
	}
	return figures(s) + " s"
}

// figures gives three figures, without an exponent.
func figures(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
