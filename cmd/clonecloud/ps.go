package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
)

// psCmd shows the applications that run.
type psCmd struct {
	JSON bool `help:"Print JSON."`
}

func (*psCmd) usage() string { return "[FLAGS]" }

func (*psCmd) exits() string { return "0, also when nothing runs" }

func (c *psCmd) Run(a *app) error {
	all, err := device.RunningNow(a.home, time.Now())
	if err != nil {
		return err
	}
	if c.JSON {
		if all == nil {
			all = []device.Running{}
		}
		enc := json.NewEncoder(a.stdio.out)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	if len(all) == 0 {
		a.say("nothing runs")
	}
	return printRunning(a.stdio.out, all)
}

// printRunning writes the table for a person.
func printRunning(w io.Writer, all []device.Running) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "PID\tAPP\tTIME\tWHERE\tMOVED\tSAVED\tLAST DECISION")
	for i := range all {
		r := &all[i]
		last := "-"
		if r.Function != "" {
			last = fmt.Sprintf("%s on %s: %s", shorten(r.Function), r.Site, r.Reason)
		}
		if r.Blocked != "" && r.Site != device.WhereClone {
			last = "the policy forbids the link: " + r.Blocked
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%.1f s, %.1f J\t%s\n",
			r.Pid, r.App, secondsText(r.DeviceSeconds+r.CloneSeconds), shares(r), r.CallsClone, r.SavedSeconds, r.SavedJoules, last)
	}
	return t.Flush()
}

// shares says where an application's time goes.
func shares(r *device.Running) string {
	total := r.DeviceSeconds + r.CloneSeconds
	if total <= 0 {
		return "device 100 %"
	}
	clone := int(100*r.CloneSeconds/total + 0.5)
	if clone == 0 {
		return "device 100 %"
	}
	return fmt.Sprintf("device %d %% / clone %d %%", 100-clone, clone)
}
