package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
)

// whyCmd explains the decisions of the last runs.
type whyCmd struct {
	Last int    `default:"1" placeholder:"N" help:"How many runs."`
	All  bool   `help:"List every call, not the longest of each kind."`
	JSON bool   `help:"Print JSON."`
	App  string `arg:"" optional:"" name:"APP" help:"The application: name, path or module hash."`
}

func (*whyCmd) usage() string { return "[FLAGS] [APP]" }

func (*whyCmd) exits() string { return "0; 1 nothing is known of such a run; 2 usage" }

// whyRun is one run as why prints it with --json.
type whyRun struct {
	device.Decisions
	Calls []whyCall `json:"calls"`
}

// whyCall is a call with its regret: what it cost beyond what the other site was
// expected to, in joules with the objective energy and in seconds otherwise.
type whyCall struct {
	device.CallReport
	Regret float64 `json:"regret"`
}

func (c *whyCmd) Run(a *app) error {
	if c.Last < 1 {
		return usage("--last %d: want 1 or more", c.Last)
	}
	name := c.App
	if name != "" {
		name = filepath.Base(name)
	}
	runs, err := device.LastDecisions(a.home, name, c.Last, func(err error) { a.say("%v", err) })
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		what := "no run has been decided on yet"
		if name != "" {
			what = "no run of " + name + " has been decided on yet"
		}
		return withHint(errors.New(what), "clonecloud run --where auto APP.wasm decides; a run of less than 20 ms leaves nothing behind")
	}
	list := make([]whyRun, len(runs))
	for i := range runs {
		list[i] = explain(&runs[i])
	}
	if c.JSON {
		enc := json.NewEncoder(a.stdio.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(list)
	}
	for i := range list {
		if i > 0 {
			fmt.Fprintln(a.stdio.out)
		}
		if err := list[i].print(a.stdio.out, c.All); err != nil {
			return err
		}
	}
	return nil
}

func explain(d *device.Decisions) whyRun {
	r := whyRun{Decisions: *d}
	for i := range d.Calls {
		r.Calls = append(r.Calls, whyCall{d.Calls[i], d.Calls[i].Regret(d.Objective)})
	}
	return r
}

// print writes a run for a person.
func (r *whyRun) print(w io.Writer, all bool) error {
	link := ""
	if r.Link != "" {
		link = ", link " + r.Link
	}
	fmt.Fprintf(w, "%s, %s, objective %s%s: %.2f s, %d calls here, %d at the clone, %d fell back\n",
		r.App, r.Began.Local().Format(time.DateTime), r.Objective, link, r.Totals.Seconds, r.Totals.CallsDevice, r.Totals.CallsClone, r.Totals.Fallbacks)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tCALLS\tRAN ON\tHERE\tTHERE\tMEASURED\tSENT\tRECEIVED\tREGRET\tWHY")
	for _, g := range r.groups(all) {
		c := g.longest
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shorten(c.Function), g.n, c.Where,
			expected(c, device.WhereDevice), expected(c, device.WhereClone), spentText(c.Seconds, c.Joules),
			sizeOrNone(c.BytesUp), sizeOrNone(c.BytesDown), g.regretText(r.Objective), c.Reason)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Left > 0 {
		fmt.Fprintf(w, "and %d shorter calls\n", r.Left)
	}
	fmt.Fprintln(w, "HERE and THERE were expected, of the longest call of each line; joules are a model's.")
	return nil
}

// group is calls of one function that ran at one site by one rule.
type group struct {
	n       int
	longest *whyCall
	regret  float64
}

// groups puts the calls of a kind together, the longest first.
func (r *whyRun) groups(all bool) []*group {
	type key struct {
		function             uint32
		context, where, rule string
		n                    int
	}
	var list []*group
	seen := map[key]*group{}
	for i := range r.Calls {
		c := &r.Calls[i]
		k := key{c.Index, c.Context, c.Where, c.Rule, 0}
		if all {
			k.n = i
		}
		g := seen[k]
		if g == nil {
			g = &group{longest: c}
			seen[k] = g
			list = append(list, g)
		}
		g.n++
		g.regret += c.Regret
		if c.Seconds > g.longest.Seconds {
			g.longest = c
		}
	}
	if !all {
		slices.SortStableFunc(list, func(a, b *group) int { return cmp.Compare(b.longest.Seconds, a.longest.Seconds) })
	}
	return list
}

func (g *group) regretText(objective string) string {
	if g.regret == 0 {
		return "-"
	}
	if objective == "energy" {
		return fmt.Sprintf("%.2g J", g.regret)
	}
	return secondsText(g.regret)
}

// expected is what a site was expected to cost.
func expected(c *whyCall, site string) string {
	p, ok := c.Predicted[site]
	if !ok {
		return "-"
	}
	return spentText(p.Seconds, p.Joules)
}

func spentText(seconds, joules float64) string {
	return fmt.Sprintf("%s %.2g J", secondsText(seconds), joules)
}
