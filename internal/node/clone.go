package node

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/runner/proc"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// clone is a runner's process, from the manager's side.
type clone struct {
	s    *session
	p    *proc.Process
	out  *outbox
	exit sync.Once
	last string // what the runner said before it ended
}

// startClone starts a runner for a run and hands it the module.
func (n *Node) startClone(s *session) (*clone, error) {
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
		return nil, err
	}
	r := &clone{s: s, p: p}
	r.out = newOutbox(p.Conn(), func(error) { go r.kill() })
	r.out.recycle = true // offload.Node keeps none of the device's frames
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
	fr := wire.NewReader(r.p.Conn(), wire.ReaderConfig{})
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return err
		}
		if f.Type != wire.TypeEvent {
			r.s.fromClone(r, f, fr.Buffered() >= wire.HeaderSize)
			continue
		}
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
	}
}

// kill ends the process; it may be called from anywhere, again and again.
func (r *clone) kill() {
	r.exit.Do(func() { go func() { _ = r.p.Kill() }() })
}
