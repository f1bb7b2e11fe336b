package wasi

// Descriptors: positions, flags, metadata, the table itself.

func (s *System) fdAdvise(c *call) Errno {
	fd, off, n, advice := c.u32(0), c.u64(1), c.u64(2), c.u32(3)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdAdvise)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoSpipe
	case advice > 5 || off > maxOffset || n > maxOffset:
		return ErrnoInval
	}
	return ErrnoSuccess
}

func (s *System) fdAllocate(c *call) Errno {
	fd, off, n := c.u32(0), c.u64(1), c.u64(2)
	if c.begin(s.peek(fd).writeClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdAllocate|RightFdWrite)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoSpipe
	case n == 0:
		return ErrnoInval
	case off > maxOffset || n > maxOffset-off:
		return ErrnoFbig
	}
	if e = s.host.Allocate(d.Handle, off, n); e == ErrnoSuccess {
		s.touch(d)
	}
	return e
}

func (s *System) fdClose(c *call) Errno {
	fd := c.u32(0)
	if c.begin(Quiet) {
		return c.errno
	}
	if _, e := s.desc(fd, 0); e != ErrnoSuccess {
		return e
	}
	return s.drop(fd)
}

func (s *System) fdRenumber(c *call) Errno {
	from, to := c.u32(0), c.u32(1)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(from, 0)
	if e != ErrnoSuccess {
		return e
	}
	if _, e = s.desc(to, 0); e != ErrnoSuccess || from == to {
		return e
	}
	e = s.host.Close(s.fds[to].Handle)
	s.fds[from], s.fds[to] = nil, d
	return e
}

func (s *System) fdSync(c *call) Errno     { return s.sync(c, RightFdSync) }
func (s *System) fdDatasync(c *call) Errno { return s.sync(c, RightFdDatasync) }

func (s *System) sync(c *call, right Rights) Errno {
	fd := c.u32(0)
	if c.begin(s.peek(fd).writeClass()) {
		return c.errno
	}
	d, e := s.desc(fd, right)
	if e != ErrnoSuccess {
		return e
	}
	return s.host.Sync(d.Handle, right == RightFdDatasync)
}

func (s *System) fdFdstatGet(c *call) Errno {
	fd := c.u32(0)
	b := c.out(1, 24)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, 0)
	if e != ErrnoSuccess {
		return e
	}
	clear(b)
	b[0] = byte(d.Type)
	le.PutUint16(b[2:], uint16(d.Flags))
	le.PutUint64(b[8:], uint64(d.Base))
	le.PutUint64(b[16:], uint64(d.Inheriting))
	return ErrnoSuccess
}

func (s *System) fdFdstatSetFlags(c *call) Errno {
	fd, v := c.u32(0), c.u32(1)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdFdstatSetFlags)
	switch {
	case e != ErrnoSuccess:
		return e
	case v&^uint32(fdflagsAll) != 0:
		return ErrnoInval
	}
	if e = s.host.SetFlags(d.Handle, Fdflags(v)); e == ErrnoSuccess {
		d.Flags = Fdflags(v)
	}
	return e
}

// fdFdstatSetRights takes rights away; it never gives any.
func (s *System) fdFdstatSetRights(c *call) Errno {
	fd, base, inh := c.u32(0), Rights(c.u64(1)), Rights(c.u64(2))
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, 0)
	switch {
	case e != ErrnoSuccess:
		return e
	case base&^d.Base != 0 || inh&^d.Inheriting != 0:
		return ErrnoNotcapable
	}
	d.Base, d.Inheriting = base, inh
	return ErrnoSuccess
}

func (s *System) fdFilestatGet(c *call) Errno {
	fd := c.u32(0)
	b := c.out(1, filestatSize)
	if c.begin(s.peek(fd).statClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdFilestatGet)
	if e != ErrnoSuccess {
		return e
	}
	if d.std() { // the same wherever the guest is
		st := Stat{Ino: uint64(d.Handle) + 1, Type: d.Type, Nlink: 1}
		st.put(b)
		return ErrnoSuccess
	}
	st, e := s.host.Stat(d.Handle)
	if e == ErrnoSuccess {
		s.shown(&st).put(b)
	}
	return e
}

func (s *System) fdFilestatSetSize(c *call) Errno {
	fd, size := c.u32(0), c.u64(1)
	if c.begin(s.peek(fd).writeClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdFilestatSetSize)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream(), d.Base&RightFdWrite == 0:
		return ErrnoInval
	case size > maxOffset:
		return ErrnoFbig
	}
	if e = s.host.SetSize(d.Handle, size); e == ErrnoSuccess {
		s.touch(d)
	}
	return e
}

func (s *System) fdFilestatSetTimes(c *call) Errno {
	fd, atim, mtim, flags := c.u32(0), c.u64(1), c.u64(2), c.u32(3)
	if c.begin(s.peek(fd).writeClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdFilestatSetTimes)
	if e != ErrnoSuccess {
		return e
	}
	a, m, e := timeSets(atim, mtim, flags)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoInval
	case d.ReadOnly:
		return ErrnoRofs
	}
	if e = s.host.SetTimes(d.Handle, a, m); e == ErrnoSuccess {
		s.touch(d)
	}
	return e
}

// timeSets decodes what to do with a file's times.
func timeSets(atim, mtim uint64, flags uint32) (a, m TimeSet, e Errno) {
	const aSet, aNow, mSet, mNow, all = 1, 2, 4, 8, 15
	if flags&^all != 0 || flags&(aSet|aNow) == aSet|aNow || flags&(mSet|mNow) == mSet|mNow {
		return a, m, ErrnoInval
	}
	a = TimeSet{Set: flags&(aSet|aNow) != 0, Now: flags&aNow != 0}
	m = TimeSet{Set: flags&(mSet|mNow) != 0, Now: flags&mNow != 0}
	if a.Set && !a.Now {
		a.At = int64(atim)
	}
	if m.Set && !m.Now {
		m.At = int64(mtim)
	}
	return a, m, ErrnoSuccess
}

func (s *System) fdSeek(c *call) Errno {
	fd, delta, whence := c.u32(0), int64(c.u64(1)), c.u32(2)
	res := c.out(3, 8)
	class := Quiet
	if whence == 2 {
		class = Read
	}
	if c.begin(class) {
		return c.errno
	}
	right := RightFdSeek
	if whence == 1 && delta == 0 {
		right = RightFdTell
	}
	d, e := s.desc(fd, right)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoSpipe
	case d.Type == FiletypeDirectory:
		return ErrnoIsdir
	}
	var from uint64
	switch whence {
	case 0:
	case 1:
		from = d.Offset
	case 2:
		st, e := s.host.Stat(d.Handle)
		if e != ErrnoSuccess {
			return e
		}
		from = min(st.Size, maxOffset)
	default:
		return ErrnoInval
	}
	to := int64(from) + delta
	switch {
	case delta > 0 && to < int64(from):
		return ErrnoOverflow
	case to < 0:
		return ErrnoInval
	}
	d.Offset = uint64(to)
	le.PutUint64(res, d.Offset)
	return ErrnoSuccess
}

func (s *System) fdTell(c *call) Errno {
	fd := c.u32(0)
	res := c.out(1, 8)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdTell)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoSpipe
	}
	le.PutUint64(res, d.Offset)
	return ErrnoSuccess
}

func (s *System) fdPrestatGet(c *call) Errno {
	fd := c.u32(0)
	b := c.out(1, 8)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, 0)
	switch {
	case e != ErrnoSuccess:
		return e
	case !d.Preopen:
		return ErrnoBadf // what C libraries stop looking for preopens at
	}
	clear(b) // the tag of a folder is 0
	le.PutUint32(b[4:], uint32(len(d.Name)))
	return ErrnoSuccess
}

func (s *System) fdPrestatDirName(c *call) Errno {
	fd := c.u32(0)
	b := c.buf(1)
	if c.begin(Quiet) {
		return c.errno
	}
	d, e := s.desc(fd, 0)
	switch {
	case e != ErrnoSuccess:
		return e
	case !d.Preopen:
		return ErrnoBadf
	case len(b) < len(d.Name):
		return ErrnoNametoolong
	}
	c.n = copy(b, d.Name)
	return ErrnoSuccess
}

const filestatSize = 64

// put writes a preview 1 filestat.
func (st *Stat) put(b []byte) {
	clear(b)
	le.PutUint64(b, st.Dev)
	le.PutUint64(b[8:], st.Ino)
	b[16] = byte(st.Type)
	le.PutUint64(b[24:], st.Nlink)
	le.PutUint64(b[32:], st.Size)
	le.PutUint64(b[40:], uint64(st.Atim))
	le.PutUint64(b[48:], uint64(st.Mtim))
	le.PutUint64(b[56:], uint64(st.Ctim))
}
