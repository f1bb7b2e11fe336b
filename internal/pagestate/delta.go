package pagestate

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
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
	return s.encodeDelta(dst, dirty)
}

// Capture is AppendDiff and then SetImage, with one look for dirty pages: what a
// device does when a call leaves. The base that the delta is against is gone. When
// much is dirty, AppendDiff, then sending, then SetImage lets the link work meanwhile.
func (s *Space) Capture(dst []byte, name Name) ([]byte, error) {
	dirty, err := s.candidates()
	if err != nil {
		return nil, fmt.Errorf("capture image %q: %w", name, err)
	}
	if dst, err = s.encodeDelta(dst, dirty); err != nil {
		return nil, fmt.Errorf("capture image %q: %w", name, err)
	}
	return dst, s.setImage(name, dirty)
}

func (s *Space) encodeDelta(dst []byte, dirty []run) ([]byte, error) {
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
	return s.encode(dst, formDelta, s.baseSize, t, nil)
}

// encode appends a whole message; sums are the hashes of the pages by hash.
func (s *Space) encode(dst []byte, form byte, baseSize uint64, t *table, sums []byte) (_ []byte, err error) {
	c := &s.codec
	c.table = t.append(c.table[:0])
	c.begin(form, baseSize, s.Size(), c.table)
	dst = append(dst, formatVersion, form)
	dst = binary.AppendUvarint(dst, baseSize/PageSize)
	dst = binary.AppendUvarint(dst, s.Size()/PageSize)
	yield := len(dst) // known when all is hashed, which is done on the way
	dst = append(dst, make([]byte, sumSize)...)
	dst = binary.AppendUvarint(dst, uint64(len(c.table)))
	dst = append(c.appendCoded(dst, c.table), sums...)
	if dst, err = s.encodeLiterals(dst, t.literal, baseSize); err != nil {
		return nil, err
	}
	for _, r := range t.byHash {
		_, _ = c.hash.Write(span(s.mem, r))
	}
	sum := c.sum()
	copy(dst[yield:], sum[:])
	return dst, nil
}

// encodeLiterals appends the literal pages XOR what the base has there, and hashes
// them while they are in the cache.
func (s *Space) encodeLiterals(dst []byte, literal []run, baseSize uint64) ([]byte, error) {
	if len(literal) == 0 {
		return dst, nil
	}
	total := countPages(literal)
	out := appender{dst: dst, first: len(dst), total: total * PageSize}
	enc := streamEncoders.Get().(*zstd.Encoder)
	defer streamEncoders.Put(enc)
	enc.Reset(&out)
	defer enc.Reset(nil)
	compress := func(chunk []byte) error {
		out.taken += len(chunk)
		_, err := enc.Write(chunk)
		return err
	}
	var err error
	if total < besidePages {
		ring := newRing(&s.codec.plain, min(total, chunkPages)*PageSize, 1)
		err = s.eachChunk(literal, baseSize, func() []byte { return ring[0] }, compress)
	} else {
		err = s.compressBeside(literal, baseSize, compress)
	}
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress pages: %w", err)
	}
	return out.dst, nil
}

// besidePages is the number of pages from which it pays to compress in another
// goroutine than reads and hashes memory: 1 MiB.
const besidePages = 256

// newRing cuts n buffers of size bytes out of a buffer that is kept.
func newRing(kept *[]byte, size, n int) [][]byte {
	if cap(*kept) < n*size {
		*kept = make([]byte, n*size)
	}
	var ring [][]byte
	for i := range n {
		ring = append(ring, (*kept)[:cap(*kept)][i*size:i*size:(i+1)*size])
	}
	return ring
}

// compressBeside is eachChunk with compress running in a goroutine of its own.
func (s *Space) compressBeside(literal []run, baseSize uint64, compress func([]byte) error) error {
	ring := newRing(&s.codec.plain, chunkPages*PageSize, 4)
	free, filled := make(chan []byte, len(ring)), make(chan []byte, len(ring))
	for _, b := range ring {
		free <- b
	}
	done := make(chan error, 1)
	go func() {
		var failed error
		for chunk := range filled {
			if failed == nil {
				failed = compress(chunk)
			}
			free <- chunk[:0]
		}
		done <- failed
	}()
	err := s.eachChunk(literal, baseSize, func() []byte { return <-free }, func(chunk []byte) error {
		filled <- chunk
		return nil
	})
	close(filled)
	return errors.Join(err, <-done)
}

// eachChunk gives the literal pages XOR the base to f, chunkPages at a time, in
// buffers that buffer returns, and hashes the pages.
func (s *Space) eachChunk(literal []run, baseSize uint64, buffer func() []byte, f func([]byte) error) error {
	chunk := buffer()
	for i, r := range literal {
		for r.start < r.end {
			n := min(r.len(), (cap(chunk)-len(chunk))/PageSize)
			at := len(chunk)
			chunk = chunk[:at+n*PageSize]
			content := span(s.mem, run{r.start, r.start + uint32(n)})
			s.xor(chunk[at:], content, r.start, baseSize)
			_, _ = s.codec.hash.Write(content)
			r.start += uint32(n)
			last := i == len(literal)-1 && r.len() == 0
			if !last && len(chunk) < cap(chunk) {
				continue
			}
			if err := f(chunk); err != nil || last {
				return err
			}
			chunk = buffer()
		}
	}
	return nil
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
