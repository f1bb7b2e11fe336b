// Package testprogs holds real programs for differential tests: whatever runs
// WebAssembly in this repository must give the same result on each of them, as
// it is or rewritten, here or elsewhere.
//
// They come from five toolchains (C, C++, Go, AssemblyScript, text format) and
// between them use recursion, growing memory, callbacks, files, clocks, traps,
// exit codes, goroutines, a garbage collector, vectors and every value type.
// Sources lie in the folders beside this file; build.sh makes the modules.
//
// A program takes its files from, and leaves them in, the folder it runs in:
// mount a scratch folder that holds Program.Files as the guest's "/". It needs
// no argument but those given here, and nothing of the network. The package is
// for tests only; it imports the standard library.
package testprogs

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed wasm/*.wasm testdata/*.out
var files embed.FS

// Program is one module with one way to run it.
type Program struct {
	// Name is unique, and begins with the name of the module: c-traps/divide.
	Name string
	// Wasm is the module. Programs of the same module share the slice, which
	// must not be modified.
	Wasm []byte
	// Args are the arguments after the program's own name, which is the part
	// of Name before the slash.
	Args []string
	// Env are variables as KEY=VALUE.
	Env []string
	// Stdin is the whole standard input.
	Stdin string
	// Files are put into the scratch folder before the run, by path.
	Files map[string]string
	// WantExit is the exit code. It means nothing if Traps is set.
	WantExit int
	// Traps is set if the program ends in a trap, which has no exit code.
	Traps bool
	// Stdout is what it prints, byte for byte. Standard error is not fixed:
	// it may hold addresses and line numbers.
	Stdout string
	// Deterministic is set if a run sees no clock, random number, or time of a
	// file, so that the final memory too is the same each time. The others'
	// output is as fixed, but their memory only where those are (runner.Start's
	// Repeatable): every Go program reads the clock and random numbers when it
	// starts.
	Deterministic bool
	// Heavy names functions worth offloading, as in the module's name section,
	// each with a scalar signature.
	Heavy []string
}

// Module is the name of the module, such as c-traps.
func (p Program) Module() string {
	name, _, _ := strings.Cut(p.Name, "/")
	return name
}

// All returns every program, in a fixed order.
func All() []Program {
	list := programs()
	modules := map[string][]byte{}
	for i := range list {
		p := &list[i]
		name := p.Module()
		if modules[name] == nil {
			modules[name] = mustRead("wasm/" + name + ".wasm")
		}
		p.Wasm = modules[name]
		p.Stdout = string(mustRead("testdata/" + p.outputFile()))
	}
	return list
}

// programs is the table, without the contents of files.
func programs() []Program { return slices.Concat(cPrograms(), otherPrograms(), goPrograms()) }

// outputFile names the file that holds Stdout.
func (p Program) outputFile() string { return strings.ReplaceAll(p.Name, "/", "_") + ".out" }

// Named returns the program of that name, and panics if there is none: a test
// that asks for it has a typing error.
func Named(name string) Program {
	for _, p := range All() {
		if p.Name == name {
			return p
		}
	}
	panic(fmt.Sprintf("no test program %q", name))
}

func mustRead(path string) []byte {
	data, err := files.ReadFile(path)
	if err != nil {
		panic(err) // a name in the table without its file: every test of the package says so
	}
	return data
}
