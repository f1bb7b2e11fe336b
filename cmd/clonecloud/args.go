package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// splitArgs cuts a command line behind the application of `run` or `profile`: what follows
// is the guest's. The parser would leave it alone too, in time that grows with
// the square of its length. A line that is not understood is not cut: to say
// what is wrong is the parser's business.
func splitArgs(model *kong.Application, args []string) (ours, guests []string) {
	flags := map[string]*kong.Flag{}
	know := func(list []*kong.Flag) {
		for _, f := range list {
			flags["--"+f.Name] = f
			if f.Short != 0 {
				flags["-"+string(f.Short)] = f
			}
		}
	}
	know(model.Flags)
	verb := false
	for i := 0; i < len(args); i++ {
		name, _, valued := strings.Cut(args[i], "=")
		f := flags[name]
		switch {
		case f != nil && (valued || f.IsBool()):
		case f != nil:
			i++ // its value
		case strings.HasPrefix(args[i], "-") && (args[i] != "--" || !verb):
			return args, nil
		case args[i] == "--":
			i++
			return cut(args, i)
		case verb:
			return cut(args, i)
		case args[i] != "run" && args[i] != "profile":
			return args, nil
		default:
			verb = true
			for _, n := range model.Children {
				if n.Name == args[i] {
					know(n.Flags)
				}
			}
		}
	}
	return args, nil
}

// cut splits args behind the application at i.
func cut(args []string, i int) (ours, guests []string) {
	i = min(i+1, len(args))
	return args[:i:i], args[i:]
}
