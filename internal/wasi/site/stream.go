package site

import (
	"math"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// The standard streams of a Host.
const (
	stdin  wasi.Handle = 0
	stdout wasi.Handle = 1
	stderr wasi.Handle = 2
)

// Read reads a stream: an immediate effect.
func (s *Site) Read(h wasi.Handle, buf []byte) (int, wasi.Errno) {
	if e := s.stream(h); e != wasi.ErrnoSuccess {
		return 0, e
	}
	p := s.ask(Request{Op: OpStreamRead, Handle: h, Length: uint64(min(len(buf), MaxBlock))})
	if len(p.Data) > len(buf) {
		abort("the device answered more than was asked")
	}
	return copy(buf, p.Data), p.Errno
}

// stream reports why h cannot be one.
func (s *Site) stream(h wasi.Handle) wasi.Errno {
	if h&wasi.SiteHandle != 0 {
		if s.handles[h] == nil {
			return wasi.ErrnoBadf
		}
		return wasi.ErrnoInval
	}
	return wasi.ErrnoSuccess
}

// Write queues output for the standard streams; on any other stream it is an
// immediate effect.
func (s *Site) Write(h wasi.Handle, data []byte) (int, wasi.Errno) {
	if h == stdout || h == stderr {
		if len(data) > 0 {
			s.output(h, data)
		}
		return len(data), wasi.ErrnoSuccess
	}
	if e := s.stream(h); e != wasi.ErrnoSuccess {
		return 0, e
	}
	p := s.ask(Request{Op: OpStreamWrite, Handle: h, Data: data[:min(len(data), MaxBlock)]})
	return count(p, len(data)), p.Errno
}

// count returns how much of an n-byte request was done.
func count(p Reply, n int) int {
	if p.N > uint64(n) {
		abort("the device did more than was asked")
	}
	return int(p.N)
}

// local reports whether h is a file or folder: always ready.
func (s *Site) local(h wasi.Handle) bool {
	if h == stdout || h == stderr || h&wasi.SiteHandle != 0 {
		return true
	}
	f := s.handles[h]
	return f != nil && (f.n.typ == wasi.FiletypeRegularFile || f.n.typ == wasi.FiletypeDirectory)
}

// Ready reports whether h can be read or written now.
func (s *Site) Ready(h wasi.Handle, write bool) (uint64, bool, wasi.Errno) {
	if h != stdin && h != stdout && h != stderr {
		f, e := s.get(h)
		if e != wasi.ErrnoSuccess {
			return 0, false, e
		}
		if f.n.typ == wasi.FiletypeRegularFile {
			s.noteFull(f.n)
			if write {
				return 1, false, wasi.ErrnoSuccess
			}
			return f.n.stat.Size, f.n.stat.Size == 0, wasi.ErrnoSuccess
		}
	}
	if s.local(h) {
		return 1, false, wasi.ErrnoSuccess
	}
	var w uint16
	if write {
		w = 1
	}
	p := s.ask(Request{Op: OpReady, Handle: h, Flags: w})
	return p.N, p.Hangup, p.Errno
}

// Wait blocks until a handle is ready or the deadline has passed. Clocks
// alone are waited for here.
func (s *Site) Wait(read, write []wasi.Handle, deadline int64) wasi.Errno {
	for _, hs := range [][]wasi.Handle{read, write} {
		for _, h := range hs {
			if h > stderr && h&wasi.SiteHandle == 0 {
				if _, e := s.get(h); e != wasi.ErrnoSuccess {
					return wasi.ErrnoSuccess // the caller's next look shows the error
				}
			}
			if s.local(h) {
				return wasi.ErrnoSuccess
			}
		}
	}
	if len(read)+len(write) > MaxHandles {
		return wasi.ErrnoInval
	}
	timeout := int64(-1)
	if deadline >= 0 {
		timeout = max(0, deadline-s.monotonic())
	}
	if len(read)+len(write) == 0 {
		if timeout < 0 {
			return wasi.ErrnoInval // for ever, for nothing
		}
		s.cfg.Sleep(timeout)
		return wasi.ErrnoSuccess
	}
	return s.ask(Request{Op: OpWait, ReadSet: read, WriteSet: write, Timeout: timeout}).Errno
}

// Accept takes a connection from a socket that the device listens on.
func (s *Site) Accept(h wasi.Handle, f wasi.Fdflags) (wasi.Handle, wasi.Stat, wasi.Errno) {
	p := s.ask(Request{Op: OpAccept, Handle: h, Flags: uint16(f)})
	if p.Errno != wasi.ErrnoSuccess {
		return 0, wasi.Stat{}, p.Errno
	}
	if p.Handle&wasi.SiteHandle != 0 {
		abort("the device answered a handle of the site")
	}
	s.handles[p.Handle] = &file{
		n:     &node{typ: p.Stat.Type, stat: p.Stat},
		flags: wasi.OpenFlags{Read: true, Write: true},
	}
	return p.Handle, p.Stat, wasi.ErrnoSuccess
}

// Recv reads from a socket.
func (s *Site) Recv(h wasi.Handle, buf []byte, flags uint16) (int, uint16, wasi.Errno) {
	if e := s.socket(h); e != wasi.ErrnoSuccess {
		return 0, 0, e
	}
	p := s.ask(Request{Op: OpRecv, Handle: h, Length: uint64(min(len(buf), MaxBlock)), Flags: flags})
	if len(p.Data) > len(buf) {
		abort("the device answered more than was asked")
	}
	return copy(buf, p.Data), p.Flags, p.Errno
}

// socket reports why h cannot be one.
func (s *Site) socket(h wasi.Handle) wasi.Errno {
	f, e := s.get(h)
	if e != wasi.ErrnoSuccess {
		return e
	}
	if f.n.typ == wasi.FiletypeRegularFile || f.n.typ == wasi.FiletypeDirectory {
		return wasi.ErrnoNotsock
	}
	return wasi.ErrnoSuccess
}

// Send writes to a socket.
func (s *Site) Send(h wasi.Handle, data []byte, flags uint16) (int, wasi.Errno) {
	if e := s.socket(h); e != wasi.ErrnoSuccess {
		return 0, e
	}
	p := s.ask(Request{Op: OpSend, Handle: h, Data: data[:min(len(data), MaxBlock)], Flags: flags})
	return count(p, len(data)), p.Errno
}

// Shutdown ends one or both directions of a socket.
func (s *Site) Shutdown(h wasi.Handle, how uint8) wasi.Errno {
	if e := s.socket(h); e != wasi.ErrnoSuccess {
		return e
	}
	return s.ask(Request{Op: OpShutdown, Handle: h, Flags: uint16(how)}).Errno
}

func (s *Site) realtime() int64  { return s.cfg.Realtime + s.cfg.Elapsed() }
func (s *Site) monotonic() int64 { return s.cfg.Monotonic + s.cfg.Elapsed() }

// Now returns a clock's value: the device's at the Call, and what has passed
// since.
func (s *Site) Now(clock wasi.ClockID) (int64, wasi.Errno) {
	switch clock {
	case wasi.ClockRealtime:
		return s.realtime(), wasi.ErrnoSuccess
	case wasi.ClockMonotonic, wasi.ClockProcessCPU, wasi.ClockThreadCPU:
		return s.monotonic(), wasi.ErrnoSuccess
	default:
		return 0, wasi.ErrnoInval
	}
}

// Resolution returns a clock's grain.
func (s *Site) Resolution(clock wasi.ClockID) (int64, wasi.Errno) {
	switch clock {
	case wasi.ClockRealtime:
		return 1000, wasi.ErrnoSuccess
	case wasi.ClockMonotonic, wasi.ClockProcessCPU, wasi.ClockThreadCPU:
		return 1, wasi.ErrnoSuccess
	default:
		return 0, wasi.ErrnoInval
	}
}

// Random fills buf from the Call's seed.
func (s *Site) Random(buf []byte) {
	for len(buf) > 0 {
		n, _ := s.rng.Read(buf[:min(len(buf), math.MaxInt32)])
		buf = buf[n:]
	}
}

// Yield does nothing: a runner has one guest.
func (s *Site) Yield() {}
