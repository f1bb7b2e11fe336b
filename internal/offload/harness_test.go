package offload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// dev drives a Device by hand: frames from its clone are numbered for it.
type dev struct {
	t   *testing.T
	m   *Device
	now Time
	seq uint32
	id  ID
}

var testRun = ID{9}

func newDev(t *testing.T) *dev {
	c := DeviceConfig{Rand: rngReader{rand.New(rand.NewPCG(1, 2))}}
	return &dev{t: t, m: NewDevice(testRun, c)}
}

func (d *dev) begin(spec CallSpec) []DeviceAction {
	d.t.Helper()
	acts, err := d.m.Begin(d.now, spec)
	if err != nil {
		d.t.Fatal(err)
	}
	d.id, _ = d.m.Live()
	d.seq = 0
	return acts
}

// running brings an attempt to where its Call is applied.
func (d *dev) running() {
	d.t.Helper()
	send := want[Send](d.t, d.begin(CallSpec{Site: "A"}))
	if send.Header.Type == wire.TypePageHashes {
		d.recv(&wire.NeedPages{})
	}
	none(d.t, d.recv(&wire.Applied{}))
}

func (d *dev) recv(m proto.Message) []DeviceAction {
	d.seq++
	return d.recvAs(d.id, d.seq, m)
}

func (d *dev) recvAs(id ID, seq uint32, m proto.Message) []DeviceAction {
	t, _ := wire.TypeOf(m)
	h := wire.Header{Type: t, Run: testRun, Attempt: id}
	if t.Sequenced() {
		h.Seq = seq
	}
	return d.m.Frame(d.now, h, m, nil)
}

// commit brings a running attempt to its Install.
func (d *dev) commit(r *wire.Return) Install {
	d.t.Helper()
	p := want[Prepare](d.t, d.recv(r))
	acts := d.m.Prepared(d.now, p.Op, nil)
	if len(p.Effects) > 0 {
		apply := want[ApplyEffects](d.t, acts)
		acts = d.m.EffectsApplied(d.now, apply.Op, len(apply.Effects), nil, "")
	}
	return want[Install](d.t, acts)
}

func returned(entries ...*wire.Entry) *wire.Return {
	return &wire.Return{Outcome: wire.Outcome_OUTCOME_RETURNED, Entries: entries}
}

func entry(c Class, effect string) *wire.Entry {
	e := &wire.Entry{Class: c, Encoded: []byte("e")}
	if effect != "" {
		e.Effect = []byte(effect)
	}
	return e
}

// want returns the one action of a type; there may be others.
func want[T, A any](t *testing.T, acts []A) T {
	t.Helper()
	var got []T
	for _, a := range acts {
		if x, ok := any(a).(T); ok {
			got = append(got, x)
		}
	}
	if len(got) != 1 {
		t.Fatalf("%d actions of type %T among %v", len(got), *new(T), names(acts))
	}
	return got[0]
}

func names[A any](acts []A) []string {
	var s []string
	for _, a := range acts {
		switch x := any(a).(type) {
		case Send:
			s = append(s, "Send "+x.Header.Type.String())
		case RunLocal:
			s = append(s, "RunLocal "+x.Reason.String())
		default:
			s = append(s, strings.TrimPrefix(fmt.Sprintf("%T", a), "offload."))
		}
	}
	return s
}

// are holds the actions against their names.
func are[A any](t *testing.T, acts []A, want ...string) {
	t.Helper()
	if got := names(acts); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Fatalf("actions %v, want %v", got, want)
	}
}

func none[A any](t *testing.T, acts []A) { t.Helper(); are(t, acts) }

// local expects a local run for a reason, bound by so many entries.
func local(t *testing.T, acts []DeviceAction, why Why, bound int) RunLocal {
	t.Helper()
	r := want[RunLocal](t, acts)
	if r.Reason.Why != why || len(r.Log) != bound {
		t.Fatalf("a local run because of %v, bound by %d entries; want %v, %d", r.Reason, len(r.Log), why, bound)
	}
	return r
}

// cl drives a Clone by hand.
type cl struct {
	t   *testing.T
	m   *Clone
	now Time
	seq uint32
	id  ID
}

func newCl(t *testing.T) *cl { return &cl{t: t, m: NewClone(testRun)} }

func call(base Image) *wire.Call {
	return &wire.Call{
		Base: base.proto(), Seed: bytes.Repeat([]byte{1}, 32), LogEntries: 100, LogBytes: 1 << 20,
		ReleaseNanos: uint64(DefaultRelease),
	}
}

func (c *cl) recv(m proto.Message) []CloneAction {
	c.seq++
	t, _ := wire.TypeOf(m)
	return c.m.Frame(c.now, wire.Header{Type: t, Run: testRun, Attempt: c.id, Seq: c.seq}, m, nil)
}

func (c *cl) attempt(id byte) { c.id, c.seq = ID{id}, 0 }

// running brings attempt id on a base to where it runs.
func (c *cl) running(id byte, base Image) {
	c.t.Helper()
	c.attempt(id)
	a := want[Apply](c.t, c.recv(call(base)))
	are(c.t, c.m.ApplyDone(c.now, a.Attempt, 0), "KeepImages", "Send Applied", "Start")
}

func (c *cl) log(class Class, effect string) []CloneAction {
	var e []byte
	if effect != "" {
		e = []byte(effect)
	}
	return c.m.Log(c.now, class, []byte("e"), e)
}

// scene runs a program in the simulated pair under a fixed schedule; tests
// stop it where they want a fault and let it go on.
type scene struct {
	*sim
	t    *testing.T
	room int
}

func newScene(t *testing.T, sites int, conf DeviceConfig, calls ...[]op) *scene {
	var prog []item
	for _, ops := range calls {
		prog = append(prog, item{call: true, ops: ops})
	}
	turn := 0
	s := newSim(prog, 1<<20, sites, rand.New(rand.NewPCG(3, 3)), func(n int) int { turn++; return turn % n }, conf)
	s.verb, s.pace = true, time.Millisecond
	s.next = func(int, []event) int { return 0 }
	return &scene{sim: s, t: t, room: 1 << 20}
}

// until runs to the first moment at which the log holds the text.
func (s *scene) until(text string) *scene {
	s.t.Helper()
	from := len(s.log)
	seen := func() bool {
		for ; from < len(s.log); from++ {
			if strings.Contains(s.log[from], text) {
				return true
			}
		}
		return false
	}
	s.run(seen)
	if s.ended != "" && !seen() {
		s.t.Fatalf("%q did not happen:\n%s", text, strings.Join(s.log, "\n"))
	}
	return s
}

// done runs to the end and checks the outcome against the local run, and how
// many calls were committed from a clone.
func (s *scene) done(commits int) {
	s.t.Helper()
	s.run(nil)
	if wrong := s.verdict(s.room); wrong != "" {
		s.t.Fatalf("%s\n%s", wrong, strings.Join(s.log, "\n"))
	}
	if s.commits != commits {
		s.t.Fatalf("%d calls committed, want %d:\n%s", s.commits, commits, strings.Join(s.log, "\n"))
	}
}

func (s *scene) has(text string) bool { return strings.Contains(strings.Join(s.log, "\n"), text) }
