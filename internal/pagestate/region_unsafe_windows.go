//go:build amd64 || arm64

package pagestate

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// region is memory that grows in place within a reservation.
type region struct {
	all   []byte // the reservation
	bytes []byte // what is committed
}

func newRegion(maxSize uint64) (*region, error) {
	addr, err := windows.VirtualAlloc(0, uintptr(maxSize), windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	// Through a pointer to the address: this is no memory of Go's, so there is
	// no rule on uintptr to break, only vet's guess to silence.
	all := unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), int(maxSize))
	return &region{all: all, bytes: all[:0:0]}, nil
}

// grow makes size bytes accessible; it never shrinks.
func (r *region) grow(size uint64) ([]byte, error) {
	if have := uint64(len(r.bytes)); size > have {
		addr := uintptr(unsafe.Pointer(unsafe.SliceData(r.all[have:])))
		if _, err := windows.VirtualAlloc(addr, uintptr(size-have), windows.MEM_COMMIT, windows.PAGE_READWRITE); err != nil {
			return nil, err
		}
		r.bytes = r.all[:size:size]
	}
	return r.bytes[:size:size], nil
}

func (r *region) free() {
	if r.all != nil {
		addr := uintptr(unsafe.Pointer(unsafe.SliceData(r.all)))
		_ = windows.VirtualFree(addr, 0, windows.MEM_RELEASE) // fails only for an address that is no reservation
	}
	r.all, r.bytes = nil, nil
}
