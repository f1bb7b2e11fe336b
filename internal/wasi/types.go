// Package wasi is WASI preview 1 for a guest that may be in two places.
//
// A [System] holds a guest's arguments, environment and descriptor table, a
// value that can be captured, moved and installed, and answers the guest's
// imports. It stands on a [Host], which knows files and streams by handle
// and clocks and randomness by value, and which has two implementations:
// [Local] on the device, contained by os.Root, and the one in package site
// for a call that runs on a clone. So the rules of preview 1 (rights, flags,
// offsets, errno) exist once, and a program cannot tell where it runs.
//
// Every import can be tapped by value, arguments before and outcome after:
// the import log and a re-run that is answered from it (PROTOCOL rules 12
// and 17) are taps.
//
// The package imports no engine: it reads and writes guest memory as bytes.
package wasi
