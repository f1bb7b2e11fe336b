package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/profile/export"
	"github.com/clonecloud/clonecloud/internal/runner"
)

// profileCmd measures what an application's calls cost, on the device and on
// the clone.
type profileCmd struct {
	runCmd
	Pprof string `placeholder:"FILE" help:"Write the profile for go tool pprof."`
	JSON  bool   `help:"Print JSON."`
}

func (*profileCmd) usage() string {
	return `[FLAGS] APP.wasm [ARGS...]
Runs the program here, and again up to 4 times with calls on the clone, with the
same input. Its output goes to stderr, that of the later runs nowhere.
--where=device leaves the clone out; --where=clone insists on it.`
}

func (*profileCmd) exits() string {
	return `the guest's own, of its run here; 2 usage; 10 no clone, and 11 not paired,
with --where=clone; 12 module unsupported`
}

// profiled is what the runs of one profile have shown.
type profiled struct {
	app     string
	name    func(uint32) string
	device  *profile.Tree // of the run on the device
	clone   *profile.Tree // of all runs with the clone
	replays int
	note    string // why there is no clone, or not all was measured
	last    *device.Result
}

func (c *profileCmd) Run(a *app) error {
	where := c.Where
	o, err := c.options(a)
	if err != nil {
		return err
	}
	trace, err := c.openTrace(o)
	if err != nil {
		return err
	}
	defer trace.discard()
	pprof, err := openResult("--pprof", c.Pprof)
	if err != nil {
		return exitCode{exitUsage, err}
	}
	defer pprof.discard()
	report, err := openReport(c.Report)
	if err != nil {
		return exitCode{exitUsage, err}
	}
	defer report.discard()
	input, err := newInput(a.stdio.in)
	if err != nil {
		return err
	}
	defer input.close()
	if o.Stdin, err = input.first(); err != nil {
		return err
	}
	p, err := c.onDevice(a, *o)
	if err != nil {
		return err
	}
	exit := guestExit(p.last.Exit)
	if p.last.Interrupted {
		return exitCode{Code: exitInterrupt}
	}
	if err := c.replay(a, *o, where, p, input); err != nil {
		return err
	}
	err = errors.Join(p.writePprof(pprof), trace.trace(p.last), report.write(&p.last.Report), p.print(a, c.JSON))
	return errors.Join(exit, err)
}

// onDevice runs the program here, with every call timed.
func (c *profileCmd) onDevice(a *app, o device.Options) (*profiled, error) {
	o.Where, o.Profile, o.Stdout = device.WhereDevice, runner.ProfileFull, a.stdio.err
	res, err := device.Run(a.ctx, o)
	if err != nil {
		return nil, startError(err)
	}
	return &profiled{
		app: o.App, name: functionNames(o.Module), device: res.Profile, clone: profile.New(), last: res,
	}, nil
}

// replay runs the program again, with more and more of it on the device: first
// whole on the clone, then the calls inside. where is what was asked for.
func (c *profileCmd) replay(a *app, o device.Options, where string, p *profiled, input *input) error {
	switch {
	case where == device.WhereDevice:
		p.note = "the clone was left out (--where=device)"
		return nil
	case p.last.Report.Unsupported != "":
		p.note = "nothing of it can move: " + p.last.Report.Unsupported
		return nil
	case p.last.Exit.Error != "":
		p.note = "the program failed, so it is not run on the clone"
		return nil
	}
	code := p.last.Exit.Code
	o.Where, o.Profile, o.Stdout, o.Stderr = device.WhereClone, runner.ProfileOnline, nil, nil
	o.MaxOffloads = maxReplayed
	for _, functions := range append([][]uint32{nil}, rounds(p.device)...) {
		var err error
		if o.Stdin, err = input.again(); err != nil {
			return err
		}
		o.Replay = functions
		res, err := device.Run(a.ctx, o)
		switch {
		case err == nil:
		case where == device.WhereAuto && p.replays == 0:
			p.note = "no clone was measured: " + err.Error()
			return nil
		default:
			return startError(err)
		}
		if res.Interrupted {
			return exitCode{Code: exitInterrupt}
		}
		p.clone.Merge(res.Profile)
		p.replays++
		p.last = res
		if res.Exit.Code != code {
			p.note = fmt.Sprintf("with the clone it ended with exit code %d, here with %d: does it get the same input each time?", res.Exit.Code, code)
			return nil
		}
	}
	return nil
}

const (
	// maxReplayed bounds the calls that move in one run.
	maxReplayed = 100
	// maxRounds bounds the runs beside the one that moves as a whole, and perRound
	// the functions that are measured in each.
	maxRounds = 3
	perRound  = 16
	// leastReplayed is the mean time here, in nanoseconds, of calls worth moving.
	leastReplayed = 5_000_000
)

// rounds chooses the functions to be measured on the clone, in runs of their
// own: those of one run are as deep as each other, or an outer one would take
// the inner ones along. The outermost are measured as a whole already.
func rounds(t *profile.Tree) [][]uint32 {
	depth, spent := map[uint32]int{}, map[uint32]uint64{}
	t.Walk(func(n *profile.Node, context []*profile.Node) {
		if n.Func == profile.Other || n.Device.Calls == 0 || n.Device.Nanos/n.Device.Calls < leastReplayed {
			return
		}
		spent[n.Func] += n.Device.Nanos
		if d, ok := depth[n.Func]; !ok || len(context) < d {
			depth[n.Func] = len(context)
		}
	})
	byDepth := map[int][]uint32{}
	var depths []int
	for f, d := range depth {
		if d < 2 {
			continue
		}
		if byDepth[d] == nil {
			depths = append(depths, d)
		}
		byDepth[d] = append(byDepth[d], f)
	}
	slices.Sort(depths)
	var out [][]uint32
	for _, d := range depths[:min(len(depths), maxRounds)] {
		list := byDepth[d]
		slices.SortFunc(list, func(a, b uint32) int {
			return cmp.Or(cmp.Compare(spent[b], spent[a]), cmp.Compare(a, b))
		})
		out = append(out, list[:min(len(list), perRound)])
	}
	return out
}

func (p *profiled) writePprof(f reportFile) error {
	if f.path == "" {
		return nil
	}
	all := profile.New()
	all.Merge(p.device)
	for _, r := range p.rows() {
		// The device's times are those of its own run: what stayed here in the
		// others would count again.
		n := all.Root
		for _, f := range r.context {
			n = n.Make(f)
		}
		n.Clone, n.Up, n.Down = r.there.Clone, r.there.Up, r.there.Down
		n.Dirtied = max(n.Dirtied, r.there.Dirtied)
	}
	var b bytes.Buffer
	if err := export.Pprof(&b, all, p.name); err != nil {
		return err
	}
	return f.put("profile", b.Bytes())
}

// print writes the table, or JSON.
func (p *profiled) print(a *app, asJSON bool) error {
	if !asJSON {
		return p.table(a.stdio.out)
	}
	enc := json.NewEncoder(a.stdio.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(p.json())
}
