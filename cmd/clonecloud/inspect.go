package main

import (
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// inspectCmd shows what an application imports, and which of its functions may
// move to a clone.
type inspectCmd struct {
	JSON bool   `help:"Print JSON, as docs/INSPECT.md describes it."`
	All  bool   `help:"List every function, not only candidates and what may not move."`
	App  string `arg:"" name:"APP.wasm" help:"The application."`
}

// inspection is what inspect prints with --json; docs/INSPECT.md describes it.
// Fields may be added; none changes its meaning while format is the same.
type inspection struct {
	Format      int               `json:"format"`
	App         string            `json:"app"`
	Bytes       int               `json:"bytes"`
	Runs        string            `json:"runs"`     // "yes", or why not
	Offloads    string            `json:"offloads"` // the same
	Imports     []inspectedImport `json:"imports"`
	HostModules []inspectedHost   `json:"hostModules"`
	Functions   []inspectedFunc   `json:"functions"`
	Counts      inspectionCounts  `json:"counts"`

	candidates callgraph.Selection
	verdicts   *callgraph.Verdicts
	inside     map[uint32][]uint32
	graph      *callgraph.Graph
	module     *wasmbin.Module
	unrunnable *runner.Unsupported
}

const inspectFormat = 1

type inspectedImport struct {
	Module string `json:"module"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

// inspectedHost is a module that functions are imported from: one colocation
// group, unless it is WASI, whose state moves with a call.
type inspectedHost struct {
	Module    string   `json:"module"`
	Functions []string `json:"functions"`
	Site      string   `json:"site"` // "any" or "device"
}

type inspectedFunc struct {
	Index        uint32              `json:"index"`
	Name         string              `json:"name,omitempty"`
	Type         string              `json:"type"`
	Size         int                 `json:"size"` // bytes of the body
	Instructions uint32              `json:"instructions"`
	Loops        uint32              `json:"loops"`
	LoopDepth    int                 `json:"loopDepth"`
	Recursive    bool                `json:"recursive"`
	Imports      int                 `json:"imports"` // that a call can reach
	Moves        callgraph.Answer    `json:"moves"`
	Reason       string              `json:"reason,omitempty"`    // why not, or why that is not certain
	Import       string              `json:"import,omitempty"`    // what it is due to
	Operation    string              `json:"operation,omitempty"` // the same
	Path         []inspectedStep     `json:"path,omitempty"`
	PathLength   int                 `json:"pathLength,omitempty"`
	Candidate    *inspectedCandidate `json:"candidate,omitempty"`
}

type inspectedStep struct {
	Index    uint32 `json:"index"`
	Name     string `json:"name,omitempty"`
	Indirect bool   `json:"indirect,omitempty"` // called through a table
}

type inspectedCandidate struct {
	Why    string   `json:"why"`
	Entry  bool     `json:"entry"` // its stub is at the export alone
	Inside []uint32 `json:"inside"`
}

type inspectionCounts struct {
	Functions  int `json:"functions"`
	Movable    int `json:"movable"` // those that are tried among them
	Candidates int `json:"candidates"`
}

func (*inspectCmd) usage() string { return "[FLAGS] APP.wasm" }

func (*inspectCmd) exits() string {
	return "0; 2 the file cannot be read; 12 the module cannot run here"
}

func (c *inspectCmd) Run(a *app) error {
	data, err := readModule(c.App)
	if err != nil {
		return err
	}
	in, err := inspectModule(filepath.Base(c.App), data, c.All)
	if err != nil {
		return exitCode{exitUnsupported, err}
	}
	if c.JSON {
		enc := json.NewEncoder(a.stdio.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false) // types have arrows
		err = enc.Encode(in)
	} else {
		err = in.print(a.stdio.out, c.All)
	}
	if err != nil {
		return err
	}
	if in.unrunnable != nil {
		return exitCode{Code: exitUnsupported}
	}
	return nil
}

// inspectModule reads a module without running any of it.
func inspectModule(name string, data []byte, all bool) (*inspection, error) {
	m, err := wasmbin.Parse(data, wasmbin.Limits{})
	if err != nil {
		return nil, runner.Malformed(err)
	}
	if rewrite.Rewritten(m) {
		return nil, runner.AlreadyRewritten()
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		return nil, runner.Malformed(err)
	}
	in := &inspection{
		Format: inspectFormat, App: name, Bytes: len(data), Runs: "yes", Offloads: "yes", graph: g, module: m,
		Imports: []inspectedImport{}, HostModules: []inspectedHost{}, Functions: []inspectedFunc{},
		verdicts: g.Verdicts(stateful),
	}
	if err := runner.CheckImports(m); err != nil {
		in.Runs = err.Error()
		errors.As(err, &in.unrunnable)
	}
	if r := g.Reason(); r != "" {
		in.Offloads = r
	}
	in.imports()
	if in.candidates, err = g.Candidates(callgraph.Options{Pinned: in.verdicts.Pinned}); err != nil {
		return nil, err
	}
	in.inside = g.Inside(in.candidates)
	in.functions(all)
	return in, nil
}

// stateful says whether a host module keeps state that cannot move: all but
// WASI do, for all that is known.
func stateful(module string) bool { return module != wasi.ModuleName }

// imports lists the imports, and the host modules among them.
func (in *inspection) imports() {
	at := map[string]int{}
	for i := range in.module.Imports {
		im := &in.module.Imports[i]
		in.Imports = append(in.Imports, inspectedImport{im.Module, im.Name, im.Kind.String()})
		if im.Kind != wasmbin.KindFunc {
			continue
		}
		k, ok := at[im.Module]
		if !ok {
			k = len(in.HostModules)
			at[im.Module] = k
			site := "any"
			if stateful(im.Module) {
				site = "device"
			}
			in.HostModules = append(in.HostModules, inspectedHost{Module: im.Module, Site: site})
		}
		in.HostModules[k].Functions = append(in.HostModules[k].Functions, im.Name)
	}
}

// functions lists the candidates and what may not move, or all functions.
func (in *inspection) functions(all bool) {
	next := 0
	for i := in.module.ImportedFuncs; int(i) < len(in.module.Funcs); i++ {
		in.Counts.Functions++
		v := in.verdicts.Of(i)
		if v.Answer != callgraph.No {
			in.Counts.Movable++
		}
		var chosen *inspectedCandidate
		if next < len(in.candidates) && in.candidates[next].Index == i {
			c := in.candidates[next]
			next++
			in.Counts.Candidates++
			chosen = &inspectedCandidate{c.Why, c.Entry, append([]uint32{}, in.inside[i]...)}
		}
		if !all && chosen == nil && v.Answer != callgraph.No {
			continue
		}
		in.Functions = append(in.Functions, in.function(i, v, chosen))
	}
}

func (in *inspection) function(i uint32, v callgraph.Verdict, chosen *inspectedCandidate) inspectedFunc {
	info := in.graph.Func(i)
	f := inspectedFunc{
		Index: i, Name: info.Name, Type: info.Type.String(), Size: info.Size, Instructions: info.Instructions,
		Loops: info.Loops, LoopDepth: info.LoopDepth, Recursive: info.Recursive, Imports: in.graph.ImportCount(i),
		Moves: v.Answer, Reason: v.Reason, Import: v.Import, Operation: v.Operation, PathLength: v.Length, Candidate: chosen,
	}
	for _, s := range v.Path {
		f.Path = append(f.Path, inspectedStep{s.Func, in.graph.Func(s.Func).Name, s.Indirect})
	}
	return f
}
