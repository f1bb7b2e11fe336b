package site

import (
	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Open opens what path names under dir, or makes it.
func (s *Site) Open(dir wasi.Handle, path string, f wasi.OpenFlags) (wasi.Handle, wasi.Stat, wasi.Errno) {
	d, e := s.dir(dir)
	if e != wasi.ErrnoSuccess {
		return 0, wasi.Stat{}, e
	}
	excl := f.Create && f.Exclusive
	write := f.Write || f.Append || f.Truncate
	w := want{follow: f.Follow && !excl, read: f.Read, write: write, list: f.Directory}
	if f.Read && !f.Truncate && !f.Directory {
		w.first = maxFirstRead
	}
	sp, e := s.walk(d, path, w)
	if e != wasi.ErrnoSuccess {
		return 0, wasi.Stat{}, e
	}
	n, e := sp.node()
	switch {
	case e == wasi.ErrnoNoent && f.Create:
		return s.openNew(sp, f)
	case e != wasi.ErrnoSuccess:
		return 0, wasi.Stat{}, e
	case excl:
		return 0, wasi.Stat{}, wasi.ErrnoExist
	}
	if e := openable(n, f, write); e != wasi.ErrnoSuccess {
		return 0, wasi.Stat{}, e
	}
	if e := s.permitted(n, f.Read, write, w.first); e != wasi.ErrnoSuccess {
		return 0, wasi.Stat{}, e
	}
	if f.Truncate && n.stat.Size > 0 {
		s.setSize(n, 0)
	}
	return s.open(n, f), n.stat, wasi.ErrnoSuccess
}

// openable reports whether flags suit what n is.
func openable(n *node, f wasi.OpenFlags, write bool) wasi.Errno {
	switch n.typ {
	case wasi.FiletypeDirectory:
		if write || f.Create {
			return wasi.ErrnoIsdir
		}
	case wasi.FiletypeSymbolicLink:
		return wasi.ErrnoLoop
	case wasi.FiletypeRegularFile:
		if f.Directory {
			return wasi.ErrnoNotdir
		}
	default:
		abort("pinned: opening a special file")
	}
	return wasi.ErrnoSuccess
}

func (s *Site) openNew(sp spot, f wasi.OpenFlags) (wasi.Handle, wasi.Stat, wasi.Errno) {
	if f.Directory {
		return 0, wasi.Stat{}, wasi.ErrnoInval
	}
	if sp.slash {
		return 0, wasi.Stat{}, wasi.ErrnoIsdir
	}
	if sp.dir.gone {
		return 0, wasi.Stat{}, wasi.ErrnoNoent
	}
	n := s.make(sp, wasi.FiletypeRegularFile, "")
	return s.open(n, f), n.stat, wasi.ErrnoSuccess
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
	d, e := s.dir(dir)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	sp, e := s.walk(d, path, want{follow: follow})
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	return sp.node()
}

// regular returns the open file h if it is a regular one.
func (s *Site) regular(h wasi.Handle) (*file, wasi.Errno) {
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
	if !f.flags.Read {
		return 0, wasi.ErrnoBadf
	}
	if off > MaxFile {
		return 0, wasi.ErrnoInval
	}
	return s.readAt(f.n, buf, off), wasi.ErrnoSuccess
}

// writable returns the open file h if n bytes may be written to it at off.
func (s *Site) writable(h wasi.Handle, off, n uint64) (*file, wasi.Errno) {
	f, e := s.regular(h)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	if !f.flags.Write {
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
	f, e := s.writable(h, off, uint64(len(data)))
	if e != wasi.ErrnoSuccess || len(data) == 0 {
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
	if !f.flags.Write {
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
	case !f.flags.Write:
		return wasi.ErrnoBadf
	case n == 0:
		return wasi.ErrnoInval
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
	return s.setTimes(f.n, atim, mtim)
}

// SetTimesAt sets the times of what path names.
func (s *Site) SetTimesAt(dir wasi.Handle, path string, follow bool, atim, mtim wasi.TimeSet) wasi.Errno {
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
