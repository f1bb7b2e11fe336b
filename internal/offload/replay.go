package offload

import "fmt"

// ReplayMode says how an import of a re-run is to be treated (PROTOCOL 17).
type ReplayMode uint8

// The modes.
const (
	// Free: the log is used up; the import runs as if nothing had been.
	Free ReplayMode = iota
	// AnswerIt: the import is not performed; the entry's outcome is its
	// outcome (Real before Encoded; Random recomputed from the seed).
	AnswerIt
	// AnswerOps: an immediate import: it is performed, but its operations on
	// the device are answered from Ops, one by one, without being done again.
	// When Ops is used up and the entry is Open the rest is performed.
	AnswerOps
	// Redo: an operation on files or descriptors: performed now, forced to
	// the logged descriptor numbers, and compared with Encoded.
	Redo
	// Wait: as AnswerOps, but one more operation is in progress: first wait
	// for CompleteLog.
	Wait
)

// Replay walks the log that binds a re-run. The caller asks Next for every
// import, and checks the import and its arguments against the entry before
// anything else; what does not match is a divergence.
type Replay struct {
	log []Entry
	pos int
}

// NewReplay returns the re-run bound by the log of a [RunLocal].
func NewReplay(log []Entry) *Replay { return &Replay{log: log} }

// Done reports whether the log is used up.
func (r *Replay) Done() bool { return r.pos >= len(r.log) }

// Next returns the next import's number, entry and mode, and moves on. When
// the mode is Wait it does not move on: complete the entry, ask again.
func (r *Replay) Next() (n uint32, e *Entry, mode ReplayMode) {
	if r.Done() {
		return uint32(r.pos), nil, Free
	}
	n, e = uint32(r.pos), &r.log[r.pos]
	switch {
	case e.Pending:
		return n, e, Wait
	case e.Class == Immediate:
		mode = AnswerOps
	case e.Class == Quiet || e.Class == Output:
		mode = AnswerIt
	default:
		mode = Redo
	}
	r.pos++
	return n, e, mode
}

// Complete delivers a CompleteLog.
func (r *Replay) Complete(c CompleteLog) error {
	if int(c.Entry) >= len(r.log) || !r.log[c.Entry].Pending {
		return fmt.Errorf("offload: no effect in progress at entry %d of the import log", c.Entry)
	}
	e := &r.log[c.Entry]
	e.Pending = false
	if !c.Private {
		e.Ops = append(e.Ops, c.Op)
	}
	return nil
}

// Divergence is a re-run that does not match what the world has already seen
// (PROTOCOL rule 18). The guest ends with exit code 13.
type Divergence struct {
	Entry  uint32
	Import string // the import's name
	Detail string // what differs
}

// ExitCode is the guest's exit code after a [Divergence].
const ExitCode = 13

// Error names the import.
func (d *Divergence) Error() string {
	return fmt.Sprintf("offload: the local run of a call differs from its lost remote run at import %d (%s): %s; "+
		"the program is not deterministic and part of its output or input has already happened, so it ends here; "+
		"run it with --where=device", d.Entry, d.Import, d.Detail)
}
