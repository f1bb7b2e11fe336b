package main

import (
	"errors"
	"fmt"
)

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (h hintedError) Hint() string  { return h.hint }
func (h hintedError) Unwrap() error { return h.error }

// withHint adds what to do next; an empty hint adds nothing.
func withHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return hintedError{err, hint}
}

// withDefaultHint adds what to do next where nothing says so yet.
func withDefaultHint(err error, hint string) error {
	var h hinted
	if errors.As(err, &h) && h.Hint() != "" {
		return err
	}
	return withHint(err, hint)
}

// usageHint is usage with what to do about it.
func usageHint(hint, format string, args ...any) error {
	return exitCode{exitUsage, withHint(fmt.Errorf(format, args...), hint)}
}

// usage is a mistake on the command line.
func usage(format string, args ...any) error {
	return exitCode{exitUsage, fmt.Errorf(format, args...)}
}
