//go:build unix && (amd64 || arm64)

package engine

import (
	"fmt"
	"os"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execSelfTest maps a page, writes a function into it that only returns, makes
// the page executable and calls it: the steps of the compiler. Systems that
// forbid this say so at mprotect; where one lets that pass and faults at the
// call, the fault is a Go panic here, and an error for the caller.
func execSelfTest() (err error) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("map a page: %w", err)
	}
	defer func() { _ = unix.Munmap(page) }()
	copy(page, returnInstruction)
	if err := unix.Mprotect(page, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return fmt.Errorf("make a page executable: %w", err)
	}
	return callPage(page)
}

// callPage calls the code at the start of page, which must keep to Go's calling
// convention and touch nothing.
func callPage(page []byte) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("run an executable page: %v", r)
		}
	}()
	// A func value is a pointer to a word that holds the code's address.
	code := unsafe.Pointer(unsafe.SliceData(page))
	closure := &code
	f := *(*func())(unsafe.Pointer(&closure))
	f()
	return nil
}
