package pagestate

import "bytes"

// compareBackend keeps a copy of the base and compares.
type compareBackend struct {
	mem, base *region
}

var _ backend = (*compareBackend)(nil)

func newCompare(maxSize uint64) (backend, error) {
	mem, err := newRegion(maxSize)
	if err != nil {
		return nil, err
	}
	base, err := newRegion(maxSize)
	if err != nil {
		mem.free()
		return nil, err
	}
	return &compareBackend{mem, base}, nil
}

func (b *compareBackend) grow(size uint64) (mem, base []byte, err error) {
	if base, err = b.base.grow(size); err != nil {
		return nil, nil, err
	}
	if mem, err = b.mem.grow(size); err != nil {
		return nil, nil, err
	}
	return mem, base, nil
}

func (b *compareBackend) candidates() ([]run, error) {
	const stride = 16 * PageSize // equal memory is passed over in larger steps
	var runs []run
	mem, base := b.mem.bytes, b.base.bytes
	for off := 0; off < len(mem); off += stride {
		end := min(off+stride, len(mem))
		if bytes.Equal(mem[off:end], base[off:end]) {
			continue
		}
		for p := off; p < end; p += PageSize {
			if !bytes.Equal(mem[p:p+PageSize], base[p:p+PageSize]) {
				runs = addPage(runs, uint32(p/PageSize))
			}
		}
	}
	return runs, nil
}

func (b *compareBackend) rebase(dirty []run) error {
	for _, r := range dirty {
		copy(span(b.base.bytes, r), span(b.mem.bytes, r))
	}
	return nil
}

func (b *compareBackend) rollback(dirty []run) error {
	for _, r := range dirty {
		copy(span(b.mem.bytes, r), span(b.base.bytes, r))
	}
	return nil
}

func (b *compareBackend) writing([]run) {}

func (b *compareBackend) written(pages []run) { _ = b.rollback(pages) /* only copies */ }

func (b *compareBackend) populated() ([]run, error) {
	n := uint32(len(b.mem.bytes) / PageSize)
	if n == 0 {
		return nil, nil
	}
	return []run{{0, n}}, nil
}

func (b *compareBackend) adopt(old backend, size uint64) (mem, base []byte, err error) {
	o := old.(*compareBackend)
	mem, fresh := b.mem.bytes, b.base
	copy(mem, o.base.bytes[:size])
	b.base, o.base = o.base, fresh
	// The adopted base may be longer than what is shown of it; the rest is zero.
	return mem, b.base.bytes[:size], nil
}

func (b *compareBackend) free() {
	b.mem.free()
	b.base.free()
}
