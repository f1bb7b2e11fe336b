package site

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// ErrMalformed says that bytes from the other side do not decode. It is
// wrapped with what was being read.
var ErrMalformed = errors.New("malformed message")

// encoder appends values to a buffer: varints, and strings by length.
type encoder struct{ b []byte }

func (e *encoder) u(v uint64)     { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) i(v int64)      { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) bytes(p []byte) { e.u(uint64(len(p))); e.b = append(e.b, p...) }
func (e *encoder) str(s string)   { e.u(uint64(len(s))); e.b = append(e.b, s...) }

// flags packs up to 64 booleans, the first into the lowest bit.
func (e *encoder) flags(bits ...bool) {
	var v uint64
	for i, b := range bits {
		if b {
			v |= 1 << i
		}
	}
	e.u(v)
}

// decoder reads what encoder wrote. The first error sticks, and every value
// after it is zero. It never allocates more than its input is long.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
	d.b = nil
}

func (d *decoder) u() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) i() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// max reads a number that must not exceed limit.
func (d *decoder) max(limit uint64, what string) uint64 {
	v := d.u()
	if v > limit {
		d.fail(what)
		return 0
	}
	return v
}

// count reads a number of items, each of which takes at least one byte.
func (d *decoder) count(limit int, what string) int {
	n := d.u()
	if n > uint64(limit) || n > uint64(len(d.b)) {
		d.fail(what)
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(limit int, what string) []byte {
	n := d.count(limit, what)
	if d.err != nil {
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) str(limit int, what string) string { return string(d.bytes(limit, what)) }

// flags reads n booleans; an unknown bit is malformed.
func (d *decoder) flags(bits ...*bool) {
	v := d.u()
	if len(bits) < 64 && v>>len(bits) != 0 {
		d.fail("flags")
		return
	}
	for i, b := range bits {
		*b = v>>i&1 != 0
	}
}

// done reports the first error, or that bytes are left over.
func (d *decoder) done() error {
	if d.err == nil && len(d.b) != 0 {
		d.fail("trailing bytes")
	}
	return d.err
}

func (e *encoder) identity(v wasi.Identity) {
	e.u(v.Dev)
	e.u(v.Ino)
	e.u(v.Size)
	e.i(v.Mtim)
	e.i(v.Ctim)
}

func (d *decoder) identity() wasi.Identity {
	return wasi.Identity{Dev: d.u(), Ino: d.u(), Size: d.u(), Mtim: d.i(), Ctim: d.i()}
}

func (e *encoder) stat(s wasi.Stat) {
	e.u(s.Dev)
	e.u(s.Ino)
	e.u(uint64(s.Type))
	e.u(s.Nlink)
	e.u(s.Size)
	e.i(s.Atim)
	e.i(s.Mtim)
	e.i(s.Ctim)
}

func (d *decoder) stat() wasi.Stat {
	return wasi.Stat{
		Dev: d.u(), Ino: d.u(), Type: d.filetype(), Nlink: d.u(), Size: d.u(),
		Atim: d.i(), Mtim: d.i(), Ctim: d.i(),
	}
}

func (d *decoder) filetype() wasi.Filetype {
	return wasi.Filetype(d.max(uint64(wasi.FiletypeSymbolicLink), "file type"))
}

func (d *decoder) errno() wasi.Errno { return wasi.Errno(d.max(uint64(wasi.ErrnoNotcapable), "errno")) }
func (d *decoder) path() string      { return d.str(wasi.MaxPath, "path") }
func (d *decoder) handle() wasi.Handle {
	return wasi.Handle(d.u())
}
