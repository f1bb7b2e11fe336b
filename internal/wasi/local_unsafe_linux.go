package wasi

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futimens sets the times of an open file. Neither os nor x/sys/unix has it:
// utimensat with a nil path.
func futimens(fd int, ts *[2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	runtime.KeepAlive(ts)
	if errno != 0 {
		return errno
	}
	return nil
}
