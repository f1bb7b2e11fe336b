package runner

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/runner/proc"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// MaybeChild makes this process a runner if a manager started it as one, and
// then never returns. It is called first thing in main, and in TestMain of
// tests that start runners.
func MaybeChild() { proc.MaybeChild(child) }

// collector frees memory when it harms no one: in host calls.
var collector proc.Collector

func collect() { collector.CollectIfGrown() }

// compileCollecting compiles with the collector on: no guest runs yet, and a
// compiler without a collector takes gigabytes.
func compileCollecting(ctx context.Context, g *guest, c guestConfig) (err error) {
	collector.Collecting(func() { err = g.compile(ctx, c) })
	return err
}

// confinement is what holds this process, for reports.
var confinement proc.Confinement

// child is a runner's whole life.
func child(c *proc.Child) int {
	// A terminal's Ctrl-C reaches the whole group: ending the guest is the
	// manager's business. Writing to a closed pipe is the guest's.
	signal.Ignore(os.Interrupt, syscall.SIGPIPE)
	confinement = c.Confinement
	start, module, err := readStart(c.Conn)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clonecloud: runner:", err)
		return proc.ExitUsage
	}
	p := &pipe{w: wire.NewWriter(c.Conn)} // the only writer: frames keep their order
	var exit Exit
	if start.Role == RoleDevice {
		exit = runDevice(c.Conn, p.w, start, module)
	} else {
		exit = exitOf(runClone(c.Conn, p.w, start, module))
	}
	p.tell(Event{Exit: &exit})
	select {} // the manager has the last word, and ends this process
}

// guestSetup chooses engine and tracker, and says what was chosen.
func guestSetup(start Start) (*Ready, guestConfig, error) {
	ready := &Ready{Confined: describe(confinement)}
	kind, why := engine.DefaultKind()
	if start.Engine != "" {
		k, err := engine.ParseKind(start.Engine)
		if err != nil {
			return nil, guestConfig{}, err
		}
		if k == engine.Compiler && kind != engine.Compiler {
			return nil, guestConfig{}, fmt.Errorf("the compiler does not work here: %s; use --engine interpreter", why)
		}
		kind, why = k, "as asked"
	}
	tracker, report := pagestate.Choose()
	ready.Engine, ready.Why, ready.Tracker = kind.String(), why, tracker.String()
	if s := report.String(); s != "" {
		ready.Tracker += " (" + s + ")"
	}
	pages := start.MaxPages
	if pages == 0 || pages > engine.DefaultMaxMemoryPages {
		pages = engine.DefaultMaxMemoryPages
	}
	return ready, guestConfig{
		Kind: kind, CacheDir: start.CacheDir, Tracker: tracker, MaxPages: pages,
		Warn: func(error) {},
	}, nil
}

// describe lists what is in force.
func describe(c proc.Confinement) string {
	var in []string
	for _, x := range []struct {
		on   bool
		name string
	}{
		{c.NoNewPrivileges, "no new privileges"},
		{c.NetworkNamespace, "no network"},
		{c.SystemCallFilter, "system call filter"},
		{c.ParentDeathSignal, "dies with its manager"},
	} {
		if x.on {
			in = append(in, x.name)
		}
	}
	if len(in) == 0 {
		return "not confined: " + strings.Join(c.Notes, "; ")
	}
	return strings.Join(in, ", ")
}
