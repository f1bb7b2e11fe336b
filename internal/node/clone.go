package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/relay"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/runner/proc"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// clone is a runner's process, from the manager's side.
type clone struct {
	s    *session
	p    *proc.Process
	out  *relay.Outbox
	exit sync.Once
	slot func() // gives back the place among the device's processes
	last string // what the runner said before it ended
}

// maxRunners bounds the processes of one device, those that are being started
// or have been killed and are not gone yet included: a device may open and close
// runs faster than processes come and go.
const maxRunners = 20

// slot waits for a place among a device's processes.
func (n *Node) slot(device link.ID) (free func()) {
	n.mu.Lock()
	places := n.places[device]
	if places == nil {
		places = make(chan struct{}, maxRunners)
		n.places[device] = places
	}
	n.mu.Unlock()
	places <- struct{}{}
	return sync.OnceFunc(func() { <-places })
}

// startClone starts a runner for a run and hands it the module.
func (n *Node) startClone(s *session) (_ *clone, err error) {
	free := n.slot(s.key.device)
	defer func() {
		if err != nil {
			free()
		}
	}()
	if s.over() {
		return nil, errOver
	}
	module, err := n.modules(s.key.device).load(s.open.ModuleSha256)
	if err != nil {
		return nil, err
	}
	p, err := proc.Start(proc.Config{Command: n.conf.Runner, Isolate: true})
	if err != nil {
		return nil, fmt.Errorf("start a runner: %w", err)
	}
	pages := s.open.MemoryMaxPages
	if pages == 0 || pages > n.conf.MaxPages {
		// The device's maximum binds; one that this node does not grant makes
		// calls fail here and run there.
		pages = n.conf.MaxPages
	}
	start := runner.Start{
		Role: runner.RoleClone, Run: s.key.run, Engine: n.conf.Engine,
		CacheDir: filepath.Join(n.deviceDir(s.key.device), "compiled"), MaxPages: pages,
		Repeatable: n.conf.Repeatable,
	}
	if err := runner.WriteStart(p.Conn(), start, module); err != nil {
		_ = p.Kill()
		_ = p.Conn().Close()
		return nil, err
	}
	r := &clone{s: s, p: p, slot: free}
	r.out = relay.NewOutbox(p.Conn(), relay.Config{
		OnFail:  func(error) { r.kill() },
		Recycle: true, // offload.Node keeps none of the device's frames
	})
	if n.conf.OnClone != nil {
		n.conf.OnClone(func() { _ = p.Kill() })
	}
	return r, nil
}

// begin reads the runner's frames from now on. The session knows the runner.
func (r *clone) begin() {
	go func() {
		err := r.read()
		reason := r.last
		if reason == "" {
			reason = fmt.Sprintf("the clone's process ended: %v", err)
			if st := r.status(); st != "" {
				reason += " (" + st + ")"
			}
		}
		r.kill()
		r.s.exited(r, reason)
	}()
}

// status says how the process ended, once it has.
func (r *clone) status() string {
	select {
	case <-r.p.Done():
		return r.p.Wait().Text
	default:
		return ""
	}
}

func (r *clone) read() error {
	frame := func(f *wire.Frame, from *wire.Reader) error {
		if err := from.ReadBody(f); err != nil {
			return err
		}
		if f.Type == wire.TypeEvent {
			return r.event(f)
		}
		r.s.fromClone(r, f, from.Buffered() >= wire.HeaderSize)
		return nil
	}
	return relay.Serve(r.s.n.loop(r.s.key.device), r.p.Conn(), relay.Handler{
		Frame: frame, Quick: frame,
		Hasty: func(h wire.Header) bool { return h.Type != wire.TypeEvent }, // events go to the log
		Idle:  r.s.flush,
	})
}

// event notes what the runner says about itself. An error is its last word.
func (r *clone) event(f *wire.Frame) error {
	m, err := f.Message()
	if err != nil {
		return err
	}
	var e runner.Event
	if err := json.Unmarshal(m.(*wire.Event).Json, &e); err != nil {
		return fmt.Errorf("decode a runner's event: %w", err)
	}
	log := r.s.n.conf.Log
	switch {
	case e.Ready != nil:
		log.Debug("clone ready", "run", r.s.key.run.String(), "engine", e.Ready.Engine, "compile", e.Ready.Compile,
			"tracker", e.Ready.Tracker, "confined", e.Ready.Confined)
	case e.Exit != nil:
		r.last = e.Exit.Error
		return fmt.Errorf("runner ended: %s", e.Exit.Error)
	case e.Warn != "":
		log.Warn("clone", "run", r.s.key.run.String(), "text", e.Warn)
	}
	return nil
}

// errOver says that a run was closed before its runner was started.
var errOver = errors.New("the run has ended")

// kill ends the process; it may be called from anywhere, again and again.
func (r *clone) kill() {
	r.exit.Do(func() {
		go func() {
			_ = r.p.Kill()
			_ = r.p.Conn().Close() // else it is open until somebody collects garbage
			r.slot()
		}()
	})
}
