package wasi

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ErrnoOf returns the errno that a guest is told for an error of the os or
// net package; success for nil.
func ErrnoOf(err error) Errno {
	if err == nil {
		return ErrnoSuccess
	}
	var e Errno
	if errors.As(err, &e) {
		return e
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		if e, ok := sysErrno(sys); ok {
			return e
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrnoNoent
	case errors.Is(err, fs.ErrExist):
		return ErrnoExist
	case errors.Is(err, fs.ErrPermission):
		return ErrnoAcces
	case errors.Is(err, fs.ErrInvalid):
		return ErrnoInval
	case errors.Is(err, fs.ErrClosed), errors.Is(err, os.ErrProcessDone):
		return ErrnoBadf
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrnoTimedout
	case errors.Is(err, io.ErrClosedPipe):
		return ErrnoPipe
	}
	// os.Root has errors of its own, without names.
	switch s := err.Error(); {
	case strings.HasSuffix(s, "path escapes from parent"):
		return ErrnoPerm
	case strings.HasSuffix(s, "too many symlinks"), strings.HasSuffix(s, "too many levels of symbolic links"):
		return ErrnoLoop
	case strings.HasSuffix(s, "not a directory"):
		return ErrnoNotdir
	}
	return ErrnoIo
}
