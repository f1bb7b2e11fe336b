//go:build (linux || darwin) && (amd64 || arm64 || riscv64 || loong64 || ppc64le)

package pagestate

import "golang.org/x/sys/unix"

// region is memory that grows in place within a reservation.
type region struct {
	all   []byte // the reservation
	bytes []byte // what is accessible
}

func newRegion(maxSize uint64) (*region, error) {
	all, err := unix.Mmap(-1, 0, int(maxSize), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	return &region{all: all, bytes: all[:0:0]}, nil
}

// grow makes size bytes accessible; it never shrinks.
func (r *region) grow(size uint64) ([]byte, error) {
	if size > uint64(len(r.bytes)) {
		if err := unix.Mprotect(r.all[:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil, err
		}
		r.bytes = r.all[:size:size]
	}
	return r.bytes[:size:size], nil
}

func (r *region) free() {
	if r.all != nil {
		_ = unix.Munmap(r.all) // fails only for a slice that is no mapping
	}
	r.all, r.bytes = nil, nil
}
