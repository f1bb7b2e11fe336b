package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// described is what every verb says about itself beside its flags.
type described interface {
	usage() string // what follows the verb
	exits() string // its exit status, in one or two lines
}

// helpWidth is how far text goes, and helpColumn where that of flags begins.
const (
	helpWidth  = 80
	helpColumn = 29
)

// printHelp writes the help of a verb, or of all: on one screen of 24 lines
// wherever it fits.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	w := ctx.Stdout
	node := ctx.Selected()
	if node == nil {
		fmt.Fprintf(w, "Usage: clonecloud VERB [FLAGS] ...\n%s\n\n", ctx.Model.Help)
		for _, verb := range ctx.Model.Children {
			entry(w, 11, verb.Name, verb.Help)
		}
		fmt.Fprintln(w, "\nFlags of every verb:")
		flags(w, ctx.Model.Flags)
		fmt.Fprintln(w, "\nclonecloud VERB --help says more. Start with: clonecloud demo")
		return nil
	}
	d, ok := node.Target.Addr().Interface().(described)
	if !ok {
		return fmt.Errorf("verb %s does not describe itself", node.Name)
	}
	fmt.Fprintf(w, "Usage: %s\n%s\n\n", strings.TrimSpace("clonecloud "+node.Name+" "+d.usage()), node.Help)
	flags(w, node.Flags)
	flags(w, ctx.Model.Flags)
	fmt.Fprintf(w, "\nExit status: %s\n", d.exits())
	return nil
}

func flags(w io.Writer, list []*kong.Flag) {
	for _, f := range list {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		if !f.IsBool() {
			name += "=" + strings.Trim(f.FormatPlaceHolder(), `"`)
		}
		entry(w, helpColumn, name, f.Help)
	}
}

// entry writes one name and its text, which is wrapped.
func entry(w io.Writer, column int, name, text string) {
	line := fmt.Sprintf("  %-*s", column-3, name)
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > helpWidth {
			fmt.Fprintln(w, line)
			line = strings.Repeat(" ", column-1)
		}
		line += " " + word
	}
	fmt.Fprintln(w, line)
}
