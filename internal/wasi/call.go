package wasi

import (
	"crypto/sha256"
	"encoding/binary"
	"unicode/utf8"
)

// maxIovecs is how many buffers one read or write may name, as on Linux.
const maxIovecs = 1024

var le = binary.LittleEndian

// call is one import in progress. A body first decodes all its parameters,
// then calls begin, then acts; so a bad pointer has no effect, and a tap sees
// the whole request by value before anything is done.
type call struct {
	fn    Fn
	mem   []byte
	stack []uint64
	err   Errno // the first thing wrong with the parameters

	// Where results go in guest memory, in canonical order: what is always
	// written, then what is written up to n bytes.
	fixed, vary [][]byte
	n           int
	// extra is the part of the canonical result that the guest does not see.
	extra []byte

	tap      Tap // nil: nothing below is used
	args     []byte
	outs     []byte
	class    Class
	entered  bool
	answered bool
	answer   []byte // what an answer holds beyond the results for the guest
	errno    Errno  // what begin decided

	iov [][]byte
}

func (c *call) start(t Tap, fn Fn, mem []byte, stack []uint64) {
	*c = call{
		fn: fn, mem: mem, stack: stack, tap: t,
		fixed: c.fixed[:0], vary: c.vary[:0], extra: c.extra[:0],
		args: c.args[:0], outs: c.outs[:0], iov: c.iov[:0],
	}
}

func (c *call) fail(e Errno) {
	if c.err == ErrnoSuccess {
		c.err = e
	}
}

// u32 returns parameter i, a scalar, and adds it to the canonical arguments.
func (c *call) u32(i int) uint32 {
	v := uint32(c.stack[i])
	if c.tap != nil {
		c.args = le.AppendUint32(c.args, v)
	}
	return v
}

// u64 is u32 for i64 parameters.
func (c *call) u64(i int) uint64 {
	v := c.stack[i]
	if c.tap != nil {
		c.args = le.AppendUint64(c.args, v)
	}
	return v
}

// region returns n bytes of guest memory at ptr, or nil with ErrnoFault.
func (c *call) region(ptr uint32, n uint64) []byte {
	if n == 0 {
		return []byte{} // wherever it points: languages make up pointers to nothing
	}
	if n > uint64(len(c.mem)) || uint64(ptr) > uint64(len(c.mem))-n {
		c.fail(ErrnoFault)
		return nil
	}
	end := uint64(ptr) + n
	return c.mem[ptr:end:end]
}

// out returns the n bytes that parameter i points to, for a result of that
// size. It is never nil, so that bodies need no check.
func (c *call) out(i int, n uint64) []byte {
	r := c.region(uint32(c.stack[i]), n)
	if r == nil {
		return make([]byte, n)
	}
	c.fixed = append(c.fixed, r)
	return r
}

// buf returns the buffer that parameters i and i+1 describe, for a result of
// up to that size; its size is an argument.
func (c *call) buf(i int) []byte {
	r := c.region(uint32(c.stack[i]), uint64(c.u32(i+1)))
	if r != nil {
		c.vary = append(c.vary, r)
	}
	return r
}

// iovecs decodes the list of buffers that parameters i and i+1 describe. The
// result is valid until the next call.
func (c *call) iovecs(i int) [][]byte {
	n := uint32(c.stack[i+1])
	if n > maxIovecs {
		c.fail(ErrnoInval)
		return nil
	}
	list := c.region(uint32(c.stack[i]), uint64(n)*8)
	var total uint64
	for ; len(list) >= 8; list = list[8:] {
		b := c.region(le.Uint32(list), uint64(le.Uint32(list[4:])))
		if b == nil {
			return nil
		}
		total += uint64(len(b))
		c.iov = append(c.iov, b)
	}
	if total > 1<<31-1 {
		c.fail(ErrnoInval)
		return nil
	}
	return c.iov
}

// inputs decodes buffers to write; what they hold is an argument.
func (c *call) inputs(i int) [][]byte {
	iov := c.iovecs(i)
	if c.tap != nil && c.err == ErrnoSuccess {
		h := sha256.New()
		var n uint64
		for _, b := range iov {
			h.Write(b)
			n += uint64(len(b))
		}
		c.args = le.AppendUint64(c.args, n)
		c.args = append(c.args, h.Sum(nil)[:16]...)
	}
	return iov
}

// buffers decodes buffers to read into; their total size is an argument.
func (c *call) buffers(i int) [][]byte {
	iov := c.iovecs(i)
	c.vary = append(c.vary, iov...)
	if c.tap != nil {
		var n uint64
		for _, b := range iov {
			n += uint64(len(b))
		}
		c.args = le.AppendUint64(c.args, n)
	}
	return iov
}

// short limits how much is received at once to what fits a log entry, where
// there is a log. A stream may always give less than was asked for.
func (c *call) short(b []byte) []byte {
	if c.tap == nil {
		return b
	}
	return b[:min(len(b), MaxEntryOutputs/16)]
}

// text returns the string that parameters i and i+1 describe.
func (c *call) text(i int) string {
	n := uint32(c.stack[i+1])
	if n > MaxPath {
		c.fail(ErrnoNametoolong)
		return ""
	}
	s := string(c.region(uint32(c.stack[i]), uint64(n)))
	if c.tap != nil {
		c.args = appendString(c.args, s)
	}
	switch {
	case hasNul(s):
		c.fail(ErrnoInval)
	case !utf8.ValidString(s):
		c.fail(ErrnoIlseq)
	}
	return s
}

// path returns a path and what is peculiar about it.
func (c *call) path(i int) guestPath {
	s := c.text(i)
	if s == "" {
		c.fail(ErrnoNoent)
		return guestPath{}
	}
	if s[0] == '/' {
		c.fail(ErrnoPerm)
		return guestPath{}
	}
	p := guestPath{name: s}
	for len(p.name) > 1 && p.name[len(p.name)-1] == '/' {
		p.name, p.slash = p.name[:len(p.name)-1], true
	}
	return p
}

// guestPath is a path without the slashes at its end: hosts never see those.
type guestPath struct {
	name  string
	slash bool // it ended in a slash, and so can only name a folder
}

// begin ends the decoding of the parameters. When it returns true the import
// is over with c.errno: a parameter was bad, or the tap answered.
func (c *call) begin(class Class) bool {
	if c.tap != nil {
		if c.err != ErrnoSuccess {
			class = Quiet
		}
		c.class, c.entered = class, true
		if ans := c.tap.Enter(Call{Fn: c.fn, Class: class, Args: c.args}); ans != nil {
			c.answered = true
			c.errno = c.apply(ans)
			return true
		}
	}
	c.errno = c.err
	return c.err != ErrnoSuccess
}

// apply writes an answer into guest memory. An answer that does not fit the
// request is a divergence.
func (c *call) apply(ans *Outcome) Errno {
	if ans.Errno != ErrnoSuccess {
		return ans.Errno
	}
	rest := ans.Outputs
	if c.err != ErrnoSuccess {
		c.misfit()
	}
	for _, r := range c.fixed {
		if len(rest) < len(r) {
			c.misfit()
		}
		rest = rest[copy(r, rest):]
	}
	for _, r := range c.vary {
		rest = rest[copy(r, rest):]
	}
	if len(rest) != 0 && c.fn != FnSockAccept {
		c.misfit()
	}
	c.answer = rest
	return ErrnoSuccess
}

func (c *call) misfit() {
	entry := 0
	if r, ok := c.tap.(*Replayer); ok {
		entry = r.n - 1
	}
	panic(&Divergence{Entry: entry, Fn: c.fn, Want: "results that fit the request", Got: "results of another size"})
}

// leave tells the tap what came of the import; the tap may have it otherwise.
func (c *call) leave(e Errno) Errno {
	if e == ErrnoSuccess {
		for _, r := range c.fixed {
			c.outs = append(c.outs, r...)
		}
		n := c.n
		for _, r := range c.vary {
			r = r[:min(n, len(r))]
			c.outs = append(c.outs, r...)
			n -= len(r)
		}
		c.outs = append(c.outs, c.extra...)
	}
	ans := c.tap.Leave(Call{Fn: c.fn, Class: c.class, Args: c.args}, Outcome{Errno: e, Outputs: c.outs})
	if ans == nil {
		return e
	}
	if ans.Errno != e || len(ans.Outputs) != len(c.outs) {
		c.misfit()
	}
	return c.apply(ans)
}

func appendString(b []byte, s string) []byte {
	b = le.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
