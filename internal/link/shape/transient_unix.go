//go:build unix

package shape

import (
	"errors"
	"syscall"
)

// transient reports whether a datagram socket goes on after err.
func transient(err error) bool {
	for _, e := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
