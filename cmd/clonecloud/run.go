package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/pairing"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/policy"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// runCmd runs an application.
type runCmd struct {
	Where       string        `enum:"auto,device,clone" default:"auto" placeholder:"auto|device|clone" help:"Where heavy calls run."`
	Dir         []string      `placeholder:"HOST[::GUEST]" sep:"none" help:"Show the guest a folder; ':ro' appended: read-only."`
	Env         []string      `placeholder:"K=V" sep:"none" help:"Set a variable in the guest's environment."`
	Objective   string        `enum:"time,energy,balanced" default:"time" placeholder:"time" help:"What auto saves: time, energy, or both (balanced): ${enum}."`
	MaxSlowdown float64       `default:"2" placeholder:"X" help:"How much slower a call may be that saves energy."`
	Engine      string        `enum:"auto,compiler,interpreter" default:"auto" placeholder:"NAME" help:"compiler or interpreter, not the best that works."`
	Offload     []string      `placeholder:"FUNC" sep:"none" help:"Offer this function too, by name or index."`
	Clone       string        `placeholder:"URL" help:"Use this clone: pairing URL, id or name."`
	Link        string        `placeholder:"PROFILE" help:"wifi, lte, 5g, wifi-2011, 3g-2011, none or a file."`
	When        *string       `placeholder:"WORDS" help:"Use the link only when all hold: wifi, charging, battery>30%; see docs/ENERGY.md."`
	Network     string        `placeholder:"KIND" env:"CLONECLOUD_NETWORK" help:"What the link uses: wifi, wired, 3g, lte or 5g."`
	Report      string        `placeholder:"FILE" help:"Write a JSON report of the run."`
	Trace       string        `placeholder:"FILE" help:"Write a timeline of the run, for Perfetto or Chrome."`
	MaxMemory   string        `placeholder:"SIZE" help:"Most memory the guest may have, such as 512M."`
	TimeLimit   time.Duration `placeholder:"D" help:"End the program after this time, such as 30s."`
	Runner      string        `hidden:"" env:"CLONECLOUD_RUNNER" help:"Command that starts a runner, such as an emulator and a binary."`

	App []string `arg:"" name:"APP.wasm" passthrough:"" help:"The application, a WebAssembly module for WASI preview 1, and its arguments."`
}

func (*runCmd) usage() string { return "[FLAGS] APP.wasm [ARGS...]" }

func (*runCmd) exits() string {
	return `the guest's own; 2 usage; 10 no clone, and 11 not paired, with
--where=clone; 12 module unsupported; 13 divergence; 124 time limit;
130 after Ctrl-C, 143 after SIGTERM; 134 the guest crashed`
}

func (c *runCmd) Run(a *app) error {
	o, err := c.options(a)
	if err != nil {
		return err
	}
	var out reportFile
	if c.Report != "" {
		if out, err = openReport(c.Report); err != nil {
			return exitCode{exitUsage, err}
		}
		defer out.discard()
	}
	trace, err := c.openTrace(o)
	if err != nil {
		return err
	}
	defer trace.discard()
	res, err := device.Run(a.ctx, *o)
	if err != nil {
		return startError(err)
	}
	c.summarize(a, res)
	err = guestExit(res.Exit)
	if res.Interrupted {
		err = exitCode{Code: interruptCode(a.ctx)}
	}
	if c.Report != "" {
		if failed := out.write(&res.Report); failed != nil {
			err = errors.Join(err, failed) // the guest's exit code stands
		}
	}
	if failed := trace.trace(res); failed != nil {
		err = errors.Join(err, failed)
	}
	if err != nil && !res.Interrupted {
		c.adviseFolders(a, res)
	}
	return err
}

var objectives = map[string]cost.Objective{"time": cost.Time, "energy": cost.Energy, "balanced": cost.Balanced}

// options turns flags into what a run needs.
func (c *runCmd) options(a *app) (*device.Options, error) {
	if c.App[0] == "--" && len(c.App) > 1 {
		c.App = c.App[1:]
	}
	if strings.HasPrefix(c.App[0], "-") {
		return nil, exitCode{exitUsage, withHint(fmt.Errorf("unknown flag %s", c.App[0]), "clonecloud run --help lists the flags; the program's own come after APP.wasm")}
	}
	module, err := readModule(c.App[0])
	if err != nil {
		return nil, err
	}
	if c.Engine == "auto" {
		c.Engine = ""
	}
	if !(c.MaxSlowdown >= 1 && c.MaxSlowdown <= 1000) {
		return nil, usage("--max-slowdown %g: want from 1 to 1000, such as 2", c.MaxSlowdown)
	}
	if c.TimeLimit < 0 {
		return nil, usage("--time-limit %v: want a time above 0, such as 30s", c.TimeLimit)
	}
	o := &device.Options{
		Home: a.home, Software: "clonecloud " + softwareVersion(),
		App: filepath.Base(c.App[0]), Module: module, Reload: func() ([]byte, error) { return readModule(c.App[0]) },
		Args: append([]string{filepath.Base(c.App[0])}, c.App[1:]...), Env: c.Env,
		Where: c.Where, Profile: runner.ProfileOnline, Offload: c.Offload, Engine: c.Engine, TimeLimit: c.TimeLimit,
		Stdin: a.stdio.in, Stdout: a.stdio.out, Stderr: a.stdio.err, Log: a.log,
		Runner: strings.Fields(c.Runner), Objective: objectives[c.Objective], MaxSlowdown: c.MaxSlowdown,
		OnEvent: func(e runner.Event) {
			if e.Warn != "" {
				a.say("%s", e.Warn)
			}
		},
	}
	if !slices.ContainsFunc(o.Env, func(kv string) bool { return strings.HasPrefix(kv, "PWD=") }) {
		// Go's programs take the first folder for the working one otherwise.
		o.Env = append(slices.Clone(o.Env), "PWD=/")
	}
	for _, kv := range c.Env {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return nil, usage("--env %s: want NAME=VALUE", kv)
		}
	}
	if o.Dirs, err = parseDirs(c.Dir); err != nil {
		return nil, err
	}
	if c.MaxMemory != "" {
		if o.MaxPages, err = parsePages(c.MaxMemory); err != nil {
			return nil, err
		}
	}
	if c.Link != "" {
		p, err := shape.Load(c.Link)
		if err != nil {
			return nil, exitCode{exitUsage, withHint(fmt.Errorf("--link: %w", err), "clonecloud run --help names the profiles")}
		}
		o.Shape = &p
	}
	if err := c.conditions(a, o); err != nil {
		return nil, err
	}
	c.knowledge(a, o)
	if c.Clone != "" && c.Where != device.WhereDevice {
		if o.Clone, err = c.clone(a); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// conditions adds when the link may be used: --when, or else what `clonecloud on
// --when` has stored. Stored words that cannot be read forbid it: they were put
// there to keep something from being spent.
func (c *runCmd) conditions(a *app, o *device.Options) (err error) {
	if c.Network != "" {
		if o.Network, err = energy.ParseRadio(c.Network); err != nil {
			return usage("--network: %w", err)
		}
	}
	if c.When != nil {
		o.When, err = parseWhen(*c.When)
		return err
	}
	if o.Where == device.WhereDevice {
		return nil
	}
	if o.When, err = device.StoredPolicy(a.home); err != nil {
		a.warn(fmt.Errorf("everything runs on this device: %w", err))
		o.When, err = policy.Parse("never")
	}
	return err
}

func parseWhen(words string) (policy.Policy, error) {
	p, err := policy.Parse(words)
	if err != nil {
		err = exitCode{exitUsage, withHint(fmt.Errorf("--when: %w", err), "such as --when 'wifi, charging, battery>30%'; docs/ENERGY.md has all words")}
	}
	return p, err
}

// knowledge adds what a run that decides for itself goes by: the device's power
// profile and the stored partition. What cannot be read is said, and done without.
func (c *runCmd) knowledge(a *app, o *device.Options) {
	if c.Where != device.WhereAuto {
		return
	}
	power := energy.Choose(a.home, os.DirFS("/sys"))
	if power.Err != nil {
		a.warn(power.Err)
	}
	o.Power = power.Profile
	if c.Engine != "" {
		return // a partition is of the engine that runs by default
	}
	entries, err := a.partitionsTelling(func(err error) { a.say("%v", err) }).Load(sha256.Sum256(o.Module))
	if err != nil {
		a.say("%v", err)
	}
	o.Partition = priors(entries, networkClass(o.Shape, o.Network), o.Objective)
}

// clone finds the clone that --clone names; a URL with a token is paired first.
func (c *runCmd) clone(a *app) (*identity.Peer, error) {
	store, err := identity.OpenStore(a.home)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(c.Clone, "clonecloud:") {
		p, err := store.Find(c.Clone)
		if errors.Is(err, identity.ErrAmbiguous) {
			return nil, usage("--clone %s: %w", c.Clone, err)
		}
		if err != nil {
			return nil, exitCode{exitNotPaired, withHint(fmt.Errorf("--clone %s: %w", c.Clone, err), "clonecloud pair URL, with the URL that `clonecloud serve` prints")}
		}
		return &p, nil
	}
	u, err := pairing.Parse(c.Clone)
	if err != nil {
		return nil, exitCode{exitUsage, err}
	}
	if p, err := store.Get(u.Node); err == nil {
		if len(u.Addrs) > 0 {
			p.Addresses = u.Addrs
		}
		return &p, nil
	}
	p, err := pairWith(a, c.Clone)
	if err != nil {
		return nil, exitCode{exitNotPaired, err}
	}
	return &p, nil
}

// readModule reads an application.
func readModule(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, exitCode{exitUsage, withHint(fmt.Errorf("open application: %w", err), "give the path of a .wasm file")}
	}
	defer f.Close()
	tooLarge := exitCode{exitUnsupported, withHint(fmt.Errorf("%s is larger than %d MB, the largest module that runs here", name, wire.MaxModule>>20), "was it built with debugging information? strip it")}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > wire.MaxModule {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, wire.MaxModule+1))
	if err != nil {
		return nil, exitCode{exitUsage, withHint(fmt.Errorf("read application: %w", err), "give the path of a .wasm file")}
	}
	if len(data) > wire.MaxModule {
		return nil, tooLarge
	}
	return data, nil
}

// parseDirs reads --dir HOST[::GUEST][:ro]. Without GUEST the guest finds the
// folder by the name that was given, relative or absolute, as a person would
// expect of a native program: the guest's working folder is "/".
func parseDirs(dirs []string) ([]runner.Dir, error) {
	var out []runner.Dir
	for _, text := range dirs {
		d := runner.Dir{}
		rest, ro := strings.CutSuffix(text, ":ro")
		d.ReadOnly = ro
		host, guest, named := strings.Cut(rest, "::")
		if host == "" {
			return nil, usage("--dir %s: want HOST[::GUEST]", text)
		}
		if !named {
			guest = path.Join("/", filepath.ToSlash(host))
		}
		abs, err := filepath.Abs(host)
		if err != nil {
			return nil, fmt.Errorf("--dir %s: %w", text, err)
		}
		if err := checkFolder(abs); err != nil {
			return nil, exitCode{exitUsage, fmt.Errorf("--dir %s: %w", text, err)}
		}
		d.Host, d.Guest = abs, path.Clean(guest)
		out = append(out, d)
	}
	return out, nil
}

// parsePages reads a size such as 512M as 64 KiB pages.
func parsePages(s string) (uint32, error) {
	var n float64
	var unit string
	_, _ = fmt.Sscanf(s, "%g%s", &n, &unit) // what is left 0 or odd is refused below
	switch strings.TrimSuffix(strings.ToUpper(unit), "B") {
	case "K":
		n *= 1 << 10
	case "M":
		n *= 1 << 20
	case "G":
		n *= 1 << 30
	case "":
	default:
		return 0, usage("--max-memory %s: want a size such as 512M or 2G", s)
	}
	if n == 0 {
		return 0, usage("--max-memory %s: want a size such as 512M or 2G", s)
	}
	pages := n / 65536
	if !(pages >= 1 && pages <= 1<<16) { // not a number is neither
		return 0, usage("--max-memory %s: want from 64K to 4G", s)
	}
	return uint32(pages), nil
}

// startError gives an error that kept a run from beginning its exit code.
func startError(err error) error {
	switch {
	case errors.Is(err, device.ErrNotPaired):
		return exitCode{exitNotPaired, withHint(err, "on the server: clonecloud serve; here: clonecloud pair URL, with the URL that it prints")}
	case errors.Is(err, device.ErrNoClone):
		return exitCode{exitNoClone, withDefaultHint(err, "--where auto runs here when the clone is away; clonecloud serve starts a clone")}
	}
	return err
}

// guestExit passes the guest's end through.
func guestExit(e runner.Exit) error {
	if e.Error == "" {
		if e.Code == 0 {
			return nil
		}
		return exitCode{Code: int(e.Code)}
	}
	err := withHint(errors.New(e.Error), e.Hint)
	switch {
	case e.Usage:
		return exitCode{exitUsage, err}
	case e.Unsupported:
		return exitCode{exitUnsupported, withDefaultHint(err, "clonecloud inspect APP.wasm shows what the module needs")}
	case e.Divergence:
		return exitCode{exitDivergence, withDefaultHint(err, "it is not continued on either value; run it again with --where device, and please report this")}
	case e.Code == exitError:
		err = withDefaultHint(err, "if the machine ran out of memory, --max-memory SIZE bounds what the program may take")
	}
	return exitCode{int(e.Code), err}
}

// summarize says in one line where the run's calls went.
func (c *runCmd) summarize(a *app, res *device.Result) {
	t := &res.Report.Totals
	if res.Report.Unsupported != "" && c.Where != device.WhereDevice {
		a.say("ran on the device alone: %s", res.Report.Unsupported)
	}
	if t.CallsClone == 0 && t.Fallbacks == 0 {
		return
	}
	a.say("%s: %d device, %d clone, %d fell back; %.2f s; %s sent, %s received",
		plural(t.CallsDevice+t.CallsClone, "call"), t.CallsDevice, t.CallsClone, t.Fallbacks, t.Seconds, bytesText(t.BytesUp), bytesText(t.BytesDown))
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
