package site

import (
	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Open opens what path names under dir, or makes it. The order of the checks
// is wasi.Local's.
func (s *Site) Open(dir wasi.Handle, path string, f wasi.OpenFlags) (wasi.Handle, wasi.Stat, wasi.Errno) {
	fail := func(e wasi.Errno) (wasi.Handle, wasi.Stat, wasi.Errno) { return 0, wasi.Stat{}, e }
	excl := f.Create && f.Exclusive
	w := want{follow: f.Follow && (!excl || f.Directory), read: f.Read || !writes(f), write: writes(f), list: f.Directory}
	if f.Directory {
		w.read, w.write = true, false
	} else if f.Read && !f.Truncate {
		w.first = maxFirstRead
	}
	s.meet(dir, path, w)
	d, e := s.dir(dir)
	if e != wasi.ErrnoSuccess {
		return fail(e)
	}
	sp, e := s.walk(d.n, path, w)
	if e == wasi.ErrnoSuccess && sp.exists() && sp.k.n.typ == wasi.FiletypeSymbolicLink {
		if excl {
			return fail(wasi.ErrnoExist)
		}
		return fail(wasi.ErrnoLoop)
	}
	if d.readOnly && writes(f) {
		return fail(wasi.ErrnoRofs)
	}
	if e != wasi.ErrnoSuccess {
		return fail(e)
	}
	n, e := sp.node()
	switch {
	case f.Directory && e == wasi.ErrnoSuccess:
		if n.typ != wasi.FiletypeDirectory {
			if e := s.permitted(n, true, false, 0); e != wasi.ErrnoSuccess {
				return fail(e)
			}
			return fail(wasi.ErrnoNotdir)
		}
		f.Create, f.Exclusive, f.Truncate, f.Write = false, false, false, false
	case e == wasi.ErrnoNoent && f.Create && !f.Directory:
		if d.readOnly {
			return fail(wasi.ErrnoRofs)
		}
		return s.openNew(sp, f)
	case e != wasi.ErrnoSuccess:
		return fail(e)
	case excl && !d.readOnly:
		return fail(wasi.ErrnoExist)
	}
	if e := openable(n, f, d.readOnly); e != wasi.ErrnoSuccess {
		return fail(e)
	}
	if e := s.permitted(n, w.read, w.write, w.first); e != wasi.ErrnoSuccess {
		return fail(e)
	}
	if f.Truncate && n.stat.Size > 0 {
		s.setSize(n, 0)
	}
	return s.open(n, f, d.readOnly), n.stat, wasi.ErrnoSuccess
}

// openable reports whether flags suit what n is.
func openable(n *node, f wasi.OpenFlags, readOnly bool) wasi.Errno {
	switch n.typ {
	case wasi.FiletypeDirectory:
		if writes(f) || f.Create && !readOnly {
			return wasi.ErrnoIsdir
		}
	case wasi.FiletypeRegularFile:
	default:
		abort("pinned: opening a special file")
	}
	return wasi.ErrnoSuccess
}

func (s *Site) openNew(sp spot, f wasi.OpenFlags) (wasi.Handle, wasi.Stat, wasi.Errno) {
	if sp.slash {
		return 0, wasi.Stat{}, wasi.ErrnoIsdir
	}
	if sp.dir.gone {
		return 0, wasi.Stat{}, wasi.ErrnoNoent
	}
	n := s.make(sp, wasi.FiletypeRegularFile, "")
	return s.open(n, f, false), n.stat, wasi.ErrnoSuccess
}

// Stat returns the metadata of what h is open on.
func (s *Site) Stat(h wasi.Handle) (wasi.Stat, wasi.Errno) {
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return wasi.Stat{}, e
	}
	s.noteFull(f.n)
	return f.n.stat, wasi.ErrnoSuccess
}

// StatAt returns the metadata of what path names.
func (s *Site) StatAt(dir wasi.Handle, path string, follow bool) (wasi.Stat, wasi.Errno) {
	n, e := s.find(dir, path, follow)
	if e != wasi.ErrnoSuccess {
		return wasi.Stat{}, e
	}
	s.noteFull(n)
	return n.stat, wasi.ErrnoSuccess
}

// find returns the node that path names.
func (s *Site) find(dir wasi.Handle, path string, follow bool) (*node, wasi.Errno) {
	s.meet(dir, path, want{follow: follow})
	d, e := s.dir(dir)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	sp, e := s.walk(d.n, path, want{follow: follow})
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	return sp.node()
}

// regular returns the open file h if it is a regular one. The standard
// streams are streams whatever they are redirected to.
func (s *Site) regular(h wasi.Handle) (*file, wasi.Errno) {
	if h <= stderr {
		return nil, wasi.ErrnoSpipe
	}
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	switch f.n.typ {
	case wasi.FiletypeRegularFile:
		return f, wasi.ErrnoSuccess
	case wasi.FiletypeDirectory:
		return nil, wasi.ErrnoIsdir
	default:
		return nil, wasi.ErrnoSpipe
	}
}

// PRead reads a file.
func (s *Site) PRead(h wasi.Handle, buf []byte, off uint64) (int, wasi.Errno) {
	f, e := s.regular(h)
	if e != wasi.ErrnoSuccess {
		return 0, e
	}
	if off > MaxFile {
		return 0, wasi.ErrnoInval
	}
	if len(buf) == 0 {
		return 0, wasi.ErrnoSuccess
	}
	if !f.readable() {
		return 0, wasi.ErrnoBadf
	}
	return s.readAt(f.n, buf, off), wasi.ErrnoSuccess
}

// writable returns the open file h if n bytes may be written to it at off.
func (s *Site) writable(h wasi.Handle, off, n uint64) (*file, wasi.Errno) {
	f, e := s.regular(h)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	if !f.writeable() {
		return nil, wasi.ErrnoBadf
	}
	if off > MaxFile {
		return nil, wasi.ErrnoInval
	}
	if n > MaxFile-off {
		return nil, wasi.ErrnoFbig
	}
	return f, wasi.ErrnoSuccess
}

// PWrite writes to a file of the overlay.
func (s *Site) PWrite(h wasi.Handle, data []byte, off uint64) (int, wasi.Errno) {
	if len(data) == 0 {
		_, e := s.regular(h)
		return 0, e
	}
	f, e := s.writable(h, off, uint64(len(data)))
	if e != wasi.ErrnoSuccess {
		return 0, e
	}
	s.write(f.n, data, off)
	return len(data), wasi.ErrnoSuccess
}

// Append writes at the end of a file of the overlay.
func (s *Site) Append(h wasi.Handle, data []byte) (int, uint64, wasi.Errno) {
	f, e := s.writable(h, 0, 0)
	if e != wasi.ErrnoSuccess {
		return 0, 0, e
	}
	if len(data) > 0 {
		if uint64(len(data)) > MaxFile-f.n.stat.Size {
			return 0, 0, wasi.ErrnoFbig
		}
		s.write(f.n, data, f.n.stat.Size)
	} else {
		s.noteFull(f.n)
	}
	return len(data), f.n.stat.Size, wasi.ErrnoSuccess
}

func (s *Site) write(n *node, data []byte, off uint64) {
	s.noteFull(n)
	s.log.add(Effect{Kind: EffectWrite, Object: s.object(n), Offset: off, Data: data})
	s.writeAt(n, data, off)
	s.touch(n)
}

func (s *Site) setSize(n *node, size uint64) {
	s.noteFull(n)
	s.log.add(Effect{Kind: EffectSetSize, Object: s.object(n), Size: size})
	s.resize(n, size)
	s.touch(n)
}

// touch moves n's times of change to now.
func (s *Site) touch(n *node) {
	n.stat.Mtim = s.realtime()
	n.stat.Ctim = n.stat.Mtim
}

// SetSize cuts a file or lengthens it with zeros.
func (s *Site) SetSize(h wasi.Handle, size uint64) wasi.Errno {
	f, e := s.regular(h)
	if e != wasi.ErrnoSuccess {
		return e
	}
	if !f.writeable() {
		return wasi.ErrnoInval
	}
	if size > MaxFile {
		return wasi.ErrnoInval
	}
	s.setSize(f.n, size)
	return wasi.ErrnoSuccess
}

// Allocate makes sure that a file has off+n bytes.
func (s *Site) Allocate(h wasi.Handle, off, n uint64) wasi.Errno {
	f, e := s.regular(h)
	if e != wasi.ErrnoSuccess {
		return e
	}
	switch {
	case n == 0:
		return wasi.ErrnoInval
	case !f.writeable():
		return wasi.ErrnoBadf
	case off > MaxFile || n > MaxFile-off:
		return wasi.ErrnoFbig
	}
	if off+n > f.n.stat.Size {
		s.setSize(f.n, off+n)
	}
	return wasi.ErrnoSuccess
}

// Sync succeeds: what is queued is made durable by the commit.
func (s *Site) Sync(h wasi.Handle, _ bool) wasi.Errno {
	_, e := s.get(h)
	return e
}

// SetFlags changes how a handle behaves. For files that is the descriptor
// table's business alone.
func (s *Site) SetFlags(h wasi.Handle, fl wasi.Fdflags) wasi.Errno {
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return e
	}
	switch f.n.typ {
	case wasi.FiletypeRegularFile, wasi.FiletypeDirectory:
		f.flags.Append = fl&wasi.FdflagAppend != 0
		return wasi.ErrnoSuccess
	}
	if h <= 2 && h != 0 {
		return wasi.ErrnoSuccess
	}
	return s.ask(Request{Op: OpSetFlags, Handle: h, Flags: uint16(fl)}).Errno
}

// SetTimes sets the times of what h is open on.
func (s *Site) SetTimes(h wasi.Handle, atim, mtim wasi.TimeSet) wasi.Errno {
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return e
	}
	if f.readOnly {
		return wasi.ErrnoRofs
	}
	if h <= stderr {
		return wasi.ErrnoInval
	}
	return s.setTimes(f.n, atim, mtim)
}

// SetTimesAt sets the times of what path names.
func (s *Site) SetTimesAt(dir wasi.Handle, path string, follow bool, atim, mtim wasi.TimeSet) wasi.Errno {
	s.meet(dir, path, want{follow: follow})
	if _, e := s.changeable(dir); e != wasi.ErrnoSuccess {
		return e
	}
	n, e := s.find(dir, path, follow)
	if e != wasi.ErrnoSuccess {
		return e
	}
	return s.setTimes(n, atim, mtim)
}

func (s *Site) setTimes(n *node, atim, mtim wasi.TimeSet) wasi.Errno {
	switch n.typ {
	case wasi.FiletypeRegularFile, wasi.FiletypeDirectory, wasi.FiletypeSymbolicLink:
	default:
		abort("pinned: setting the times of a special file")
	}
	now := s.realtime()
	for _, t := range []*wasi.TimeSet{&atim, &mtim} {
		if t.Now {
			*t = wasi.TimeSet{Set: true, At: now}
		}
	}
	if !atim.Set && !mtim.Set {
		return wasi.ErrnoSuccess
	}
	s.noteFull(n)
	s.log.add(Effect{Kind: EffectTimes, Object: s.object(n), Atim: atim, Mtim: mtim})
	if atim.Set {
		n.stat.Atim = atim.At
	}
	if mtim.Set {
		n.stat.Mtim = mtim.At
	}
	n.stat.Ctim = now
	return wasi.ErrnoSuccess
}
