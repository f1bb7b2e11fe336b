//go:build unix && (amd64 || arm64)

package engine

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A system that lets mprotect pass and faults at the call must not take the
// process with it: the page here is never made executable.
func TestAPageThatCannotRunIsAnErrorNotACrash(t *testing.T) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(page) }()
	copy(page, returnInstruction)
	if err := callPage(page); err == nil {
		t.Error("a page without permission to run was run")
	} else {
		t.Log(err)
	}
}
