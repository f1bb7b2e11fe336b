package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/pagestate"
)

// doctorCmd finds what is wrong with this device's set-up.
type doctorCmd struct {
	JSON      bool   `help:"Print JSON."`
	Calibrate bool   `help:"Measure this device's processor and, with a meter, its power, and keep that as its power profile. Takes half a minute: let nothing else run."`
	Runner    string `hidden:"" env:"CLONECLOUD_RUNNER"`
	// A test's own tree in place of /sys, and how long each part of a
	// measurement lasts.
	Sysfs string        `hidden:"" env:"CLONECLOUD_SYSFS" default:"/sys"`
	Step  time.Duration `hidden:"" default:"3s"`
}

func (*doctorCmd) usage() string { return "[FLAGS]" }

func (*doctorCmd) exits() string {
	return "0; 1 a check found a problem, or a measurement made no sense"
}

// finding is what one check found, and with --json one entry of "checks".
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to do next
}

func good(text, do string) finding { return finding{OK: true, Text: text, Do: do} }

// trouble is an error as a finding; its hint goes before the default one.
func trouble(err error, do string) finding {
	var h hinted
	if errors.As(err, &h) && h.Hint() != "" {
		do = h.Hint()
	}
	return finding{Text: err.Error(), Do: do}
}

func (c *doctorCmd) Run(a *app) error {
	if c.Calibrate {
		return c.calibrate(a)
	}
	all := c.examine(a)
	ok := true
	for _, f := range all {
		ok = ok && f.OK
	}
	if c.JSON {
		enc := json.NewEncoder(a.stdio.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{ok, all}); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			f.print(a)
		}
	}
	if !ok {
		return exitCode{Code: exitError}
	}
	return nil
}

func (f finding) print(a *app) {
	verdict := "ok"
	if !f.OK {
		verdict = "PROBLEM"
	}
	fmt.Fprintf(a.stdio.out, "%-8s %-14s %s\n", verdict, f.Check, strings.ReplaceAll(f.Text, "\n", "; "))
	if f.Do != "" {
		fmt.Fprintf(a.stdio.out, "%-8s %-14s -> %s\n", "", "", f.Do)
	}
}

// examine makes all checks, in the order in which one depends on another.
func (c *doctorCmd) examine(a *app) []finding {
	var all []finding
	add := func(name string, found ...finding) {
		for _, f := range found {
			f.Check = name
			all = append(all, f)
		}
	}
	home := checkHome(a.home)
	add("home", home)
	if home.OK {
		add("key", checkKey(a.home))
		add("clone", checkClones(a)...)
	}
	add("page tracking", checkPages())
	add("engine", checkEngine())
	add("runner", c.checkRunner(a))
	add("energy", checkEnergy(a.home, os.DirFS(c.Sysfs)))
	return all
}

const homeHint = "make it a folder that you may write, or set CLONECLOUD_HOME to another"

// checkHome sees whether state can be kept, without making the folder.
func checkHome(home string) finding {
	existing := home
	for {
		st, err := os.Stat(existing)
		if err == nil && !st.IsDir() {
			return trouble(fmt.Errorf("%s is a file", existing), homeHint)
		}
		if err == nil {
			break
		}
		if up := filepath.Dir(existing); errors.Is(err, fs.ErrNotExist) && up != existing {
			existing = up
			continue
		}
		return trouble(err, homeHint)
	}
	probe, err := os.MkdirTemp(existing, ".doctor-*")
	if err != nil {
		return trouble(fmt.Errorf("state cannot be kept in %s: %w", home, err), homeHint)
	}
	if err := os.Remove(probe); err != nil {
		return trouble(err, homeHint)
	}
	if existing != home {
		return good(home+" is not there yet and can be made", "")
	}
	return good(home+" can be written", "")
}

// keyName is the file of the device's key; pairing makes it.
const keyName = "key.pem"

func checkKey(home string) finding {
	if _, err := os.Lstat(filepath.Join(home, keyName)); errors.Is(err, fs.ErrNotExist) {
		return good("there is none yet: pairing makes one", "")
	}
	own, err := identity.LoadOrCreate(home)
	if err != nil {
		return trouble(err, "if the key is lost, remove "+filepath.Join(home, keyName)+" and pair again")
	}
	return good("this device is "+own.ID().Short(), "")
}

// checkClones reaches for every paired clone, all at once.
func checkClones(a *app) []finding {
	if _, err := os.Stat(a.home); errors.Is(err, fs.ErrNotExist) {
		return []finding{notPaired()}
	}
	store, err := identity.OpenStore(a.home)
	if err != nil {
		return []finding{trouble(err, "remove "+filepath.Join(a.home, "peers.json")+" and pair again")}
	}
	peers, err := store.List()
	if err != nil {
		return []finding{trouble(err, "")}
	}
	var clones []identity.Peer
	for _, p := range peers {
		if len(p.Addresses) > 0 { // the others are devices of a node
			clones = append(clones, p)
		}
	}
	if len(clones) == 0 {
		return []finding{notPaired()}
	}
	own, err := identity.LoadOrCreate(a.home)
	if err != nil {
		return []finding{trouble(err, "")}
	}
	found := make([]finding, len(clones), len(clones)+1)
	var wg sync.WaitGroup
	for i, p := range clones {
		wg.Go(func() { found[i] = reach(a.ctx, own, p) })
	}
	wg.Wait()
	if !store.Enabled() {
		found = append(found, good("offloading is off: everything runs on this device", "clonecloud on"))
	}
	return found
}

func notPaired() finding {
	return good("paired with none: applications run on this device alone",
		"clonecloud serve on a better machine, then here: clonecloud pair URL")
}

const reachTime = 8 * time.Second

// reach dials a clone and measures one round trip.
func reach(ctx context.Context, own *identity.Identity, p identity.Peer) finding {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	name := fmt.Sprintf("%s (%s)", p.Name, p.ID.Short())
	conn, err := link.Dial(ctx, link.Options{Identity: own, Peer: p.ID, Addrs: p.Addresses})
	if err != nil {
		return trouble(fmt.Errorf("%s does not answer at %s: %w", name, strings.Join(p.Addresses, ", "), err),
			"see that clonecloud serve runs there and that this network reaches it; clonecloud unpair "+p.ID.Short()+" forgets it")
	}
	defer func() { _ = conn.Close() }()
	rtt, err := conn.Ping(ctx)
	if err != nil {
		return trouble(fmt.Errorf("%s: %w", name, err), "try again on a better network")
	}
	text := fmt.Sprintf("%s answers over %s in %.1f ms", name, conn.Transport(), rtt.Seconds()*1e3)
	if conn.Transport() == link.TCP {
		return good(text, "UDP does not pass between here and there; letting it pass makes lost links come back sooner")
	}
	return good(text, "")
}

// checkPages says how this machine finds what a program has written.
func checkPages() finding {
	kind, refused := pagestate.Choose()
	if err := pagestate.SelfTest(kind); err != nil {
		return trouble(fmt.Errorf("%v: %w", kind, err), "no memory can be had: see the limits of this process (ulimit -v)")
	}
	if kind == pagestate.Compare {
		return good(fmt.Sprintf("%v: every page is compared, which takes longer (%s)", kind, refused), "")
	}
	return good(fmt.Sprintf("%v works", kind), "")
}

// checkEngine says whether programs are compiled here.
func checkEngine() finding {
	kind, why := engine.DefaultKind()
	if kind == engine.Interpreter && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") && runtime.GOOS != "ios" {
		return finding{Text: "programs are interpreted, which is many times slower: " + why, Do: "allow this program executable memory"}
	}
	return good(fmt.Sprintf("%v (%s)", kind, why), "")
}

// nothing is a program that ends at once: (module (memory (export "memory") 1)
// (func (export "_start"))).
var nothing = []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" + "\x0a\x04\x01\x02\x00\x0b")

const runnerTime = 30 * time.Second

// checkRunner runs a program in a process of its own, as run does.
func (c *doctorCmd) checkRunner(a *app) finding {
	dir, err := os.MkdirTemp("", "clonecloud-doctor-*")
	if err != nil {
		return trouble(err, "set TMPDIR to a folder that may be written")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	empty, err := os.Open(os.DevNull)
	if err != nil {
		return trouble(err, "")
	}
	defer func() { _ = empty.Close() }()
	how := "this program"
	if c.Runner != "" {
		how = c.Runner
	}
	ctx, cancel := context.WithTimeout(a.ctx, runnerTime)
	defer cancel()
	began := time.Now()
	res, err := device.Run(ctx, device.Options{
		Home: dir, Software: "clonecloud " + softwareVersion(), App: "doctor", Module: bytes.Clone(nothing), Args: []string{"doctor"},
		Where: device.WhereDevice, Stdin: empty, Stdout: a.stdio.err, Stderr: a.stdio.err, Log: a.log, Runner: strings.Fields(c.Runner),
	})
	hint := "see that " + how + " may start processes"
	if c.Runner != "" {
		hint = "correct or unset CLONECLOUD_RUNNER, the command that starts a runner"
	}
	switch {
	case err != nil:
		return trouble(err, hint)
	case res.Interrupted:
		return trouble(fmt.Errorf("a program that does nothing did not end in %v", runnerTime), hint)
	}
	if err := guestExit(res.Exit); err != nil {
		return trouble(err, hint)
	}
	text := fmt.Sprintf("%s starts a program in %.0f ms", how, time.Since(began).Seconds()*1e3)
	if res.Ready != nil && res.Ready.Confined != "" {
		text += "; confined: " + res.Ready.Confined
	}
	return good(text, "")
}

// checkEnergy says where joules come from.
func checkEnergy(home string, sys fs.FS) finding {
	choice := energy.Choose(home, sys)
	if choice.Err != nil {
		return trouble(choice.Err, "clonecloud doctor --calibrate makes a new one; docs/ENERGY.md says what it holds")
	}
	text := "predictions are a model's: " + choice.Why + "; "
	if m, err := energy.OpenMeter(sys); err != nil {
		text += err.Error()
	} else {
		text += fmt.Sprintf("%s can measure the %s", m.Name(), m.Covers())
		if !choice.Own {
			return good(text, "clonecloud doctor --calibrate fits a profile to this device")
		}
	}
	return good(text, "")
}
