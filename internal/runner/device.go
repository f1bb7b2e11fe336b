package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// deviceRun is a guest on the device. Everything in it belongs to the guest's
// goroutine.
type deviceRun struct {
	start Start
	g     *guest
	conf  guestConfig
	pipe  *pipe
	epoch time.Time

	local   *wasi.Local
	wasi    *wasi.System
	machine *offload.Device
	linkAt  int // changes of the link that the machine has been told
	decide  policy
	auto    *auto        // that policy, with --where=auto; nil otherwise
	args    []uint64     // of the call that decide is asked about
	held    func() int64 // heldBytes, made once

	entry     string // the export that runs now
	last      bool   // nothing runs after it
	unarmed   []bool // candidates whose calls never move, by K; nil: none
	offloads  int    // calls that were to move
	asked     int    // calls of armed stubs, where OffloadEvery counts them
	refused   bool   // output of an attempt had another result than assumed: no more move
	outermost bool   // no stub has been entered since it was called

	arms    *arming
	profile *profiling // nil: there is none

	watch []watched // calls that run here and whose exit is reported
	// doomed is the length that watch had when a call was put on it that has
	// trapped on the clone: it will trap here too, and nothing inside it moves.
	// 0: there is none.
	doomed int
	live   live            // the attempt in progress
	told   map[string]bool // why calls could not begin, where that was reported
	rerun  *rerun          // bound by an import log; nil mostly

	deltaBuf []byte // memory of live.delta, used again
}

// runDevice runs a guest to its end and returns what to report.
func runDevice(rw io.Reader, w *wire.Writer, start Start, module []byte) Exit {
	ctx := context.Background()
	r := &deviceRun{start: start, pipe: newPipe(rw, w, exitLost), epoch: time.Now()}
	err := r.run(ctx, module)
	r.profile.end()
	r.auto.learnt()
	if r.local != nil {
		r.local.CloseAll()
	}
	exit := exitOf(err)
	if start.HashMemory && r.g != nil && r.g.inst != nil {
		exit.Memory = r.g.hash()
	}
	return exit
}

// exitOf says how a guest ended.
func exitOf(err error) Exit {
	var exit *engine.Exit
	var unsupported *Unsupported
	var trap *engine.Trap
	var hint interface{ Hint() string }
	e := Exit{Code: 1}
	if errors.As(err, &hint) {
		e.Hint = hint.Hint()
	}
	switch {
	case err == nil:
		return Exit{}
	case errors.As(err, &exit):
		return Exit{Code: exit.Code}
	case errors.As(err, new(badFunction)):
		e.Usage, e.Error = true, err.Error()
	case errors.As(err, &unsupported):
		e.Unsupported, e.Error = true, err.Error()
	case isDivergence(err):
		e.Divergence, e.Error = true, err.Error()
	case errors.As(err, &trap):
		// 128 + SIGABRT: what a shell shows for a native program that crashed.
		e.Code, e.Error = 134, trap.Error()
		for _, line := range guestFrames(trap.Backtrace) {
			e.Error += "\n\t" + line
		}
	default:
		e.Error = err.Error()
	}
	return e
}

// guestFrames is a backtrace as the program's author knows it: without our
// stubs, and without the name of a module that has none.
func guestFrames(trace []string) (frames []string) {
	stub := "" // the frame that follows the body that it stands for
	for _, line := range trace {
		line = strings.TrimPrefix(line, ".")
		if strings.Contains(line, rewrite.StubSuffix+"(") || line == stub {
			stub = ""
			continue
		}
		stub = ""
		if plain := strings.Replace(line, rewrite.OriginalSuffix+"(", "(", 1); plain != line {
			line, stub = plain, plain
		}
		frames = append(frames, line)
	}
	return frames
}

func (r *deviceRun) run(ctx context.Context, module []byte) error {
	began := time.Now()
	if err := r.openWASI(); err != nil {
		return err
	}
	var err error
	r.g, err = loadGuest(module, loading{choose: func(graph *callgraph.Graph) (all, entries []uint32, err error) {
		return candidates(graph, r.start.Offload, r.start.Only)
	}})
	if err != nil {
		return err
	}
	if err := CheckImports(r.g.module); err != nil {
		return err
	}
	r.g.setSystem(r.wasi)
	ready, conf, err := guestSetup(r.start)
	if err != nil {
		return err
	}
	r.conf = conf
	r.conf.Warn = func(err error) { r.pipe.tell(Event{Warn: err.Error()}) }
	r.machine = offload.NewDevice(r.start.Run, offload.DeviceConfig{
		Redial: time.Duration(r.start.Redial * float64(time.Second)),
	})
	r.decide = fixed{r.start.Where}
	if r.g.out != nil {
		r.conf.Stubs = r.stubs()
	}
	if err := compileCollecting(ctx, r.g, r.conf); err != nil {
		return err
	}
	if err := r.g.instantiate(ctx); err != nil {
		return err
	}
	ready.Cached, ready.Pinned = r.g.compiled.Cached(), r.g.pinned
	ready.Compile = time.Since(began).Seconds()
	r.pipe.tell(Event{Ready: ready})
	if r.mayOffload() {
		if err := r.arm(); err != nil {
			return err
		}
		if r.start.Where == siteClone {
			r.awaitLink(time.Time{})
		}
	}
	return r.main(ctx)
}

// isDivergence reports whether a guest was ended by PROTOCOL rule 18.
func isDivergence(err error) bool {
	var ours *diverged
	var log *offload.Divergence
	var entry *wasi.Divergence
	return errors.As(err, &ours) || errors.As(err, &log) || errors.As(err, &entry)
}

// mayOffload reports whether stubs are to ask: this run may offload, or is watched.
func (r *deviceRun) mayOffload() bool {
	return r.g.out != nil && (r.start.Where != siteDevice || r.start.Profile == ProfileFull)
}

// arm makes image 0 the base, and every stub ask.
func (r *deviceRun) arm() error {
	if r.g.space != nil {
		if err := r.g.space.SetImage(imageName(r.machine.Base())); err != nil {
			return fmt.Errorf("note image 0: %w", err)
		}
	}
	r.held = r.heldBytes
	var err error
	if r.arms, err = newArming(r.g); err != nil {
		return err
	}
	r.armOnly(r.start.Armed)
	if r.start.Where == whereAuto {
		r.auto = newAuto(r)
		r.decide = r.auto
	}
	r.profile = newProfiling(r)
	return nil
}

// armOnly disarms all but the given functions, if there are any. A bit of a mask
// may be shared, so that some ask in vain.
func (r *deviceRun) armOnly(functions []uint32) {
	if len(functions) == 0 {
		return
	}
	r.unarmed = make([]bool, len(r.g.out.Candidates))
	for k, c := range r.g.out.Candidates {
		if !slices.Contains(functions, c.Index) {
			r.unarmed[k] = true
			r.arms.set(k, byOptions, false)
		}
	}
}

// awaitLink waits until the clone is ready for calls, or until the deadline, if
// there is one. Without one the manager ends this process if that is never, and
// says Bye if it was once and will not be again.
func (r *deviceRun) awaitLink(deadline time.Time) {
	r.pipe.attend()
	defer r.pipe.rest()
	for {
		if link, changes := r.pipe.linkState(); link.Up {
			r.follow(link, changes)
			r.pipe.drop()
			return
		}
		f, err := r.pipe.next(deadline)
		if _, bye := f.msg.(*wire.Bye); bye || err != nil {
			return
		}
	}
}

// main runs the guest's start section and then the program.
func (r *deviceRun) main(ctx context.Context) error {
	r.g.enter = func(fn wasi.Fn, stack []uint64) {
		collect()
		r.auto.tick()
		r.profile.imported(fn, stack)
	}
	var entries []string
	if r.g.out != nil && r.g.out.StartExport != "" {
		entries = append(entries, r.g.out.StartExport)
	}
	program, err := programEntry(r.g.inst)
	if err != nil {
		return err
	}
	entries = append(entries, program)
	for i, name := range entries {
		r.last = i == len(entries)-1
		if err := r.invoke(ctx, name, nil); err != nil {
			return err
		}
	}
	return nil
}

// invoke calls an export; stack is as engine.Function has it, nil for one of
// zeros.
func (r *deviceRun) invoke(ctx context.Context, name string, stack []uint64) error {
	fn, ok := r.g.inst.Function(name)
	if !ok {
		return fmt.Errorf("call %s: it is not exported", name)
	}
	if typ := fn.Type(); stack == nil {
		stack = make([]uint64, max(len(typ.Params), len(typ.Results)))
	}
	r.entry, r.outermost = name, true
	if r.last {
		r.auto.awaitClone()
	}
	watched, doomed, bound, depth := len(r.watch), r.doomed, r.rerun, r.profile.depth()
	err := fn.Call(ctx, stack)
	// A trap or an exit leaves without telling the stubs.
	r.profile.unwind(depth)
	r.auto.unwound(watched, isExit(err))
	r.tellUnfinished(watched)
	r.watch, r.doomed = r.watch[:watched], doomed
	var trap *engine.Trap
	if errors.As(err, &trap) && r.rerun != bound {
		// The world has seen more of this call than its local run came to do.
		err = cmp.Or(r.leaveRerun("the local run trapped before it: "+trap.Error()), err)
	}
	return err
}

// tellUnfinished reports the calls that fell back and in which the guest ended.
func (r *deviceRun) tellUnfinished(from int) {
	for _, w := range r.watch[min(from, len(r.watch)):] {
		if w.call.Fallback {
			w.call.Seconds += time.Since(w.began).Seconds()
			r.pipe.tell(Event{Call: &w.call})
		}
	}
}

// programEntry finds what to call: a command's _start or a reactor's
// _initialize.
func programEntry(in engine.Instance) (string, error) {
	for _, name := range []string{"_start", "_initialize"} {
		fn, ok := in.Function(name)
		if !ok {
			continue
		}
		if t := fn.Type(); len(t.Params) == 0 {
			return name, nil
		}
	}
	return "", &Unsupported{Reason: "it exports neither _start nor _initialize, so it is a library and not a program; build it as a WASI command"}
}

// openWASI opens what the guest may see.
func (r *deviceRun) openWASI() error {
	r.local = wasi.NewLocal(os.Stdin, os.Stdout, os.Stderr)
	if r.start.Repeatable {
		r.local.StandStill()
	}
	var preopens []wasi.Preopen
	for _, d := range r.start.Dirs {
		h, err := r.local.AddFolder(d.Host, d.ReadOnly)
		if err != nil {
			return fmt.Errorf("--dir %s: %w", d.Host, err)
		}
		preopens = append(preopens, wasi.Preopen{GuestPath: d.Guest, Handle: h, ReadOnly: d.ReadOnly})
	}
	sys, err := wasi.New(wasi.Config{
		Args: r.start.Args, Env: r.start.Env, Host: r.local, Preopens: preopens, Repeatable: r.start.Repeatable,
		Stdin: streamType(os.Stdin), Stdout: streamType(os.Stdout), Stderr: streamType(os.Stderr),
	})
	if err != nil {
		return err
	}
	r.wasi = sys
	return nil
}

// streamType says what a standard stream is, as preview 1 tells it.
func streamType(f *os.File) wasi.Filetype {
	info, err := f.Stat()
	switch {
	case err != nil:
		return wasi.FiletypeUnknown
	case info.Mode()&os.ModeCharDevice != 0:
		return wasi.FiletypeCharacterDevice
	case info.Mode().IsRegular():
		return wasi.FiletypeRegularFile
	}
	return wasi.FiletypeUnknown
}

func (r *deviceRun) now() offload.Time { return time.Since(r.epoch) }
