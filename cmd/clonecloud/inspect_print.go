package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/clonecloud/clonecloud/internal/callgraph"
)

// print writes it for a person.
func (in *inspection) print(w io.Writer, all bool) error {
	fmt.Fprintf(w, "%s: %d bytes, %s\nruns here: %s\n", in.App, in.Bytes, plural(in.Counts.Functions, "function"), in.Runs)
	if in.Offloads == "yes" {
		fmt.Fprintf(w, "may be offloaded: yes; %s may move, %d offered to a clone\n", plural(in.Counts.Movable, "function"), in.Counts.Candidates)
	} else {
		fmt.Fprintf(w, "may be offloaded: no: %s\n", in.Offloads)
	}
	in.printImports(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "\nINDEX\tFUNCTION\tTYPE\tBYTES\tLOOPS\tMAY MOVE\tWHY\n")
	hidden, refused, nested := 0, 0, false
	const most = 60 // of those that may not move, unless all are asked for
	for _, f := range in.Functions {
		if f.Moves == callgraph.No {
			if refused++; !all && refused > most {
				hidden++
				continue
			}
		}
		nested = nested || (f.Candidate != nil && len(f.Candidate.Inside) > 0)
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", f.Index, shorten(f.Name), f.Type, f.Size, f.loops(), f.Moves, f.why())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if hidden > 0 {
		fmt.Fprintf(w, "and %d more that may not move; --all lists every function\n", hidden)
	}
	if nested {
		fmt.Fprintln(w, "\nNo nested migration: while a candidate's call is on the clone, the candidates in it run there too.")
	}
	return nil
}

// printImports lists imports by host module, with the side that it is on.
func (in *inspection) printImports(w io.Writer) {
	fmt.Fprintf(w, "\nimports (%d):\n", len(in.Imports))
	for _, im := range in.Imports {
		fmt.Fprintf(w, "  %s %s.%s\n", im.Kind, im.Module, im.Name)
	}
	for _, h := range in.HostModules {
		if h.Site == "device" {
			fmt.Fprintf(w, "%s keeps state: all of it (%s) stays on the device together, and so does what calls it\n", h.Module, plural(len(h.Functions), "function"))
		} else {
			fmt.Fprintf(w, "%s is no obstacle: its state moves with a call\n", h.Module)
		}
	}
}

// loops is the number of loops, and how deep they are nested.
func (f *inspectedFunc) loops() string {
	if f.LoopDepth > 1 {
		return fmt.Sprintf("%d, %d deep", f.Loops, f.LoopDepth)
	}
	return fmt.Sprint(f.Loops)
}

// why says in one line why a function may not move, or is offered.
func (f *inspectedFunc) why() string {
	var parts []string
	if f.Candidate != nil {
		parts = append(parts, f.Candidate.Why)
		if n := len(f.Candidate.Inside); n > 0 {
			parts = append(parts, "holds "+plural(n, "candidate"))
		}
	}
	if f.Reason != "" {
		parts = append(parts, f.Reason)
	}
	if f.PathLength > 1 {
		parts = append(parts, "by "+f.way())
	}
	return strings.Join(parts, "; ")
}

// way is the call path; => is a call through a table.
func (f *inspectedFunc) way() string {
	var b strings.Builder
	for i, s := range f.Path {
		switch {
		case s.Indirect:
			b.WriteString(" => ")
		case i > 0:
			b.WriteString(" > ")
		}
		name := s.Name
		if name == "" {
			name = fmt.Sprint("function ", s.Index)
		}
		b.WriteString(shorten(name))
	}
	if more := f.PathLength - len(f.Path); more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// shorten keeps a table readable: mangled names can be pages long.
func shorten(s string) string {
	const most = 48
	if len(s) > most {
		return "..." + s[len(s)-most+3:] // the end says most
	}
	return s
}
