package offload

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// ---- node and clone ----

func (s *sim) node(site *simSite, acts []NodeAction) {
	for _, a := range acts {
		s.say("node %s: %T", site.name, a)
		switch a := a.(type) {
		case ToClone:
			if site.c != nil && site.c.gen == a.Generation {
				site.c.in = append(site.c.in, a.Frame)
			}
		case ToDevice:
			if site.link.up {
				site.link.toDevice = append(site.link.toDevice, a.Frame)
			}
		case Send:
			if site.link.up {
				site.link.toDevice = append(site.link.toDevice, s.frame(a, nil))
			}
		case StartClone:
			if site.c != nil {
				s.fail("a second runner was started")
			}
			site.c = &simClone{
				gen: a.Generation, m: NewClone(s.d.run), images: map[Image][]uint64{},
				inst: newGuest().mem,
			}
		case KillClone:
			if site.c != nil && site.c.gen == a.Generation { // or it has just died by itself
				s.loseClone(site, "killed")
			}
		}
	}
}

// loseClone ends the runner; its exit is reported later, perhaps after some
// of the frames that it had written.
func (s *sim) loseClone(site *simSite, why string) {
	c := site.c
	site.c = nil
	left := c.out
	site.exits = append(site.exits, func() {
		for _, f := range left[:s.pick(len(left)+1)] {
			s.node(site, site.n.FromClone(s.now, c.gen, f))
		}
		s.node(site, site.n.CloneExited(s.now, c.gen, why))
	})
}

func (s *sim) pick(n int) int {
	if n <= 1 {
		return 0
	}
	return s.choose(n)
}

func (s *sim) clone(site *simSite, c *simClone, acts []CloneAction) {
	for _, a := range acts {
		s.say("clone %s: %T", site.name, a)
		s.cloneAct(site, c, a)
	}
}

func (s *sim) cloneAct(site *simSite, c *simClone, a CloneAction) {
	switch a := a.(type) {
	case Send:
		s.cloneSend(c, a)
	case Apply:
		s.cloneApply(site, c, a)
	case CompareHashes:
		s.compare(site, c, a)
	case KeepImages:
		for i := range c.images {
			if !slices.Contains(a.Images, i) {
				delete(c.images, i)
			}
		}
		for _, i := range a.Images {
			if _, ok := c.images[i]; !ok {
				s.fail("the clone is to keep %v and has not got it", i)
			}
		}
	case Start:
		g := &guest{mem: c.inst, glob: a.Call.Globals[0], vol: a.Call.Globals[1], last: a.Call.Globals[2]}
		g.setWASI(a.Call.Wasi)
		c.e = &exec{g: g, ops: s.prog[a.Call.Function].ops}
		c.call, c.attempt, c.started = a.Call, a.Attempt, s.now
		c.overlay, c.versions, c.cache = map[int]string{}, map[int]int{}, map[int]uint64{}
		c.randoms, c.waiting, c.aborted = 0, false, ""
	case Answer:
		c.waiting = false
		s.cloneAnswer(site, c, string(a.Payload))
	case Abort:
		c.aborted = a.Reason
	case Rollback:
		if _, ok := c.images[a.Image]; !ok {
			s.fail("rollback to %v, which is not there", a.Image)
		}
	}
}

func (s *sim) cloneSend(c *simClone, a Send) {
	var body []byte
	if a.Body.Kind == ResultBody {
		entry := c.images[a.Body.Base]
		body = encodeDelta(c.inst, entry)
	}
	c.out = append(c.out, s.frame(a, body))
}

func (s *sim) cloneApply(site *simSite, c *simClone, a Apply) {
	var base []uint64
	switch a.Base.Kind {
	case ModuleImage:
		base = newGuest().mem
	case HashedImage:
		base = nil
	default:
		var ok bool
		if base, ok = c.images[a.Base]; !ok {
			s.fail("base %v is named and not there", a.Base)
		}
	}
	var mem []uint64
	var err error
	if a.Base.Kind == HashedImage {
		mem, err = c.assemble(a.Body)
	} else {
		mem, err = decodeDelta(a.Body, base)
	}
	if err != nil {
		s.fail("a Call that does not apply: %v", err)
		s.clone(site, c, c.m.ApplyFailed(a.Attempt, ApplyBase, ""))
		return
	}
	if len(mem) < len(c.inst) && !a.Fresh {
		s.reach["grown"]++
		s.clone(site, c, c.m.ApplyFailed(a.Attempt, ApplyGrown, ""))
		return
	}
	if live, ok := s.d.m.Live(); ok && live == a.Attempt && !slices.Equal(mem, s.d.g.mem) {
		s.fail("entry image differs between the sides")
	}
	c.inst = mem
	c.images[Image{EntryImage, a.Attempt}] = slices.Clone(mem)
	s.clone(site, c, c.m.ApplyDone(s.now, a.Attempt, time.Millisecond))
}

func (s *sim) compare(site *simSite, c *simClone, a CompareHashes) {
	n := int(a.MemoryBytes / wire.PageSize)
	have := map[uint64]uint64{}
	for _, img := range c.images {
		for _, v := range img {
			have[mix(1, v)] = v
		}
	}
	c.found, c.foundOK = make([]uint64, n), make([]bool, n)
	var missing []uint32
	for i := range n {
		c.found[i], c.foundOK[i] = have[binary.LittleEndian.Uint64(a.Body[16*i:])], false
		_, c.foundOK[i] = have[binary.LittleEndian.Uint64(a.Body[16*i:])]
		if !c.foundOK[i] {
			missing = append(missing, uint32(i), 1)
		}
	}
	s.clone(site, c, c.m.Compared(a.Attempt, missing))
}

func (c *simClone) assemble(b []byte) ([]uint64, error) {
	sum := binary.LittleEndian.Uint64(b)
	b = b[8:]
	mem := slices.Clone(c.found)
	for i := range mem {
		if !c.foundOK[i] {
			mem[i] = binary.LittleEndian.Uint64(b)
			b = b[8:]
		}
	}
	if memHash(mem) != sum {
		return nil, fmt.Errorf("hash")
	}
	return mem, nil
}

// stepClone runs the clone's guest by one import.
func (s *sim) stepClone(site *simSite) {
	c := site.c
	if c.aborted != "" {
		s.finish(site, &wire.Return{Outcome: wire.Outcome_OUTCOME_ABORTED, Reason: c.aborted})
		return
	}
	i, ok := c.e.next()
	if !ok {
		s.finishRun(site)
		return
	}
	c.imp = i
	forward := func(class Class, payload string) {
		c.waiting = true
		s.clone(site, c, c.m.Forward(s.now, class, []byte(payload)))
		if c.aborted != "" {
			c.waiting = false
		}
	}
	_, known := c.versions[i.file]
	switch i.kind {
	case opPrint, opPrintVol:
		s.logClone(site, Output, uint64(len(i.text)), []byte(i.text))
	case opWrite:
		if !known {
			forward(Read, fmt.Sprintf("stat %d", i.file))
			return
		}
		s.cloneWrite(site)
	case opRead:
		if text, ok := c.overlay[i.file]; ok {
			s.logClone(site, Read, hashOf(text), nil)
		} else if known {
			s.logClone(site, Read, c.cache[i.file], nil)
		} else {
			forward(Read, fmt.Sprintf("read %d", i.file))
		}
	case opPrivate:
		forward(Read, "private 0")
	case opStdin:
		forward(Immediate, "stdin 0")
	case opClock:
		v := max(uint64(c.call.RealNanos)+uint64(s.now-c.started)*site.skew, c.e.g.last)
		c.m.NoteClocks(int64(v), 0)
		s.logClone(site, Quiet, v, nil)
	case opRandom:
		c.randoms++
		s.logClone(site, Quiet, seedRandom(c.call.Seed, c.randoms), nil)
	case opOpen:
		s.logClone(site, Read, 0, nil)
	case opPinned:
		c.aborted = "pinned"
	}
}

func (s *sim) cloneWrite(site *simSite) {
	c := site.c
	version := c.versions[c.imp.file]
	if _, mine := c.overlay[c.imp.file]; mine {
		version = -1
	}
	c.overlay[c.imp.file] = c.imp.text
	s.logClone(site, FileChange, uint64(len(c.imp.text)), []byte(fmt.Sprintf("%d|%d|%s", c.imp.file, version, c.imp.text)))
}

func (s *sim) logClone(site *simSite, class Class, val uint64, effect []byte) {
	c := site.c
	c.e.give(val)
	s.clone(site, c, c.m.Log(s.now, class, encodeEntry(c.imp, val), effect))
}

func (s *sim) cloneAnswer(site *simSite, c *simClone, payload string) {
	switch c.imp.kind {
	case opStdin:
		v, _ := strconv.ParseUint(payload, 10, 64)
		s.logClone(site, Immediate, v, nil)
	case opRead, opWrite:
		version, rest, _ := strings.Cut(payload, "|")
		c.versions[c.imp.file], _ = strconv.Atoi(version)
		c.cache[c.imp.file], _ = strconv.ParseUint(rest, 10, 64)
		s.clone(site, c, c.m.NoteRead([]byte(fmt.Sprintf("%d|%s", c.imp.file, version))))
		if c.imp.kind == opRead {
			s.logClone(site, Read, c.cache[c.imp.file], nil)
		} else {
			s.cloneWrite(site)
		}
	default:
		s.fail("an answer nobody asked for")
	}
}

func (s *sim) finishRun(site *simSite) {
	e := site.c.e
	ret := &wire.Return{Outcome: wire.Outcome_OUTCOME_RETURNED}
	switch e.end {
	case "exited":
		ret.Outcome, ret.ExitCode = wire.Outcome_OUTCOME_EXITED, e.code
	case "trapped":
		ret = &wire.Return{Outcome: wire.Outcome_OUTCOME_TRAPPED, Reason: "unreachable"}
	}
	if e.end != "trapped" {
		ret.Results, ret.Globals, ret.Wasi = []uint64{e.acc}, []uint64{e.g.glob, e.g.vol, e.g.last}, e.g.wasi()
	}
	s.finish(site, ret)
}

func (s *sim) finish(site *simSite, ret *wire.Return) {
	c := site.c
	c.inst = c.e.g.mem
	ok := ret.Outcome == wire.Outcome_OUTCOME_RETURNED || ret.Outcome == wire.Outcome_OUTCOME_EXITED
	if ok {
		c.images[Image{ResultImage, c.attempt}] = slices.Clone(c.inst)
	}
	c.e = nil
	s.clone(site, c, c.m.Finished(c.attempt, ret))
}

// ---- links ----

func (s *sim) cut(site *simSite) {
	l := &site.link
	keep := s.pick(len(l.toDevice) + 1)
	*l = simLink{nodeThinks: l.nodeThinks, toDevice: l.toDevice[:keep]}
	s.say("link %s cut", site.name)
}

// seeCut tells the device that the link is gone, once what had arrived is
// read.
func (s *sim) seeCut(site *simSite, device bool) {
	l := &site.link
	if device {
		l.deviceSaw = true
		if s.d.site < len(s.sites) && s.sites[s.d.site] == site {
			s.device(s.d.m.LinkLost(s.now))
		}
		return
	}
	l.nodeSaw, l.nodeThinks = true, false
	s.node(site, site.n.LinkLost(s.now))
}

func (s *sim) dial(site *simSite) {
	l := &site.link
	if l.nodeThinks {
		s.node(site, site.n.LinkLost(s.now))
	}
	*l = simLink{up: true, deviceSaw: true, nodeSaw: true, nodeThinks: true}
	s.say("link %s up", site.name)
	s.node(site, site.n.LinkUp(s.now))
	if s.sites[s.d.site] == site {
		s.device(s.d.m.LinkUp(s.now))
	}
}

// fault asks whether a fault of a kind happens now.
func (s *sim) fault(what string) bool {
	if s.budget == 0 || s.choose(6) != 0 {
		return false
	}
	s.budget--
	s.say("fault: %s", what)
	return true
}

// forge makes a frame that nobody sent: an old one again, or a Return of an
// attempt that never was.
func (s *sim) forge() {
	if len(s.d.old) > 0 && s.choose(2) == 0 {
		f := *s.d.old[s.choose(len(s.d.old))]
		s.giveDevice(&f)
		return
	}
	h := wire.Header{Type: wire.TypeReturn, Run: s.d.run, Attempt: ID{1, 2, 3}, Seq: 1}
	if id, ok := s.d.m.Live(); ok {
		h.Attempt = id
		h.Attempt[15] ^= 1
	}
	msg := &wire.Return{Outcome: wire.Outcome_OUTCOME_EXITED, ExitCode: 66}
	s.device(s.d.m.Frame(s.now, h, proto.Message(msg), nil))
}
