//go:build linux && !amd64 && !arm64

package proc

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

func systemCallFilter(int) ([]unix.SockFilter, error) {
	return nil, errors.New("no system call filter for " + runtime.GOARCH)
}
