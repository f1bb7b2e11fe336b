//go:build !((linux || darwin) && (amd64 || arm64 || riscv64 || loong64 || ppc64le)) && !(windows && (amd64 || arm64))

package pagestate

import "errors"

// region is memory that is copied when it grows: a 32-bit system cannot reserve
// the address space, others have no call for it.
type region struct {
	max   uint64
	bytes []byte
}

func newRegion(maxSize uint64) (*region, error) { return &region{max: maxSize}, nil }

// grow makes size bytes accessible; it never shrinks.
func (r *region) grow(size uint64) ([]byte, error) {
	if size > r.max || size > uint64(^uint(0)>>1) {
		return nil, errors.New("size is above what this system can address")
	}
	if size > uint64(len(r.bytes)) {
		grown := make([]byte, size)
		copy(grown, r.bytes)
		r.bytes = grown
	}
	return r.bytes[:size:size], nil
}

func (r *region) free() { r.bytes = nil }
