// Package site is the [wasi.Host] of a call that runs on a clone (PROTOCOL
// rules 10 to 13).
//
// The guest sees the device's files exactly as it would see them locally.
// What it reads is fetched from the device by value, one round trip a walk
// and one a block, and kept for the rest of the attempt: that is legal
// because everything fetched is noted in the read set ([Reads]) and checked
// again, unchanged, before any output is released and before the commit.
// What it changes stays here, in an overlay: a lazily loaded tree whose
// nodes are files of the device or new ones. Changes and output leave only
// as values, in program order ([Effects]), and nothing of them is real
// before the device has checked and committed them (package stage).
//
// Invariants:
//   - A name of a device folder is looked up on the device at most once
//     between two releases; hits, misses and listings are all noted.
//   - The overlay answers as if every queued change had succeeded. A change
//     that the device then refuses costs the attempt, never a wrong answer.
//   - An effect whose answer cannot be known (stdin, sockets) is forwarded
//     only when nothing is queued; otherwise the attempt is abandoned.
//   - Everything that can grow has a limit, and reaching it panics with a
//     [wasi.Abort]: the call then runs locally.
//
// The package imports package wasi only, does no I/O of its own beyond
// [Config].Forward, and holds no file of the machine it runs on.
package site
