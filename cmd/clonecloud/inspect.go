package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// inspectCmd shows what an application imports, and which of its functions may
// move to a clone.
type inspectCmd struct {
	JSON bool   `help:"Print JSON."`
	All  bool   `help:"List every function, not the candidates alone."`
	App  string `arg:"" name:"APP.wasm" help:"The application."`
}

// inspection is what inspect prints with --json.
type inspection struct {
	App        string             `json:"app"`
	Bytes      int                `json:"bytes"`
	Runs       string             `json:"runs"` // "yes", or why not
	Offloads   string             `json:"offloads"`
	Imports    []inspectedImport  `json:"imports"`
	Functions  []inspectedFunc    `json:"functions"`
	Counts     inspectionCounts   `json:"counts"`
	candidates map[uint32]string  `json:"-"`
	graph      *callgraph.Graph   `json:"-"`
	module     *wasmbin.Module    `json:"-"`
	unrunnable *runnerUnsupported `json:"-"`
}

type runnerUnsupported = runner.Unsupported

type inspectedImport struct {
	Module string `json:"module"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

type inspectedFunc struct {
	Index     uint32 `json:"index"`
	Name      string `json:"name,omitempty"`
	Type      string `json:"type"`
	Size      int    `json:"size"` // bytes of the body
	Moves     bool   `json:"moves"`
	Reason    string `json:"reason,omitempty"`    // why not
	Candidate string `json:"candidate,omitempty"` // why it is offered to a clone
	Imports   int    `json:"imports"`             // that a call can reach
}

type inspectionCounts struct {
	Functions  int `json:"functions"`
	Movable    int `json:"movable"`
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
	in := &inspection{App: name, Bytes: len(data), Runs: "yes", Offloads: "yes", graph: g, module: m, candidates: map[uint32]string{}}
	if err := runner.CheckImports(m); err != nil {
		in.Runs = err.Error()
		errors.As(err, &in.unrunnable)
	}
	if r := g.Reason(); r != "" {
		in.Offloads = r
	}
	for i := range m.Imports {
		im := &m.Imports[i]
		in.Imports = append(in.Imports, inspectedImport{im.Module, im.Name, im.Kind.String()})
	}
	chosen, err := g.Candidates(callgraph.Options{})
	if err != nil {
		return nil, err
	}
	for _, c := range chosen {
		in.candidates[c.Index] = c.Why
	}
	in.functions(all)
	return in, nil
}

// functions lists the candidates, or all functions.
func (in *inspection) functions(all bool) {
	for i := range uint32(len(in.module.Funcs)) {
		if in.module.Imported(i) {
			continue
		}
		in.Counts.Functions++
		l := in.graph.Legality(i)
		if l.Movable {
			in.Counts.Movable++
		}
		why, chosen := in.candidates[i]
		if chosen {
			in.Counts.Candidates++
		}
		if !all && !chosen && l.Movable {
			continue
		}
		info := in.graph.Func(i)
		in.Functions = append(in.Functions, inspectedFunc{
			Index: i, Name: info.Name, Type: info.Type.String(), Size: info.Size,
			Moves: l.Movable, Reason: l.Reason, Candidate: why, Imports: len(in.graph.Imports(i)),
		})
	}
}

// print writes it for a person.
func (in *inspection) print(w io.Writer, all bool) error {
	fmt.Fprintf(w, "%s: %d bytes, %s\nruns here: %s\n", in.App, in.Bytes, plural(in.Counts.Functions, "function"), in.Runs)
	if in.Offloads == "yes" {
		fmt.Fprintf(w, "may be offloaded: yes; %s may move, %d offered to a clone\n", plural(in.Counts.Movable, "function"), in.Counts.Candidates)
	} else {
		fmt.Fprintf(w, "may be offloaded: no: %s\n", in.Offloads)
	}
	fmt.Fprintf(w, "\nimports (%d):\n", len(in.Imports))
	for _, im := range in.Imports {
		fmt.Fprintf(w, "  %s %s.%s\n", im.Kind, im.Module, im.Name)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "\nINDEX\tFUNCTION\tTYPE\tBYTES\tMAY MOVE\tWHY\n")
	hidden := 0
	const most = 60 // of those that may not move, unless all are asked for
	refused := 0
	for _, f := range in.Functions {
		moves, why := "yes", f.Candidate
		if !f.Moves {
			moves, why = "no", f.Reason
			if refused++; !all && refused > most {
				hidden++
				continue
			}
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\n", f.Index, shorten(f.Name), f.Type, f.Size, moves, why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if hidden > 0 {
		fmt.Fprintf(w, "and %d more that may not move; --all lists every function\n", hidden)
	}
	return nil
}

// shorten keeps a table readable: mangled names can be pages long.
func shorten(s string) string {
	const most = 48
	if len(s) > most {
		return "..." + s[len(s)-most+3:] // the end says most
	}
	return s
}
