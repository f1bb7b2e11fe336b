package node

import (
	"bytes"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// session is one run of one device: its machine, its runner, and the
// connection that it has at the moment.
type session struct {
	n    *Node
	key  sessionKey
	open *wire.RunOpen

	mu       sync.Mutex
	machine  *offload.Node
	conn     *connection // nil while the link is away
	runner   *clone      // nil: none
	starting bool        // a runner is being started
	early    []*wire.Frame
	bound    uint64 // the machine's generation that the runner serves
	ready    *wire.Frame
	timer    *time.Timer  // calls tick; nil: none is set
	due      offload.Time // when it does
	lonely   offload.Time // when a run without a link ends; 0: it has one, or is busy
	closed   bool
	more     bool // another frame of the runner follows the present one
}

func newSession(n *Node, key sessionKey, open *wire.RunOpen, m *offload.Node) *session {
	return &session{n: n, key: key, open: open, machine: m}
}

// same reports whether a RunOpen means this run.
func (s *session) same(o *wire.RunOpen) bool {
	return bytes.Equal(o.ModuleSha256, s.open.ModuleSha256) && o.MemoryMaxPages == s.open.MemoryMaxPages
}

// idle and detachedIdle do not wait for the session: a frame to a peer that does
// not read may hold it up, and the caller holds the node. It is not idle then.
func (s *session) idle() bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	return s.closed || s.machine.Idle()
}

func (s *session) detachedIdle() bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	return s.conn == nil && s.machine.Idle()
}

// attach gives the session a connection, in place of any older one.
func (s *session) attach(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.conn != nil {
		s.do(s.machine.LinkLost(s.n.now()))
	}
	s.conn = c
	s.do(s.machine.LinkUp(s.n.now()))
	if s.ready != nil {
		c.out.Put(s.ready)
	}
	s.schedule()
}

// detach says that a connection is gone.
func (s *session) detach(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c || s.closed {
		return
	}
	s.conn = nil
	s.do(s.machine.LinkLost(s.n.now()))
	s.schedule()
}

// fromDevice delivers a frame of an attempt.
func (s *session) fromDevice(c *connection, f *wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c || s.closed {
		return
	}
	s.do(s.machine.FromDevice(s.n.now(), f))
	s.schedule()
}

// fromClone delivers a frame of the runner. more says that another has come
// already, which makes one write of both.
func (s *session) fromClone(r *clone, f *wire.Frame, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runner != r || s.closed {
		return
	}
	s.more = more
	defer func() { s.more = false }()
	if f.Type == wire.TypeRunReady {
		s.ready = f
		if s.conn != nil {
			s.conn.out.Put(f)
		}
		return
	}
	if s.bound == 0 {
		return // nothing was asked of it yet
	}
	if f.Type == wire.TypeReturn {
		r.p.SetTimeLimit(0)
	}
	s.do(s.machine.FromClone(s.n.now(), s.bound, f))
	s.schedule()
}

// flush sends the device what was held for a frame that did not come.
func (s *session) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.out.Flush()
	}
}

// exited says that the runner is gone.
func (s *session) exited(r *clone, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runner != r || s.closed {
		return
	}
	ready := s.ready != nil
	s.runner, s.ready = nil, nil
	if bound := s.bound; bound != 0 {
		s.bound = 0
		s.do(s.machine.CloneExited(s.n.now(), bound, reason))
		s.schedule()
		return
	}
	switch {
	case ready:
		// It was idle; the next Call starts another.
	case r.last != "":
		// It says why it never served: the module cannot run here.
		s.refuse(wire.RefuseCode_REFUSE_MODULE, reason)
	default:
		// Something ended it, which is not the module's fault: let the device try again.
		s.refuse(wire.RefuseCode_REFUSE_INTERNAL, reason)
	}
}

func (s *session) refuse(code wire.RefuseCode, text string) {
	if s.conn != nil {
		s.conn.refuse(s.key.run, &refused{code: code, text: text})
	}
}

// do carries out what the machine asks for. mu is held.
func (s *session) do(acts []offload.NodeAction) {
	for _, act := range acts {
		switch act := act.(type) {
		case offload.ToDevice:
			switch {
			case s.conn == nil:
			case s.more:
				s.conn.out.Hold(act.Frame)
			default:
				s.conn.out.Put(act.Frame)
			}
		case offload.Send:
			s.send(act.Header, act.Msg)
		case offload.ToClone:
			s.toClone(act.Frame)
		case offload.StartClone:
			s.bound = act.Generation
			s.start()
		case offload.KillClone:
			s.kill(act.Reason)
		}
	}
}

func (s *session) send(h wire.Header, msg proto.Message) {
	f, err := wire.NewFrame(h, msg, nil)
	if err != nil {
		s.n.conf.Log.Error("make frame", "type", h.Type.String(), "error", err)
		return
	}
	if s.conn != nil {
		s.conn.out.Put(f)
	}
}

func (s *session) toClone(f *wire.Frame) {
	if s.runner == nil {
		s.early = append(s.early, f) // of the runner that is being started
		return
	}
	s.limit(f)
	s.runner.out.Put(f)
}

// limit bounds the time of a call that goes to the runner.
func (s *session) limit(f *wire.Frame) {
	if f.Type == wire.TypeCall {
		s.runner.p.SetTimeLimit(s.n.conf.CallLimit)
	}
}

// over reports whether the session was closed.
func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// start makes sure that there is a runner. mu is held; the work is done beside.
func (s *session) start() {
	if s.runner != nil || s.starting || s.closed {
		return
	}
	s.starting = true
	go func() {
		r, err := s.n.startClone(s)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starting = false
		switch {
		case s.closed:
			if err == nil {
				r.kill()
			}
		case err != nil:
			early := s.bound
			s.bound, s.early = 0, nil
			if early != 0 {
				s.do(s.machine.CloneExited(s.n.now(), early, err.Error()))
				return
			}
			s.refuse(wire.RefuseCode_REFUSE_INTERNAL, err.Error())
		default:
			s.runner = r
			for _, f := range s.early {
				s.limit(f)
				r.out.Put(f)
			}
			s.early = nil
			r.begin()
		}
	}()
}

// warm starts the runner before the first call asks for it.
func (s *session) warm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
}

// kill ends the runner; a warm one replaces it when the next call comes.
func (s *session) kill(reason string) {
	s.bound, s.early = 0, nil
	if s.runner == nil {
		return
	}
	s.n.conf.Log.Debug("end clone", "run", s.key.run.String(), "reason", reason)
	r := s.runner
	s.runner, s.ready = nil, nil
	r.kill()
}

// close ends the session.
func (s *session) close(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.do(s.machine.Close(reason))
	s.kill(reason)
	s.closed = true
	s.rest()
	go s.n.forget(s)
}

// schedule sees to it that tick is called when something is due. A timer that
// is set for an earlier time stays, as setting one costs more than all the rest
// of passing a frame; tick then sets the next. mu is held.
func (s *session) schedule() {
	if s.closed {
		s.rest()
		return
	}
	by, ok := s.machine.Deadline()
	if !ok && s.conn == nil {
		if s.lonely == 0 {
			s.lonely = s.n.now() + s.n.conf.Linger
		}
		by, ok = s.lonely, true
	} else {
		s.lonely = 0
	}
	if !ok || s.timer != nil && s.due <= by {
		return
	}
	s.rest()
	s.due = by
	s.timer = time.AfterFunc(by-s.n.now(), s.tick)
}

// rest stops the timer. mu is held.
func (s *session) rest() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

func (s *session) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.timer = nil
	now := s.n.now()
	if s.lonely != 0 && now >= s.lonely {
		if s.conn == nil && s.machine.Idle() {
			go s.close("the device did not come back")
			return
		}
		s.lonely = 0
	}
	s.do(s.machine.Tick(now))
	s.schedule()
}
