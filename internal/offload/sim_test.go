package offload

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// sim is one device, one or two nodes with a clone each, and the links
// between them, in one goroutine. Every step is one of the events that are
// possible at that moment; choose picks it, so that a run is a function of
// the choices.
type sim struct {
	choose func(n int) int
	now    Time
	log    []string // what happened, for a failing seed
	verb   bool

	prog   []item
	pc     int
	w      *world
	d      *simDevice
	sites  []*simSite
	ended  string // how the guest ended: "", returned, exited, trapped, failed, crashed
	code   uint32
	accs   []uint64
	undone bool
	pace   Time // how far a step moves the clock; 0: at random
	// next picks the next event instead of choose; nil: choose does.
	next   func(step int, ev []event) int
	broken string // an invariant that does not hold

	commits, locals, replays int
	budget                   int // faults left
	faults                   faultSet
	reach                    map[string]int
}

// faultSet says which faults may happen.
type faultSet struct {
	cut, drop, dup, kill, forge, crash, touch, prepare, cancel, record bool
}

type simDevice struct {
	m     *Device
	run   ID
	g     *guest
	base  []uint64
	site  int
	jobs  []*job
	call  []op
	local *localRun
	floor uint64
	saved *[3]file // undo of a commit
	prep  []uint64 // decoded result
	old   []*wire.Frame
}

// job is an action whose answer is still to come.
type job struct {
	what  string
	step  func() (done bool) // one more visible step
	ended func() []DeviceAction
}

type localRun struct {
	e       *exec
	r       *Replay
	seed    []byte
	randoms uint64
	waiting bool
}

type simSite struct {
	name  string
	q     *Quota
	n     *Node
	c     *simClone
	link  simLink
	skew  uint64
	exits []func()
}

// simLink is the connection between device and node, newest epoch only.
type simLink struct {
	up         bool // exists
	toNode     []*wire.Frame
	toDevice   []*wire.Frame
	deviceSaw  bool // device was told of the state
	nodeSaw    bool
	nodeThinks bool
}

type simClone struct {
	gen      uint64
	m        *Clone
	images   map[Image][]uint64
	inst     []uint64
	in       []*wire.Frame
	out      []*wire.Frame
	e        *exec
	imp      imp
	waiting  bool
	aborted  string
	call     *wire.Call
	attempt  ID
	overlay  map[int]string
	versions map[int]int
	cache    map[int]uint64
	randoms  uint64
	started  Time
	found    []uint64
	foundOK  []bool
}

type rngReader struct{ r *rand.Rand }

func (r rngReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

var _ io.Reader = rngReader{}

func newSim(prog []item, room, sites int, rng *rand.Rand, choose func(int) int, conf DeviceConfig) *sim {
	s := &sim{choose: choose, prog: prog, w: newWorld(room), reach: map[string]int{}}
	conf.Rand = rngReader{rng}
	var run ID
	_, _ = conf.Rand.Read(run[:])
	s.d = &simDevice{m: NewDevice(run, conf), run: run, g: newGuest(), base: newGuest().mem}
	for i := range sites {
		q := NewQuota()
		n, err := NewNode(run, q, NodeConfig{})
		if err != nil {
			panic(err)
		}
		s.sites = append(s.sites, &simSite{
			name: string(rune('A' + i)), q: q, n: n, skew: uint64(1 + i),
			link: simLink{up: true, deviceSaw: true, nodeSaw: true, nodeThinks: true},
		})
	}
	return s
}

func (s *sim) say(format string, args ...any) {
	if s.verb {
		s.log = append(s.log, fmt.Sprintf("%8v ", s.now)+fmt.Sprintf(format, args...))
	}
}

func (s *sim) fail(format string, args ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, args...)
	}
}

// ---- the device ----

func (s *sim) device(acts []DeviceAction) {
	for len(acts) > 0 {
		a := acts[0]
		acts = acts[1:]
		s.say("device: %T", a)
		s.reach[fmt.Sprintf("%T", a)]++
		acts = append(s.deviceAct(a), acts...)
	}
}

func (s *sim) deviceAct(a DeviceAction) []DeviceAction {
	d := s.d
	switch a := a.(type) {
	case Send:
		s.deviceSend(a)
	case Serve:
		s.serve(a)
	case CheckReads:
		s.job("check", nil, func() []DeviceAction { return d.m.ReadsChecked(s.now, a.Op, s.w.check(a.Reads)) })
	case ReleaseOutput:
		s.effects("release", a.Effects, func(done int, real *Real, _ string) []DeviceAction {
			return d.m.Released(s.now, a.Op, done, real)
		})
	case Prepare:
		s.job("prepare", nil, func() []DeviceAction { return d.m.Prepared(s.now, a.Op, s.prepare(a)) })
	case WriteRecord:
		failure := ""
		if s.faults.record && s.fault("record fails") {
			failure = "no space left"
		}
		s.job("record", nil, func() []DeviceAction { return d.m.Recorded(s.now, a.Op, failure) })
	case ApplyEffects:
		saved := s.w.files
		d.saved = &saved
		s.effects("apply", a.Effects, func(done int, real *Real, f string) []DeviceAction {
			return d.m.EffectsApplied(s.now, a.Op, done, real, f)
		})
	case Undo:
		s.job("undo", func() {
			if d.saved != nil {
				if s.w.files != *d.saved {
					s.undone = true
				}
				s.w.files = *d.saved
			}
		}, func() []DeviceAction { return d.m.Undone(s.now, a.Op, "") })
	case Install:
		s.install(a)
	case RunLocal:
		s.runLocal(a)
	case CompleteLog:
		if d.local == nil || d.local.r.Complete(a) != nil {
			s.fail("a CompleteLog without a re-run that waits")
		}
	case Fail:
		s.ended = "failed"
	}
	return nil
}

func (w *world) check(reads [][]byte) string {
	for _, r := range reads {
		f, v := parseVersion(string(r))
		if w.files[f].version != v {
			return fmt.Sprintf("file %d", f)
		}
	}
	return ""
}

func parseVersion(s string) (f, v int) {
	a, b, _ := strings.Cut(s, "|")
	f, _ = strconv.Atoi(a)
	v, _ = strconv.Atoi(b)
	return f, v
}

func (s *sim) job(what string, start func(), ended func() []DeviceAction) {
	if start != nil {
		start()
	}
	s.d.jobs = append(s.d.jobs, &job{what: what, step: func() bool { return true }, ended: ended})
}

// effects performs effects one at a step, so that a crash can come between.
func (s *sim) effects(what string, effects []Effect, answer func(int, *Real, string) []DeviceAction) {
	done, failure := 0, ""
	var real *Real
	step := func() bool {
		if done == len(effects) {
			return true
		}
		p := string(effects[done].Payload)
		if effects[done].Class == Output {
			if n := s.w.print(p); n != len(p) {
				if n > 0 || what == "release" {
					real = &Real{binary.LittleEndian.AppendUint64(nil, uint64(n))}
				}
				failure = "short write"
				return true
			}
		} else {
			f, _, text := parseEffect(p)
			if s.faults.record && s.fault("rename fails") {
				failure = "input/output error"
				return true
			}
			s.w.write(f, text)
		}
		done++
		return done == len(effects)
	}
	s.d.jobs = append(s.d.jobs, &job{what: what, step: step, ended: func() []DeviceAction { return answer(done, real, failure) }})
}

func parseEffect(p string) (f, version int, text string) {
	parts := strings.SplitN(p, "|", 3)
	f, _ = strconv.Atoi(parts[0])
	version, _ = strconv.Atoi(parts[1])
	return f, version, parts[2]
}

func (s *sim) serve(a Serve) {
	kind, arg, _ := strings.Cut(string(a.Payload), " ")
	f, _ := strconv.Atoi(arg)
	var reply string
	start := func() {
		switch kind {
		case "read", "stat":
			reply = fmt.Sprintf("%d|%d", s.w.files[f].version, s.w.read(f))
		case "stdin":
			reply = fmt.Sprint(s.w.input())
		}
	}
	s.job("serve "+kind, start, func() []DeviceAction {
		if kind == "private" {
			return s.d.m.ServedPrivate(s.now, a.Op, "secret")
		}
		return s.d.m.Served(s.now, a.Op, []byte(reply))
	})
}

func (s *sim) prepare(a Prepare) *Reason {
	d := s.d
	mem, err := decodeDelta(a.Body, d.g.mem)
	if err != nil {
		s.fail("a Return that does not apply: %v", err)
		return &Reason{WhyPrepare, err.Error()}
	}
	for _, e := range a.Effects {
		if e.Class == FileChange {
			if f, v, _ := parseEffect(string(e.Payload)); v >= 0 && s.w.files[f].version != v {
				return &Reason{WhyChanged, "a file that the attempt changes"}
			}
		}
	}
	if s.faults.prepare && s.fault("prepare fails") {
		return &Reason{WhyPrepare, "no space left on device"}
	}
	d.prep = mem
	d.saved = nil
	return nil
}

func (s *sim) install(a Install) {
	d := s.d
	s.commits++
	d.g.mem = d.prep
	d.base = slices.Clone(d.g.mem)
	d.g.glob, d.g.vol, d.g.last = a.Return.Globals[0], a.Return.Globals[1], a.Return.Globals[2]
	d.g.setWASI(a.Return.Wasi)
	d.floor = max(d.floor, uint64(a.Return.RealNanos))
	s.accs = append(s.accs, a.Return.Results[0])
	d.call = nil
	s.pc++
	if a.Exited {
		s.ended, s.code = "exited", a.ExitCode
	}
	// Both sides' named images must be equal, wherever the clone still lives.
	c := s.sites[d.site].c
	if c != nil {
		if img, ok := c.images[a.Image]; ok && !slices.Equal(img, d.base) {
			s.fail("image %v differs between the sides", a.Image)
		}
	}
}

func (s *sim) runLocal(a RunLocal) {
	d := s.d
	s.locals++
	s.reach["why "+string(a.Reason.Why)]++
	s.say("local: %v, %d entries bind", a.Reason, len(a.Log))
	if a.Adopt.Kind != NoImage {
		d.base = slices.Clone(d.g.mem)
	}
	if len(a.Log) > 0 {
		s.replays++
		last := a.Log[len(a.Log)-1]
		if last.Class != Output && last.Class != Immediate {
			s.fail("a log that ends with class %v", last.Class)
		}
		for i, e := range a.Log[:len(a.Log)-1] {
			if e.Open || e.Pending || e.Real != nil {
				s.fail("entry %d of %d is not complete", i, len(a.Log))
			}
		}
	}
	d.floor = max(d.floor, uint64(a.Real))
	d.local = &localRun{e: &exec{g: d.g, ops: d.call}, r: NewReplay(a.Log), seed: append([]byte(nil), a.Seed[:]...)}
	if d.local.r.Done() {
		d.m.ReplayDone()
	}
}

func seedRandom(seed []byte, n uint64) uint64 {
	return 1<<40 + mix(binary.LittleEndian.Uint64(seed), n)>>28
}

func (s *sim) clock() uint64 {
	s.d.floor = max(s.d.floor, 1<<40+uint64(s.now))
	return s.d.floor
}

// stepLocal runs one import of a local run.
func (s *sim) stepLocal() {
	d := s.d
	l := d.local
	i, ok := l.e.next()
	if !ok {
		s.endLocal()
		return
	}
	n, e, mode := l.r.Next()
	if mode == Wait {
		l.waiting = true
		return
	}
	l.waiting = false
	random := func() uint64 { l.randoms++; return seedRandom(l.seed, l.randoms) }
	if mode == Free {
		l.e.give(s.w.do(i, s.clock, random))
		return
	}
	val, args, has := decodeEntry(e)
	if has && args != i.args() {
		s.fail("divergence at entry %d: %s, logged %s", n, i.args(), args)
	}
	switch mode {
	case AnswerOps:
		if i.kind != opStdin {
			s.fail("entry %d is %s, logged an immediate effect", n, i.args())
		}
		switch {
		case len(e.Ops) > 0:
			val, _ = strconv.ParseUint(string(e.Ops[0].Reply), 10, 64)
		default:
			val = s.w.do(i, s.clock, random)
		}
	case AnswerIt:
		if i.kind == opRandom {
			if got := random(); got != val {
				s.fail("random %x, logged %x", got, val)
			}
		}
	case Redo:
		if got := s.w.do(i, s.clock, random); got != val {
			s.fail("divergence at entry %d: %d, logged %d", n, got, val)
		}
	}
	if i.kind == opClock {
		d.floor = max(d.floor, val)
	}
	l.e.give(val)
	if l.r.Done() {
		d.m.ReplayDone()
	}
}

func encodeEntry(i imp, val uint64) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, val), i.args()...)
}

func decodeEntry(e *Entry) (val uint64, args string, ok bool) {
	if len(e.Encoded) < 8 {
		return 0, "", false
	}
	val, args = binary.LittleEndian.Uint64(e.Encoded), string(e.Encoded[8:])
	if e.Real != nil {
		val = binary.LittleEndian.Uint64(e.Real.Outcome)
	}
	return val, args, true
}

func (s *sim) endLocal() {
	d := s.d
	e := d.local.e
	if !d.local.r.Done() {
		s.fail("the local run ended before its log")
	}
	d.local, d.call = nil, nil
	s.accs = append(s.accs, e.acc)
	s.pc++
	if e.end != "returned" {
		s.ended, s.code = e.end, e.code
	}
}

// advance runs the caller up to and including the next call's start.
func (s *sim) advance() {
	d := s.d
	if s.pc == len(s.prog) {
		s.ended = "returned"
		return
	}
	it := s.prog[s.pc]
	if !it.call {
		e := &exec{g: d.g, ops: it.ops}
		for i, ok := e.next(); ok; i, ok = e.next() {
			e.give(s.w.do(i, s.clock, func() uint64 { return 1<<40 + uint64(s.now)&0xff }))
		}
		s.pc++
		if e.end != "returned" {
			s.ended, s.code = e.end, e.code
		}
		return
	}
	d.call = it.ops
	if len(s.sites) > 1 {
		d.site = s.choose(len(s.sites))
	}
	site := s.sites[d.site]
	if site.link.up && site.link.deviceSaw {
		s.device(d.m.LinkUp(s.now))
	} else {
		s.device(d.m.LinkLost(s.now))
	}
	acts, err := d.m.Begin(s.now, CallSpec{
		Site: site.name, Function: uint32(s.pc), Globals: []uint64{d.g.glob, d.g.vol, d.g.last},
		WASI: d.g.wasi(), Real: int64(s.clock()), Mono: int64(s.now), MemoryMax: 12,
	})
	if err != nil {
		s.reach[err.Error()]++
		s.say("device: %v", err)
		s.locals++
		d.local = &localRun{e: &exec{g: d.g, ops: d.call}, r: NewReplay(nil), seed: make([]byte, 32)}
		return
	}
	s.device(acts)
}

func (s *sim) deviceSend(a Send) {
	d := s.d
	var body []byte
	switch a.Body.Kind {
	case DeltaBody:
		if a.Body.Base != d.m.Base() {
			s.fail("a delta against %v, the device keeps %v", a.Body.Base, d.m.Base())
		}
		body = encodeDelta(d.g.mem, d.base)
	case HashBody:
		a.Msg.(*wire.PageHashes).MemoryBytes = wire.PageSize * uint64(len(d.g.mem))
		for _, v := range d.g.mem {
			body = binary.LittleEndian.AppendUint64(body, mix(1, v))
			body = binary.LittleEndian.AppendUint64(body, mix(2, v))
		}
	case PagesBody:
		body = binary.LittleEndian.AppendUint64(nil, memHash(d.g.mem))
		for i := 0; i < len(a.Body.Runs); i += 2 {
			for k := range a.Body.Runs[i+1] {
				p := a.Body.Runs[i] + k
				if int(p) >= len(d.g.mem) {
					s.fail("page %d is asked for", p)
					return
				}
				body = binary.LittleEndian.AppendUint64(body, d.g.mem[p])
			}
		}
	}
	l := &s.sites[d.site].link
	if !l.up {
		return
	}
	l.toNode = append(l.toNode, s.frame(a, body))
}

func (s *sim) frame(a Send, body []byte) *wire.Frame {
	f, err := wire.NewFrame(a.Header, a.Msg, body)
	if err != nil {
		s.fail("a frame that may not be sent: %v", err)
		return &wire.Frame{}
	}
	return f
}

func (s *sim) deliverToDevice(site *simSite) {
	l := &site.link
	f := l.toDevice[0]
	l.toDevice = l.toDevice[1:]
	s.giveDevice(f)
}

func (s *sim) giveDevice(f *wire.Frame) {
	msg, err := f.Message()
	if err != nil {
		s.fail("a frame that does not decode: %v", err)
		return
	}
	if len(s.d.old) < 64 {
		s.d.old = append(s.d.old, f)
	}
	s.say("device <- %v %d (ack %d)", f.Type, f.Seq, f.Ack)
	s.device(s.d.m.Frame(s.now, f.Header, msg, f.Body))
}
