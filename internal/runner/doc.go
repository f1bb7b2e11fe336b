// Package runner is the process that a guest runs in: engine, memory, WASI and
// the migrator, on the device and on a clone alike.
//
// A runner is this binary again, started by a node manager with one end of a
// socket pair. It first reads a [Start] (the module and what the guest may
// have), and from then on speaks the protocol's frames with its manager, which
// relays them. On the device ([runDevice]) the guest runs and is parked in a
// stub's host call while an attempt lives; the goroutine that runs the guest
// drives the protocol's state machine, so there is no lock to take. On a clone
// ([runClone]) calls arrive and their results leave.
//
// Invariants:
//
//   - Exactly one goroutine runs guest code. The collector is off; it runs in
//     host calls, when the heap has grown.
//   - Nothing of the device changes before a commit that cannot fail half-way
//     (PROTOCOL rule 16): files are staged, memory is grown, a record is
//     written, and only then is anything applied.
//   - Any failure of an attempt ends in the original function being run here.
//   - A runner whose manager is gone ends itself.
//
// The package never touches the network and never imports link, device or node.
package runner
