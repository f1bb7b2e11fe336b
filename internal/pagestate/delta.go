package pagestate

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// Diff encodes the content against the base image. The result is complete in
// itself: it carries the size, and a hash of what it yields.
func (s *Space) Diff() ([]byte, error) { return s.AppendDiff(nil) }

// AppendDiff is Diff into a buffer that the caller reuses.
func (s *Space) AppendDiff(dst []byte) ([]byte, error) {
	dirty, err := s.candidates()
	if err != nil {
		return nil, fmt.Errorf("encode delta: %w", err)
	}
	return s.encodeDelta(dst, dirty), nil
}

// Capture is AppendDiff and then SetImage, with one look for dirty pages: what a
// device does when a call leaves. The base that the delta is against is gone.
func (s *Space) Capture(dst []byte, name Name) ([]byte, error) {
	dirty, err := s.candidates()
	if err != nil {
		return nil, fmt.Errorf("capture image %q: %w", name, err)
	}
	dst = s.encodeDelta(dst, dirty)
	return dst, s.setImage(name, dirty)
}

func (s *Space) encodeDelta(dst []byte, dirty []run) []byte {
	t := &s.codec.lists
	t.literal, t.zero, t.byHash = t.literal[:0], t.zero[:0], nil
	for _, r := range dirty {
		for p := r.start; p < r.end; p++ {
			switch {
			case !s.changed(p):
			case isZero(page(s.mem, p)):
				t.zero = addPage(t.zero, p)
			default:
				t.literal = addPage(t.literal, p)
			}
		}
	}
	dst = s.encodeHead(dst, formDelta, s.baseSize, t)
	return s.encodeLiterals(dst, t.literal, s.baseSize)
}

// encodeHead appends all that comes before the blocks.
func (s *Space) encodeHead(dst []byte, form byte, baseSize uint64, t *table) []byte {
	c := &s.codec
	c.table = t.append(c.table[:0])
	c.begin(form, baseSize, s.Size(), c.table)
	for _, list := range [...][]run{t.literal, t.byHash} {
		for _, r := range list {
			_, _ = c.hash.Write(span(s.mem, r))
		}
	}
	yield := c.sum()
	dst = append(dst, formatVersion, form)
	dst = binary.AppendUvarint(dst, baseSize/PageSize)
	dst = binary.AppendUvarint(dst, s.Size()/PageSize)
	dst = append(dst, yield[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(c.table)))
	return c.appendCoded(dst, c.table)
}

// encodeLiterals appends the blocks: the pages XOR what the base has there.
func (s *Space) encodeLiterals(dst []byte, literal []run, baseSize uint64) []byte {
	w := blockWriter{c: &s.codec, dst: dst, left: countPages(literal), begin: -1}
	for _, r := range literal {
		for r.start < r.end {
			room := w.next(r.len())
			n := uint32(len(room) / PageSize)
			s.xor(room, span(s.mem, run{r.start, r.start + n}), r.start, baseSize)
			r.start += n
			w.close()
		}
	}
	return w.dst
}

// xor sets dst to src, the content from page p on, XOR the base, of which only
// the first baseSize bytes count. dst and src may be the same.
func (s *Space) xor(dst, src []byte, p uint32, baseSize uint64) {
	n := 0
	if at := uint64(p) * PageSize; at < baseSize {
		n = int(min(uint64(len(src)), baseSize-at))
		subtle.XORBytes(dst, src[:n], s.base[at:])
	}
	copy(dst[n:], src[n:])
}
