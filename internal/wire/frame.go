package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"
)

// HeaderSize is the length of a frame's header in bytes, in every version.
const HeaderSize = 56

// Header is the fixed part of a frame.
type Header struct {
	Type    Type
	MetaLen uint32 // bytes
	BodyLen uint32 // bytes
	Seq     uint32 // the frame's number within attempt and direction, from 1; 0 on unnumbered types
	Ack     uint32 // the highest number received from the other side
	Run     ID
	Attempt ID
}

// Frame is a header with its parts. Meta is one encoded message.
type Frame struct {
	Header
	Meta []byte
	Body []byte
}

// Size returns the frame's length on the wire in bytes.
func (f *Frame) Size() int { return HeaderSize + len(f.Meta) + len(f.Body) }

// ErrMalformed is wrapped by every error about bytes that are not a frame of
// this protocol. Such a connection cannot go on.
var ErrMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("wire: %w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// NewFrame encodes msg, which must be the type's message, into a frame. The
// body is kept, not copied. The ids, numbers and lengths are checked as a
// Reader would check them.
func NewFrame(h Header, msg proto.Message, body []byte) (*Frame, error) {
	if t, ok := TypeOf(msg); !ok || t != h.Type {
		return nil, fmt.Errorf("wire: a frame of type %v cannot carry %T", h.Type, msg)
	}
	meta, err := proto.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("wire: encode %v: %w", h.Type, err)
	}
	if uint64(len(meta)) > MaxMemory-1 || uint64(len(body)) > MaxMemory-1 {
		return nil, fmt.Errorf("wire: %v is larger than a frame can be", h.Type)
	}
	h.MetaLen, h.BodyLen = uint32(len(meta)), uint32(len(body))
	if err := h.check(MaxBody); err != nil {
		return nil, err
	}
	return &Frame{Header: h, Meta: meta, Body: body}, nil
}

// check holds the header against the type's rule.
func (h *Header) check(maxBody uint32) error {
	if !h.Type.Known() {
		return malformed("unknown %v", h.Type)
	}
	r := &rules[h.Type]
	if h.MetaLen > r.meta {
		return malformed("meta of %d bytes in %v, limit %d", h.MetaLen, h.Type, r.meta)
	}
	body := r.body
	if body > maxBody && r.scope == scopeAttempt {
		body = maxBody
	}
	if h.BodyLen > body {
		return malformed("body of %d bytes in %v, limit %d", h.BodyLen, h.Type, body)
	}
	run, attempt := !h.Run.IsZero(), !h.Attempt.IsZero()
	ok := true
	switch r.scope {
	case scopeLink:
		ok = !run && !attempt
	case scopeRun:
		ok = run && !attempt
	case scopeAttempt:
		ok = run && attempt
	case scopeAny:
		ok = run || !attempt
	}
	if !ok {
		return malformed("%v with run %v, attempt %v", h.Type, h.Run, h.Attempt)
	}
	if r.seq != (h.Seq != 0) {
		return malformed("%v with number %d", h.Type, h.Seq)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHeader appends the 56 bytes of f's header, lengths taken from h.
func appendHeader(dst []byte, h *Header, meta []byte) []byte {
	at := len(dst)
	dst = append(dst, byte(h.Type), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.MetaLen)
	dst = binary.LittleEndian.AppendUint32(dst, h.BodyLen)
	dst = binary.LittleEndian.AppendUint32(dst, h.Seq)
	dst = binary.LittleEndian.AppendUint32(dst, h.Ack)
	dst = append(dst, h.Run[:]...)
	dst = append(dst, h.Attempt[:]...)
	sum := crc32.Update(crc32.Checksum(dst[at:], castagnoli), castagnoli, meta)
	return binary.LittleEndian.AppendUint32(dst, sum)
}

// parseHeader decodes and checks a header; sum is the checksum to hold
// against header and meta once meta is there, part the checksum so far.
func parseHeader(b *[HeaderSize]byte, maxBody uint32) (h Header, part, sum uint32, err error) {
	if b[1] != 0 || b[2] != 0 || b[3] != 0 {
		return h, 0, 0, malformed("flags % x; the peer is not CloneCloud or is newer than this version", b[1:4])
	}
	h = decodeHeader(b[:])
	if err := h.check(maxBody); err != nil {
		return h, 0, 0, err
	}
	return h, crc32.Checksum(b[:52], castagnoli), binary.LittleEndian.Uint32(b[52:]), nil
}

// decodeHeader reads the fields of a header, whatever they say.
func decodeHeader(b []byte) Header {
	le := binary.LittleEndian
	return Header{
		Type: Type(b[0]), MetaLen: le.Uint32(b[4:]), BodyLen: le.Uint32(b[8:]),
		Seq: le.Uint32(b[12:]), Ack: le.Uint32(b[16:]),
		Run: ID(b[20:36]), Attempt: ID(b[36:52]),
	}
}
