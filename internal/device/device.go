// Package device is the device's node manager for one run of a program: it
// starts the runner, keeps the link to the clone, passes frames between the
// two, and gathers the report.
//
// It holds no logic of an offload: the runner decides, captures and commits.
// What is decided here is when there is a link at all: pairing, `off`,
// `--where`, redialling (PROTOCOL rule 20), Ctrl-C and a closed stdout.
package device

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/policy"
	"github.com/clonecloud/clonecloud/internal/poll"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/relay"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/runner/proc"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Places where a program may run.
const (
	WhereAuto   = "auto"
	WhereDevice = "device"
	WhereClone  = "clone"
)

// Options say what to run and how.
type Options struct {
	Home     string // state of this device
	Software string // name and version, for people

	App    string // name for people; Args[0] of the guest
	Module []byte
	// Reload reads the module again, for a clone that asks for it late; nil:
	// it is kept in memory.
	Reload  func() ([]byte, error)
	Args    []string // argv, the application's name first
	Env     []string
	Dirs    []runner.Dir
	Where   string
	Offload []string
	Only    []string // if any: offer exactly these functions
	Engine  string
	// MaxPages bounds the guest's memory, in 64 KiB pages; 0: 4 GiB.
	MaxPages  uint32
	TimeLimit time.Duration // 0: none

	// Clone, unless zero, is the clone to use; otherwise the paired ones are
	// tried, the latest first.
	Clone *identity.Peer
	Shape *shape.Profile // nil: the link as it is
	// Prefer holds the link to one transport; the default tries both.
	Prefer link.Preference

	Stdin, Stdout, Stderr *os.File
	// Runner is the command that starts a runner; empty: this binary.
	Runner []string
	// ConnectTime bounds how long --where=clone waits for a clone that does not
	// answer.
	ConnectTime time.Duration
	Log         *slog.Logger
	// Net, if set, is the shaped link in place of Shape: a test can cut and
	// corrupt it. Tap sees every frame of an attempt before it is passed on, to
	// the clone or from it; it may hold the frame up, or drop it.
	Net *shape.Control
	Tap func(toClone bool, f *wire.Frame) (pass bool)
	// HashMemory asks for Exit.Memory; MaxOffloads and OffloadEvery bound the calls
	// that move; Armed are the only functions that may; Repeatable makes two runs
	// alike, if the node's Config says so too. For tests (see runner.Start).
	HashMemory                bool
	MaxOffloads, OffloadEvery int
	Armed                     []uint32
	Repeatable                bool
	// Hold stops the runner inside a commit, for tests.
	Hold *runner.Hold
	// Profile is empty, runner.ProfileOnline or runner.ProfileFull. What is
	// gathered is merged into the home's profiles.
	Profile string
	// Objective is what --where=auto saves, and MaxSlowdown how many times as slow
	// a call may become for it (0: 2). Power is the device's power profile; nil:
	// package energy's default. Partition is what the runner decides by where it
	// has measured nothing.
	Objective   cost.Objective
	MaxSlowdown float64
	Power       *energy.Profile
	Partition   []decide.Row
	// When says when the link may be used; the zero Policy: always. Network is the
	// kind of network that it uses, where that is known; UnknownRadio: a shaped link
	// says it by its name. Sys is the system's /sys; nil: this one's.
	When    policy.Policy
	Network energy.Radio
	Sys     fs.FS
	// Record has every call run here and told with its features; see
	// runner.Decide.
	Record bool
	// Trace asks for Result.Trace.
	Trace bool
	// Replay, if not empty, lists the only functions, by index, that move with
	// --where=clone, so that a profile has them measured there.
	Replay []uint32
	// OnEvent, if set, hears what the runner tells, as it happens.
	OnEvent func(runner.Event)
}

// Errors that end a run before it began.
var (
	ErrNoClone   = errors.New("no clone can be reached")
	ErrNotPaired = errors.New("this device is paired with no clone")
)

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

// Result is how a run ended.
type Result struct {
	Exit   runner.Exit
	Report Report
	// Profile is of this run alone.
	Profile *profile.Tree
	Trace   Trace
	// Ready is what the runner said about itself; nil if it did not get there.
	Ready *runner.Ready
	// Interrupted says that the context ended the run.
	Interrupted bool
}

const defaultConnectTime = 15 * time.Second

func (o *Options) populate() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Where == "" {
		o.Where = WhereAuto
	}
	if o.MaxPages == 0 {
		o.MaxPages = engine.DefaultMaxMemoryPages
	}
	if o.ConnectTime == 0 {
		o.ConnectTime = defaultConnectTime
	}
	if o.Tap == nil {
		o.Tap = func(bool, *wire.Frame) bool { return true }
	}
	if o.Sys == nil {
		o.Sys = os.DirFS("/sys")
	}
	if o.OnEvent == nil {
		o.OnEvent = func(runner.Event) {}
	}
}

// Run runs a program to its end. An error means that it never began.
func Run(ctx context.Context, o Options) (*Result, error) {
	tapped := o.Tap != nil
	o.populate()
	m := &manager{
		o: o, tapped: tapped, sum: sha256.Sum256(o.Module), began: time.Now(),
		events: make(chan runner.Event, 16), settled: make(chan struct{}), willing: make(chan struct{}),
	}
	if _, err := rand.Read(m.run[:]); err != nil {
		return nil, fmt.Errorf("name the run: %w", err)
	}
	if err := recoverCommits(o.Home, o.Log); err != nil {
		return nil, err
	}
	if m.loop = poll.NewLoop(); m.loop != nil {
		defer m.loop.Close()
	}
	lk, release, err := m.prepare()
	defer release()
	if err != nil {
		return nil, err
	}
	if lk != nil {
		defer m.closeGate()
		defer lk.close()
	}
	return m.execute(ctx, lk)
}

// prepare opens what an offload needs of the home. A home that is full, read
// only or damaged is no reason not to run on the device, unless a clone was
// asked for.
func (m *manager) prepare() (lk *linkKeeper, release func(), err error) {
	release = func() {}
	if m.o.Where == WhereDevice {
		return nil, release, nil
	}
	if m.store, err = identity.OpenStore(m.o.Home); err == nil {
		lk, err = m.keeper()
	}
	if err == nil && lk == nil {
		return nil, release, nil // no clone is to be used
	}
	if err == nil {
		var free func()
		if free, err = holdCommits(m.o.Home, m.run); err == nil {
			return lk, free, nil
		}
		lk.close()
	}
	if m.o.Where == WhereClone {
		return nil, release, err
	}
	m.o.OnEvent(runner.Event{Warn: "everything runs on this device: " + err.Error()})
	return nil, release, nil
}

// manager is one run in progress.
type manager struct {
	o      Options
	tapped bool // Options.Tap was given: it sees whole frames
	store  *identity.Store
	sum    [sha256.Size]byte
	run    wire.ID
	began  time.Time
	events chan runner.Event
	// settled is closed when the runner has ended, or cannot offload; willing
	// when it can.
	settled, willing chan struct{}
	gate             *gate
	present          *presence
	learning         []byte // what the runner has learnt
	p                *proc.Process
	out              *relay.Outbox // to the runner
	loop             *poll.Loop    // passes small frames; nil where the system has none
	read             chan struct{} // closed when everything that the runner said is in events
	over             chan struct{} // closed when nobody takes events any more
}

// keeper prepares the link, or returns nil when this run has none.
func (m *manager) keeper() (*linkKeeper, error) {
	none := func(err error) (*linkKeeper, error) {
		if m.o.Where == WhereClone {
			return nil, err
		}
		m.o.Log.Debug("runs here", "reason", err)
		return nil, nil
	}
	if !m.store.Enabled() {
		return none(hinted{fmt.Errorf("%w: offloading is off on this device", ErrNoClone), "clonecloud on"})
	}
	peers, err := m.clones()
	if err != nil {
		return none(err)
	}
	if m.o.Net == nil && m.o.Shape != nil && m.o.Shape.Name == "none" {
		return none(hinted{fmt.Errorf("%w: --link none cuts the link", ErrNoClone), "leave --link none away, or run with --where auto or device"})
	}
	m.gate = newGate(m.o.When, m.radio(), m.o.Home, m.o.Sys, time.Now)
	if why := m.gate.check(); why != "" {
		if m.o.Where == WhereClone {
			return nil, hinted{fmt.Errorf("%w: the policy forbids the link: %s", ErrNoClone, why), "--when WORDS is another policy for one run, and --when always none"}
		}
		m.o.OnEvent(runner.Event{Warn: forbidden(why)})
	}
	own, err := identity.LoadOrCreate(m.o.Home)
	if err != nil {
		return nil, err
	}
	return newLinkKeeper(m, own, peers)
}

// clones lists the clones to try.
func (m *manager) clones() ([]identity.Peer, error) {
	if m.o.Clone != nil {
		return []identity.Peer{*m.o.Clone}, nil
	}
	all, err := m.store.List()
	if err != nil {
		return nil, err
	}
	var nodes []identity.Peer
	for i := len(all) - 1; i >= 0; i-- {
		if len(all[i].Addresses) > 0 {
			nodes = append(nodes, all[i])
		}
	}
	if len(nodes) == 0 {
		return nil, ErrNotPaired
	}
	return nodes, nil
}

// execute starts the runner and sees the run through.
func (m *manager) execute(ctx context.Context, lk *linkKeeper) (*Result, error) {
	if lk != nil {
		go lk.keep()
	}
	p, err := proc.Start(proc.Config{
		Command: m.o.Runner, TimeLimit: m.o.TimeLimit,
		Stdin: m.o.Stdin, Stdout: m.o.Stdout, Stderr: m.o.Stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("start a runner: %w", err)
	}
	defer func() {
		_ = p.Kill()
		_ = p.Conn().Close()
	}()
	m.p, m.out = p, relay.NewOutbox(p.Conn(), relay.Config{})
	if err := runner.WriteStart(p.Conn(), m.start(lk != nil && m.gate.last() == ""), m.o.Module); err != nil {
		return nil, err
	}
	m.o.Module = nil // the runner has it; an idle manager is small
	m.read, m.over = make(chan struct{}), make(chan struct{})
	defer close(m.over)
	go m.readRunner(lk)
	if lk != nil {
		lk.setRunner(m.out)
		defer watchOutput(m.o.Stdout, lk)()
		defer watchSwitch(m.store, lk)()
		defer watchPolicy(lk)()
		if m.o.Where == WhereClone {
			// The runner compiles meanwhile, and waits for the clone by itself.
			if err := m.awaitClone(ctx, lk); err != nil {
				return nil, err
			}
		}
	}
	if m.present, err = appear(m.o.Home, m.run, Running{App: m.o.App, Began: m.began, Where: m.o.Where, Blocked: m.gate.last()}); err != nil {
		m.o.Log.Debug("clonecloud ps will not show this run", "error", err)
	}
	defer m.present.leave()
	res := m.collect(ctx, lk)
	m.keepProfile(res)
	m.keep(res)
	return res, nil
}

// awaitClone waits for the clone, or for a runner that has no use for one.
func (m *manager) awaitClone(ctx context.Context, lk *linkKeeper) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-m.settled: // it is pinned, or has ended
			cancel(errSettled)
		case <-ctx.Done():
		}
	}()
	err := lk.awaitReady(ctx, m.o.ConnectTime)
	var refused *wire.RefusedError
	if errors.As(err, &refused) && refused.Code == wire.RefuseCode_REFUSE_MODULE {
		// The runner here finds the same soon, if it is about the module itself.
		select {
		case <-m.settled:
			return nil
		case <-m.willing:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if errors.Is(err, errSettled) {
		return nil
	}
	return err
}

var errSettled = errors.New("the runner needs no clone")

func (m *manager) start(expect bool) runner.Start {
	return runner.Start{
		Role: runner.RoleDevice, Run: m.run, App: m.o.App, Args: m.o.Args, Env: m.o.Env, Dirs: m.o.Dirs,
		Engine: m.o.Engine, CacheDir: filepath.Join(m.o.Home, "compiled"),
		StateDir: commitsDir(m.o.Home), MaxPages: m.o.MaxPages,
		Decide:  m.decide(expect),
		Profile: m.o.Profile, Trace: m.o.Trace, Replay: m.o.Replay,
		Where: m.o.Where, Offload: m.o.Offload, Only: m.o.Only, HashMemory: m.o.HashMemory, MaxOffloads: m.o.MaxOffloads,
		Hold:         m.o.Hold,
		OffloadEvery: m.o.OffloadEvery, Armed: m.o.Armed, Repeatable: m.o.Repeatable,
	}
}

// collect takes the runner's events until the last one.
func (m *manager) collect(ctx context.Context, lk *linkKeeper) *Result {
	r := &Result{Report: Report{App: m.o.App, Module: hex.EncodeToString(m.sum[:]), Where: m.o.Where, Objective: objectiveName(m.o.Objective), JoulesAre: string(energy.Model), Power: m.powerName()}, Profile: profile.New()}
	defer func() { m.total(&r.Report) }()
	for {
		select {
		case e := <-m.events:
			m.present.blocked(m.gate.current())
			m.blame(e.Call)
			m.o.OnEvent(e)
			m.observe(r, &e)
			if e.Ready != nil {
				r.Ready, r.Report.Unsupported = e.Ready, e.Ready.Pinned
			}
			if e.Ended != "" && lk != nil {
				lk.ended(e.Ended)
			}
			if e.Call != nil {
				r.Report.add(e.Call)
				m.present.call(e.Call)
			}
			if e.Learnt != nil {
				m.learning = e.Learnt
			}
			if e.Exit != nil {
				r.Exit = *e.Exit
				return r
			}
		case <-m.p.Done():
			r.Exit = m.ended()
			return r
		case <-ctx.Done():
			if lk != nil {
				lk.cancel("interrupted")
			}
			r.Interrupted = true
			return r
		}
	}
}

// lastWords is how long a runner's stream may outlive its process, which a
// command in between may have ended before.
const lastWords = time.Second

// ended explains a runner that ended without a last word.
func (m *manager) ended() runner.Exit {
	late := time.After(lastWords)
	for waiting := true; waiting; {
		select {
		case e := <-m.events: // it may have had one
			if e.Exit != nil {
				return *e.Exit
			}
		case <-m.read:
			waiting = len(m.events) > 0
		case <-late:
			waiting = false
		}
	}
	st := m.p.Wait()
	if st.TimedOut {
		return runner.Exit{Code: 124, Error: fmt.Sprintf("the program ran into its time limit of %v", m.o.TimeLimit), Hint: "allow more with --time-limit"}
	}
	return runner.Exit{Code: 1, Error: "the runner ended unexpectedly: " + st.Text}
}

func (m *manager) total(r *Report) {
	r.Policy = m.gate.report()
	t := &r.Totals
	t.Seconds = time.Since(m.began).Seconds()
	for i := range r.Calls {
		c := &r.Calls[i]
		t.BytesUp += c.BytesUp
		t.BytesDown += c.BytesDown
		t.Joules += c.Joules
		if c.Where == WhereClone {
			t.CallsClone++
		} else {
			t.CallsDevice++
		}
	}
}

// keep stores what a run has learnt and decided. Failing costs knowledge and
// nothing else.
func (m *manager) keep(r *Result) {
	if m.o.Where != WhereAuto || r.Report.Totals.Seconds < notable.Seconds() {
		return
	}
	var err error
	if m.learning != nil {
		err = m.keepLearnt(m.learning)
	}
	if err = errors.Join(err, m.keepDecisions(&r.Report)); err != nil {
		m.o.OnEvent(runner.Event{Warn: "what this run has learnt is lost: " + err.Error()})
	}
}

// objectiveName is an objective as --objective has it.
func objectiveName(o cost.Objective) string {
	switch o {
	case cost.Time:
		return "time"
	case cost.Energy:
		return "energy"
	}
	return "balanced"
}

// maxCalls bounds the calls that a report lists.
const maxCalls = 100_000

// add adds one finished call.
func (r *Report) add(c *runner.Call) {
	if c.Fallback {
		r.Totals.Fallbacks++
	}
	if len(r.Calls) >= maxCalls {
		return
	}
	call := CallReport{
		Function: c.Function, Index: c.Index, Context: c.Context, Where: c.Where, Reason: c.Reason, Seconds: c.Seconds,
		BytesUp: c.BytesUp, BytesDown: c.BytesDown, Attempts: c.Attempts, Fallback: c.Fallback,
		Rule: c.Rule, Term: c.Term, Uncertain: c.Uncertain, Joules: c.Joules,
	}
	if len(c.Predicted) > 0 {
		call.Predicted = map[string]Prediction{}
		for site, p := range c.Predicted {
			call.Predicted[site] = Prediction(p)
		}
	}
	r.Calls = append(r.Calls, call)
}
