package wasi

// Paths. Hosts never see a slash at the end of one: what it means is decided
// here, once, as POSIX has it.

const lookupFollow = 1

// lookup decodes lookup flags.
func (c *call) lookup(i int) (follow bool) {
	v := c.u32(i)
	if v&^lookupFollow != 0 {
		c.fail(ErrnoInval)
	}
	return v&lookupFollow != 0
}

func (s *System) pathCreateDirectory(c *call) Errno {
	fd, p := c.u32(0), c.path(1)
	if c.begin(FileChange) {
		return c.errno
	}
	d, e := s.changeable(fd, RightPathCreateDirectory)
	if e != ErrnoSuccess {
		return e
	}
	if e = s.host.Mkdir(d.Handle, p.name); e == ErrnoSuccess {
		s.touchAt(d, p.name, true)
	}
	return e
}

func (s *System) pathFilestatGet(c *call) Errno {
	fd, follow, p := c.u32(0), c.lookup(1), c.path(2)
	b := c.out(4, filestatSize)
	if c.begin(Read) {
		return c.errno
	}
	d, e := s.folder(fd, RightPathFilestatGet)
	if e != ErrnoSuccess {
		return e
	}
	st, e := s.host.StatAt(d.Handle, p.name, follow || p.slash)
	if e != ErrnoSuccess {
		return e
	}
	if p.slash && st.Type != FiletypeDirectory {
		return ErrnoNotdir
	}
	s.shown(&st).put(b)
	return ErrnoSuccess
}

func (s *System) pathFilestatSetTimes(c *call) Errno {
	fd, follow, p := c.u32(0), c.lookup(1), c.path(2)
	atim, mtim, flags := c.u64(4), c.u64(5), c.u32(6)
	if c.begin(FileChange) {
		return c.errno
	}
	d, e := s.changeable(fd, RightPathFilestatSetTimes)
	if e != ErrnoSuccess {
		return e
	}
	a, m, e := timeSets(atim, mtim, flags)
	if e != ErrnoSuccess {
		return e
	}
	if e = s.mustBeFolder(d, p, follow); e != ErrnoSuccess {
		return e
	}
	if e = s.host.SetTimesAt(d.Handle, p.name, follow || p.slash, a, m); e == ErrnoSuccess && s.track != nil {
		if st, e := s.host.StatAt(d.Handle, p.name, follow || p.slash); e == ErrnoSuccess {
			s.track.Touched(st.Dev, st.Ino)
		}
	}
	return e
}

// mustBeFolder checks a path that ended in a slash.
func (s *System) mustBeFolder(d *Desc, p guestPath, follow bool) Errno {
	if !p.slash {
		return ErrnoSuccess
	}
	st, e := s.host.StatAt(d.Handle, p.name, follow)
	if e == ErrnoSuccess && st.Type != FiletypeDirectory {
		return ErrnoNotdir
	}
	return e
}

// mustBeFree checks a path that ended in a slash, and where something other
// than a folder is to be made: it always fails then, and this says how.
func (s *System) mustBeFree(d *Desc, p guestPath) Errno {
	if !p.slash {
		return ErrnoSuccess
	}
	switch st, e := s.host.StatAt(d.Handle, p.name, true); {
	case e != ErrnoSuccess:
		return e
	case st.Type == FiletypeDirectory:
		return ErrnoExist
	}
	return ErrnoNotdir
}

func (s *System) pathLink(c *call) Errno {
	oldFd, follow, oldPath := c.u32(0), c.lookup(1), c.path(2)
	newFd, newPath := c.u32(4), c.path(5)
	if c.begin(FileChange) {
		return c.errno
	}
	od, e := s.folder(oldFd, RightPathLinkSource)
	if e != ErrnoSuccess {
		return e
	}
	nd, e := s.changeable(newFd, RightPathLinkTarget)
	switch {
	case e != ErrnoSuccess:
		return e
	case od.ReadOnly:
		return ErrnoRofs // else a writable name for what may not be changed
	case follow:
		return ErrnoInval // no system links what a link points to without a race
	}
	if e = s.mustBeFolder(od, oldPath, true); e == ErrnoSuccess && oldPath.slash {
		return ErrnoPerm
	} else if e != ErrnoSuccess {
		return e
	}
	if e = s.mustBeFree(nd, newPath); e != ErrnoSuccess {
		return e
	}
	if e = s.host.Link(od.Handle, oldPath.name, false, nd.Handle, newPath.name); e == ErrnoSuccess {
		s.touchAt(nd, newPath.name, true)
	}
	return e
}

const (
	oCreat = 1 << iota
	oDirectory
	oExcl
	oTrunc

	oAll = 1<<iota - 1
)

func (s *System) pathOpen(c *call) Errno {
	fd, follow, p, oflags := c.u32(0), c.lookup(1), c.path(2), c.u32(4)
	base, inh, fdflags := Rights(c.u64(5)), Rights(c.u64(6)), Fdflags(c.u32(7))
	res := c.out(8, 4)
	class := Read
	if oflags&(oCreat|oTrunc) != 0 {
		class = FileChange
	}
	if c.begin(class) {
		return c.errno
	}
	if oflags&^oAll != 0 || fdflags&^fdflagsAll != 0 || oflags&oCreat != 0 && oflags&oDirectory != 0 {
		return ErrnoInval
	}
	need := RightPathOpen
	if oflags&oCreat != 0 {
		need |= RightPathCreateFile
	}
	if oflags&oTrunc != 0 {
		need |= RightPathFilestatSetSize
	}
	d, e := s.folder(fd, need)
	if e != ErrnoSuccess {
		return e
	}
	base &= d.Inheriting
	f := OpenFlags{
		Read: base&RightFdRead != 0, Write: base&RightFdWrite != 0, Append: fdflags&FdflagAppend != 0,
		Create: oflags&oCreat != 0, Exclusive: oflags&oExcl != 0, Truncate: oflags&oTrunc != 0,
		Directory: oflags&oDirectory != 0 || p.slash, Follow: follow || p.slash,
		Sync: fdflags&(FdflagSync|FdflagRsync) != 0, Dsync: fdflags&FdflagDsync != 0,
		Nonblock: fdflags&FdflagNonblock != 0,
	}
	if e := s.openable(d, p, f); e != ErrnoSuccess {
		return e
	}
	num, e := s.free()
	if e != ErrnoSuccess {
		return e
	}
	nd := Desc{Root: d.Root, Path: joinPath(d.Path, p.name), Flags: fdflags, ReadOnly: d.ReadOnly}
	if len(nd.Path) > MaxPath {
		return ErrnoNametoolong
	}
	before := s.missing(d, p.name, f)
	h, st, e := s.host.Open(d.Handle, p.name, f)
	if e != ErrnoSuccess {
		return e
	}
	nd.Handle, nd.Type, nd.Identity = h, st.Type, st.Identity()
	nd.setRights(d, base, inh)
	s.put(num, &nd)
	if f.Truncate || before {
		s.touch(&nd)
	}
	if before {
		s.touchParent(d, p.name)
	}
	le.PutUint32(res, num)
	return ErrnoSuccess
}

// openable says what is wrong with an open before the host is asked.
func (s *System) openable(d *Desc, p guestPath, f OpenFlags) Errno {
	switch {
	case f.Directory && (f.Write || f.Truncate) && !f.Create:
		st, e := s.host.StatAt(d.Handle, p.name, f.Follow)
		switch {
		case e != ErrnoSuccess:
			return e
		case st.Type == FiletypeSymbolicLink:
			return ErrnoLoop
		case st.Type != FiletypeDirectory:
			return ErrnoNotdir
		}
		return ErrnoIsdir
	case p.slash && f.Create:
		if _, e := s.host.StatAt(d.Handle, p.name, true); e != ErrnoSuccess {
			return ErrnoIsdir
		}
		return s.mustBeFree(d, p)
	case !d.ReadOnly:
		return ErrnoSuccess
	case f.Write || f.Truncate:
		return ErrnoRofs
	case f.Create:
		if _, e := s.host.StatAt(d.Handle, p.name, f.Follow); e == ErrnoNoent {
			return ErrnoRofs
		}
	}
	return ErrnoSuccess
}

// missing reports whether an open will create, when someone wants to know.
func (s *System) missing(d *Desc, path string, f OpenFlags) bool {
	if s.track == nil || !f.Create {
		return false
	}
	_, e := s.host.StatAt(d.Handle, path, f.Follow)
	return e == ErrnoNoent
}

// setRights gives a descriptor that was opened under parent its rights; see
// the comment on [fileRights].
func (d *Desc) setRights(parent *Desc, base, inh Rights) {
	const asked = RightFdRead | RightFdWrite
	switch {
	case d.Type == FiletypeDirectory:
		d.Base, d.Inheriting = parent.Base&dirRights, parent.Inheriting
	case d.socket():
		d.Base = (base&asked | sockRights&^asked) & parent.Inheriting
	case d.stream():
		d.Base = (base&asked | streamRights) & parent.Inheriting
	default:
		d.Base = (base&asked | fileRights&^asked) & parent.Inheriting
		d.Inheriting = 0
	}
	_ = inh // what is opened through a folder is held to the folder's rights alone
}

// joinPath says how a path was come by, without resolving anything.
func joinPath(dir, path string) string {
	if dir == "" || dir == "." {
		return path
	}
	if path == "." {
		return dir
	}
	return dir + "/" + path
}

func (s *System) pathReadlink(c *call) Errno {
	fd, p := c.u32(0), c.path(1)
	buf := c.buf(3)
	used := c.out(5, 4)
	if c.begin(Read) {
		return c.errno
	}
	d, e := s.folder(fd, RightPathReadlink)
	if e != ErrnoSuccess {
		return e
	}
	if e = s.mustBeFolder(d, p, true); e != ErrnoSuccess {
		return e
	}
	if p.slash {
		return ErrnoInval
	}
	target, e := s.host.Readlink(d.Handle, p.name)
	if e != ErrnoSuccess {
		return e
	}
	c.n = copy(buf, target)
	le.PutUint32(used, uint32(c.n))
	return ErrnoSuccess
}

func (s *System) pathRemoveDirectory(c *call) Errno {
	fd, p := c.u32(0), c.path(1)
	if c.begin(FileChange) {
		return c.errno
	}
	d, e := s.changeable(fd, RightPathRemoveDirectory)
	if e != ErrnoSuccess {
		return e
	}
	if e = s.host.Rmdir(d.Handle, p.name); e == ErrnoSuccess {
		s.touchParent(d, p.name)
	}
	return e
}

func (s *System) pathRename(c *call) Errno {
	oldFd, oldPath := c.u32(0), c.path(1)
	newFd, newPath := c.u32(3), c.path(4)
	if c.begin(FileChange) {
		return c.errno
	}
	od, e := s.changeable(oldFd, RightPathRenameSource)
	if e != ErrnoSuccess {
		return e
	}
	nd, e := s.changeable(newFd, RightPathRenameTarget)
	if e != ErrnoSuccess {
		return e
	}
	if oldPath.slash || newPath.slash {
		if e = s.mustBeFolder(od, guestPath{oldPath.name, true}, false); e != ErrnoSuccess {
			return e
		}
	}
	if newPath.slash {
		if e = s.mustBeFolder(nd, newPath, false); e != ErrnoSuccess && e != ErrnoNoent {
			return e
		}
	}
	if e = s.host.Rename(od.Handle, oldPath.name, nd.Handle, newPath.name); e == ErrnoSuccess {
		s.touchParent(od, oldPath.name)
		s.touchAt(nd, newPath.name, true)
	}
	return e
}

func (s *System) pathSymlink(c *call) Errno {
	target := c.text(0)
	fd, p := c.u32(2), c.path(3)
	if c.begin(FileChange) {
		return c.errno
	}
	d, e := s.changeable(fd, RightPathSymlink)
	switch {
	case e != ErrnoSuccess:
		return e
	case target == "":
		return ErrnoNoent
	case target[0] == '/':
		return ErrnoPerm // it could never be followed
	}
	if e = s.mustBeFree(d, p); e != ErrnoSuccess {
		return e
	}
	if e = s.host.Symlink(target, d.Handle, p.name); e == ErrnoSuccess {
		s.touchAt(d, p.name, true)
	}
	return e
}

func (s *System) pathUnlinkFile(c *call) Errno {
	fd, p := c.u32(0), c.path(1)
	if c.begin(FileChange) {
		return c.errno
	}
	d, e := s.changeable(fd, RightPathUnlinkFile)
	if e != ErrnoSuccess {
		return e
	}
	if p.slash {
		if e = s.mustBeFolder(d, p, true); e != ErrnoSuccess {
			return e
		}
		return ErrnoIsdir
	}
	// Another name of the file may be open: its link count changes.
	var st Stat
	if s.track != nil {
		st, _ = s.host.StatAt(d.Handle, p.name, false)
	}
	if e = s.host.Unlink(d.Handle, p.name); e == ErrnoSuccess && s.track != nil {
		s.track.Touched(st.Dev, st.Ino)
		s.touchParent(d, p.name)
	}
	return e
}
