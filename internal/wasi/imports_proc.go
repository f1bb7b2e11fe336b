package wasi

// Arguments, environment, clocks, randomness, the process.

// strings writes the two forms of a list of strings: pointers, and the
// strings one behind the other. The pointers are the guest's own business and
// no result that a tap sees.
func (s *System) strings(c *call, list []string) Errno {
	var size uint64
	for _, v := range list {
		size += uint64(len(v)) + 1
	}
	ptrs := c.region(uint32(c.stack[0]), uint64(len(list))*4)
	buf := c.out(1, size)
	if c.begin(Quiet) {
		return c.errno
	}
	at := uint32(c.stack[1])
	for i, v := range list {
		le.PutUint32(ptrs[i*4:], at)
		n := copy(buf, v)
		buf[n] = 0
		buf = buf[n+1:]
		at += uint32(n) + 1
	}
	return ErrnoSuccess
}

func (s *System) stringSizes(c *call, list []string) Errno {
	count, size := c.out(0, 4), c.out(1, 4)
	if c.begin(Quiet) {
		return c.errno
	}
	n := 0
	for _, v := range list {
		n += len(v) + 1
	}
	le.PutUint32(count, uint32(len(list)))
	le.PutUint32(size, uint32(n))
	return ErrnoSuccess
}

func (s *System) argsGet(c *call) Errno         { return s.strings(c, s.args) }
func (s *System) argsSizesGet(c *call) Errno    { return s.stringSizes(c, s.args) }
func (s *System) environGet(c *call) Errno      { return s.strings(c, s.env) }
func (s *System) environSizesGet(c *call) Errno { return s.stringSizes(c, s.env) }

func (s *System) clockResGet(c *call) Errno {
	id := ClockID(c.u32(0))
	res := c.out(1, 8)
	if c.begin(Clock) {
		return c.errno
	}
	if id > ClockThreadCPU {
		return ErrnoInval
	}
	v, e := s.host.Resolution(id)
	if e == ErrnoSuccess {
		le.PutUint64(res, uint64(v))
	}
	return e
}

func (s *System) clockTimeGet(c *call) Errno {
	id := ClockID(c.u32(0))
	c.u64(1) // the precision asked for: always the best
	res := c.out(2, 8)
	if c.begin(Clock) {
		return c.errno
	}
	if id > ClockThreadCPU {
		return ErrnoInval
	}
	v, e := s.host.Now(id)
	if e == ErrnoSuccess {
		le.PutUint64(res, uint64(v))
	}
	return e
}

func (s *System) randomGet(c *call) Errno {
	buf := c.buf(0)
	if c.begin(Random) {
		return c.errno
	}
	if s.repeatable {
		repeatableRandom(buf, uint32(c.stack[0]))
	} else {
		s.host.Random(buf)
	}
	c.n = len(buf)
	return ErrnoSuccess
}

func (s *System) schedYield(c *call) Errno {
	if c.begin(Quiet) {
		return c.errno
	}
	s.host.Yield()
	return ErrnoSuccess
}

func (s *System) procExit(c *call) Errno {
	code := c.u32(0)
	if c.begin(Quiet); c.entered && !c.answered {
		c.leave(ErrnoSuccess)
	}
	panic(Exit{Code: code})
}

// procRaise knows no signals: preview 1 took them back, and programs that
// raise one mean to end anyway and go on to do so.
func (s *System) procRaise(c *call) Errno {
	c.u32(0)
	if c.begin(Quiet) {
		return c.errno
	}
	return ErrnoNosys
}
