package proc

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Verb is the hidden first argument that makes a binary a child.
const Verb = "runner"

// protocolVersion is the second argument's first field: parent and child of
// different builds do not guess at each other.
const protocolVersion = "1"

// DefaultStartTimeout bounds the time from the start to the child's report. It
// is long because an emulated child may need seconds on a busy machine.
const DefaultStartTimeout = 30 * time.Second

const (
	maxArgs = 64
	maxEnv  = 64
)

// Config describes a child. It must not change during Start.
type Config struct {
	// Command is what to run, ahead of the verb: a binary that calls MaybeChild,
	// with whatever must come before it, as absolute paths. Empty means the
	// binary that is running now.
	Command []string
	// Args are given to the child's program.
	Args []string
	// Env is the child's whole environment, as NAME=value. Variables that
	// steer Go's collector or scheduler are refused: the child sets those.
	Env []string
	// Dir is the child's working folder; empty means the parent's.
	Dir string
	// Stdin, Stdout and Stderr are the child's standard files; nil means the
	// null device. A device's runner gets the terminal, a clone's gets none.
	Stdin, Stdout, Stderr *os.File
	// Isolate takes from a child of root what root may do to others' files. A
	// clone's runner wants it; a device's runner works on its owner's files.
	Isolate bool
	// TimeLimit ends the child that long after Start; zero means no limit.
	// SetTimeLimit changes it.
	TimeLimit time.Duration
	// StartTimeout bounds the start; zero means DefaultStartTimeout.
	StartTimeout time.Duration
}

// refusedEnv are variables that would undo the child's settings.
var refusedEnv = []string{"GOMEMLIMIT", "GOGC", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK"}

// populate fills in defaults and validates.
func (c Config) populate() (Config, error) {
	if len(c.Args) > maxArgs || len(c.Env) > maxEnv {
		return c, fmt.Errorf("start runner: more than %d arguments or %d variables", maxArgs, maxEnv)
	}
	for _, kv := range c.Env {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return c, fmt.Errorf("start runner: environment entry %q is not NAME=value", kv)
		}
		for _, bad := range refusedEnv {
			if strings.EqualFold(name, bad) {
				return c, fmt.Errorf("start runner: %s may not be set in a runner: it would stop the world beside a guest", bad)
			}
		}
	}
	if c.TimeLimit < 0 || c.StartTimeout < 0 {
		return c, errors.New("start runner: negative time")
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	if len(c.Command) == 0 {
		self, err := ownBinary()
		if err != nil {
			return c, fmt.Errorf("start runner: find the running binary: %w", err)
		}
		c.Command = []string{self}
	}
	return c, nil
}
