package offload

import (
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// Quota bounds what one device may hold at a node: runs, with two images each,
// and bytes of frames that it has not acknowledged (PROTOCOL rule 7). All
// [Node] machines of one device share one, from whatever goroutines they live
// in. The maxima are set before its first use.
type Quota struct {
	MaxRuns    int
	MaxPending int64 // bytes
	runs       atomic.Int64
	pending    atomic.Int64
}

// NewQuota returns the protocol's default limits.
func NewQuota() *Quota { return &Quota{MaxRuns: 16, MaxPending: 2 << 30} }

// ErrQuota says that a device has as many runs at the node as it may.
var ErrQuota = errors.New("offload: the device has too many runs open on this node; end one, or raise the node's limit")

// NodeConfig configures a [Node]. Zero fields mean the protocol's defaults.
type NodeConfig struct {
	Grace      time.Duration // how long an attempt outlives its link
	MaxPending int64         // unacknowledged bytes of this run
}

// Node is the node manager's part in one run of one device. It decodes
// nothing but its own control messages: frames pass by their header.
type Node struct {
	run   ID
	conf  NodeConfig
	quota *Quota

	up         bool // the link is there
	generation uint64
	clone      bool // the runner of that generation lives
	closed     bool

	id       ID // newest attempt
	live     bool
	returned bool
	hold     bool   // until Resume: the device has not said what it has
	received uint32 // numbered frames from the device
	sent     uint32 // numbered frames from the clone
	owed     bool   // the clone has not answered the device's last numbered frame
	frames   []*wire.Frame
	pending  int64
	graceBy  Time
	fenced   [64]ID // latest ended attempts
	fencedAt int
}

// NewNode returns the machine of a run whose link is up. It counts against q
// until Close.
func NewNode(run ID, q *Quota, c NodeConfig) (*Node, error) {
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.MaxPending == 0 {
		c.MaxPending = 1<<30 + 64<<20
	}
	if q.runs.Add(1) > int64(q.MaxRuns) {
		q.runs.Add(-1)
		return nil, ErrQuota
	}
	return &Node{run: run, conf: c, quota: q, up: true}, nil
}

// Close ends the run: RunClose, or the node is ending.
func (n *Node) Close(reason string) []NodeAction {
	if n.closed {
		return nil
	}
	acts := n.end(reason, false)
	if n.clone {
		acts = append(acts, n.kill(reason)...)
	}
	n.closed = true
	n.quota.runs.Add(-1)
	return acts
}

// Idle reports whether no attempt of the run is live or waits to be fetched:
// the manager may Close it to make room (its images are a cache).
func (n *Node) Idle() bool { return !n.live }

// Generation returns the present runner's generation, and whether it lives.
func (n *Node) Generation() (uint64, bool) { return n.generation, n.clone }

// FromDevice delivers a frame of this run from the device: one of the attempt
// types. The caller has dropped everything from connections but the newest.
func (n *Node) FromDevice(now Time, f *wire.Frame) []NodeAction {
	if n.closed || f.Run != n.run || f.Attempt.IsZero() || f.Type.FromClone() {
		return nil
	}
	switch f.Type {
	case wire.TypeCall, wire.TypePageHashes, wire.TypeImportReply:
		return n.numbered(f)
	case wire.TypeAck:
		n.acknowledge(f)
	case wire.TypeCancel:
		n.acknowledge(f)
		if f.Attempt == n.id {
			return n.end("cancelled", true)
		}
		n.fence(f.Attempt)
	case wire.TypeResume:
		return n.resume(f)
	}
	return nil
}

// numbered takes a numbered frame: a new attempt's first, or the next of the
// newest attempt.
func (n *Node) numbered(f *wire.Frame) []NodeAction {
	if n.isFenced(f.Attempt) {
		return n.unknown(f.Attempt, "the attempt has ended on this node")
	}
	var acts []NodeAction
	if f.Attempt != n.id {
		if f.Seq != 1 || f.Type == wire.TypeImportReply {
			return n.unknown(f.Attempt, "the attempt never began on this node")
		}
		acts = n.end("superseded by another attempt", true)
		n.id, n.live, n.returned, n.hold = f.Attempt, true, false, false
		n.received, n.sent, n.owed = 0, 0, false
	}
	n.acknowledge(f)
	if f.Seq <= n.received || !n.live {
		return acts
	}
	if f.Seq != n.received+1 {
		return append(acts, n.fail("a frame was lost on the way")...)
	}
	if n.owed {
		// Nobody reads for a guest that computes: what nobody asked for would
		// pile up here.
		return append(acts, n.fail("a frame that nobody asked for")...)
	}
	n.received, n.owed = f.Seq, true
	if !n.clone {
		n.generation++
		n.clone = true
		acts = append(acts, StartClone{Generation: n.generation})
	}
	return append(acts, ToClone{Generation: n.generation, Frame: f})
}

// acknowledge drops the frames that the device has.
func (n *Node) acknowledge(f *wire.Frame) {
	if f.Attempt != n.id {
		return
	}
	for len(n.frames) > 0 && n.frames[0].Seq <= f.Ack {
		n.account(-int64(n.frames[0].Size()))
		n.frames[0] = nil
		n.frames = n.frames[1:]
	}
	if n.returned && len(n.frames) == 0 {
		n.live = false // fetched: what is left of it are its images
	}
}

func (n *Node) account(bytes int64) {
	n.pending += bytes
	n.quota.pending.Add(bytes)
}

// resume goes on with an attempt on a new link (PROTOCOL rule 20).
func (n *Node) resume(f *wire.Frame) []NodeAction {
	m, err := f.Message()
	if err != nil {
		return nil
	}
	if f.Attempt != n.id || !n.live {
		return n.unknown(f.Attempt, "the node does not hold the attempt")
	}
	f.Ack = m.(*wire.Resume).Received
	n.acknowledge(f)
	n.hold = false
	acts := []NodeAction{n.control(wire.TypeResumed, &wire.Resumed{Received: n.received})}
	for _, p := range n.frames {
		acts = append(acts, ToDevice{Frame: p})
	}
	return acts
}

func (n *Node) control(t wire.Type, msg proto.Message) Send {
	return Send{Header: wire.Header{Type: t, Run: n.run, Attempt: n.id, Ack: n.received}, Msg: msg}
}

func (n *Node) unknown(id ID, reason string) []NodeAction {
	if !n.up {
		return nil
	}
	s := n.control(wire.TypeUnknown, &wire.Unknown{Reason: reason})
	s.Header.Attempt, s.Header.Ack = id, 0
	return []NodeAction{s}
}

// FromClone delivers a frame from the runner of the given generation.
func (n *Node) FromClone(now Time, generation uint64, f *wire.Frame) []NodeAction {
	if generation != n.generation || !n.clone || !n.live || n.returned || f.Run != n.run || f.Attempt != n.id {
		return nil
	}
	if !f.Type.Sequenced() || !f.Type.FromClone() || f.Seq != n.sent+1 {
		return n.fail("the clone broke the protocol")
	}
	n.sent, n.owed = f.Seq, false
	n.returned = f.Type == wire.TypeReturn
	n.frames = append(n.frames, f)
	n.account(int64(f.Size()))
	if n.pending > n.conf.MaxPending || n.quota.pending.Load() > n.quota.MaxPending {
		return n.fail("more unfetched results than the device may leave on this node")
	}
	if !n.up || n.hold {
		return nil
	}
	return []NodeAction{ToDevice{Frame: f}}
}

// CloneExited says that the runner of a generation is gone.
func (n *Node) CloneExited(now Time, generation uint64, reason string) []NodeAction {
	if generation != n.generation || !n.clone {
		return nil
	}
	n.clone = false
	if !n.live || n.returned {
		return nil // its images are lost; the next Call finds out
	}
	return n.fail(reason)
}

// fail ends the live attempt and says so.
func (n *Node) fail(reason string) []NodeAction {
	id, hold := n.id, n.hold
	n.returned = false
	acts := n.end(reason, true)
	if hold {
		return acts // the device asks first
	}
	return append(acts, n.unknown(id, reason)...)
}

// end forgets the newest attempt. A runner that is still in it is killed.
func (n *Node) end(reason string, fence bool) []NodeAction {
	var acts []NodeAction
	if n.live && !n.returned && n.clone {
		acts = n.kill(reason)
	}
	n.account(-n.pending)
	n.frames, n.live = nil, false
	if fence {
		n.fence(n.id)
	}
	return acts
}

func (n *Node) kill(reason string) []NodeAction {
	n.clone = false
	return []NodeAction{KillClone{Generation: n.generation, Reason: reason}}
}

func (n *Node) fence(id ID) {
	if id.IsZero() || n.isFenced(id) {
		return
	}
	n.fenced[n.fencedAt%len(n.fenced)] = id
	n.fencedAt++
}

func (n *Node) isFenced(id ID) bool {
	for i := range n.fenced {
		if n.fenced[i] == id && !id.IsZero() {
			return true
		}
	}
	return false
}

// LinkLost says that the device's connection is gone.
func (n *Node) LinkLost(now Time) []NodeAction {
	if n.up {
		n.up = false
		n.graceBy = now + n.conf.Grace
	}
	return nil
}

// LinkUp says that the device has a new connection. Frames of the attempt
// wait for Resume, which says what the device has.
func (n *Node) LinkUp(now Time) []NodeAction {
	n.up = true
	n.hold = n.live
	if n.live {
		n.graceBy = now + n.conf.Grace
	}
	return nil
}

// Deadline returns when Tick is due, if ever.
func (n *Node) Deadline() (Time, bool) {
	return n.graceBy, n.live && (!n.up || n.hold)
}

// Tick says that a deadline may have passed: an attempt that nobody came back
// for within the grace is killed.
func (n *Node) Tick(now Time) []NodeAction {
	if by, ok := n.Deadline(); ok && now >= by {
		return n.end("the link did not come back", true)
	}
	return nil
}
