package runner

import (
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// RewritingVersion is of what a profile is about beside the module.
const RewritingVersion = rewrite.Version

// What Start.Profile may be beside empty, which is no profile.
const (
	// ProfileOnline gathers what costs next to nothing.
	ProfileOnline = "online"
	// ProfileFull watches every call, and arms candidates with --where=device too.
	ProfileFull = "full"
)

const (
	// everyOnline is the mean time between entries that is looked at: an entry and
	// its exit cost about a microsecond, so this is under 1 %.
	everyOnline = 150 * time.Microsecond
	// everyFull only keeps a profile from taking many times the program's time.
	everyFull = 2 * time.Microsecond
	// tellEvery is how often a profile goes to the manager.
	tellEvery = 10 * time.Second
	// maxPart bounds the bytes of a profile in one Event, whose meta is bounded.
	maxPart = 32 << 10
	// importsPerLook is how many imports go by between two looks at the clock.
	importsPerLook = 16
	// looksShare bounds the time spent counting dirty pages: 1/looksShare of all,
	// and of a call. The first looks are free.
	looksShare = 200
	freeLooks  = 500 * time.Microsecond
)

// profiling gathers the profile of a run on the device. A nil one gathers
// nothing.
type profiling struct {
	r       *deviceRun
	c       *profile.Collector
	entries reentries
	arms    *arming
	tellAt  int64
	imports int
	over    int   // watched calls in progress that the collector refused
	looked  int64 // nanoseconds spent counting dirty pages
	look    int64 // the last time that took
	trace   *tracing
	names   []uint32
}

// newProfiling starts a profile, if this run has one.
func newProfiling(r *deviceRun) *profiling {
	if r.start.Profile == "" || len(r.g.out.Candidates) == 0 {
		return nil
	}
	p := &profiling{r: r, entries: newReentries(r.g), arms: r.arms, tellAt: int64(tellEvery)}
	conf := profile.Config{
		Clock: func() int64 { return int64(time.Since(r.epoch)) },
		Arm:   func(k int, on bool) { p.arms.set(k, byProfile, on) },
	}
	for i := range r.g.out.Candidates {
		conf.Funcs = append(conf.Funcs, r.g.out.Candidates[i].Index)
	}
	switch {
	case r.start.Profile == ProfileFull:
		conf.Every = int64(everyFull)
	case r.start.Where == "auto":
		conf.Every = int64(everyOnline)
	}
	if r.start.Where == siteClone {
		conf.Every = 0 // whatever is called is to move
	}
	p.c = profile.NewCollector(conf)
	if r.start.Trace {
		p.trace = &tracing{}
	}
	if r.start.Depth > 0 {
		r.decide = &deeper{policy: r.decide, p: p, depth: r.start.Depth}
	}
	return p
}

// deeper leaves the outermost calls here, so that calls inside them are measured
// on the clone.
type deeper struct {
	policy
	p     *profiling
	depth int
}

func (d *deeper) choose(k int, link *wire.LinkState, dirty func() int64) (where, reason string, watch bool) {
	if d.p.c.Depth() < d.depth {
		return siteDevice, "not as deep as asked for", true
	}
	return d.policy.choose(k, link, dirty)
}

// entered notes the call that entered is about to answer a stub for. Its exit is
// to be reported then, whoever else wants that.
func (p *profiling) entered(k int, args []uint64, answer rewrite.Status) rewrite.Status {
	if p == nil || answer == rewrite.Done {
		return answer
	}
	owned := answer == rewrite.LocalWatch
	if !p.c.Enter(k, p.entries.how(k, args)) {
		if owned {
			p.over++
		}
		return answer
	}
	tag := p.c.Tag()
	tag.Owned = owned
	if space := p.r.g.space; space != nil {
		mean, calls := p.c.Mean()
		if (calls < 2 || mean >= uint64(looksShare*p.look)) && p.looked <= tag.Began/looksShare+int64(freeLooks) {
			tag.Dirty, tag.Image = p.dirty(), string(space.Image())
		}
	}
	p.now(tag.Began)
	return rewrite.LocalWatch
}

// left notes a call's exit, and says whether somebody else waits for it.
func (p *profiling) left(k int) bool {
	if p == nil {
		return true
	}
	if p.over > 0 {
		p.over--
		return true
	}
	l, ok := p.c.Leave(k)
	if !ok {
		return true
	}
	if space := p.r.g.space; l.Dirty >= 0 && l.Nanos >= looksShare/4*p.look && l.Image == string(space.Image()) {
		space.Park()
		now := p.dirty()
		space.Unpark()
		p.c.Dirtied(l, uint64(max(now-l.Dirty, 0)))
	}
	p.trace.call(p.r.pipe, l)
	p.now(l.Began + l.Nanos)
	return l.Owned
}

// dirty counts the bytes that differ from the base.
func (p *profiling) dirty() int64 {
	began := time.Now()
	n := p.r.heldBytes()
	p.look = int64(time.Since(began))
	p.looked += p.look
	return n
}

// imported notes a call of an import.
func (p *profiling) imported(fn wasi.Fn, stack []uint64) {
	if p == nil {
		return
	}
	p.c.Import(p.kind(fn, stack))
	if p.imports++; p.imports%importsPerLook == 0 {
		now := int64(time.Since(p.r.epoch))
		p.c.Due(now)
		p.now(now)
	}
}

// kind says what an import does, as far as its arguments tell by themselves.
func (p *profiling) kind(fn wasi.Fn, stack []uint64) profile.Import {
	switch {
	case fn == wasi.FnPollOneoff:
		return profile.ImportPoll
	case fn == wasi.FnPathOpen && len(stack) > 4:
		const create, truncate = 1, 8
		if stack[4]&(create|truncate) == 0 {
			return profile.ImportRead
		}
		return profile.ImportFileChange
	case len(stack) == 0:
		return profile.ImportQuiet
	}
	return profile.Import(p.r.g.sys.Class(fn, uint32(stack[0])))
}

// now tells the manager when it is time to.
func (p *profiling) now(at int64) {
	if at >= p.tellAt {
		p.tellAt = at + int64(tellEvery)
		p.tell()
	}
}

// tell sends what has been gathered since the last time.
func (p *profiling) tell() {
	tree := p.c.Take()
	if tree.Empty() && tree.Root.Stats == (profile.Stats{}) {
		return
	}
	for _, part := range tree.Split(maxPart) {
		p.r.pipe.tell(Event{Profile: part})
	}
}

// end sends the rest.
func (p *profiling) end() {
	if p == nil {
		return
	}
	p.c.Unwind(0)
	p.trace.flush(p.r.pipe)
	p.tell()
}

// depart notes that the guest is parked for an attempt.
func (p *profiling) depart() {
	if p != nil {
		p.c.Depart()
	}
}

// arrived notes what became of an attempt.
func (p *profiling) arrived(k int, args []uint64, end offload.DeviceAction) {
	live := &p.r.live
	m := profile.Moved{Failed: true, Up: live.up, Down: live.down, Dirtied: -1}
	if in, ok := end.(offload.Install); ok {
		m.Failed, m.Remote = false, int64(in.Return.ComputeNanos)
		if live.change != nil {
			m.Dirtied = int64(live.change.Pages()) * wire.PageSize
		}
	}
	p.c.Arrive(k, p.entries.how(k, args), m)
}

// depth and unwind frame a call from outside, from which a trap or an exit may
// leave without telling the stubs.
func (p *profiling) depth() int {
	if p == nil {
		return 0
	}
	return p.c.Depth()
}

func (p *profiling) unwind(depth int) {
	if p != nil {
		p.c.Unwind(depth)
		p.over = 0
	}
}

// context names the present context, outermost first.
func (p *profiling) context() string {
	if p == nil {
		return ""
	}
	p.names = p.c.Context(p.names[:0])
	var b strings.Builder
	for i, f := range p.names {
		if i > 0 {
			b.WriteString(" > ")
		}
		if f == profile.Other {
			b.WriteString("...")
			continue
		}
		b.WriteString(p.r.g.module.Name(f))
	}
	return b.String()
}
