package wasi

// Reading and writing.

// gatherMax is up to how many bytes the parts of one write are joined, so
// that a stream sees one write.
const gatherMax = 1 << 20

func (s *System) fdRead(c *call) Errno {
	fd := c.u32(0)
	iov := c.buffers(1)
	nread := c.out(3, 4)
	if c.begin(s.peek(fd).readClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdRead)
	if e != ErrnoSuccess {
		return e
	}
	var n int
	if d.stream() {
		// Once: a second read could block although there is something to
		// give.
		for _, b := range iov {
			if len(b) > 0 {
				n, e = s.host.Read(d.Handle, c.short(b))
				break
			}
		}
	} else {
		n, e = s.pread(d, iov, d.Offset)
		d.Offset += uint64(n)
	}
	if e == ErrnoSuccess {
		c.n = n
		le.PutUint32(nread, uint32(n))
	}
	return e
}

func (s *System) fdPread(c *call) Errno {
	fd := c.u32(0)
	iov := c.buffers(1)
	off := c.u64(3)
	nread := c.out(4, 4)
	if c.begin(s.peek(fd).readClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdRead)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoSpipe
	case off > maxOffset:
		return ErrnoInval
	}
	n, e := s.pread(d, iov, off)
	if e == ErrnoSuccess {
		c.n = n
		le.PutUint32(nread, uint32(n))
	}
	return e
}

// pread fills buffers from off on. An error after some bytes is a short
// read.
func (s *System) pread(d *Desc, iov [][]byte, off uint64) (int, Errno) {
	total := 0
	for _, b := range iov {
		if len(b) == 0 {
			continue
		}
		if off > maxOffset-uint64(len(b)) {
			break
		}
		n, e := s.host.PRead(d.Handle, b, off)
		total += n
		off += uint64(n)
		if e != ErrnoSuccess && total == 0 {
			return 0, e
		}
		if e != ErrnoSuccess || n < len(b) {
			break
		}
	}
	return total, ErrnoSuccess
}

func (s *System) fdWrite(c *call) Errno {
	fd := c.u32(0)
	iov := c.inputs(1)
	nwritten := c.out(3, 4)
	if c.begin(s.peek(fd).writeClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdWrite)
	if e != ErrnoSuccess {
		return e
	}
	var n int
	switch {
	case d.stream():
		n, e = s.writeAll(iov, func(b []byte) (int, Errno) { return s.host.Write(d.Handle, b) })
	case d.Flags&FdflagAppend != 0:
		n, e = s.writeAll(iov, func(b []byte) (int, Errno) {
			n, end, e := s.host.Append(d.Handle, b)
			if e == ErrnoSuccess {
				d.Offset = end
			}
			return n, e
		})
		s.touch(d)
	default:
		n, e = s.pwrite(d, iov, d.Offset)
		d.Offset += uint64(n)
		s.touch(d)
	}
	if e == ErrnoSuccess {
		le.PutUint32(nwritten, uint32(n))
	}
	return e
}

func (s *System) fdPwrite(c *call) Errno {
	fd := c.u32(0)
	iov := c.inputs(1)
	off := c.u64(3)
	nwritten := c.out(4, 4)
	if c.begin(s.peek(fd).writeClass()) {
		return c.errno
	}
	d, e := s.desc(fd, RightFdWrite)
	switch {
	case e != ErrnoSuccess:
		return e
	case d.stream():
		return ErrnoSpipe
	case off > maxOffset:
		return ErrnoInval
	}
	n, e := s.pwrite(d, iov, off)
	s.touch(d)
	if e == ErrnoSuccess {
		le.PutUint32(nwritten, uint32(n))
	}
	return e
}

// pwrite writes buffers from off on, as POSIX says whatever the flags.
func (s *System) pwrite(d *Desc, iov [][]byte, off uint64) (int, Errno) {
	return s.writeAll(iov, func(b []byte) (int, Errno) {
		if off > maxOffset-uint64(len(b)) {
			return 0, ErrnoFbig
		}
		n, e := s.host.PWrite(d.Handle, b, off)
		off += uint64(n)
		return n, e
	})
}

// writeAll writes buffers in one go where that is cheap, and else one by
// one. An error after some bytes is a short write.
func (s *System) writeAll(iov [][]byte, write func([]byte) (int, Errno)) (int, Errno) {
	total, parts := 0, 0
	var last []byte
	for _, b := range iov {
		total += len(b)
		if len(b) > 0 {
			parts, last = parts+1, b
		}
	}
	switch {
	case parts == 0:
		return 0, ErrnoSuccess
	case parts == 1:
		return write(last)
	case total <= gatherMax:
		s.gather = s.gather[:0]
		for _, b := range iov {
			s.gather = append(s.gather, b...)
		}
		return write(s.gather)
	}
	done := 0
	for _, b := range iov {
		if len(b) == 0 {
			continue
		}
		n, e := write(b)
		done += n
		if e != ErrnoSuccess && done == 0 {
			return 0, e
		}
		if e != ErrnoSuccess || n < len(b) {
			break
		}
	}
	return done, ErrnoSuccess
}
