package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/partition/db"
	"github.com/clonecloud/clonecloud/internal/partition/pricing"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// partitionCmd shows the best partition of an application for each network
// and objective, and keeps it for the runs to come.
type partitionCmd struct {
	JSON      bool   `help:"Print JSON."`
	Objective string `help:"One of time, energy, balanced. Default: each." placeholder:"WHAT"`
	Network   string `help:"One of wifi, lte, 5g, wifi-2011, 3g-2011, none. Default: each." placeholder:"CLASS"`
	App       string `arg:"" name:"APP.wasm" help:"The application."`
}

func (*partitionCmd) usage() string { return "[FLAGS] APP.wasm" }

func (*partitionCmd) exits() string {
	return "0; 1 there is no profile of APP yet; 2 usage, or the file cannot be read; 12 the module cannot be offloaded"
}

// balance is the weight of time in the objective balanced.
const balance = 0.5

func (c *partitionCmd) Run(a *app) error {
	networks, kinds, err := c.chosen()
	if err != nil {
		return err
	}
	app, err := a.openProfiled(c.App)
	if err != nil {
		return err
	}
	p := &partitioning{
		App: filepath.Base(c.App), Module: fmt.Sprintf("%x", app.module), Runs: app.measured.Runs, Contexts: app.measured.Contexts,
		Clone: app.profile.Clones[0], CloneFaster: app.measured.Faster, JoulesAre: energy.Model, Power: app.power.Why,
	}
	for _, network := range networks {
		for _, kind := range kinds {
			e, err := app.solve(a.ctx, network, kind)
			if err != nil {
				return fmt.Errorf("partition for %s over %s: %w", kind, network, err)
			}
			p.Partitions = append(p.Partitions, *e)
		}
	}
	if err := a.partitions().Put(app.module, p.Partitions); err != nil {
		fmt.Fprintln(a.stdio.err, "clonecloud: the partitions are shown but not kept:", err)
	}
	if c.JSON {
		enc := json.NewEncoder(a.stdio.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(p)
	}
	return p.print(a.stdio.out, app.graph)
}

// chosen reads the flags.
func (c *partitionCmd) chosen() (networks []partition.NetworkClass, kinds []partition.Kind, err error) {
	networks, kinds = partition.Networks(), partition.Kinds
	if c.Network != "" {
		n := partition.NetworkClass(c.Network)
		if n == "3g" {
			n = partition.ThreeG
		}
		if !slices.Contains(networks, n) {
			return nil, nil, usageHint(fmt.Sprintf("choose one of %v; a measured network belongs to the nearest", networks), "--network %s: there is no such class of networks", c.Network)
		}
		networks = []partition.NetworkClass{n}
	}
	if c.Objective != "" {
		k := partition.Kind(c.Objective)
		if !slices.Contains(kinds, k) {
			return nil, nil, usageHint("choose one of time, energy, balanced", "--objective %s: there is no such objective", c.Objective)
		}
		kinds = []partition.Kind{k}
	}
	return networks, kinds, nil
}

// profiledApp is an application with what is known of its runs.
type profiledApp struct {
	module   [sha256.Size]byte
	graph    *callgraph.Graph
	profile  *partition.Profile
	measured pricing.Measured
	power    energy.Choice
}

// openProfiled reads an application and its profile.
func (a *app) openProfiled(path string) (*profiledApp, error) {
	data, err := readModule(path)
	if err != nil {
		return nil, err
	}
	m, err := wasmbin.Parse(data, wasmbin.Limits{})
	if err != nil {
		return nil, exitCode{exitUnsupported, runner.Malformed(err)}
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		return nil, exitCode{exitUnsupported, runner.Malformed(err)}
	}
	if r := g.Reason(); r != "" {
		return nil, exitCode{exitUnsupported, withHint(fmt.Errorf("no partition: %s", r), "clonecloud inspect shows what may move")}
	}
	p := &profiledApp{module: sha256.Sum256(data), graph: g, power: energy.Choose(a.home, os.DirFS("/sys"))}
	if p.power.Err != nil {
		fmt.Fprintln(a.stdio.err, "clonecloud:", p.power.Err)
	}
	tree, err := device.Profiles(a.home, a.warn).Load(device.ProfileKey(p.module))
	if err != nil {
		return nil, err
	}
	if tree.Empty() {
		return nil, withHint(fmt.Errorf("there is no profile of %s yet", filepath.Base(path)),
			"clonecloud profile "+path+" measures it here and on the clone")
	}
	p.profile, p.measured = pricing.FromProfile(tree, a.cloneName())
	return p, nil
}

func (a *app) warn(err error) { fmt.Fprintln(a.stdio.err, "clonecloud:", err) }

// cloneName is what to call the clone: its name where one is paired.
func (a *app) cloneName() string {
	store, err := identity.OpenStore(a.home)
	if err != nil {
		return "clone"
	}
	peers, err := store.List()
	peers = slices.DeleteFunc(peers, func(p identity.Peer) bool { return len(p.Addresses) == 0 })
	if err != nil || len(peers) != 1 || peers[0].Name == "" {
		return "clone"
	}
	return peers[0].Name
}

// partitions is the database of this home.
func (a *app) partitions() *db.DB { return a.partitionsTelling(a.warn) }

// partitionsTelling is the same, with another ear for damage.
func (a *app) partitionsTelling(warn func(error)) *db.DB {
	return db.New(db.Config{
		Dir: filepath.Join(a.home, "partitions"), Lock: db.TryLock, Warn: warn,
		Write: func(path string, data []byte) error { return identity.WriteFile(path, data, 0o600) },
	})
}

// solve finds the optimum for one network and objective.
func (p *profiledApp) solve(ctx context.Context, network partition.NetworkClass, kind partition.Kind) (*db.Entry, error) {
	tree, err := partition.Price(p.profile, pricing.Class(network, p.power.Profile))
	if err != nil {
		return nil, err
	}
	objective := partition.Objective{Kind: kind}
	if kind == partition.Balanced {
		objective.Weight = balance
	}
	s, err := partition.Solve(ctx, partition.Problem{Tree: tree, Objective: objective})
	if err != nil {
		return nil, err
	}
	if !s.Proved {
		return nil, errors.New("the optimum is not proved") // not without budgets
	}
	e := &db.Entry{
		Key:  db.Key{Network: network, Objective: kind, Weight: objective.Weight, Input: partition.AnyInput},
		Made: time.Now().UTC().Truncate(time.Second), Profile: plural(int(p.measured.Runs), "run"),
		Local: s.Local, Cost: s.Cost, Moves: []db.Move{},
	}
	below := tree.Subtrees()
	for _, i := range s.Moves {
		c := &p.profile.Contexts[i]
		e.Moves = append(e.Moves, db.Move{
			Context: p.context(i), Function: p.name(c.Func), Site: p.profile.Clones[s.Sites[i]-1],
			Calls: c.Calls,
			Here:  below[i][partition.Device], There: below[i][s.Sites[i]].Add(tree.Nodes[i].Move[s.Sites[i]]),
			Compute: below[i][s.Sites[i]].Seconds, BytesUp: c.Up, BytesDown: c.Down,
		})
	}
	return e, nil
}

// context gives the functions from the outermost candidate to context i.
func (p *profiledApp) context(i int) (path []uint32) {
	for ; i > 0; i = p.profile.Contexts[i].Parent {
		path = append(path, p.profile.Contexts[i].Func)
	}
	slices.Reverse(path)
	return path
}

func (p *profiledApp) name(f uint32) string { return functionName(p.graph, f) }

// functionName names a function of a profile, which need not be of this module.
func functionName(g *callgraph.Graph, f uint32) string {
	switch {
	case f == profile.Other:
		return "(other contexts)"
	case int64(f) < int64(len(g.Module().Funcs)):
		return g.Func(f).Name
	}
	return fmt.Sprintf("function %d", f)
}
