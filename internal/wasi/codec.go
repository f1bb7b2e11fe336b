package wasi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// stateVersion begins an encoded State.
const stateVersion = 1

var errTruncated = errors.New("truncated or malformed")

// Encode returns st as bytes: equal states give equal bytes.
func (st *State) Encode() []byte { return st.AppendTo(nil) }

// AppendTo is Encode behind what b holds.
func (st *State) AppendTo(b []byte) []byte {
	b = append(b, stateVersion)
	for _, list := range [][]string{st.Args, st.Env} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, v := range list {
			b = putString(b, v)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(st.Descs)))
	for _, fd := range slices.Sorted(maps.Keys(st.Descs)) {
		d := st.Descs[fd]
		b = binary.AppendUvarint(b, uint64(fd))
		b = d.appendTo(b)
	}
	return b
}

func (d *Desc) appendTo(b []byte) []byte {
	var bits byte
	if d.Preopen {
		bits |= 1
	}
	if d.ReadOnly {
		bits |= 2
	}
	b = append(b, bits, byte(d.Type), byte(d.Flags))
	for _, v := range []uint64{
		uint64(d.Handle), uint64(d.Base), uint64(d.Inheriting), d.Offset, uint64(d.Root),
		d.Identity.Dev, d.Identity.Ino, d.Identity.Size, uint64(d.Identity.Mtim), uint64(d.Identity.Ctim),
	} {
		b = binary.AppendUvarint(b, v)
	}
	b = putString(putString(b, d.Name), d.Path)
	b = binary.AppendUvarint(b, uint64(len(d.Listing)))
	for _, e := range d.Listing {
		b = binary.AppendUvarint(append(b, byte(e.Type)), e.Ino)
		b = putString(b, e.Name)
	}
	return b
}

func putString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// DecodeState decodes what Encode made. It trusts nothing: the result is
// valid, and no larger than a small multiple of b.
func DecodeState(b []byte) (State, error) {
	var st State
	if len(b) > MaxStateBytes {
		return st, fmt.Errorf("wasi: decode state: %d bytes, more than %d", len(b), MaxStateBytes)
	}
	r := reader{b: b}
	if v := r.byte(); v != stateVersion && !r.bad {
		return st, fmt.Errorf("wasi: decode state: version %d, this program speaks %d; update the older side", v, stateVersion)
	}
	for _, list := range []*[]string{&st.Args, &st.Env} {
		for n := r.count(1); n > 0 && !r.bad; n-- {
			*list = append(*list, r.string(MaxArgsEnv))
		}
	}
	n := r.count(16)
	st.Descs = make(map[uint32]Desc, min(n, MaxDescs))
	for prev := int64(-1); n > 0 && !r.bad; n-- {
		fd := r.uvarint()
		if fd >= MaxDescs || int64(fd) <= prev {
			r.bad = true // also: each state has one encoding
			break
		}
		prev = int64(fd)
		st.Descs[uint32(fd)] = r.desc()
	}
	if r.bad || len(r.b) != 0 {
		return State{}, fmt.Errorf("wasi: decode state: %w", errTruncated)
	}
	if err := st.Validate(); err != nil {
		return State{}, fmt.Errorf("wasi: decode state: %w", err)
	}
	return st, nil
}

func (r *reader) desc() Desc {
	var d Desc
	bits := r.byte()
	d.Preopen, d.ReadOnly = bits&1 != 0, bits&2 != 0
	r.bad = r.bad || bits > 3
	d.Type, d.Flags = Filetype(r.byte()), Fdflags(r.byte())
	d.Handle, d.Base, d.Inheriting = Handle(r.uvarint()), Rights(r.uvarint()), Rights(r.uvarint())
	d.Offset, d.Root = r.uvarint(), Handle(r.uvarint())
	d.Identity = Identity{
		Dev: r.uvarint(), Ino: r.uvarint(), Size: r.uvarint(),
		Mtim: int64(r.uvarint()), Ctim: int64(r.uvarint()),
	}
	d.Name, d.Path = r.string(MaxPath), r.string(MaxPath)
	n := r.count(3)
	if n > 0 && n <= MaxDirents {
		d.Listing = make([]Dirent, 0, n)
	}
	for ; n > 0 && !r.bad; n-- {
		d.Listing = append(d.Listing, Dirent{Type: Filetype(r.byte()), Ino: r.uvarint(), Name: r.string(MaxName)})
	}
	return d
}

// reader decodes; after anything wrong bad is set and all else is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// uvarint accepts only the shortest form.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is the number of things of at least size bytes each that follow.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) bytes(limit int) []byte {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string(limit int) string { return string(r.bytes(limit)) }
