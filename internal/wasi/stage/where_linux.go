package stage

import (
	"fmt"
	"os"
)

// whereIs returns the path under which the system knows an open file now,
// or "".
func whereIs(f *os.File) string {
	c, err := f.SyscallConn()
	if err != nil {
		return ""
	}
	var path string
	if c.Control(func(fd uintptr) { path, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) }) != nil || err != nil {
		return ""
	}
	return path
}
