package offload

import (
	"github.com/clonecloud/clonecloud/internal/wire"
)

// DeviceAction is what a [Device] asks its caller to do: one of Send, Serve,
// CheckReads, ReleaseOutput, Prepare, WriteRecord, ApplyEffects, Undo, Install,
// RunLocal, CompleteLog, Fail.
type DeviceAction interface{ deviceAction() }

// Serve asks for a forwarded import to be performed on the device (PROTOCOL
// rule 11). Answer: [Device.Served]. It may take as long as it takes; other
// events may be delivered meanwhile.
type Serve struct {
	Op      uint64
	Attempt ID
	Entry   uint32 // number of the import
	Step    uint32 // operation within the import
	Class   Class  // Read or Immediate
	Payload []byte
}

// CheckReads asks whether every file that was read is still what it was
// (PROTOCOL rules 13 and 15). Answer: [Device.ReadsChecked].
type CheckReads struct {
	Op    uint64
	Reads [][]byte
}

// ReleaseOutput asks for output to be written now, in order (PROTOCOL rule
// 13). Answer: [Device.Released].
type ReleaseOutput struct {
	Op      uint64
	Effects []Effect // all of class Output
}

// Prepare asks for rule 15's checks of everything that this package cannot
// see (the delta and its hash, results, globals, WASI state, effects, files at
// first touch) and then for rule 16 (a): decode the result, grow main, stage
// changed files. Nothing may be visible yet. Answer: [Device.Prepared]; on
// failure the caller has removed what it staged.
type Prepare struct {
	Op      uint64
	Attempt ID
	Return  *wire.Return
	Body    []byte   // delta against the attempt's entry image, undecoded
	Effects []Effect // everything that the commit will perform, in order
}

// WriteRecord asks for the commit record, durably (rule 16 b). It is asked for
// only when files change. Answer: [Device.Recorded].
type WriteRecord struct {
	Op      uint64
	Attempt ID
}

// ApplyEffects asks for rule 16 (c): perform the effects in order, coalescing
// file changes within a run of them, then erase the record and the stage.
// Answer: [Device.EffectsApplied].
type ApplyEffects struct {
	Op      uint64
	Attempt ID
	Effects []Effect
}

// Undo asks to take back the file changes that ApplyEffects performed, and to
// remove stage and record. Output stands. Answer: [Device.Undone].
type Undo struct {
	Op      uint64
	Attempt ID
}

// Install asks for rule 16 (d): identities of descriptors, memory, globals,
// WASI state; then the stub returns the results, or the guest ends with
// ExitCode. It must not fail. Memory is then Image, whose bytes the caller
// keeps as the base of the next Call. The machine is idle again.
type Install struct {
	Attempt  ID
	Return   *wire.Return
	Body     []byte
	Image    Image
	Exited   bool
	ExitCode uint32
}

// RunLocal asks for the call to run on the device, from the entry state, where
// main still is. If Log is not empty the run is a re-run bound by it: see
// [Replay]; the caller reports [Device.ReplayDone] when the log is used up.
type RunLocal struct {
	Attempt ID
	Reason  Reason
	Log     []Entry  // what binds: ends with a released or immediate effect, or is empty
	Seed    [32]byte // random_get within Log is recomputed from it
	// Adopt, unless NoImage, names the present memory: the clone holds it, and
	// the caller keeps its bytes as the base of the next Call. Otherwise the
	// base stays what it was.
	Adopt Image
	// Real and Mono are the least values that the device's clocks may answer
	// from now on, in nanoseconds.
	Real, Mono int64
}

// CompleteLog says that the operation that an entry of RunLocal.Log had
// Pending is done.
type CompleteLog struct {
	Attempt ID
	Entry   uint32
	Op      Op
	// Private says that the operation met something private: there is no
	// reply, and the re-run performs it itself.
	Private bool
}

// Fail asks for the guest to end with exit code 13 and the text: neither the
// attempt nor a local run could be right (PROTOCOL rule 18).
type Fail struct{ Text string }

func (Send) deviceAction()          {}
func (Serve) deviceAction()         {}
func (CheckReads) deviceAction()    {}
func (ReleaseOutput) deviceAction() {}
func (Prepare) deviceAction()       {}
func (WriteRecord) deviceAction()   {}
func (ApplyEffects) deviceAction()  {}
func (Undo) deviceAction()          {}
func (Install) deviceAction()       {}
func (RunLocal) deviceAction()      {}
func (CompleteLog) deviceAction()   {}
func (Fail) deviceAction()          {}

// CloneAction is what a [Clone] asks its caller to do: one of Send, Apply,
// CompareHashes, KeepImages, Start, Answer, Abort, Rollback.
type CloneAction interface{ cloneAction() }

// Apply asks to make guest memory Base and to apply the Call's body to it: a
// delta, or after CompareHashes the missing pages (Base is HashedImage). The
// yielded hash is checked before the memory counts. With Fresh, on a new
// instance, because the present one has grown. Answer: [Clone.ApplyDone] or
// [Clone.ApplyFailed].
type Apply struct {
	Attempt ID
	Call    *wire.Call
	Body    []byte
	Base    Image
	Fresh   bool
}

// CompareHashes asks which pages of the entry image the clone lacks, whatever
// image, page cache or module they could come from. Found pages are kept for
// the Apply that follows. Answer: [Clone.Compared].
type CompareHashes struct {
	Attempt     ID
	MemoryBytes uint64
	Body        []byte // wire.PageHashSize bytes a page
}

// KeepImages says which images must be kept; all others are dropped (PROTOCOL
// rule 6). Image 0 can always be computed and need not be kept.
type KeepImages struct{ Images []Image }

// Start asks for the call to run. It ends with [Clone.Finished].
type Start struct {
	Attempt ID
	Call    *wire.Call
}

// Answer gives the reply of a forwarded import to the guest that waits for it.
type Answer struct{ Payload []byte }

// Abort asks to end the guest's call where it is; the caller then reports
// [Clone.Finished] with OUTCOME_ABORTED and the reason.
type Abort struct{ Reason string }

// Rollback says that the attempt has no result: memory is to be Image again,
// or the instance discarded, before the next Apply.
type Rollback struct{ Image Image }

func (Send) cloneAction()          {}
func (Apply) cloneAction()         {}
func (CompareHashes) cloneAction() {}
func (KeepImages) cloneAction()    {}
func (Start) cloneAction()         {}
func (Answer) cloneAction()        {}
func (Abort) cloneAction()         {}
func (Rollback) cloneAction()      {}

// NodeAction is what a [Node] asks its caller to do: one of ToClone, ToDevice,
// Send (to the device), StartClone, KillClone.
type NodeAction interface{ nodeAction() }

// ToClone asks to pass a frame to the clone's runner, unchanged.
type ToClone struct {
	Generation uint64
	Frame      *wire.Frame
}

// ToDevice asks to pass a frame to the device, unchanged.
type ToDevice struct{ Frame *wire.Frame }

// StartClone asks for a runner for the run. Frames for it may follow at once;
// the caller holds them until the runner is ready. The end of the runner, for
// whatever reason, is reported by [Node.CloneExited] with its generation.
type StartClone struct{ Generation uint64 }

// KillClone asks to kill the runner. Its frames no longer count.
type KillClone struct {
	Generation uint64
	Reason     string
}

func (ToClone) nodeAction()    {}
func (ToDevice) nodeAction()   {}
func (Send) nodeAction()       {}
func (StartClone) nodeAction() {}
func (KillClone) nodeAction()  {}
