package offload

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// clonePhase is where a clone is in an attempt.
type clonePhase uint8

const (
	cloneIdle clonePhase = iota
	cloneApplying
	cloneHashing // NeedBase sent, PageHashes expected
	cloneComparing
	clonePaging // NeedPages sent, Call expected
	cloneRunning
	cloneWaiting // for the reply of a forwarded import
)

// Clone is the clone's side of one run: which images it holds, what the
// running attempt has queued and logged. See the package comment; a Clone is
// not safe for concurrent use (a runner whose control goroutine calls Tick
// while the guest runs holds a lock around both).
type Clone struct {
	run    ID
	phase  clonePhase
	images []Image // besides image 0
	id     ID      // of the attempt
	call   *wire.Call
	apply  Apply

	needed   bool   // NeedBase or NeedPages was sent: the way by hash is taken
	sent     uint32 // numbered frames sent
	received uint32

	next      uint32 // number of the import that runs or comes next
	step      uint32 // operation within it
	waitFor   request
	first     uint32 // number of tail[0]
	tail      []*wire.Entry
	reads     [][]byte
	bare      []*wire.BareEffect
	logBytes  uint64 // encoded, of the whole attempt
	queued    int    // bytes of effects held back
	outputs   bool   // tail holds output
	changes   bool   // file changes are queued
	capped    bool
	aborting  bool
	releaseAt Time
	real      int64
	mono      int64
}

// NewClone returns the machine of a run of which the clone holds image 0.
func NewClone(run ID) *Clone { return &Clone{run: run} }

// Images returns the images that the clone must be able to start from.
func (c *Clone) Images() []Image { return append([]Image(nil), c.images...) }

// Frame delivers a frame from the device.
func (c *Clone) Frame(now Time, h wire.Header, msg proto.Message, body []byte) []CloneAction {
	if h.Run != c.run || !h.Type.Sequenced() || h.Type.FromClone() {
		return nil
	}
	if h.Attempt != c.id {
		if c.phase == cloneRunning || c.phase == cloneWaiting || h.Seq != 1 {
			return nil // the node kills a runner before it sends it another attempt
		}
		c.reset(h.Attempt)
	}
	if h.Seq != c.received+1 {
		return nil
	}
	c.received = h.Seq
	switch m := msg.(type) {
	case *wire.Call:
		return c.takeCall(m, body)
	case *wire.PageHashes:
		if c.phase != cloneHashing && (c.phase != cloneIdle || c.sent != 0) {
			return c.refuse("PageHashes where none are due")
		}
		c.phase, c.needed = cloneComparing, true
		return []CloneAction{CompareHashes{Attempt: c.id, MemoryBytes: m.MemoryBytes, Body: body}}
	case *wire.ImportReply:
		w := &c.waitFor
		if c.phase != cloneWaiting || m.Entry != w.entry || m.Step != w.step {
			return nil
		}
		c.phase = cloneRunning
		if w.class == Immediate {
			c.logBytes += uint64(len(m.Payload)) // the device logs it
		}
		return []CloneAction{Answer{Payload: m.Payload}}
	}
	return nil
}

// reset makes room for an attempt; the images stay.
func (c *Clone) reset(id ID) {
	*c = Clone{run: c.run, images: c.images, id: id}
}

func (c *Clone) send(t wire.Type, msg proto.Message, body Body) Send {
	c.sent++
	h := wire.Header{Type: t, Run: c.run, Attempt: c.id, Seq: c.sent, Ack: c.received}
	return Send{Header: h, Msg: msg, Body: body}
}

// refuse ends the attempt before it runs.
func (c *Clone) refuse(reason string) []CloneAction {
	if c.phase == cloneRunning || c.phase == cloneWaiting {
		return c.abort(reason)
	}
	c.phase = cloneIdle
	ret := &wire.Return{Outcome: wire.Outcome_OUTCOME_ABORTED, Reason: reason}
	return []CloneAction{c.send(wire.TypeReturn, ret, Body{})}
}

func (c *Clone) takeCall(m *wire.Call, body []byte) []CloneAction {
	base := imageOf(m.Base)
	switch {
	case c.phase == clonePaging && base.Kind == HashedImage:
	case c.phase == cloneIdle && c.sent == 0 && base.Kind != HashedImage:
		if base.Kind != ModuleImage && !c.has(base) {
			return c.needBase()
		}
	default:
		return c.refuse("a Call where none is due")
	}
	c.phase, c.call = cloneApplying, m
	c.apply = Apply{Attempt: c.id, Call: m, Body: body, Base: base}
	return []CloneAction{c.apply}
}

func (c *Clone) has(i Image) bool {
	for _, have := range c.images {
		if have == i {
			return true
		}
	}
	return false
}

func (c *Clone) needBase() []CloneAction {
	c.phase, c.needed, c.apply = cloneHashing, true, Apply{}
	return []CloneAction{c.send(wire.TypeNeedBase, &wire.NeedBase{}, Body{})}
}

// Compared answers CompareHashes with the missing pages: first, count, ...
func (c *Clone) Compared(attempt ID, missing []uint32) []CloneAction {
	if attempt != c.id || c.phase != cloneComparing {
		return nil
	}
	need := &wire.NeedPages{Runs: missing}
	if proto.Size(need) > 1<<20 {
		return c.refuse("the missing pages are too scattered to be named")
	}
	c.phase = clonePaging
	return []CloneAction{c.send(wire.TypeNeedPages, need, Body{})}
}

// ApplyFault says why a Call could not be applied.
type ApplyFault uint8

// The faults.
const (
	ApplyGrown ApplyFault = iota // the instance's memory is larger than the Call's: needs a fresh one
	ApplyBase                    // the base is not there, or the yielded hash is wrong
	ApplyOther                   // will not work whatever is sent
)

// ApplyFailed answers Apply; text is for ApplyOther.
func (c *Clone) ApplyFailed(attempt ID, f ApplyFault, text string) []CloneAction {
	if attempt != c.id || c.phase != cloneApplying {
		return nil
	}
	switch {
	case f == ApplyGrown && !c.apply.Fresh:
		c.apply.Fresh = true
		return []CloneAction{c.apply}
	case f != ApplyOther && !c.needed:
		return c.needBase()
	case text == "":
		text = "the memory of the Call does not match its hash"
	}
	c.apply = Apply{}
	return c.refuse(text)
}

// ApplyDone answers Apply: memory is the attempt's entry image.
func (c *Clone) ApplyDone(now Time, attempt ID, took time.Duration) []CloneAction {
	if attempt != c.id || c.phase != cloneApplying {
		return nil
	}
	c.phase, c.apply = cloneRunning, Apply{}
	c.images = []Image{{Kind: EntryImage, Attempt: c.id}}
	c.releaseAt = now + time.Duration(c.call.ReleaseNanos)
	c.real, c.mono = c.call.RealNanos, c.call.MonoNanos
	return []CloneAction{
		KeepImages{Images: c.Images()},
		c.send(wire.TypeApplied, &wire.Applied{ApplyNanos: uint64(took)}, Body{}),
		Start{Attempt: c.id, Call: c.call},
	}
}

// Finished ends the attempt: with a result in res (its log fields are filled
// in here), or aborted, or trapped. The machine is idle and holds the images
// that the next Call may name.
func (c *Clone) Finished(attempt ID, res *wire.Return) []CloneAction {
	if attempt != c.id || (c.phase != cloneRunning && c.phase != cloneWaiting) {
		return nil
	}
	ok := res.Outcome == wire.Outcome_OUTCOME_RETURNED || res.Outcome == wire.Outcome_OUTCOME_EXITED
	if ok {
		res.First, res.Entries, res.Bare, res.Reads = c.first, c.tail, c.bare, c.reads
		res.RealNanos, res.MonoNanos = c.real, c.mono
		if c.aborting || proto.Size(res) > 64<<20 || wire.Check(res) != nil {
			res = &wire.Return{Outcome: wire.Outcome_OUTCOME_ABORTED, Reason: "the attempt queued more than a Return can carry"}
			ok = false
		}
	}
	c.tail, c.bare, c.reads, c.call, c.phase = nil, nil, nil, nil, cloneIdle
	entry, result := Image{EntryImage, c.id}, Image{ResultImage, c.id}
	if !ok {
		c.images = []Image{entry}
		return []CloneAction{c.send(wire.TypeReturn, res, Body{}), Rollback{Image: entry}}
	}
	c.images = []Image{entry, result}
	return []CloneAction{c.send(wire.TypeReturn, res, Body{Kind: ResultBody, Base: entry}), KeepImages{Images: c.Images()}}
}
