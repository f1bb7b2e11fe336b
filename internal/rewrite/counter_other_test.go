//go:build !linux

package rewrite_test

import "errors"

// counter is for Linux alone.
type counter struct{}

func instructionCounter() (*counter, error) { return nil, errors.ErrUnsupported }
func (*counter) sofar() uint64              { return 0 }
func (*counter) close()                     {}
