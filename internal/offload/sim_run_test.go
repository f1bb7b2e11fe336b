package offload

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// event is something that can happen next.
type event struct {
	what   string
	weight int
	fault  bool
	do     func()
}

// events lists what can happen, progress first and in a fixed order.
func (s *sim) events() []event {
	var ev []event
	add := func(what string, weight int, do func()) { ev = append(ev, event{what: what, weight: weight, do: do}) }
	d := s.d
	switch {
	case d.local != nil:
		if e := d.local; !e.waiting || d.m.late == nil {
			add("local", 4, s.stepLocal)
		}
	case d.call == nil:
		add("advance", 4, s.advance)
	}
	for i, j := range d.jobs {
		weight := 4
		if strings.HasPrefix(j.what, "serve") {
			weight = 1 // a person types slowly
		}
		add("job "+j.what, weight, func() {
			if j.step() {
				d.jobs = slices.Delete(d.jobs, i, i+1)
				s.device(j.ended())
			}
		})
	}
	for _, site := range s.sites {
		s.siteEvents(site, add)
	}
	if by, ok := d.m.Deadline(); ok && s.now >= by {
		add("device tick", 4, func() { s.device(d.m.Tick(s.now)) })
	}
	if s.budget > 0 {
		s.faultEvents(func(what string, do func()) {
			ev = append(ev, event{what: what, weight: 1, fault: true, do: func() { s.budget--; s.say("fault: %s", what); s.reach["fault "+what]++; do() }})
		})
	}
	return ev
}

func (s *sim) siteEvents(site *simSite, add func(string, int, func())) {
	l := &site.link
	if len(l.toNode) > 0 {
		add("to node", 6, func() {
			f := l.toNode[0]
			l.toNode = l.toNode[1:]
			s.say("node %s <- %v %d (ack %d)", site.name, f.Type, f.Seq, f.Ack)
			s.node(site, site.n.FromDevice(s.now, f))
		})
	}
	if len(l.toDevice) > 0 {
		add("to device", 6, func() { s.deliverToDevice(site) })
	}
	if !l.up && !l.deviceSaw && len(l.toDevice) == 0 {
		add("device sees cut", 4, func() { s.seeCut(site, true) })
	}
	if !l.up && !l.nodeSaw {
		add("node sees cut", 4, func() { s.seeCut(site, false) })
	}
	if !l.up && l.deviceSaw {
		add("dial", 2, func() { s.dial(site) })
	}
	for i, exit := range site.exits {
		add("exit seen", 4, func() {
			site.exits = slices.Delete(site.exits, i, i+1)
			exit()
		})
		break
	}
	if by, ok := site.n.Deadline(); ok && s.now >= by {
		add("node tick", 4, func() { s.node(site, site.n.Tick(s.now)) })
	}
	c := site.c
	if c == nil {
		return
	}
	if len(c.in) > 0 {
		add("to clone", 6, func() {
			f := c.in[0]
			c.in = c.in[1:]
			msg, err := f.Message()
			if err != nil {
				s.fail("a frame that does not decode: %v", err)
				return
			}
			s.clone(site, c, c.m.Frame(s.now, f.Header, msg, f.Body))
		})
	}
	if len(c.out) > 0 {
		add("from clone", 6, func() {
			f := c.out[0]
			c.out = c.out[1:]
			s.node(site, site.n.FromClone(s.now, c.gen, f))
		})
	}
	if c.e != nil && !c.waiting {
		add("clone runs", 4, func() { s.stepClone(site) })
	}
	if by, ok := c.m.Deadline(); ok && s.now >= by {
		add("clone tick", 4, func() { s.clone(site, c, c.m.Tick(s.now)) })
	}
}

func (s *sim) faultEvents(add func(string, func())) {
	f := s.faults
	for _, site := range s.sites {
		l := &site.link
		if f.cut && l.up {
			add("cut "+site.name, func() { s.cut(site) })
		}
		if f.drop && len(l.toDevice) > 0 {
			add("drop to device", func() { l.toDevice = l.toDevice[1:] })
		}
		if f.drop && len(l.toNode) > 0 {
			add("drop to node", func() { l.toNode = l.toNode[1:] })
		}
		if f.dup && len(l.toDevice) > 0 {
			add("repeat to device", func() { l.toDevice = slices.Insert(l.toDevice, 1, l.toDevice[0]) })
		}
		if f.dup && len(l.toNode) > 0 {
			add("repeat to node", func() { l.toNode = slices.Insert(l.toNode, 1, l.toNode[0]) })
		}
		if f.kill && site.c != nil {
			add("kill clone "+site.name, func() { s.loseClone(site, "killed by a signal") })
		}
	}
	if f.forge {
		add("forge", s.forge)
	}
	if f.touch {
		add("touch", func() {
			s.w.changes++
			s.w.files[s.pick(3)].version = s.w.changes
		})
	}
	if f.crash {
		add("crash", func() { s.ended = "crashed" })
	}
	if f.cancel {
		add("cancel", func() { s.device(s.d.m.Cancel("interrupted")); s.ended = "cancelled" })
	}
}

// stalled is what keep-alives find: nothing moves although an attempt lives,
// because a frame was lost without the link being lost.
func (s *sim) stalled() bool {
	site := s.sites[s.d.site]
	if site.link.up {
		s.cut(site)
		return true
	}
	return false
}

// run runs to the end of the program, or until stop.
func (s *sim) run(stop func() bool) {
	for step := 0; s.ended == "" && s.broken == ""; step++ {
		if stop != nil && stop() {
			return
		}
		if step == 20000 {
			s.fail("no end after %d steps", step)
			return
		}
		ev := s.events()
		progress := 0
		for _, e := range ev {
			if !e.fault {
				progress++
			}
		}
		if progress == 0 || s.onlyDial(ev) {
			if !s.wait() && progress == 0 && !s.stalled() {
				s.fail("nothing can happen and the program has not ended")
				return
			}
			if progress == 0 {
				continue
			}
		}
		s.now += s.jitter()
		if s.next != nil {
			ev[s.next(step, ev)].do()
		} else {
			ev[s.weighted(ev)].do()
		}
	}
}

func (s *sim) onlyDial(ev []event) bool {
	for _, e := range ev {
		if !e.fault && e.what != "dial" {
			return false
		}
	}
	return true
}

// wait moves the clock to the next deadline.
func (s *sim) wait() bool {
	best, any := Time(0), false
	note := func(t Time, ok bool) {
		if ok && t > s.now && (!any || t < best) {
			best, any = t, true
		}
	}
	note(s.d.m.Deadline())
	for _, site := range s.sites {
		note(site.n.Deadline())
		if site.c != nil {
			note(site.c.m.Deadline())
		}
	}
	if any {
		s.now = best
	}
	return any
}

func (s *sim) jitter() Time {
	if s.pace != 0 {
		return s.pace
	}
	return time.Duration(s.choose(1000)%70) * time.Millisecond
}

func (s *sim) weighted(ev []event) int {
	total := 0
	for _, e := range ev {
		total += e.weight
	}
	n := s.choose(total)
	for i, e := range ev {
		if n -= e.weight; n < 0 {
			return i
		}
	}
	return 0
}

// verdict says what is wrong with how the simulation ended, or "".
func (s *sim) verdict(room int) string {
	if s.broken != "" {
		return s.broken
	}
	want, hist := reference(s.prog, room)
	switch s.ended {
	case "crashed", "cancelled":
		if s.undone || s.reach["offload.Undo"] > 0 {
			return "" // file changes may come after output that stands
		}
		return s.isPrefix(hist)
	case "failed":
		if s.reach["offload.Undo"] > 0 {
			return ""
		}
		return "the guest was ended"
	}
	got := result{end: s.ended, code: s.code, accs: s.accs}.fill(s.d.g, s.w)
	if want.end != "returned" {
		got.accs, want.accs = nil, nil
	}
	if g, w := got.String(), want.String(); g != w {
		return fmt.Sprintf("got\n%s\nwant\n%s", g, w)
	}
	return ""
}

// isPrefix holds a cut run against the local one: its effects must be those
// of a local run that was cut somewhere (PROTOCOL rule 19).
func (s *sim) isPrefix(hist []string) string {
	w := newWorld(0)
	trace := mask(s.w.trace)
	for n := 0; ; n++ {
		var t []string
		for _, h := range hist[:n] {
			if !strings.HasPrefix(h, "file:") {
				t = append(t, h)
			}
		}
		if slices.Equal(mask(t), trace) {
			same := true
			for i := range w.files {
				same = same && w.files[i].content == s.w.files[i].content
			}
			if same {
				return ""
			}
		}
		if n == len(hist) {
			return fmt.Sprintf("effects %q, files %v are no prefix of %q", trace, s.w.files, hist)
		}
		if rest, ok := strings.CutPrefix(hist[n], "file:"); ok {
			f, text, _ := strings.Cut(rest, "=")
			w.write(int(f[0]-'0'), text)
		}
	}
}
