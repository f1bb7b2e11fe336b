package wasmbin

import (
	"errors"
	"fmt"
)

// The kinds of Error, for errors.Is.
var (
	// ErrMagic means that the bytes are no WebAssembly at all.
	ErrMagic = errors.New("not a WebAssembly module")
	// ErrTruncated means that the bytes end, or a section ends, in the middle of something.
	ErrTruncated = errors.New("truncated")
	// ErrUnsupported means a proposal that CloneCloud does not handle; Error.Feature names it.
	ErrUnsupported = errors.New("unsupported feature")
	// ErrInvalid means bytes that no version of WebAssembly allows.
	ErrInvalid = errors.New("invalid module")
	// ErrLimit means a module larger than Limits allows.
	ErrLimit = errors.New("limit exceeded")
)

// Error says what is wrong with a module and where. It wraps one of the kinds above.
type Error struct {
	Kind    error
	Feature string // ErrUnsupported only: the proposal, for example "threads"
	Detail  string // what was being read, or what is wrong with it
	Section string // the section's name, "" for the module's header
	Offset  int    // bytes from the module's first
}

// Error gives one line, with a hint where the reader can do something about it.
func (e *Error) Error() string {
	where := fmt.Sprintf("at byte %#x", e.Offset)
	if e.Section != "" {
		where += " in the " + e.Section + " section"
	}
	switch e.Kind {
	case ErrUnsupported:
		s := "unsupported feature " + e.Feature
		if e.Detail != "" {
			s += " (" + e.Detail + ")"
		}
		return s + " " + where + ": build the module for WebAssembly 2.0 without it"
	case ErrMagic:
		return "not a WebAssembly module: " + e.Detail
	case ErrTruncated:
		return "truncated module: the bytes end " + where + " while reading " + e.Detail + ": is the file complete?"
	case ErrLimit:
		return "module too large: " + e.Detail + " " + where
	}
	return "invalid module: " + e.Detail + " " + where
}

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }

// The names under which proposals are refused.
const (
	FeatureThreads        = "threads"
	FeatureLegacyEH       = "legacy exception handling"
	FeatureEH             = "exception handling"
	FeatureGC             = "garbage collection"
	FeatureMemory64       = "memory64"
	FeatureMultiMemory    = "multiple memories"
	FeatureRelaxedSIMD    = "relaxed SIMD"
	FeatureExtendedConst  = "extended constant expressions"
	FeatureTypedFuncRefs  = "typed function references"
	FeatureComponent      = "component model"
	FeatureWideArithmetic = "wide arithmetic"
	FeatureStackSwitching = "stack switching"
	FeaturePageSizes      = "custom page sizes"
	FeatureStringRef      = "reference-typed strings"
	FeatureMemoryControl  = "memory control"
)
