package site

import (
	"cmp"
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// ReadDir lists a folder: what the device has, less what the attempt
// removed, with what it made, by name.
func (s *Site) ReadDir(h wasi.Handle) ([]wasi.Dirent, wasi.Errno) {
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	if f.n.typ != wasi.FiletypeDirectory {
		return nil, wasi.ErrnoNotdir
	}
	if f.n.gone {
		return nil, wasi.ErrnoNoent
	}
	return s.list(f.n)
}

func (s *Site) list(n *node) ([]wasi.Dirent, wasi.Errno) {
	if e := s.fetchListing(n); e != wasi.ErrnoSuccess {
		return nil, e
	}
	ds := make([]wasi.Dirent, 0, len(n.listing))
	for _, d := range n.listing {
		if k := n.kids[d.Name]; k == nil || !k.over {
			ds = append(ds, d)
		}
	}
	for name, k := range n.kids {
		if k.over && k.n != nil {
			ds = append(ds, wasi.Dirent{Name: name, Ino: k.n.stat.Ino, Type: k.n.typ})
		}
	}
	slices.SortFunc(ds, func(a, b wasi.Dirent) int { return cmp.Compare(a.Name, b.Name) })
	return ds, wasi.ErrnoSuccess
}

// fetchListing has the device's listing of n at hand, and noted.
func (s *Site) fetchListing(n *node) wasi.Errno {
	if n.base == nil || n.gone {
		return wasi.ErrnoSuccess
	}
	if n.listed {
		s.noteListing(n)
		return wasi.ErrnoSuccess
	}
	p := s.ask(Request{Op: OpList, Handle: n.base.root, Path: n.base.path, ID: n.base.id})
	if p.Errno != wasi.ErrnoSuccess {
		return p.Errno
	}
	n.listing, n.listed = p.Names, true
	s.log.spend(uint64(len(n.listing)) * 48)
	s.noteListing(n)
	return wasi.ErrnoSuccess
}

func (s *Site) noteListing(n *node) {
	s.log.note(&n.seenList, func() Read {
		return Read{Kind: ReadListing, Handle: n.base.root, Path: n.base.path, Hash: HashListing(n.listing)}
	})
}

// isEmpty reports whether a folder has no entries.
func (s *Site) isEmpty(n *node) (bool, wasi.Errno) {
	ds, e := s.list(n)
	return len(ds) == 0, e
}

// make puts a new file, folder or link where sp leads.
func (s *Site) make(sp spot, typ wasi.Filetype, target string) *node {
	d := s.object(sp.dir)
	n := s.tree.create(s, sp.dir, typ)
	o := s.object(n)
	x := Effect{Dir: d, Name: sp.name, Object: o, Target: target}
	switch typ {
	case wasi.FiletypeDirectory:
		x.Kind = EffectMkdir
		sp.dir.stat.Nlink++
	case wasi.FiletypeSymbolicLink:
		x.Kind = EffectSymlink
		n.target, n.stat.Size = target, uint64(len(target))
	default:
		x.Kind = EffectCreate
	}
	s.log.add(x)
	s.set(sp.dir, sp.name, n)
	return n
}

// set makes name in d stand for n, or for nothing.
func (s *Site) set(d *node, name string, n *node) {
	k := &kid{n: n, over: true}
	if n == nil {
		k.errno = wasi.ErrnoNoent
	}
	d.kids[name] = k
	s.touch(d)
}

// entryAt walks to a name that is about to be made.
func (s *Site) entryAt(dir wasi.Handle, path string) (spot, wasi.Errno) {
	s.meet(dir, path, want{})
	d, e := s.changeable(dir)
	if e != wasi.ErrnoSuccess {
		return spot{}, e
	}
	return s.walk(d.n, path, want{creating: true, rawSlash: true})
}

// at walks to the folder that path is in, and looks up the last name there
// without following it. Where the name is "." or "..", the result is dots.
func (s *Site) at(d *file, path string, dots wasi.Errno) (spot, wasi.Errno) {
	_, _ = s.walk(d.n, path, want{}) // so that the device is asked once for all of it
	parent, name := d.n, path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		sp, e := s.walk(d.n, path[:i], want{follow: true})
		if e != wasi.ErrnoSuccess {
			return spot{}, e
		}
		if parent, e = sp.node(); e != wasi.ErrnoSuccess {
			return spot{}, e
		}
		if parent.typ != wasi.FiletypeDirectory {
			return spot{}, wasi.ErrnoNotdir
		}
		name = path[i+1:]
	}
	if name == "." || name == ".." || name == "" {
		return spot{}, dots
	}
	k, e := s.lookup(parent, []string{name}, want{})
	if e != wasi.ErrnoSuccess {
		return spot{}, e
	}
	s.noteKid(parent, name, k, false)
	return spot{dir: parent, name: name, k: k}, wasi.ErrnoSuccess
}

// Mkdir makes a folder.
func (s *Site) Mkdir(dir wasi.Handle, path string) wasi.Errno {
	sp, e := s.entryAt(dir, path)
	if e != wasi.ErrnoSuccess {
		return e
	}
	if e := vacant(sp); e != wasi.ErrnoSuccess {
		return e
	}
	s.make(sp, wasi.FiletypeDirectory, "")
	return wasi.ErrnoSuccess
}

// vacant reports why nothing can be made where sp leads.
func vacant(sp spot) wasi.Errno {
	switch {
	case sp.k.n != nil:
		return wasi.ErrnoExist
	case sp.k.errno != wasi.ErrnoNoent:
		return sp.k.errno
	case sp.dir.gone:
		return wasi.ErrnoNoent
	}
	return wasi.ErrnoSuccess
}

// Symlink makes a symbolic link.
func (s *Site) Symlink(target string, dir wasi.Handle, path string) wasi.Errno {
	sp, e := s.entryAt(dir, path)
	if e != wasi.ErrnoSuccess {
		return e
	}
	if target == "" {
		return wasi.ErrnoNoent
	}
	if len(target) >= MaxTarget {
		return wasi.ErrnoNametoolong
	}
	if e := vacant(sp); e != wasi.ErrnoSuccess {
		return e
	}
	s.make(sp, wasi.FiletypeSymbolicLink, target)
	return wasi.ErrnoSuccess
}

// Readlink returns a symbolic link's target.
func (s *Site) Readlink(dir wasi.Handle, path string) (string, wasi.Errno) {
	n, e := s.find(dir, path, false)
	if e != wasi.ErrnoSuccess {
		return "", e
	}
	if n.typ != wasi.FiletypeSymbolicLink {
		return "", wasi.ErrnoInval
	}
	return n.target, wasi.ErrnoSuccess
}

// Link gives a file another name.
func (s *Site) Link(oldDir wasi.Handle, oldPath string, follow bool, newDir wasi.Handle, newPath string) wasi.Errno {
	if follow {
		return wasi.ErrnoInval
	}
	s.meet(oldDir, oldPath, want{})
	od, e := s.changeable(oldDir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	nd, e := s.changeable(newDir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	from, e := s.at(od, oldPath, wasi.ErrnoPerm)
	if e != wasi.ErrnoSuccess {
		return e
	}
	sp, e := s.at(nd, newPath, wasi.ErrnoExist)
	if e != wasi.ErrnoSuccess {
		return e
	}
	n, e := from.node()
	if e != wasi.ErrnoSuccess {
		return e
	}
	if e := vacant(sp); e != wasi.ErrnoSuccess {
		return e
	}
	s.noteWritable(sp.dir)
	if n.typ == wasi.FiletypeDirectory {
		return wasi.ErrnoPerm
	}
	s.log.add(Effect{Kind: EffectLink, Object: s.object(n), Dir: s.object(sp.dir), Name: sp.name})
	s.set(sp.dir, sp.name, n)
	n.stat.Nlink++
	n.stat.Ctim = s.realtime()
	return wasi.ErrnoSuccess
}

// Unlink removes a name that is not a folder's.
func (s *Site) Unlink(dir wasi.Handle, path string) wasi.Errno {
	s.meet(dir, path, want{})
	d, e := s.changeable(dir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	sp, e := s.at(d, path, wasi.ErrnoIsdir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	n, e := sp.node()
	if e != wasi.ErrnoSuccess {
		return e
	}
	s.noteWritable(sp.dir)
	if n.typ == wasi.FiletypeDirectory {
		return wasi.ErrnoIsdir
	}
	s.log.add(Effect{Kind: EffectUnlink, Dir: s.object(sp.dir), Name: sp.name})
	s.drop(n)
	s.set(sp.dir, sp.name, nil)
	return wasi.ErrnoSuccess
}

// drop takes one name from n.
func (s *Site) drop(n *node) {
	if n.stat.Nlink > 0 {
		n.stat.Nlink--
	}
	n.stat.Ctim = s.realtime()
}

// Rmdir removes an empty folder.
func (s *Site) Rmdir(dir wasi.Handle, path string) wasi.Errno {
	s.meet(dir, path, want{})
	d, e := s.changeable(dir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	sp, e := s.at(d, path, wasi.ErrnoInval)
	if e != wasi.ErrnoSuccess {
		return e
	}
	n, e := sp.node()
	if e != wasi.ErrnoSuccess {
		return e
	}
	s.noteWritable(sp.dir)
	if n.typ != wasi.FiletypeDirectory {
		return wasi.ErrnoNotdir
	}
	empty, e := s.isEmpty(n)
	if e != wasi.ErrnoSuccess {
		return e
	}
	if !empty {
		return wasi.ErrnoNotempty
	}
	s.log.add(Effect{Kind: EffectRmdir, Dir: s.object(sp.dir), Name: sp.name})
	s.removeDir(sp, n)
	s.set(sp.dir, sp.name, nil)
	return wasi.ErrnoSuccess
}

func (s *Site) removeDir(sp spot, n *node) {
	n.gone = true
	n.stat.Nlink, n.stat.Size = 0, 0
	sp.dir.stat.Nlink--
}

// Rename gives what oldPath names the name newPath, in place of what has it.
func (s *Site) Rename(oldDir wasi.Handle, oldPath string, newDir wasi.Handle, newPath string) wasi.Errno {
	s.meet(oldDir, oldPath, want{})
	od, e := s.changeable(oldDir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	nd, e := s.changeable(newDir)
	if e != wasi.ErrnoSuccess {
		return e
	}
	from, e := s.at(od, oldPath, wasi.ErrnoBusy)
	if e != wasi.ErrnoSuccess {
		return e
	}
	to, e := s.at(nd, newPath, wasi.ErrnoBusy)
	if e != wasi.ErrnoSuccess {
		return e
	}
	n, e := from.node()
	if e != wasi.ErrnoSuccess {
		return e
	}
	if to.dir.gone {
		return wasi.ErrnoNoent
	}
	isDir := n.typ == wasi.FiletypeDirectory
	if isDir && s.within(to.dir, n) {
		return wasi.ErrnoInval
	}
	old := to.k.n
	if old == nil && to.k.errno != wasi.ErrnoNoent {
		return to.k.errno
	}
	if old == n {
		return wasi.ErrnoSuccess
	}
	s.noteWritable(from.dir)
	s.noteWritable(to.dir)
	if e := s.replaceable(n, old, from); e != wasi.ErrnoSuccess {
		return e
	}
	s.log.add(Effect{
		Kind: EffectRename, Dir: s.object(from.dir), Name: from.name, Dir2: s.object(to.dir), Name2: to.name,
	})
	if old != nil {
		if old.typ == wasi.FiletypeDirectory {
			s.removeDir(to, old)
		} else {
			s.drop(old)
		}
	}
	s.set(from.dir, from.name, nil)
	s.set(to.dir, to.name, n)
	n.stat.Ctim = s.realtime()
	if isDir {
		from.dir.stat.Nlink--
		to.dir.stat.Nlink++
	}
	return wasi.ErrnoSuccess
}

// replaceable reports whether n may take the place of old, which may be nil.
func (s *Site) replaceable(n, old *node, from spot) wasi.Errno {
	if old == nil {
		return wasi.ErrnoSuccess
	}
	isDir := n.typ == wasi.FiletypeDirectory
	switch {
	case old.typ == wasi.FiletypeDirectory && s.within(from.dir, old):
		return wasi.ErrnoNotempty
	case old.typ == wasi.FiletypeDirectory && !isDir:
		return wasi.ErrnoIsdir
	case old.typ != wasi.FiletypeDirectory && isDir:
		return wasi.ErrnoNotdir
	case old.typ == wasi.FiletypeDirectory:
		empty, e := s.isEmpty(old)
		if e != wasi.ErrnoSuccess {
			return e
		}
		if !empty {
			return wasi.ErrnoNotempty
		}
	}
	return wasi.ErrnoSuccess
}

// within reports whether d is top or lies below it.
func (s *Site) within(d, top *node) bool {
	if d == top {
		return true
	}
	for _, k := range top.kids {
		if k.n != nil && k.n.typ == wasi.FiletypeDirectory && s.within(d, k.n) {
			return true
		}
	}
	return false
}
