// Package export writes profiles for tools that others made: pprof's format,
// which `go tool pprof` and its flame graph read, and the trace format of Chrome,
// which Perfetto reads too.
//
// The package imports only package profile, and nothing of how runs are run.
package export
