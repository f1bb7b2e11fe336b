package offload

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// DeviceConfig configures a [Device]. Zero fields mean the protocol's
// defaults.
type DeviceConfig struct {
	Rand       io.Reader     // attempt ids and seeds; nil: crypto/rand
	Redial     time.Duration // how long a lost link may stay lost
	Release    time.Duration // least time between two releases of output
	LogEntries uint32        // caps of the import log
	LogBytes   uint64
}

func (c *DeviceConfig) populate() {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Redial == 0 {
		c.Redial = DefaultRedial
	}
	if c.Release == 0 {
		c.Release = DefaultRelease
	}
	if c.LogEntries == 0 {
		c.LogEntries = DefaultLogEntries
	}
	if c.LogBytes == 0 {
		c.LogBytes = DefaultLogBytes
	}
}

// CallSpec is a call to be offloaded: PROTOCOL rules 1 and 4. The device is at
// the call boundary and stays there until Install or RunLocal.
type CallSpec struct {
	Site           string // which clone; images are agreed per site
	Function       uint32 // original index
	Args           []uint64
	Globals        []uint64 // mutable globals but ours, raw bits, in index order
	WASI           []byte
	Real, Mono     int64 // the device's clocks, nanoseconds
	MemoryMax      uint32
	ReplicaVersion []byte
	Memory         wire.ResultMemory // when the result's memory is wanted

	Redial time.Duration // 0: the configured limit
	Limit  time.Duration // of the whole attempt; 0: none
}

// phase is how far the attempt's Call has come.
type phase uint8

const (
	idle    phase = iota
	calling       // Call sent, Applied or NeedBase expected
	hashing       // PageHashes sent, NeedPages expected
	paging        // Call with pages sent, Applied expected
	running       // applied
)

// pendingKind is the action whose answer is awaited.
type pendingKind uint8

const (
	nothing pendingKind = iota
	serving
	checkingBatch
	releasing
	checkingReturn
	preparing
	recording
	applying
	undoing
)

type linkState uint8

const (
	linkUp linkState = iota
	linkLost
	linkResuming
)

// Device is the device's side of one run: see the package comment. The zero
// value is not usable; a Device is not safe for concurrent use.
type Device struct {
	run  ID
	conf DeviceConfig

	image   Image         // whose bytes the device keeps and would name next
	sites   map[string]ID // attempt whose images a site is known to hold
	tainted string        // why, if the run is tainted
	ended   bool
	replay  bool // a re-run is bound by its log
	link    linkState
	real    int64 // least answers of the clocks
	mono    int64
	nextOp  uint64
	fenced  uint64 // frames dropped by attempt id or number
	a       attempt
	late    *straggler
}

// attempt is the state of the live attempt.
type attempt struct {
	phase
	id       ID
	spec     CallSpec
	seed     [32]byte
	hashed   bool // PageHashes has been sent: NeedBase is spent
	applied  bool
	kept     bool   // the caller keeps the entry image already
	sent     uint32 // numbered frames sent
	received uint32 // numbered frames accepted
	last     Send   // the last numbered frame, for a redial
	redialBy Time   // when the link is lost
	limitBy  Time   // 0: none

	inbox      []inFrame
	inboxBytes int
	returned   bool // the Return has been accepted: the link does not matter any more

	pending pendingKind
	op      uint64
	batch   batch   // being checked or released
	served  request // last request, answered or being answered
	reply   *wire.ImportReply
	dying   *Reason // abandon once the pending action is answered

	log      []Entry
	logBytes uint64
	bound    int // entries that bind a re-run
	ret      inFrame
	effects  []Effect // of the Return
}

type inFrame struct {
	msg  proto.Message
	body []byte
	size int // of msg, unless it is a Return
}

type request struct {
	any         bool
	entry, step uint32
	class       Class
	payload     []byte
}

// straggler is an immediate operation that outlives its attempt.
type straggler struct {
	attempt ID
	op      uint64
	entry   uint32
	request []byte
}

// NewDevice returns the machine of a run whose guest is at image 0.
func NewDevice(run ID, c DeviceConfig) *Device {
	c.populate()
	return &Device{run: run, conf: c, image: Image{Kind: ModuleImage}, sites: map[string]ID{}}
}

// Live returns the live attempt's id.
func (d *Device) Live() (ID, bool) { return d.a.id, d.a.phase != idle }

// Base returns the image whose bytes the caller must keep: the one that the
// next Call names.
func (d *Device) Base() Image { return d.image }

// Tainted says whether and why this run may not be offloaded any more.
func (d *Device) Tainted() (why string, tainted bool) { return d.tainted, d.tainted != "" }

// Fenced returns how many frames were dropped as late, repeated or forged.
func (d *Device) Fenced() uint64 { return d.fenced }

// EntryKept says that the caller has made the live attempt's entry image its
// base before the clone said Applied, to use the time of a large Call's way. If
// the clone never applies it, no site has the image, and the next Call goes by
// hash.
func (d *Device) EntryKept() { d.a.kept = d.a.phase != idle }

// Begin starts an attempt. On an error nothing has happened and the caller
// runs the call locally.
func (d *Device) Begin(now Time, spec CallSpec) ([]DeviceAction, error) {
	switch {
	case d.ended:
		return nil, ErrEnded
	case d.tainted != "":
		return nil, fmt.Errorf("%w: %s", ErrTainted, d.tainted)
	case d.a.phase != idle:
		return nil, ErrBusy
	case d.replay || d.late != nil:
		return nil, ErrReplaying
	case d.link != linkUp:
		return nil, ErrLinkDown
	}
	a := attempt{phase: calling, spec: spec}
	if _, err := io.ReadFull(d.conf.Rand, a.id[:]); err != nil {
		return nil, fmt.Errorf("offload: make an attempt id: %w", err)
	}
	if _, err := io.ReadFull(d.conf.Rand, a.seed[:]); err != nil {
		return nil, fmt.Errorf("offload: make a seed: %w", err)
	}
	if a.id.IsZero() {
		return nil, errors.New("offload: the source of randomness returns zeros")
	}
	if spec.Limit > 0 {
		a.limitBy = now + spec.Limit
	}
	d.a = a
	if d.image.Kind != ModuleImage && d.sites[spec.Site] != d.image.Attempt {
		// The site is known to lack the base: spare it a useless delta.
		return d.sendHashes(), nil
	}
	return d.sendCall(d.image, Body{Kind: DeltaBody, Base: d.image}), nil
}

func (d *Device) sendCall(base Image, body Body) []DeviceAction {
	s := &d.a.spec
	return d.send(wire.TypeCall, &wire.Call{
		Base: base.proto(), Function: s.Function, Args: s.Args, Globals: s.Globals,
		Wasi: s.WASI, RealNanos: s.Real, MonoNanos: s.Mono, Seed: bytes.Clone(d.a.seed[:]),
		MemoryMaxPages: s.MemoryMax, LogEntries: d.conf.LogEntries, LogBytes: d.conf.LogBytes,
		ReleaseNanos: uint64(d.conf.Release), ReplicaVersion: s.ReplicaVersion, ResultMemory: s.Memory,
	}, body)
}

func (d *Device) sendHashes() []DeviceAction {
	d.a.phase, d.a.hashed = hashing, true
	// MemoryBytes is the body's business: the caller fills it in with it.
	return d.send(wire.TypePageHashes, &wire.PageHashes{}, Body{Kind: HashBody})
}

// send numbers a frame and sends it now, or, while the link is away, when the
// node says that it lacks it.
func (d *Device) send(t wire.Type, msg proto.Message, body Body) []DeviceAction {
	d.a.sent++
	d.a.last = Send{Header: d.header(t), Msg: msg, Body: body}
	d.a.last.Header.Seq = d.a.sent
	if d.link != linkUp {
		return nil
	}
	return []DeviceAction{d.a.last}
}

func (d *Device) header(t wire.Type) wire.Header {
	return wire.Header{Type: t, Run: d.run, Attempt: d.a.id, Ack: d.a.received}
}

// control sends an unnumbered frame, if the link is up.
func (d *Device) control(t wire.Type, msg proto.Message) []DeviceAction {
	if d.link == linkLost {
		return nil
	}
	return []DeviceAction{Send{Header: d.header(t), Msg: msg}}
}

// LinkLost says that the link, or the write of a frame, has failed.
func (d *Device) LinkLost(now Time) []DeviceAction {
	d.expectRedial(now)
	d.link = linkLost
	return nil
}

// expectRedial bounds how long the live attempt waits for its link, from the
// moment on at which that was no longer up.
func (d *Device) expectRedial(now Time) {
	if d.link != linkUp || d.a.phase == idle {
		return
	}
	redial := d.a.spec.Redial
	if redial == 0 {
		redial = d.conf.Redial
	}
	d.a.redialBy = now + redial
}

// LinkUp says that there is a new link to the site of the live attempt.
func (d *Device) LinkUp(now Time) []DeviceAction {
	if d.a.phase == idle || d.a.returned {
		d.link = linkUp
		return nil
	}
	d.expectRedial(now) // where nobody said that the old one was lost
	d.link = linkResuming
	return d.control(wire.TypeResume, &wire.Resume{Received: d.a.received})
}

// Deadline returns when Tick is due, if ever.
func (d *Device) Deadline() (Time, bool) {
	if d.a.phase == idle || d.a.returned {
		return 0, false
	}
	t, any := d.a.limitBy, d.a.limitBy != 0
	if d.link != linkUp && (!any || d.a.redialBy < t) {
		t, any = d.a.redialBy, true
	}
	return t, any
}

// Tick says that a deadline may have passed.
func (d *Device) Tick(now Time) []DeviceAction {
	if d.a.phase == idle || d.a.returned {
		return nil
	}
	if d.link != linkUp && now >= d.a.redialBy {
		return d.abandon(because(WhyLink, "not back in time"))
	}
	if d.a.limitBy != 0 && now >= d.a.limitBy {
		return d.abandon(because(WhyLimit, "no result within %v", d.a.spec.Limit))
	}
	return nil
}

// Abandon gives up the live attempt, if there is one and it is not yet being
// applied: RunLocal follows.
func (d *Device) Abandon(text string) []DeviceAction {
	return d.abandon(Reason{WhyCaller, text})
}

// Taint says that the guest met something private (PROTOCOL rule 10): the run
// is not offloaded any more.
func (d *Device) Taint(why string) []DeviceAction {
	if d.tainted == "" {
		d.tainted = why
	}
	return d.abandon(Reason{WhyPrivate, why})
}

// Cancel ends the run (PROTOCOL rule 20): the clone is told, no action but
// that Send follows, now or later. The guest is the caller's to end.
func (d *Device) Cancel(text string) []DeviceAction {
	var acts []DeviceAction
	if d.a.phase != idle {
		acts = d.control(wire.TypeCancel, &wire.Cancel{Reason: text})
	}
	d.a, d.late, d.ended = attempt{}, nil, true
	return acts
}

// ReplayDone says that the log of the last RunLocal is used up.
func (d *Device) ReplayDone() { d.replay = false }

// abandon ends the attempt in a local run, now or once an action that must
// not be left half-way is answered.
func (d *Device) abandon(r Reason) []DeviceAction {
	if d.a.phase == idle {
		return nil
	}
	switch d.a.pending {
	case recording, applying, undoing:
		return nil // the commit is under way and decides
	case releasing, preparing:
		if d.a.dying == nil {
			d.a.dying = &r
		}
		return nil
	}
	return d.runLocal(r)
}

// runLocal forgets the attempt and has the call run here (PROTOCOL rule 17).
func (d *Device) runLocal(r Reason) []DeviceAction {
	a := &d.a
	var acts []DeviceAction
	switch r.Why {
	case WhyLink, WhyUnknown, WhyRefused:
	default:
		if !a.returned {
			acts = d.control(wire.TypeCancel, &wire.Cancel{Reason: r.String()})
		}
	}
	local := RunLocal{
		Attempt: a.id, Reason: r, Log: a.log[:a.bound:a.bound], Seed: a.seed,
		Real: d.real, Mono: d.mono,
	}
	if a.pending == serving && a.served.class == Immediate {
		last := &local.Log[len(local.Log)-1]
		last.Pending = true
		d.late = &straggler{attempt: a.id, op: a.op, entry: a.served.entry, request: a.served.payload}
	}
	if a.applied || a.kept {
		d.image = Image{Kind: EntryImage, Attempt: a.id}
		local.Adopt = d.image
	}
	d.replay = len(local.Log) > 0
	if d.link == linkResuming {
		d.link = linkUp
	}
	d.a = attempt{}
	return append(acts, local)
}

// ask numbers an action whose answer the machine waits for.
func (d *Device) ask(k pendingKind) uint64 {
	d.nextOp++
	d.a.pending, d.a.op = k, d.nextOp
	return d.nextOp
}

// answered reports whether op is the answer that is awaited, and takes it.
func (d *Device) answered(op uint64, kinds ...pendingKind) (pendingKind, bool) {
	if d.a.phase == idle || d.a.op != op {
		return nothing, false
	}
	for _, k := range kinds {
		if d.a.pending == k {
			d.a.pending = nothing
			return k, true
		}
	}
	return nothing, false
}
