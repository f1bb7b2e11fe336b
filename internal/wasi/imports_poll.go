package wasi

// poll_oneoff.

const (
	subscriptionSize = 48
	eventSize        = 32
	maxSubscriptions = 1 << 14

	eventClock = 0
	eventRead  = 1
	eventWrite = 2

	clockAbsolute = 1
	eventHangup   = 1
)

// subscription is one thing a guest waits for.
type subscription struct {
	user     uint64
	kind     byte
	clock    ClockID
	timeout  uint64
	abs      bool
	fd       uint32
	err      Errno // what is wrong with it: it fires at once
	deadline int64 // of a clock, on the monotonic clock
}

func decodeSubscription(b []byte) subscription {
	sub := subscription{user: le.Uint64(b), kind: b[8]}
	switch sub.kind {
	case eventClock:
		sub.clock = ClockID(le.Uint32(b[16:]))
		sub.timeout = le.Uint64(b[24:])
		sub.abs = le.Uint16(b[40:])&clockAbsolute != 0
		if sub.clock > ClockMonotonic {
			sub.err = ErrnoNotsup
		}
	case eventRead, eventWrite:
		sub.fd = le.Uint32(b[16:])
	default:
		sub.err = ErrnoInval
	}
	return sub
}

func (s *System) pollOneoff(c *call) Errno {
	n := uint32(c.stack[2])
	if n > maxSubscriptions {
		c.fail(ErrnoInval)
		n = 0
	}
	in := c.region(uint32(c.stack[0]), uint64(n)*subscriptionSize)
	out := c.region(uint32(c.stack[1]), uint64(n)*eventSize)
	res := c.out(3, 4)
	if c.err == ErrnoSuccess {
		c.vary = append(c.vary, out)
	}
	var few [4]subscription
	subs := few[:0]
	for ; len(in) >= subscriptionSize; in = in[subscriptionSize:] {
		sub := decodeSubscription(in)
		subs = append(subs, sub)
		if c.tap != nil {
			abs := byte(0)
			if sub.abs {
				abs = 1
			}
			c.args = le.AppendUint64(c.args, sub.user)
			c.args = append(c.args, sub.kind, abs)
			c.args = le.AppendUint32(c.args, uint32(sub.clock))
			c.args = le.AppendUint32(c.args, sub.fd)
			c.args = le.AppendUint64(c.args, sub.timeout)
		}
	}
	if c.begin(s.pollClass(subs)) {
		return c.errno
	}
	if n == 0 {
		return ErrnoInval
	}
	deadline, e := s.deadlines(subs)
	if e != ErrnoSuccess {
		return e
	}
	for {
		fired, e := s.fire(subs, out)
		if e != ErrnoSuccess {
			return e
		}
		if fired > 0 {
			c.n = fired * eventSize
			le.PutUint32(res, uint32(fired))
			return ErrnoSuccess
		}
		if e := s.wait(subs, deadline); e != ErrnoSuccess && e != ErrnoIntr {
			return e
		}
	}
}

// pollClass says what a poll depends on.
func (s *System) pollClass(subs []subscription) Class {
	clocks := false
	class := Quiet
	for i := range subs {
		if subs[i].err != ErrnoSuccess {
			continue
		}
		if subs[i].kind == eventClock {
			clocks = true
			continue
		}
		d := s.peek(subs[i].fd)
		switch {
		case d == nil:
		case d.Handle == 1 || d.Handle == 2: // always taken to be writable soon
			class = max(class, Output)
		case d.stream():
			return Immediate
		default:
			class = max(class, Read)
		}
	}
	if clocks && class < Output {
		return Clock // which of them fires depends on it
	}
	return class
}

// deadlines puts every clock subscription on the monotonic clock and returns
// the earliest, or -1.
func (s *System) deadlines(subs []subscription) (int64, Errno) {
	first := int64(-1)
	for i := range subs {
		sub := &subs[i]
		if sub.kind != eventClock || sub.err != ErrnoSuccess {
			continue
		}
		now, e := s.host.Now(ClockMonotonic)
		if e != ErrnoSuccess {
			return 0, e
		}
		left := min(sub.timeout, maxOffset/2)
		if sub.abs {
			at, e := s.host.Now(sub.clock)
			if e != ErrnoSuccess {
				return 0, e
			}
			left -= min(left, uint64(max(at, 0)))
		}
		sub.deadline = now + int64(left)
		if first < 0 || sub.deadline < first {
			first = sub.deadline
		}
	}
	return first, ErrnoSuccess
}

// fire writes an event for every subscription that is due.
func (s *System) fire(subs []subscription, out []byte) (int, Errno) {
	n := 0
	for i := range subs {
		sub := &subs[i]
		var bytes uint64
		var flags uint16
		e := sub.err
		if e == ErrnoSuccess && sub.kind == eventClock {
			now, e := s.host.Now(ClockMonotonic)
			if e != ErrnoSuccess {
				return 0, e
			}
			if now < sub.deadline {
				continue
			}
		} else if e == ErrnoSuccess {
			var hangup, ready bool
			ready, bytes, hangup, e = s.ready(sub)
			if !ready && e == ErrnoSuccess {
				continue
			}
			if hangup {
				flags = eventHangup
			}
		}
		b := out[n*eventSize:][:eventSize]
		clear(b)
		le.PutUint64(b, sub.user)
		le.PutUint16(b[8:], uint16(e))
		b[10] = sub.kind
		le.PutUint64(b[16:], bytes)
		le.PutUint16(b[24:], flags)
		n++
	}
	return n, ErrnoSuccess
}

// ready reports whether a descriptor can be read or written without
// blocking. Files always can.
func (s *System) ready(sub *subscription) (ready bool, n uint64, hangup bool, e Errno) {
	d, e := s.desc(sub.fd, RightPollFdReadwrite)
	if e != ErrnoSuccess {
		return false, 0, false, e
	}
	if d.stream() {
		n, hangup, e = s.host.Ready(d.Handle, sub.kind == eventWrite)
		return n > 0 || hangup, n, hangup, e
	}
	if sub.kind == eventWrite {
		return true, 1, false, ErrnoSuccess
	}
	st, e := s.host.Stat(d.Handle)
	if e != ErrnoSuccess {
		return false, 0, false, e
	}
	return true, st.Size - min(st.Size, d.Offset), false, ErrnoSuccess
}

// wait blocks until something may be due.
func (s *System) wait(subs []subscription, deadline int64) Errno {
	var read, write []Handle
	for i := range subs {
		if d := s.peek(subs[i].fd); d != nil && subs[i].kind == eventRead {
			read = append(read, d.Handle)
		} else if d != nil && subs[i].kind == eventWrite {
			write = append(write, d.Handle)
		}
	}
	return s.host.Wait(read, write, deadline)
}
