package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

func TestMain(m *testing.M) {
	MaybeChild()
	os.Exit(m.Run())
}

var nightly = os.Getenv("CLONECLOUD_NIGHTLY") != ""

// The tests of this file's kind run a device and its clones in one process:
// all of deviceRun and cloneRun between the stub and the clone's guest, over
// pipes in memory where a program has managers and a link. Each side's Events
// reach the other instead of a manager and are ignored, as they belong to no
// run.

// which says what of a guest moves.
type which int

const (
	nothing   which = iota
	outermost       // every call from outside
	inner           // every call of a candidate from inside the module
)

func (w which) String() string {
	return [...]string{"nothing armed", "calls from outside", "calls from inside"}[w]
}

// engines are those of a device and of its clones, with how each tracks pages.
type engines struct {
	device, clone                 engine.Kind
	trackedOnDevice, trackedThere pagestate.Kind
}

func (e engines) String() string { return fmt.Sprintf("device %v, clone %v", e.device, e.clone) }

// pairsToTest gives the usual pair of engines, and nightly all that occur.
func pairsToTest(t *testing.T) []engines {
	best := trackers()[0]
	interpreters := engines{engine.Interpreter, engine.Interpreter, best, best}
	if k, why := engine.DefaultKind(); k != engine.Compiler {
		t.Log(why)
		return []engines{interpreters}
	}
	pairs := []engines{{engine.Compiler, engine.Compiler, best, best}}
	if nightly {
		pairs = append(pairs, engines{engine.Interpreter, engine.Compiler, best, best}, interpreters)
	}
	return pairs
}

// tester is what a testing.T and a rapid.T have in common.
type tester interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
}

// ground is where instances of a test live: one engine for the device's, so that
// they can import from each other, and a clone for each that needs one.
type ground struct {
	tb    tester
	ctx   context.Context
	conf  guestConfig
	there guestConfig // of the clones
	room  *room
	which which
	// pick, if set, chooses the calls that move, instead of which.
	pick  func() bool
	stats stats
	all   []*linked
}

// stats counts over many grounds.
type stats struct {
	supported, unsupported int // modules that have functions of their own
	functions              int // with a body, of all modules
	movable                int // of these
	offloaded              int // functions of which a call was committed
	committed              int // calls
	local                  map[offload.Why]int
	pinned                 int // aborted by an import that is the device's
}

func (s *stats) add(o *stats) {
	s.supported += o.supported
	s.unsupported += o.unsupported
	s.functions += o.functions
	s.movable += o.movable
	s.offloaded += o.offloaded
	s.committed += o.committed
	s.pinned += o.pinned
	for why, n := range o.local {
		s.fell(why, n)
	}
}

func (s *stats) fell(why offload.Why, n int) {
	if s.local == nil {
		s.local = map[offload.Why]int{}
	}
	s.local[why] += n
}

func (s *stats) String() string {
	return fmt.Sprintf("modules: %d supported, %d not; functions: %d of %d movable, %d offloaded; calls: %d committed, run here after an attempt: %v (pinned import: %d)",
		s.supported, s.unsupported, s.movable, s.functions, s.offloaded, s.committed, s.local, s.pinned)
}

func newGround(tb tester, e engines, w which, maxPages uint32) *ground {
	tb.Helper()
	gr := &ground{tb: tb, ctx: context.Background(), which: w, conf: guestConfig{
		Kind: e.device, Tracker: e.trackedOnDevice, MaxPages: maxPages,
		Warn: func(err error) { tb.Errorf("warning: %v", err) },
	}}
	gr.there = gr.conf
	gr.there.Kind, gr.there.Tracker = e.clone, e.trackedThere
	var err error
	if gr.room, err = newRoom(gr.ctx, gr.conf); err != nil {
		tb.Fatal(err)
	}
	return gr
}

// trackers are the ways to find dirty pages that work here, best first.
var trackers = sync.OnceValue(func() (all []pagestate.Kind) {
	for _, k := range pagestate.Kinds() {
		if pagestate.SelfTest(k) == nil {
			all = append(all, k)
		}
	}
	return all
})

// close ends every clone and frees everything.
func (gr *ground) close() {
	for _, in := range gr.all {
		in.close()
	}
	if err := gr.room.eng.Close(gr.ctx); err != nil {
		gr.tb.Error(err)
	}
}

// linked is one instance on the device, with its clone once a call moves.
type linked struct {
	*deviceRun
	gr     *ground
	code   []byte
	remote Start    // of the clone
	end    *memConn // the clone's end of the pipe
	done   chan error

	shared bool // another instance uses its table
	moved  map[int]bool
}

// instantiate makes an instance whose imports come from others by name, and
// runs its start section. The error is the engine's.
func (gr *ground) instantiate(code []byte, others map[string]*linked) (*linked, error) {
	in := &linked{gr: gr, code: code, moved: map[int]bool{}}
	g, err := loadGuest(code, loading{choose: movable, hostModule: fmt.Sprintf("host of %d", len(gr.all))})
	if err != nil {
		return nil, err
	}
	g.room = gr.room
	gr.all = append(gr.all, in) // its number is taken, whatever becomes of it
	if err := in.link(g, others); err != nil {
		return nil, err
	}
	var id wire.ID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	in.remote.Run = id
	in.deviceRun = &deviceRun{
		start: Start{Run: id, MaxPages: gr.conf.MaxPages}, g: g, conf: gr.conf,
		epoch:   time.Now(),
		machine: offload.NewDevice(id, offload.DeviceConfig{Redial: time.Nanosecond}),
		local:   wasi.NewLocal(nil, io.Discard, io.Discard),
	}
	in.connect()
	in.decide = &mover{fixed: fixed{siteClone}, in: in}
	if in.wasi, err = wasi.New(wasi.Config{Host: in.local}); err != nil {
		return nil, err
	}
	g.setSystem(in.wasi)
	if g.out != nil {
		in.conf.Stubs = in.stubs()
	}
	if err := g.compile(gr.ctx, in.conf); err != nil {
		return nil, err
	}
	if err := g.instantiate(gr.ctx); err != nil {
		if trap := (*engine.Trap)(nil); errors.As(err, &trap) && g.out == nil && g.module.HasStart {
			err = &startError{g.module.Start, err} // the engine ran the start section
		}
		return nil, err
	}
	if err := in.arm(); err != nil {
		return nil, err
	}
	if g.out != nil && g.out.StartExport != "" {
		if err := in.invoke(gr.ctx, g.out.StartExport, nil); err != nil {
			return nil, &startError{g.module.Start, err}
		}
	}
	return in, nil
}

// startError is the failure of a start section.
type startError struct {
	function uint32
	err      error
}

func (e *startError) Error() string {
	return fmt.Sprintf("start function[%d] failed: %s", e.function, engineWords(e.err))
}

func (e *startError) Unwrap() error { return e.err }

// count adds a module to the statistics.
func (gr *ground) count(g *guest) {
	gr.stats.functions += len(g.module.Bodies)
	switch {
	case len(g.module.Bodies) == 0:
	case g.out == nil:
		gr.stats.unsupported++
	default:
		gr.stats.supported++
		gr.stats.movable += len(g.out.Candidates)
	}
}

// movable chooses every function that may move.
func movable(graph *callgraph.Graph) (all, entries []uint32, err error) {
	code, err := graph.Module().Scan()
	if err != nil {
		return nil, nil, err
	}
	for i := range uint32(len(graph.Module().Funcs)) {
		if !graph.Legality(i).Movable {
			continue
		}
		all = append(all, i)
		if code.TailCalled[i] {
			entries = append(entries, i)
		}
	}
	return all, entries, nil
}

// arm makes image 0 the base on the device; stubs ask unless nothing is to move.
func (in *linked) arm() error {
	if in.g.out == nil || in.gr.which == nothing {
		return nil
	}
	return in.deviceRun.arm()
}

// link finds what provides a module's imports, and what its clone must know.
func (in *linked) link(g *guest, others map[string]*linked) error {
	for _, im := range g.module.Imports {
		from := others[im.Module]
		if from == nil {
			continue // the engine says so
		}
		if !slices.ContainsFunc(g.links, func(l engine.Link) bool { return l.Name == im.Module }) {
			g.links = append(g.links, engine.Link{Name: im.Module, Instance: from.g.inst})
		}
		switch im.Kind {
		case wasmbin.KindTable:
			from.shared = true
		case wasmbin.KindGlobal:
			if v, ok := from.g.inst.Global(im.Name); ok {
				in.remote.Constants = append(in.remote.Constants, Constant{im.Module, im.Name, v.Get()})
			}
		case wasmbin.KindFunc, wasmbin.KindMemory:
		}
	}
	return nil
}

// startClone starts the clone at the other end of the pipe.
func (in *linked) startClone() error {
	clone := newClone(in.end, wire.NewWriter(in.end), in.remote)
	if err := clone.prepare(in.gr.ctx, in.gr.there, in.code); err != nil {
		return err
	}
	in.done = make(chan error, 1)
	go func() {
		err := clone.serve(in.gr.ctx)
		if cerr := clone.g.room.eng.Close(in.gr.ctx); cerr != nil {
			err = cerr
		}
		in.done <- err
	}()
	return nil
}

// connect makes a pipe to a clone that is yet to be started.
func (in *linked) connect() {
	near, far := memPipe()
	var p *pipe
	made := make(chan struct{})
	p = newPipe(near, wire.NewWriter(near), func() {
		<-made
		p.deliver(frame{head: wire.Header{Type: wire.TypeLinkState}, msg: &wire.LinkState{Text: "cut"}})
	})
	close(made)
	in.pipe, in.end, in.done, in.linkAt = p, far, nil, 0
}

// loseClone has the next call meet another clone, at image 0.
func (in *linked) loseClone() {
	in.close()
	in.connect()
	in.machine.LinkUp(in.now())
}

// cutAfter has the link to the present clone end when so many more bytes have
// passed, up and down together.
func (in *linked) cutAfter(n int64) {
	if !in.isCut() {
		in.end.limit.Store(n)
	}
}

func (in *linked) isCut() bool { return in.end.limit.Load() < 0 }

func (in *linked) close() {
	if in.end != nil {
		in.end.Close()
	}
	if in.done == nil {
		return
	}
	if err := <-in.done; !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		in.gr.tb.Errorf("the clone ended: %v", err)
	}
}

// call calls an export, as from an embedding program.
func (in *linked) call(name string, args []uint64) ([]uint64, error) {
	fn, ok := in.g.inst.Function(name)
	if !ok {
		return nil, fmt.Errorf("no function %q", name)
	}
	typ := fn.Type()
	n := words(typ.Results)
	stack := make([]uint64, max(words(typ.Params), n))
	copy(stack, args)
	if err := in.invoke(in.gr.ctx, name, stack); err != nil {
		return nil, err
	}
	return stack[:n], nil
}

// words counts stack slots.
func words(types []engine.ValType) int {
	n := len(types)
	for _, t := range types {
		if t == engine.V128 {
			n++
		}
	}
	return n
}

// engineWords puts an error as the engine underneath does.
func engineWords(err error) string {
	var start *startError
	var trap *engine.Trap
	if errors.As(err, &start) || !errors.As(err, &trap) {
		return err.Error()
	}
	if trap.Kind == engine.TrapHost || trap.Kind == engine.TrapStack {
		return trap.Message
	}
	return "wasm error: " + trap.Message
}

// mover moves what the ground says.
type mover struct {
	fixed
	in *linked
}

func (m *mover) choose(k int, link *wire.LinkState, dirty func() int64) (where, reason string, watch bool) {
	in := m.in
	here := (in.gr.which == outermost) != in.outermost
	if in.gr.pick != nil {
		here = !in.gr.pick()
	}
	if in.shared || here {
		return siteDevice, "", false
	}
	if in.isCut() {
		in.loseClone()
	}
	if in.done == nil {
		if err := in.startClone(); err != nil {
			in.gr.tb.Errorf("the clone cannot take a module that moves: %v", err)
			return siteDevice, "", false
		}
	}
	return siteClone, "", false
}

func (m *mover) moved(k int, took time.Duration) {
	m.in.gr.stats.committed++
	if !m.in.moved[k] {
		m.in.moved[k] = true
		m.in.gr.stats.offloaded++
	}
}

func (m *mover) failed(k int, took time.Duration, why offload.Reason) {
	m.in.gr.stats.fell(why.Why, 1)
	switch {
	case why.Why == offload.WhyAborted && strings.Contains(why.Text, "pinned: "):
		m.in.gr.stats.pinned++
	case why.Why == offload.WhyLink && m.in.isCut():
	case why.Why != offload.WhyTrap:
		m.in.gr.tb.Errorf("an attempt of function %d failed: %v", m.in.g.out.Candidates[k].Index, why)
	}
}
