package wasi

// Sockets: only those that were open when the guest started, and what they
// accept.

const (
	recvPeek, recvWaitall = 1, 2
	shutRead, shutWrite   = 1, 2
)

// sock is desc for what must be a socket.
func (s *System) sock(fd uint32, need Rights) (*Desc, Errno) {
	d, e := s.desc(fd, 0)
	switch {
	case e != ErrnoSuccess:
		return nil, e
	case !d.socket():
		return nil, ErrnoNotsock
	}
	return s.desc(fd, need)
}

// sockClass is the class of what is done to a socket, which fails quietly on
// all else.
func (s *System) sockClass(fd uint32) Class {
	if d := s.peek(fd); d == nil || !d.socket() {
		return Quiet
	}
	return Immediate
}

func (s *System) sockAccept(c *call) Errno {
	fd, flags := c.u32(0), c.u32(1)
	res := c.out(2, 4)
	if c.begin(s.sockClass(fd)) {
		if c.answered && c.errno == ErrnoSuccess {
			return s.accepted(c, Fdflags(flags), le.Uint32(res))
		}
		return c.errno
	}
	d, e := s.sock(fd, RightSockAccept)
	switch {
	case e != ErrnoSuccess:
		return e
	case flags&^uint32(FdflagNonblock) != 0:
		return ErrnoInval
	}
	num, e := s.free()
	if e != ErrnoSuccess {
		return e
	}
	if d.Flags&FdflagNonblock != 0 {
		if n, hangup, e := s.host.Ready(d.Handle, false); e != ErrnoSuccess {
			return e
		} else if n == 0 && !hangup {
			return ErrnoAgain
		}
	}
	h, st, e := s.host.Accept(d.Handle, Fdflags(flags))
	if e != ErrnoSuccess {
		return e
	}
	s.put(num, &Desc{Handle: h, Type: st.Type, Flags: Fdflags(flags), Base: sockRights})
	le.PutUint32(res, num)
	c.extra = append(le.AppendUint64(c.extra, uint64(h)), byte(st.Type))
	return ErrnoSuccess
}

// accepted puts a socket that an answer names into the table.
func (s *System) accepted(c *call, flags Fdflags, num uint32) Errno {
	want, e := s.free()
	if e != ErrnoSuccess || num != want || len(c.answer) != 9 {
		c.misfit()
	}
	s.put(num, &Desc{
		Handle: Handle(le.Uint64(c.answer)), Type: Filetype(c.answer[8]), Flags: flags & FdflagNonblock, Base: sockRights,
	})
	return ErrnoSuccess
}

func (s *System) sockRecv(c *call) Errno {
	fd := c.u32(0)
	iov := c.buffers(1)
	flags := c.u32(3)
	nread, roflags := c.out(4, 4), c.out(5, 2)
	if c.begin(s.sockClass(fd)) {
		return c.errno
	}
	d, e := s.sock(fd, RightFdRead)
	switch {
	case e != ErrnoSuccess:
		return e
	case flags&^(recvPeek|recvWaitall) != 0:
		return ErrnoInval
	}
	var n int
	var ro uint16
	for _, b := range iov {
		if len(b) > 0 {
			n, ro, e = s.host.Recv(d.Handle, c.short(b), uint16(flags))
			break
		}
	}
	if e == ErrnoSuccess {
		c.n = n
		le.PutUint32(nread, uint32(n))
		le.PutUint16(roflags, ro)
	}
	return e
}

func (s *System) sockSend(c *call) Errno {
	fd := c.u32(0)
	iov := c.inputs(1)
	flags := c.u32(3)
	nwritten := c.out(4, 4)
	if c.begin(s.sockClass(fd)) {
		return c.errno
	}
	d, e := s.sock(fd, RightFdWrite)
	switch {
	case e != ErrnoSuccess:
		return e
	case flags != 0:
		return ErrnoInval
	}
	n, e := s.writeAll(iov, func(b []byte) (int, Errno) { return s.host.Send(d.Handle, b, 0) })
	if e == ErrnoSuccess {
		le.PutUint32(nwritten, uint32(n))
	}
	return e
}

func (s *System) sockShutdown(c *call) Errno {
	fd, how := c.u32(0), c.u32(1)
	if c.begin(s.sockClass(fd)) {
		return c.errno
	}
	d, e := s.sock(fd, RightSockShutdown)
	switch {
	case e != ErrnoSuccess:
		return e
	case how == 0 || how&^(shutRead|shutWrite) != 0:
		return ErrnoInval
	}
	return s.host.Shutdown(d.Handle, uint8(how))
}
