// Package pricing turns what was measured into what package partition solves: a
// profile tree of package profile into a partition.Profile, and the models of
// package cost into a partition.Pricer.
//
// It is the only place that knows both sides. It does no I/O.
package pricing
