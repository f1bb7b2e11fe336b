//go:build !linux || !(amd64 || arm64 || riscv64)

package pagestate

import (
	"errors"
	"fmt"
)

func newBackend(kind Kind, maxSize uint64) (backend, error) {
	switch kind {
	case Userfault, Scan, Pagemap:
		return nil, errors.New("needs 64-bit Linux")
	case Compare:
		return newCompare(maxSize)
	}
	return nil, fmt.Errorf("there is no kind %d", int(kind))
}
