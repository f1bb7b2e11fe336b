// Command clonecloud runs ordinary WebAssembly applications on a weak device
// and lets a clone of it, on a server you choose, take over the
// processor-heavy calls.
//
// One file per verb; each has its own options and says its exit status. The
// guest's stdout, stderr and exit code are its own: everything of ours goes
// to stderr, and only on a terminal or with -v.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/clonecloud/clonecloud/internal/runner"
)

func main() {
	runner.MaybeChild() // a guest's process is this binary again
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// Exit codes of our own; a guest's code passes through unchanged.
const (
	exitError       = 1
	exitUsage       = 2
	exitNoClone     = 10
	exitNotPaired   = 11
	exitUnsupported = 12
	exitDivergence  = 13
	exitInterrupt   = 130 // by Ctrl-C; see interruptCode
)

// exitCode is an error that ends the process with a code. A nil Err prints
// nothing: the guest has already said what it had to say.
type exitCode struct {
	Code int
	Err  error
}

func (e exitCode) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e exitCode) Unwrap() error { return e.Err }

type stdio struct {
	in       *os.File
	out, err *os.File
}

// cli is the command table: help, parsing and the verbs come from it.
type cli struct {
	Home    string `help:"Folder for all state (or $CLONECLOUD_HOME)." env:"CLONECLOUD_HOME" placeholder:"DIR"`
	Verbose bool   `short:"v" help:"Say on stderr what CloneCloud does."`

	Run     runCmd     `cmd:"" help:"Run an application; heavy calls may move to the clone."`
	Serve   serveCmd   `cmd:"" help:"Be the clone: serve paired devices."`
	Pair    pairCmd    `cmd:"" help:"Pair this device with a clone, by the URL that serve printed."`
	Unpair  unpairCmd  `cmd:"" help:"Forget a clone, on both sides."`
	Off     offCmd     `cmd:"" help:"Stop every offload at once; applications run here."`
	On      onCmd      `cmd:"" help:"Allow offloads again."`
	Inspect inspectCmd `cmd:"" help:"Show what an application imports and which of its functions may move."`
	Doctor  doctorCmd  `cmd:"" help:"Check this device's set-up and say what to do about it."`
	Demo    demoCmd    `cmd:"" help:"See face recognition move from a slow device to a clone."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// app is what every verb gets: where state lives, where words go.
type app struct {
	ctx     context.Context
	home    string
	verbose bool
	stdio   stdio
	log     *slog.Logger
}

// say prints a line of ours, for a person: on a terminal or with -v only.
func (a *app) say(format string, args ...any) {
	if a.verbose || term.IsTerminal(int(a.stdio.err.Fd())) {
		fmt.Fprintf(a.stdio.err, "clonecloud: "+format+"\n", args...)
	}
}

func run(args []string, s stdio) int {
	var c cli
	usage := -1
	parser, err := kong.New(&c,
		kong.Name("clonecloud"),
		kong.Description("Runs ordinary WebAssembly applications here and lets a clone on a better\nmachine take over the heavy calls."),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { usage = code; panic(parseDone{}) }),
		kong.Help(printHelp),
	)
	if err != nil {
		fmt.Fprintln(s.err, "clonecloud:", err)
		return exitError
	}
	bare := len(args) == 0
	if bare {
		args = []string{"--help"} // and yet no success: a script has lost its verb
	}
	args, guests := splitArgs(parser.Model, args)
	kctx, err := parse(parser, args)
	switch {
	case bare:
		return exitUsage
	case usage >= 0:
		return usage
	case err != nil:
		hint := "clonecloud --help lists the verbs, clonecloud VERB --help the flags"
		return report(s.err, exitCode{exitUsage, withHint(err, hint)})
	}
	c.Run.App = append(c.Run.App, guests...)
	ctx, stop := untilSignal()
	defer stop()
	a := &app{ctx: ctx, home: c.Home, verbose: c.Verbose, stdio: s, log: newLogger(s.err, c.Verbose)}
	if a.home == "" {
		if a.home, err = defaultHome(); err != nil {
			return report(s.err, withHint(err, "set CLONECLOUD_HOME or --home"))
		}
	}
	if a.home, err = filepath.Abs(a.home); err != nil {
		return report(s.err, withHint(err, "set CLONECLOUD_HOME or --home to an absolute path"))
	}
	err = kctx.Run(a)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = exitCode{Code: interruptCode(ctx)}
	}
	return report(s.err, a.adviseHome(err))
}

// adviseHome says what to do about an error of a file in the folder of state,
// where nothing more exact says so.
func (a *app) adviseHome(err error) error {
	var file *fs.PathError
	if !errors.As(err, &file) || !strings.HasPrefix(file.Path, a.home) {
		return err
	}
	advised := withDefaultHint(err, "state is kept in "+a.home+": make room there, or set CLONECLOUD_HOME to a folder that may be written")
	var code exitCode
	if errors.As(err, &code) {
		return exitCode{code.Code, advised}
	}
	return advised
}

type parseDone struct{}

// parse runs kong, which calls Exit after --help; that is turned into an
// ordinary return.
func parse(p *kong.Kong, args []string) (kctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(parseDone); !ok {
				panic(r)
			}
		}
	}()
	return p.Parse(args)
}

// hinted is what errors that reach a person implement to say what to do next.
type hinted interface{ Hint() string }

// report prints err for a person and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitError
	var e exitCode
	if errors.As(err, &e) {
		code = e.Code
		if e.Err == nil {
			return code
		}
		err = e.Err
	}
	fmt.Fprintln(w, "clonecloud:", err)
	var h hinted
	if errors.As(err, &h) && h.Hint() != "" {
		fmt.Fprintln(w, "hint:", h.Hint())
	}
	return code
}
