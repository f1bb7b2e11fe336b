// Goprog is a test program: each of its parts, chosen by the first argument,
// exercises one side of the Go runtime in WebAssembly and prints lines that
// are the same on every run.
package main

import (
	"fmt"
	"os"
	"slices"
)

var parts = map[string]func(args []string){
	"bigmath":    bigmath,
	"deadlock":   deadlock,
	"exit":       exit,
	"files":      files,
	"floats":     floats,
	"gc":         gc,
	"goroutines": goroutines,
	"hash":       hash,
	"json":       encode,
	"maps":       maps,
	"nil":        nilPointer,
	"panic":      panics,
	"recover":    recovers,
	"regexp":     expressions,
	"sleep":      sleeps,
	"stack":      stack,
	"stdin":      stdin,
}

func main() {
	if len(os.Args) > 1 {
		if part, ok := parts[os.Args[1]]; ok {
			part(os.Args[2:])
			return
		}
	}
	var names []string
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintln(os.Stderr, "usage: goprog", names)
	os.Exit(2)
}
