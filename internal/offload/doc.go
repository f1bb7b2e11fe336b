// Package offload is the state machine of an offload: PROTOCOL rules 6 to 20,
// free of I/O, of clocks and of goroutines.
//
// There are three machines. [Device] lives in the device's runner, one per run
// of a program, and decides what may become of an attempt: it holds the import
// log, releases output, checks and commits a Return, and says when the call
// runs locally and what its re-run is bound to. [Clone] lives in the clone's
// runner: it knows which images the clone holds, queues effects and logs
// imports. [Node] stands between them in the node manager: it keeps a clone's
// frames until the device has them, survives a lost link, and fences attempts.
// [Replay] is the re-run that an import log binds.
//
// A machine takes events (its methods, each with the time) and returns actions,
// plain values that the caller carries out in order before it delivers another
// event. An action with an Op is answered by the event that its comment names,
// with that Op; an answer to an Op that no longer matters is ignored, so a
// caller never has to know whether it still does. Deadline says when Tick is
// due. Machines do not lock: one goroutine, or one lock of the caller.
//
//	acts, err := d.Begin(now, offload.CallSpec{...})
//	for len(acts) > 0 {
//		next := acts[0]
//		acts = append(acts[1:], carryOut(next)...)   // may call d.Prepared(...)
//	}
//
// What a delta, a log entry, a read or an effect contains is opaque here:
// packages pagestate and wasi know. Everything that arrives in a frame is
// hostile; what passes a machine has been checked as far as this package can
// see, and actions name what the caller must still check.
//
// Invariants. Whatever is lost, repeated, late or forged: every effect happens
// at most once and in program order; nothing but released output and immediate
// effects happens before a commit; an attempt that does not commit leaves the
// device at the entry state with exactly the log that the world has seen; and
// an image that both sides name holds the same bytes on both.
//
// The package imports wire for the messages, and nothing else of CloneCloud.
package offload
