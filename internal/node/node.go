// Package node is the node manager: it takes devices' connections, keeps a
// runner for each of their runs, and passes frames between the two.
//
// It holds no logic of an offload: offload.Node says what becomes of a frame,
// and the runner's own machine does the rest. A guest never runs here, so that
// whatever a guest does, the node answers its other devices.
//
// Invariants:
//
//   - One runner process serves one run of one device; modules and compiled
//     code are kept per device, so that no device can plant code for another.
//   - Session state is a cache: losing it costs a resend (PROTOCOL rule 6).
//   - Nothing that a device sends is trusted further than its own session.
//
// Locks: a session's mutex guards its machine and is never held while a frame
// is written to a link or a runner; those have queues (see relay.Outbox).
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/poll"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Config is what a node needs. Zero fields mean the defaults.
type Config struct {
	Listener *link.Listener
	Data     string // folder for modules and compiled code
	Software string // name and version, for people
	Engine   string // of the clones: compiler, interpreter, or empty for the best
	// Runner is the command that starts a runner; empty: this binary.
	Runner []string
	// OnClone, if set, hears of every runner and how to kill it, for tests.
	OnClone func(kill func())
	// Repeatable makes two runs alike, for tests (runner.Start).
	Repeatable bool
	// MaxPages bounds a guest's memory, in 64 KiB pages.
	MaxPages uint32
	// CallLimit ends a call that runs longer; 0: an hour. The device then runs it.
	CallLimit time.Duration
	// Linger is how long a run without a link keeps its runner.
	Linger time.Duration
	Log    *slog.Logger
}

const (
	defaultLinger    = time.Minute
	defaultCallLimit = time.Hour
	drainTime        = 10 * time.Second
)

func (c *Config) populate() {
	if c.MaxPages == 0 {
		c.MaxPages = engine.DefaultMaxMemoryPages
	}
	if c.CallLimit == 0 {
		c.CallLimit = defaultCallLimit
	}
	if c.Linger == 0 {
		c.Linger = defaultLinger
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Node serves devices until its context ends.
type Node struct {
	conf  Config
	epoch time.Time
	loops []*poll.Loop // none where the system has none

	mu       sync.Mutex
	sessions map[sessionKey]*session
	quotas   map[link.ID]*offload.Quota
	places   map[link.ID]chan struct{} // of runner processes, by device
	draining bool
	uploads  arrivals
	wg       sync.WaitGroup
}

type sessionKey struct {
	device link.ID
	run    wire.ID
}

// New returns a node that serves nobody yet.
func New(c Config) *Node {
	c.populate()
	return &Node{
		conf: c, epoch: time.Now(),
		sessions: map[sessionKey]*session{}, quotas: map[link.ID]*offload.Quota{},
		places: map[link.ID]chan struct{}{},
	}
}

// Serve takes connections until ctx ends; then it lets running attempts end,
// for a while, and closes everything.
func (n *Node) Serve(ctx context.Context) error {
	defer n.startLoops()()
	for {
		c, err := n.conf.Listener.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				n.drain()
				return nil
			}
			return fmt.Errorf("take connections: %w", err)
		}
		n.wg.Add(1)
		go func() {
			defer n.wg.Done()
			n.serve(c)
		}()
	}
}

// startLoops starts the threads that pass small frames.
func (n *Node) startLoops() (stop func()) {
	for range runtime.GOMAXPROCS(0) {
		if l := poll.NewLoop(); l != nil {
			n.loops = append(n.loops, l)
		}
	}
	return func() {
		for _, l := range n.loops {
			l.Close()
		}
	}
}

// loop is the thread for all that concerns a device, nil if there are none.
func (n *Node) loop(device link.ID) *poll.Loop {
	if len(n.loops) == 0 {
		return nil
	}
	return n.loops[int(device[0])%len(n.loops)]
}

// drain ends the node: nothing new, what runs may finish.
func (n *Node) drain() {
	n.conf.Listener.Drain()
	n.mu.Lock()
	n.draining = true
	n.mu.Unlock()
	for end := time.Now().Add(drainTime); time.Now().Before(end) && n.busy(); {
		time.Sleep(50 * time.Millisecond)
	}
	n.mu.Lock()
	var all []*session
	for _, s := range n.sessions {
		all = append(all, s)
	}
	n.mu.Unlock()
	// Connections first: a session may be writing to a device that does not read.
	_ = n.conf.Listener.Close()
	for _, s := range all {
		s.close("the node is shutting down")
	}
	n.wg.Wait()
}

// busy reports whether any attempt is live.
func (n *Node) busy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sessions {
		if !s.idle() {
			return true
		}
	}
	return false
}

func (n *Node) now() offload.Time { return time.Since(n.epoch) }

// session finds a run of a device, or makes it.
func (n *Node) session(device link.ID, run wire.ID, open *wire.RunOpen) (*session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		return nil, refusal(wire.RefuseCode_REFUSE_DRAINING, "the node is shutting down")
	}
	key := sessionKey{device, run}
	if s, ok := n.sessions[key]; ok {
		if !s.same(open) {
			return nil, refusal(wire.RefuseCode_REFUSE_PROTOCOL, "the run was opened with another module")
		}
		return s, nil
	}
	q := n.quotas[device]
	if q == nil {
		q = offload.NewQuota()
		n.quotas[device] = q
	}
	m, err := offload.NewNode(run, q, offload.NodeConfig{})
	if errors.Is(err, offload.ErrQuota) {
		if !n.evictLocked(device) {
			return nil, refusal(wire.RefuseCode_REFUSE_BUSY, err.Error())
		}
		m, err = offload.NewNode(run, q, offload.NodeConfig{})
	}
	if err != nil {
		return nil, refusal(wire.RefuseCode_REFUSE_BUSY, err.Error())
	}
	s := newSession(n, key, open, m)
	n.sessions[key] = s
	return s, nil
}

// evictLocked closes an idle run of the device that no link uses.
func (n *Node) evictLocked(device link.ID) bool {
	for k, s := range n.sessions {
		if k.device == device && s.detachedIdle() {
			delete(n.sessions, k)
			s.close("made room for another run")
			return true
		}
	}
	return false
}

// forget drops a closed session.
func (n *Node) forget(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[s.key] == s {
		delete(n.sessions, s.key)
	}
}

// deviceDir is where a device's modules and compiled code are.
func (n *Node) deviceDir(id link.ID) string {
	return filepath.Join(n.conf.Data, "devices", identity.ID(id).Compact())
}

// refused is an error that becomes a Refuse frame.
type refused struct {
	code wire.RefuseCode
	text string
	hint string
}

func (r *refused) Error() string { return r.text }

func refusal(code wire.RefuseCode, text string) *refused { return &refused{code: code, text: text} }
