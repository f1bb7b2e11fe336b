package pagestate

import "fmt"

// Limits bound what Prepare accepts, beside the limit of the Space itself.
type Limits struct {
	// MaxSize is the largest memory in bytes that may be yielded; 0 means the
	// limit of the Space.
	MaxSize uint64
	// MaxPages is how many pages with content may change; 0 means all.
	MaxPages uint64
	// Sources are further spaces whose pages may be named by hash.
	Sources []*Space
}

// Change is a delta that was checked and only waits to be written.
type Change struct {
	s     *Space
	epoch uint64
	size  uint64
	whole bool

	filled []run  // pages with content,
	stage  []byte // which is this, one run after the other
	zero   []run  // pages to clear
}

// Prepare decodes a delta that comes from elsewhere and checks it against the
// present base image, before a byte of memory changes: every length and page
// number, and the hash of what it yields. The content must be at the base
// (ErrDirty), unless the delta is a whole state, which replaces any content.
//
// The Change is good until the next Prepare, or until the base or content is
// changed otherwise. Its decoded pages are held beside the memory until then.
func (s *Space) Prepare(encoded []byte, limits Limits) (*Change, error) {
	if s.back == nil || s.base == nil {
		return nil, fmt.Errorf("prepare delta: %w", errFreed)
	}
	s.epoch++
	c, err := s.prepare(encoded, limits)
	if err != nil {
		return nil, fmt.Errorf("prepare delta of %d bytes for image %q: %w", len(encoded), s.image, err)
	}
	return c, nil
}

func (s *Space) prepare(encoded []byte, limits Limits) (*Change, error) {
	d := decoder{b: encoded}
	h, err := s.parseHead(&d, limits)
	if err != nil {
		return nil, err
	}
	if h.form == formDelta {
		if err := s.atBase(); err != nil {
			return nil, err
		}
	}
	c := &Change{s: s, epoch: s.epoch, size: h.size, whole: h.form == formWhole, zero: h.lists.zero}
	sums := d.bytes(uint64(countPages(h.lists.byHash)) * sumSize)
	if d.err != nil {
		return nil, d.err
	}
	s.codec.begin(h.form, h.base, h.size, h.table)
	if err := s.decodeLiterals(d.b, h); err != nil {
		return nil, err
	}
	lits := len(s.stage)
	if err := s.resolve(h, sums, limits.Sources); err != nil {
		return nil, err
	}
	_, _ = s.codec.hash.Write(s.stage[lits:])
	if s.codec.sum() != h.yield {
		return nil, fmt.Errorf("%w: it yields other pages than it says", ErrCorrupt)
	}
	c.stage = s.stage
	c.filled = append(h.lists.literal, h.lists.byHash...)
	if c.whole {
		if c.zero, err = s.zeroed(h.lists); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// head is what comes before hashes and literals, decoded.
type head struct {
	form       byte
	base, size uint64 // bytes
	yield      [sumSize]byte
	table      []byte
	lists      table
}

func (s *Space) parseHead(d *decoder, limits Limits) (h head, err error) {
	if b := d.bytes(2); d.err == nil && (b[0] != formatVersion || b[1] > formWhole) {
		return h, fmt.Errorf("%w: version %d, form %d", ErrCorrupt, b[0], b[1])
	} else if d.err == nil {
		h.form = b[1]
	}
	h.base = d.uvarint(MaxSize/PageSize) * PageSize
	h.size = d.uvarint(MaxSize/PageSize) * PageSize
	copy(h.yield[:], d.bytes(sumSize))
	if d.err != nil {
		return h, d.err
	}
	if err := s.checkSizes(h, limits); err != nil {
		return h, err
	}
	pages := h.size / PageSize
	plain := d.uvarint(tableMax(pages))
	// A table cannot be much smaller than the pages it lists are many, so what it
	// takes decoded is bounded by the size that was just checked.
	if h.table = d.coded(plain); d.err != nil {
		return h, d.err
	}
	if h.lists, err = parseTable(h.table, pages); err != nil {
		return h, err
	}
	if h.form == formDelta && len(h.lists.byHash) > 0 || h.form == formWhole && len(h.lists.zero) > 0 {
		return h, fmt.Errorf("%w: list that form %d does not have", ErrCorrupt, h.form)
	}
	if n := uint64(countPages(h.lists.literal) + countPages(h.lists.byHash)); limits.MaxPages != 0 && n > limits.MaxPages {
		return h, fmt.Errorf("%w: %d pages of at most %d", ErrLimit, n, limits.MaxPages)
	}
	return h, nil
}

func (s *Space) checkSizes(h head, limits Limits) error {
	most := s.limit
	if limits.MaxSize != 0 {
		most = min(most, limits.MaxSize)
	}
	switch {
	case h.form == formWhole && h.base != 0, h.form == formDelta && h.base != s.baseSize:
		return fmt.Errorf("%w: it is against a base of %d bytes, not %d", ErrCorrupt, h.base, s.baseSize)
	case h.size > most:
		return fmt.Errorf("%w: memory of %d bytes, at most %d", ErrLimit, h.size, most)
	case h.size%SizeUnit != 0:
		return fmt.Errorf("%w: memory of %d bytes", ErrCorrupt, h.size)
	case h.size < h.base:
		return fmt.Errorf("%w: memory shrinks from %d to %d bytes", ErrCorrupt, h.base, h.size)
	case h.size < s.Size():
		return fmt.Errorf("memory is of %d bytes, the delta yields %d: %w", s.Size(), h.size, ErrGrown)
	}
	return nil
}

// atBase returns ErrDirty unless the content equals the base.
func (s *Space) atBase() error {
	cand, err := s.candidates()
	if err != nil {
		return err
	}
	for _, r := range cand {
		for p := r.start; p < r.end; p++ {
			if s.changed(p) {
				return fmt.Errorf("page %d: %w", p, ErrDirty)
			}
		}
	}
	return nil
}

// decodeLiterals fills stage with the content of the literal pages, and hashes it.
func (s *Space) decodeLiterals(coded []byte, h head) error {
	left := countPages(h.lists.literal)
	if cap(s.stage) > stageKeep && cap(s.stage) > 4*left*PageSize {
		s.stage = nil
	}
	s.stage = s.stage[:0]
	if left == 0 {
		if len(coded) != 0 {
			return fmt.Errorf("%w: %d bytes after the end", ErrCorrupt, len(coded))
		}
		return nil
	}
	in, err := openLiterals(coded)
	if err != nil {
		return fmt.Errorf("%w: literal pages: %w", ErrCorrupt, err)
	}
	defer in.close()
	for _, r := range h.lists.literal {
		for r.start < r.end {
			n := min(r.len(), chunkPages)
			at := len(s.stage)
			s.stage = growBytes(s.stage, n*PageSize, min(left*PageSize, max(3*at, 32*len(coded))))
			plain := s.stage[at:]
			if err := in.fill(plain); err != nil {
				return fmt.Errorf("%w: literal pages: %w", ErrCorrupt, err)
			}
			s.xor(plain, plain, r.start, h.base)
			_, _ = s.codec.hash.Write(plain)
			r.start += uint32(n)
			left -= n
		}
	}
	if err := in.end(); err != nil {
		return fmt.Errorf("%w: after the literal pages: %w", ErrCorrupt, err)
	}
	return nil
}

// stageKeep is the buffer, in bytes, that a Space keeps between changes though
// the last was far smaller.
const stageKeep = 16 << 20

// growBytes lengthens b by n bytes, and when it must be moved makes room for
// that many to come. A false count in a message must not be what decides on that:
// callers bound it by what the message holds or has yielded so far.
func growBytes(b []byte, n, toCome int) []byte {
	if cap(b)-len(b) < n {
		grown := make([]byte, len(b), len(b)+max(n, toCome))
		copy(grown, b)
		b = grown
	}
	return b[:len(b)+n]
}

// NewSize returns the size that memory must be grown to, through the engine,
// before Apply, in bytes.
func (c *Change) NewSize() uint64 { return c.size }

// Pages returns how many pages the change sets or clears.
func (c *Change) Pages() int { return countPages(c.filled) + countPages(c.zero) }

// fits returns ErrStale when the Space is not as it was prepared for.
func (c *Change) fits() error {
	if c.s.epoch != c.epoch {
		return fmt.Errorf("apply delta: %w", ErrStale)
	}
	if c.s.Size() != c.size {
		return fmt.Errorf("apply delta: memory is of %d bytes, needs %d: %w", c.s.Size(), c.size, ErrStale)
	}
	return nil
}

// Apply writes the pages into the content; the base stays, so they count as dirty.
// It fails, with ErrStale, only before anything is written.
func (c *Change) Apply() error {
	if err := c.fits(); err != nil {
		return err
	}
	c.s.epoch++
	c.s.known = false
	c.write(c.s.mem)
	return nil
}

// ApplyImage writes the pages into content and base at once: afterwards the yielded
// state is the base image, under the given name. It is cheaper than Apply and
// SetImage, as no page is copied only to be overwritten. It fails, with ErrStale,
// only before anything is written.
func (c *Change) ApplyImage(name Name) error {
	if err := c.fits(); err != nil {
		return err
	}
	s := c.s
	s.epoch++
	touched := c.touched()
	if c.whole {
		// Whatever the content is, it goes.
		touched = []run{{0, uint32(c.size / PageSize)}}
		if c.size == 0 {
			touched = nil
		}
	}
	s.back.writing(c.filled)
	c.write(s.base)
	s.back.written(touched)
	s.image, s.baseSize = name, s.Size()
	s.clean()
	return nil
}

// touched returns all pages the change names, ascending.
func (c *Change) touched() []run {
	return mergeRuns(append(append([]run(nil), c.filled...), c.zero...))
}

func (c *Change) write(to []byte) {
	rest := c.stage
	for _, r := range c.filled {
		n := copy(span(to, r), rest)
		rest = rest[n:]
	}
	for _, r := range c.zero {
		clear(span(to, r))
	}
}
