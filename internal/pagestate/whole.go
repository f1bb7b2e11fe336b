package pagestate

import (
	"crypto/sha256"
	"fmt"
)

// Sum is the address of a page's content: its SHA-256, cut to 128 bits.
type Sum [sumSize]byte

func sumOf(page []byte) (sum Sum) {
	full := sha256.Sum256(page)
	copy(sum[:], full[:])
	return sum
}

// PageHash names the content of one page.
type PageHash struct {
	Page uint32
	Sum  Sum
}

// PageHashes names every page that is not all zeros, ascending: the first step
// when the other side has no base in common (NeedBase in PROTOCOL rule 6). The
// other side answers with what Missing returns, and Whole makes the message.
func (s *Space) PageHashes() ([]PageHash, error) {
	if s.back == nil {
		return nil, fmt.Errorf("hash pages: %w", errFreed)
	}
	runs, err := s.back.populated()
	if err != nil {
		return nil, fmt.Errorf("hash pages: %w", err)
	}
	hashes := make([]PageHash, 0, countPages(runs))
	for _, r := range runs {
		for p := r.start; p < r.end; p++ {
			if b := page(s.mem, p); !isZero(b) {
				hashes = append(hashes, PageHash{p, sumOf(b)})
			}
		}
	}
	return hashes, nil
}

// Missing returns those pages of the list whose content is in no page of this
// Space or of others, neither in the content nor in the base. Of several with one
// content it returns the first. The list is checked: it must ascend and fit the
// limit of the Space.
func (s *Space) Missing(hashes []PageHash, others ...*Space) ([]uint32, error) {
	wanted := make(map[Sum]struct{}, len(hashes))
	next := uint64(0)
	for _, h := range hashes {
		if uint64(h.Page) < next || uint64(h.Page) >= s.limit/PageSize {
			return nil, fmt.Errorf("look up pages by hash: %w: page %d after %d of %d", ErrCorrupt, h.Page, next, s.limit/PageSize)
		}
		next = uint64(h.Page) + 1
		wanted[h.Sum] = struct{}{}
	}
	found := func(sum Sum, _ []byte) bool {
		delete(wanted, sum)
		return len(wanted) > 0
	}
	if err := s.eachPage(others, found); err != nil {
		return nil, fmt.Errorf("look up pages by hash: %w", err)
	}
	var missing []uint32
	for _, h := range hashes {
		if _, ok := wanted[h.Sum]; ok {
			missing = append(missing, h.Page)
			delete(wanted, h.Sum)
		}
	}
	return missing, nil
}

// eachPage calls f for the pages that are not zero, of the content and, where it
// differs, of the base, of this Space and others, until f returns false.
func (s *Space) eachPage(others []*Space, f func(Sum, []byte) bool) error {
	for _, o := range append([]*Space{s}, others...) {
		if o.back == nil {
			continue
		}
		runs, err := o.back.populated()
		if err != nil {
			return err
		}
		for _, r := range runs {
			for p := r.start; p < r.end; p++ {
				if b := page(o.mem, p); !isZero(b) && !f(sumOf(b), b) {
					return nil
				}
				if o.base == nil || !o.changed(p) {
					continue
				}
				if b := o.basePage(p); !isZero(b) && !f(sumOf(b), b) {
					return nil
				}
			}
		}
	}
	return nil
}

// Whole encodes the whole content against nothing: the pages that are missing at
// the other side by content, all others by hash. hashes is what PageHashes
// returned for this same content. With no hashes at all, every page goes by content.
func (s *Space) Whole(hashes []PageHash, missing []uint32) ([]byte, error) {
	all := hashes == nil
	if all {
		var err error
		if hashes, err = s.PageHashes(); err != nil {
			return nil, err
		}
	}
	need := make(map[uint32]struct{}, len(missing))
	for _, p := range missing {
		need[p] = struct{}{}
	}
	var t table
	var sums []byte
	for _, h := range hashes {
		if uint64(h.Page) >= s.Size()/PageSize {
			return nil, fmt.Errorf("encode whole memory: %w: page %d of %d", ErrStale, h.Page, s.Size()/PageSize)
		}
		if _, ok := need[h.Page]; ok || all {
			t.literal = addPage(t.literal, h.Page)
			continue
		}
		t.byHash = addPage(t.byHash, h.Page)
		sums = append(sums, h.Sum[:]...)
	}
	return s.encode(nil, formWhole, 0, &t, sums)
}

// resolve appends to stage the content of the pages by hash, from the literal
// pages before them, this Space and others.
func (s *Space) resolve(h head, sums []byte, others []*Space) error {
	n := len(sums) / sumSize
	if n == 0 {
		return nil
	}
	lits := len(s.stage)
	s.stage = growBytes(s.stage, n*PageSize, n*PageSize)
	wanted := make(map[Sum][]int, n) // where in stage each content goes
	for i := range n {
		sum := Sum(sums[i*sumSize:])
		wanted[sum] = append(wanted[sum], lits+i*PageSize)
	}
	found := func(sum Sum, content []byte) bool {
		for _, at := range wanted[sum] {
			copy(s.stage[at:], content)
		}
		delete(wanted, sum)
		return len(wanted) > 0
	}
	for at := 0; at < lits; at += PageSize {
		content := s.stage[at : at+PageSize]
		if !found(sumOf(content), content) {
			return nil
		}
	}
	if err := s.eachPage(others, found); err != nil {
		return err
	}
	if len(wanted) > 0 {
		return fmt.Errorf("%w: %d pages by hash are not here", ErrCorrupt, len(wanted))
	}
	return nil
}

// zeroed returns the pages of content or base that a whole state leaves out, and
// so clears.
func (s *Space) zeroed(t table) ([]run, error) {
	runs, err := s.back.populated()
	if err != nil {
		return nil, err
	}
	listed := mergeRuns(append(append([]run(nil), t.literal...), t.byHash...))
	var zero []run
	for _, r := range runs {
		for p := r.start; p < r.end; p++ {
			for len(listed) > 0 && listed[0].end <= p {
				listed = listed[1:]
			}
			if len(listed) > 0 && listed[0].start <= p {
				continue
			}
			if !isZero(page(s.mem, p)) || !isZero(s.basePage(p)) {
				zero = addPage(zero, p)
			}
		}
	}
	return zero, nil
}
