//go:build amd64 || arm64 || riscv64

package pagestate

import "fmt"

func newBackend(kind Kind, maxSize uint64) (backend, error) {
	switch kind {
	case Userfault, Scan, Pagemap:
		return newMemfd(kind, maxSize)
	case Compare:
		return newCompare(maxSize)
	}
	return nil, fmt.Errorf("there is no kind %d", int(kind))
}
