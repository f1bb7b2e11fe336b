package wasmbin

import (
	"fmt"
)

// reader walks a module's bytes up to end. Its error sticks: after the first,
// every read gives zero, so that callers need look only where a loop or an
// allocation depends on what was read.
type reader struct {
	b       []byte // b[:end] is readable
	p       int
	section string
	err     error
}

func (r *reader) fail(kind error, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Section: r.section, Offset: r.p}
	}
}

func (r *reader) unsupported(feature, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Kind: ErrUnsupported, Feature: feature, Detail: fmt.Sprintf(format, args...), Section: r.section, Offset: r.p}
	}
}

func (r *reader) more() bool { return r.err == nil && r.p < len(r.b) }

func (r *reader) u8(what string) byte {
	if r.err != nil {
		return 0
	}
	if r.p >= len(r.b) {
		r.fail(ErrTruncated, "%s", what)
		return 0
	}
	c := r.b[r.p]
	r.p++
	return c
}

func (r *reader) number(what string, v uint32, p int) uint32 {
	switch p {
	case -1:
		r.fail(ErrTruncated, "%s", what)
		return 0
	case -2:
		r.fail(ErrInvalid, "the number for %s is too long", what)
		return 0
	}
	r.p = p
	return v
}

func (r *reader) u32(what string) uint32 {
	if r.err != nil {
		return 0
	}
	v, p := readU32(r.b, r.p)
	return r.number(what, v, p)
}

func (r *reader) skipS(what string, bits uint) {
	if r.err != nil {
		return
	}
	_, p := readS(r.b, r.p, bits)
	r.number(what, 0, p)
}

func (r *reader) skip(what string, n int) {
	if r.err != nil {
		return
	}
	if n > len(r.b)-r.p {
		r.fail(ErrTruncated, "%s", what)
		return
	}
	r.p += n
}

func (r *reader) name(what string, limit int) string {
	n := r.u32(what)
	if int64(n) > int64(limit) {
		r.fail(ErrLimit, "%s has %d bytes, at most %d are allowed", what, n, limit)
		return ""
	}
	start := r.p
	r.skip(what, int(n))
	if r.err != nil {
		return ""
	}
	return string(r.b[start:r.p])
}

// count reads the length of a vector whose entries take at least one byte each,
// so that what is allocated for it is bounded by the bytes that are there.
func (r *reader) count(what string, limit int) uint32 {
	n := r.u32("the number of " + what)
	if r.err != nil {
		return 0
	}
	if int64(n) > int64(limit) {
		r.fail(ErrLimit, "%d %s, at most %d are allowed", n, what, limit)
		return 0
	}
	if int64(n) > int64(len(r.b)-r.p) {
		r.fail(ErrTruncated, "%s", what)
		return 0
	}
	return n
}

func (r *reader) valType(what string) ValType {
	c := ValType(r.u8(what))
	if r.err != nil {
		return 0
	}
	switch c {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
		return c
	}
	r.p--
	if f := typeFeature(byte(c)); f != "" {
		r.unsupported(f, "type %#x", byte(c))
	} else {
		r.fail(ErrInvalid, "%#x is no value type, in %s", byte(c), what)
	}
	return 0
}

func (r *reader) refType(what string) ValType {
	t := r.valType(what)
	if r.err == nil && t != FuncRef && t != ExternRef {
		r.fail(ErrInvalid, "%s is no reference type, in %s", t, what)
	}
	return t
}

// typeFeature names the proposal that a type's first byte belongs to, "" when none does.
func typeFeature(c byte) string {
	switch c {
	case 0x63, 0x64:
		return FeatureTypedFuncRefs
	case 0x69, 0x74:
		return FeatureEH
	case 0x65, 0x66, 0x67, 0x61:
		return FeatureStringRef
	case 0x68, 0x75:
		return FeatureStackSwitching
	case 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73, 0x77, 0x78:
		return FeatureGC
	}
	return ""
}
