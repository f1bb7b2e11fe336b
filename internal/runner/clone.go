package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// cloneRun is a runner on a node: calls of one run of one device arrive and
// their results leave.
//
// The guest's goroutine does nearly everything: it reads frames, carries out
// what touches memory, runs calls, and while a call waits for the device reads
// the answer. Nothing arrives for a guest that computes: the node ends a runner
// rather than tell it to stop. Another goroutine lets held back output go while
// the guest computes. Both drive the one machine under mu.
type cloneRun struct {
	g         *guest
	conf      guestConfig
	constants []Constant
	repeat    bool         // Start.Repeatable
	r         *wire.Reader // of the guest's goroutine
	w         *wire.Writer
	epoch     time.Time
	rest      func() // called between pieces of work

	mu      sync.Mutex
	machine *offload.Clone
	work    []offload.CloneAction
	answer  *answer // to the import that waits
	abort   string  // why the running attempt must end, once it must
	running bool    // a call is
	calls   uint64  // that were begun
	ticks   bool    // ticking runs
	ticked  uint64  // what calls was when it last looked
	quiet   time.Duration

	// Of the guest's goroutine. content is what memory holds beyond its base
	// image: a result, or nothing known.
	content offload.Image
	stale   bool // memory has grown past its base: the next use needs a fresh instance
	attempt attempt

	deltaBuf []byte // of the last result's delta, used again
	body     []byte // of the frame that is being carried out
}

// answer is what a forwarded import gets.
type answer struct{ payload []byte }

// runClone serves the calls of a run until its manager is gone.
func runClone(rw io.Reader, w *wire.Writer, start Start, module []byte) error {
	ctx := context.Background()
	r := newClone(rw, w, start)
	began := time.Now()
	ready, conf, err := guestSetup(start)
	if err != nil {
		return err
	}
	collector.Collecting(func() { err = r.prepare(ctx, conf, module) })
	if err != nil {
		return err
	}
	ready.Cached, ready.Compile = r.g.compiled.Cached(), time.Since(began).Seconds()
	p := &pipe{w: r.w}
	p.tell(Event{Ready: ready})
	head := wire.Header{Type: wire.TypeRunReady, Run: start.Run}
	if err := r.w.Send(head, &wire.RunReady{CompileNanos: uint64(time.Since(began))}, nil); err != nil {
		return err
	}
	r.rest = collect
	return r.serve(ctx)
}

func newClone(from io.Reader, w *wire.Writer, start Start) *cloneRun {
	return &cloneRun{
		r: wire.NewReader(from, wire.ReaderConfig{}), w: w, epoch: time.Now(), rest: func() {},
		constants: start.Constants, repeat: start.Repeatable,
		machine: offload.NewClone(start.Run),
	}
}

// prepare compiles the module and computes image 0.
func (r *cloneRun) prepare(ctx context.Context, conf guestConfig, module []byte) (err error) {
	r.conf = conf
	if r.g, err = loadGuest(module, loading{role: rewrite.Clone}); err != nil {
		return err
	}
	if r.g.out == nil {
		return &Unsupported{Reason: r.g.pinned}
	}
	if r.g.room, err = newRoom(ctx, conf); err != nil {
		return err
	}
	if err := r.g.pinImports(ctx, r.constants); err != nil {
		return err
	}
	if err := r.g.compile(ctx, conf); err != nil {
		return err
	}
	return r.fresh(ctx, false)
}

// serve carries out calls until the manager is gone.
func (r *cloneRun) serve(ctx context.Context) error {
	for {
		_ = r.w.Flush()
		if err := r.readFrame(); err != nil {
			return err
		}
		for act := r.todo(); act != nil; act = r.todo() {
			r.carryOut(ctx, act)
			r.rest()
		}
		wire.RecycleBody(r.body) // the machine lets go of it when it is applied
		r.body = nil
	}
}

// todo takes what is to be done next, if anything is.
func (r *cloneRun) todo() offload.CloneAction {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.work) == 0 {
		return nil
	}
	act := r.work[0]
	r.work[0] = nil
	r.work = r.work[1:]
	return act
}

// fresh replaces the instance by a new one: at image 0, or with adopt at the
// old one's base image.
func (r *cloneRun) fresh(ctx context.Context, adopt bool) error {
	oldInst, old := r.g.inst, r.g.space
	if err := r.g.instantiate(ctx); err != nil {
		return fmt.Errorf("make a new instance: %w", err)
	}
	r.content, r.stale = offload.Image{}, false
	if r.g.space != nil {
		if adopt && old != nil {
			if err := r.grow(old.BaseSize()); err != nil {
				return err
			}
			if err := r.g.space.Adopt(old); err != nil {
				return fmt.Errorf("take over an image: %w", err)
			}
		} else if err := r.g.space.SetImage(imageName(offload.Image{Kind: offload.ModuleImage})); err != nil {
			return fmt.Errorf("note image 0: %w", err)
		}
		r.g.space.Park()
	}
	if oldInst != nil {
		return oldInst.Close(ctx)
	}
	return nil
}

// grow grows memory to size bytes through the engine.
func (r *cloneRun) grow(size uint64) error { return growMemory(r.g, size) }

func (r *cloneRun) now() offload.Time { return time.Since(r.epoch) }

// readFrame waits for a frame and gives it to the machine.
func (r *cloneRun) readFrame() error {
	f, err := r.r.ReadFrame()
	if err != nil {
		return err
	}
	m, err := f.Message()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.do(r.machine.Frame(r.now(), f.Header, m, f.Body))
	if f.Body != nil {
		r.body = f.Body
	}
	return nil
}

// tickEvery is how often held back output is looked at while a guest computes,
// and tickFor how long after the last call the looking goes on: a goroutine and
// a ticker for each call cost as much as a hop of the network.
const (
	tickEvery = 20 * time.Millisecond
	tickFor   = time.Second
)

// ticking lets held back output go while a guest computes. It is a goroutine that
// ends when there has been no call for a while.
func (r *cloneRun) ticking() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for range t.C {
		if !r.tick() {
			return
		}
	}
}

func (r *cloneRun) tick() (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == r.ticked && !r.running {
		if r.quiet += tickEvery; r.quiet >= tickFor {
			r.ticks = false
			return false
		}
		return true
	}
	r.ticked, r.quiet = r.calls, 0
	_ = r.w.Flush()
	if by, ok := r.machine.Deadline(); r.running && ok && r.now() >= by {
		r.do(r.machine.Tick(r.now()))
	}
	return true
}

// begin and end bracket a call.
func (r *cloneRun) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abort, r.answer, r.running = "", nil, true
	r.calls++
	if !r.ticks {
		r.ticks, r.quiet = true, 0
		go r.ticking()
	}
}

func (r *cloneRun) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
}

// do starts what the machine asks for. mu is held.
func (r *cloneRun) do(acts []offload.CloneAction) {
	for _, act := range acts {
		switch act := act.(type) {
		case offload.Send:
			if act.Header.Type == wire.TypeRelease {
				r.attempt.site.Settled()
			}
			r.send(act, nil)
		case offload.Answer:
			r.answer = &answer{payload: act.Payload}
		case offload.Abort:
			if r.abort == "" {
				r.abort = act.Reason
			}
		case offload.KeepImages:
			// The base is the entry image and the content the result: nothing
			// else is held.
		case offload.Apply, offload.CompareHashes, offload.Start, offload.Rollback:
			r.work = append(r.work, act)
		}
	}
}

func (r *cloneRun) send(s offload.Send, body []byte) {
	f, err := wire.NewFrame(s.Header, s.Msg, body)
	if err != nil {
		return
	}
	// A manager that is gone is noticed by readFrame.
	if f.Type == wire.TypeApplied {
		_ = r.w.HoldOn(f) // often the Return follows at once; serve and tick flush
		return
	}
	_ = r.w.WriteFrame(f)
}

// carryOut does what touches memory, on the guest's goroutine.
func (r *cloneRun) carryOut(ctx context.Context, act offload.CloneAction) {
	switch act := act.(type) {
	case offload.Apply:
		began := time.Now()
		err := r.apply(ctx, act)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.do(r.machine.ApplyFailed(act.Attempt, faultOf(err), err.Error()))
			return
		}
		r.do(r.machine.ApplyDone(r.now(), act.Attempt, time.Since(began)))
	case offload.CompareHashes:
		missing := r.compare(act)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.do(r.machine.Compared(act.Attempt, missing))
	case offload.Start:
		r.run(ctx, act)
	case offload.Rollback:
		r.rollback()
	}
}

// errBase says that memory cannot be made the image that a Call names.
var errBase = errors.New("the image is not there")

func faultOf(err error) offload.ApplyFault {
	switch {
	case errors.Is(err, pagestate.ErrGrown):
		return offload.ApplyGrown
	case errors.Is(err, errBase), errors.Is(err, pagestate.ErrCorrupt):
		return offload.ApplyBase
	}
	return offload.ApplyOther
}

// apply makes memory the Call's base and then its entry image.
func (r *cloneRun) apply(ctx context.Context, a offload.Apply) error {
	if max := a.Call.MemoryMaxPages; max != r.conf.MaxPages {
		return fmt.Errorf("the Call's memory maximum of %d pages is not the run's %d", max, r.conf.MaxPages)
	}
	if r.g.space == nil {
		if len(a.Body) != 0 {
			return errors.New("a memory delta for a module without memory")
		}
		return nil
	}
	if a.Fresh {
		if err := r.fresh(ctx, a.Base.Kind == offload.EntryImage); err != nil {
			return err
		}
	}
	if err := r.toBase(ctx, a.Base); err != nil {
		return err
	}
	change, err := r.g.space.Prepare(a.Body, pagestate.Limits{})
	if err != nil {
		return err
	}
	if change.NewSize() < r.g.space.Size() {
		return pagestate.ErrGrown
	}
	if err := r.grow(change.NewSize()); err != nil {
		return err
	}
	if err := change.ApplyImage(imageName(offload.Image{Kind: offload.EntryImage, Attempt: a.Attempt})); err != nil {
		return err
	}
	r.content = offload.Image{}
	return nil
}

// toBase brings memory to the image that a Call names.
func (r *cloneRun) toBase(ctx context.Context, base offload.Image) error {
	s := r.g.space
	switch {
	case base.Kind == offload.HashedImage:
		return nil // a whole state replaces any content
	case base.Kind == offload.ResultImage && r.content == base:
		return s.SetImage(imageName(base))
	case s.Image() == imageName(base):
		return s.Rollback()
	case base.Kind == offload.ModuleImage:
		return r.fresh(ctx, false)
	}
	return fmt.Errorf("%w: %v", errBase, base)
}

// rollback drops what a failed attempt wrote.
func (r *cloneRun) rollback() {
	if r.g.space == nil {
		return
	}
	r.content = offload.Image{}
	// Memory that has grown stays until the next Apply, which asks for a fresh
	// instance when it finds out.
	_ = r.g.space.Rollback()
}

// compare answers which pages of the device's entry image are nowhere here.
func (r *cloneRun) compare(c offload.CompareHashes) []uint32 {
	if r.g.space == nil {
		return nil
	}
	missing, err := r.g.space.Missing(pageHashes(c.Body))
	if err != nil {
		return allPages(c.MemoryBytes)
	}
	return runsOf(missing)
}

// attempt is what one call collects beside the machine.
type attempt struct {
	site      *site.Site
	immediate bool // the present import did something on the device
}

// run runs the call and reports its end.
func (r *cloneRun) run(ctx context.Context, s offload.Start) {
	r.begin()
	began := time.Now()
	ret, err := r.call(ctx, s.Call)
	r.end()
	if err != nil {
		ret = failedReturn(err)
	}
	ret.ComputeNanos = uint64(time.Since(began))
	var body []byte
	if r.g.space != nil && memoryWanted(s.Call, ret) {
		if body, err = r.g.space.AppendDiff(r.deltaBuf[:0]); err != nil {
			ret = failedReturn(fmt.Errorf("capture memory: %w", err))
		} else {
			r.content = offload.Image{Kind: offload.ResultImage, Attempt: s.Attempt}
			r.deltaBuf = body
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abort != "" {
		ret = failedReturn(wasi.Abort{Reason: r.abort})
	}
	acts := r.machine.Finished(s.Attempt, ret)
	if len(acts) > 0 {
		if first, ok := acts[0].(offload.Send); ok {
			if first.Body.Kind != offload.ResultBody {
				body = nil
			}
			r.send(first, body)
			acts = acts[1:]
		}
	}
	r.do(acts)
}

// memoryWanted reports whether a Return carries memory.
func memoryWanted(c *wire.Call, ret *wire.Return) bool {
	switch ret.Outcome {
	case wire.Outcome_OUTCOME_RETURNED:
		return c.ResultMemory != wire.ResultMemory_RESULT_MEMORY_NEVER
	case wire.Outcome_OUTCOME_EXITED:
		return c.ResultMemory == wire.ResultMemory_RESULT_MEMORY_ALWAYS
	}
	return false
}

// failedReturn is the Return of a call that has no result.
func failedReturn(err error) *wire.Return {
	var trap *engine.Trap
	if errors.As(err, &trap) {
		return &wire.Return{Outcome: wire.Outcome_OUTCOME_TRAPPED, Reason: clip(trap.Error())}
	}
	return &wire.Return{Outcome: wire.Outcome_OUTCOME_ABORTED, Reason: clip(err.Error())}
}

// clip bounds a text that travels.
func clip(s string) string {
	const most = 4096
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// call installs the call's state and runs it.
func (r *cloneRun) call(ctx context.Context, c *wire.Call) (*wire.Return, error) {
	export, ok := r.g.out.Functions[c.Function]
	if !ok {
		return nil, fmt.Errorf("function %d cannot be called from outside", c.Function)
	}
	fn, ok := r.g.inst.Function(export)
	if !ok {
		return nil, fmt.Errorf("function %d is not exported", c.Function)
	}
	typ := fn.Type()
	if len(c.Args) != len(typ.Params) {
		return nil, fmt.Errorf("%d arguments, function %d takes %d", len(c.Args), c.Function, len(typ.Params))
	}
	if err := r.g.writeGlobals(c.Globals); err != nil {
		return nil, err
	}
	if err := r.openWASI(c); err != nil {
		return nil, err
	}
	stack := make([]uint64, max(len(typ.Params), len(typ.Results)))
	copy(stack, c.Args)
	if s := r.g.space; s != nil {
		s.Unpark()
		defer s.Park()
	}
	err := fn.Call(ctx, stack)
	ret := &wire.Return{Outcome: wire.Outcome_OUTCOME_RETURNED}
	var exit *engine.Exit
	switch {
	case errors.As(err, &exit):
		ret.Outcome, ret.ExitCode = wire.Outcome_OUTCOME_EXITED, exit.Code
	case err != nil:
		return nil, err
	default:
		ret.Results = stack[:len(typ.Results)]
	}
	ret.Globals = r.g.readGlobals()
	return ret, r.closeWASI(ret)
}
