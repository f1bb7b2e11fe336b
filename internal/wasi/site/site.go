package site

import (
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Limits bounds what one attempt may hold. Zero fields mean the defaults.
type Limits struct {
	Overlay uint64 // bytes of changed content, and of queued effects (256 MiB)
	Cache   uint64 // bytes of the device's content kept for reading (32 MiB)
	Nodes   int    // files, folders and failed lookups known (200,000)
	Handles int    // open at a time (4,096)
}

func (l *Limits) populate() {
	if l.Overlay == 0 {
		l.Overlay = 256 << 20
	}
	if l.Cache == 0 {
		l.Cache = 32 << 20
	}
	if l.Nodes == 0 {
		l.Nodes = 200_000
	}
	if l.Handles == 0 {
		l.Handles = wasi.MaxDescs
	}
}

// Config is what a Site stands on.
type Config struct {
	// Forward asks the device: one round trip. An error ends the attempt.
	Forward func(Request) (Reply, error)

	// BeforeImmediate is called before a request whose Op is immediate: it
	// must send what [Site.TakeBatch] returns and have the device check and
	// release it. An error ends the attempt, as does an immediate effect
	// where this is nil.
	BeforeImmediate func() error

	Realtime, Monotonic int64    // the device's clocks at the Call, nanoseconds
	Seed                [32]byte // of random_get
	Limits              Limits

	// Elapsed returns the nanoseconds since the Call was applied; nil: from
	// now on, by the machine's monotonic clock. Sleep waits for some
	// nanoseconds of it; nil: by that clock.
	Elapsed func() int64
	Sleep   func(ns int64)
}

// Site is the Host of one attempt. Its Host methods, SetEntry and Finish are
// for the guest's goroutine; TakeOutput may be called from another one.
type Site struct {
	cfg  Config
	rng  *rand.ChaCha8
	log  queue
	tree tree
	pool cache

	handles map[wasi.Handle]*file
	next    wasi.Handle
	entry   uint64
}

var _ wasi.Host = (*Site)(nil)

// file is an open handle: one that the site made, or a device handle that
// the guest brought.
type file struct {
	n        *node
	flags    wasi.OpenFlags
	readOnly bool // a folder in which nothing may be changed
}

// writes reports whether opening with f asks for the right to write.
func writes(f wasi.OpenFlags) bool { return f.Write || f.Truncate }

func (f *file) readable() bool  { return f.flags.Read || !writes(f.flags) }
func (f *file) writeable() bool { return writes(f.flags) }

// New starts an attempt.
func New(cfg Config) *Site {
	cfg.Limits.populate()
	if cfg.Elapsed == nil {
		start := time.Now()
		cfg.Elapsed = func() int64 { return int64(time.Since(start)) }
	}
	if cfg.Sleep == nil {
		cfg.Sleep = func(ns int64) { time.Sleep(time.Duration(ns)) }
	}
	s := &Site{cfg: cfg, rng: rand.NewChaCha8(cfg.Seed), handles: map[wasi.Handle]*file{}, next: wasi.SiteHandle + 1}
	s.log.limit = cfg.Limits.Overlay
	s.pool.limit = cfg.Limits.Cache
	s.tree.init()
	return s
}

// SetEntry says that what follows is done by import n of the attempt:
// queued output carries the number.
func (s *Site) SetEntry(n uint64) { s.entry = n }

// abort ends the attempt.
func abort(reason string) { panic(wasi.Abort{Reason: reason}) }

// ask forwards r. It returns only answers: everything else ends the attempt.
func (s *Site) ask(r Request) Reply {
	if r.Op.Immediate() {
		s.flush()
	}
	p, err := s.cfg.Forward(r)
	if err != nil {
		abort("forwarding to the device: " + err.Error())
	}
	switch p.Code {
	case Answered:
		return p
	case Pinned:
		abort("pinned: " + p.Reason)
	case Changed:
		abort("changed on the device: " + p.Reason)
	default:
		abort("refused by the device: " + p.Reason)
	}
	panic("unreachable")
}

// flush makes everything that was done so far real, or ends the attempt
// (PROTOCOL rule 13).
func (s *Site) flush() {
	if s.log.hasChanges() {
		abort("an immediate effect after a file change")
	}
	if s.cfg.BeforeImmediate == nil {
		abort("an immediate effect, and nothing can be released")
	}
	if err := s.cfg.BeforeImmediate(); err != nil {
		abort("release before an immediate effect: " + err.Error())
	}
	if !s.log.empty() {
		abort("an immediate effect while output is queued")
	}
}

// get returns the open file behind h.
func (s *Site) get(h wasi.Handle) (*file, wasi.Errno) {
	if f := s.handles[h]; f != nil {
		return f, wasi.ErrnoSuccess
	}
	if h&wasi.SiteHandle != 0 {
		return nil, wasi.ErrnoBadf
	}
	p := s.ask(Request{Op: OpStat, Handle: h})
	if p.Errno != wasi.ErrnoSuccess {
		return nil, p.Errno
	}
	return s.adopt(h, p), wasi.ErrnoSuccess
}

// adopt takes over what the device says of a handle.
func (s *Site) adopt(h wasi.Handle, p Reply) *file {
	n := s.tree.device(s, h, p.Stat)
	f := &file{
		n:        n,
		flags:    wasi.OpenFlags{Read: p.Flags&FlagRead != 0, Write: p.Flags&FlagWrite != 0},
		readOnly: p.Flags&FlagReadOnly != 0,
	}
	s.handles[h] = f
	s.noteNode(n)
	return f
}

// meet asks the device for a walk from a handle that has not been used yet,
// so that the first use of a folder costs no round trip more than the next.
func (s *Site) meet(h wasi.Handle, path string, w want) {
	if h&wasi.SiteHandle != 0 || h <= stderr || s.handles[h] != nil {
		return
	}
	if path == "" || path[0] == '/' || len(path) > wasi.MaxPath || strings.IndexByte(path, 0) >= 0 {
		return
	}
	p := s.askWalk(h, path, w)
	if p.Stat.Type != wasi.FiletypeDirectory {
		return
	}
	s.adopt(h, p)
	s.takeWalk(h, p, w)
}

// dir returns the folder behind h.
func (s *Site) dir(h wasi.Handle) (*file, wasi.Errno) {
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	if f.n.typ != wasi.FiletypeDirectory {
		return nil, wasi.ErrnoNotdir
	}
	return f, wasi.ErrnoSuccess
}

// changeable returns the folder behind h if it may be changed.
func (s *Site) changeable(h wasi.Handle) (*file, wasi.Errno) {
	f, e := s.dir(h)
	if e == wasi.ErrnoSuccess && f.readOnly {
		return nil, wasi.ErrnoRofs
	}
	return f, e
}

// open gives the guest a new handle on n.
func (s *Site) open(n *node, f wasi.OpenFlags, readOnly bool) wasi.Handle {
	if len(s.handles) >= s.cfg.Limits.Handles {
		abort("too many open handles")
	}
	h := s.next
	s.next++
	s.handles[h] = &file{n: n, flags: f, readOnly: readOnly}
	return h
}

// Close forgets h. A device handle is closed when the commit installs the
// descriptor table, not before.
func (s *Site) Close(h wasi.Handle) wasi.Errno {
	if h&wasi.SiteHandle == 0 {
		return wasi.ErrnoSuccess
	}
	if s.handles[h] == nil {
		return wasi.ErrnoBadf
	}
	delete(s.handles, h)
	return wasi.ErrnoSuccess
}

// Finish returns all that the attempt did since the last TakeOutput, what it
// holds open, and what must still hold. The Site must not be used any more.
func (s *Site) Finish() (Effects, Reads) {
	e := Effects{}
	for h, f := range s.handles {
		if h&wasi.SiteHandle == 0 {
			continue
		}
		s.noteNode(f.n)
		fl := f.flags
		fl.Write = writes(fl)
		fl.Create, fl.Exclusive, fl.Truncate = false, false, false
		e.Opens = append(e.Opens, Open{Handle: h, Object: s.object(f.n), Flags: fl})
	}
	sortOpens(e.Opens)
	e.Objects = s.log.objects
	var r Reads
	e.List, r = s.log.takeAll()
	return e, r
}

// Batch is output that may be released now, and the reads that it stands on.
type Batch struct {
	Output []Effect
	Reads  Reads
}

// TakeOutput removes and returns the output that no file change precedes, at
// most max bytes of it (but at least one write), with the reads noted since
// the last call. It reports false, and takes nothing, if there is no such
// output.
func (s *Site) TakeOutput(max int) (Batch, bool) { return s.log.takeOutput(max, false) }

// TakeBatch is TakeOutput without a bound, and takes the reads even if there
// is no output: before an immediate effect they must be checked all the same.
func (s *Site) TakeBatch() Batch {
	b, _ := s.log.takeOutput(math.MaxInt, true)
	return b
}
