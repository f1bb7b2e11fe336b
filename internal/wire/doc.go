// Package wire is the framed protocol that runs between a runner and its
// manager and between two managers: docs/PROTOCOL.md, part II.
//
// A frame is a fixed header, one protobuf message (meta) and a raw body. The
// header carries the type, the run, the attempt and the frame's number, so
// that a manager relays and buffers frames without decoding them; the body (a
// delta, page hashes, a module chunk) is never copied through protobuf.
//
//	r := wire.NewReader(conn, wire.ReaderConfig{})
//	w := wire.NewWriter(conn)
//	f, err := r.ReadFrame()   // header and lengths checked before allocation
//	msg, err := f.Message()   // the type's message, limits checked
//
// A connection opens with [Greet] on the device's side and [Accept] on the
// node's, which agree on a version or name both ranges.
//
// Invariants: whatever bytes arrive, a Reader allocates no more than a small
// multiple of what has arrived, never panics, and never returns a frame whose
// header breaks the table in types.go; a small frame is written by one Write.
// The protocol's state machine is package offload, not here.
//
// The package imports nothing of CloneCloud.
package wire
