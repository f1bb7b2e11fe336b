package offload

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// Time is a monotonic clock value: the time since any fixed origin.
type Time = time.Duration

// ID names a run or an attempt.
type ID = wire.ID

// Class is what an import does to the world (PROTOCOL rule 10).
type Class = wire.Class

// The classes.
const (
	Quiet      = wire.Class_CLASS_QUIET       // answered at the site
	Read       = wire.Class_CLASS_READ        // forwarded, no effect
	Output     = wire.Class_CLASS_OUTPUT      // deferrable, may be released early
	FileChange = wire.Class_CLASS_FILE_CHANGE // deferrable, only at commit
	Immediate  = wire.Class_CLASS_IMMEDIATE   // done on the device, at once
)

// ImageKind says which of an attempt's images is meant.
type ImageKind uint8

// The kinds. NoImage is no image at all.
const (
	NoImage     ImageKind = iota
	ModuleImage           // image 0 of the run, computed on both sides
	EntryImage            // memory once the attempt's Call is applied
	ResultImage           // memory when the attempt returned
	HashedImage           // in a Call: the pages that PageHashes named
)

// Image names a memory image (PROTOCOL rule 6). Images are comparable.
type Image struct {
	Kind    ImageKind
	Attempt ID // of EntryImage and ResultImage
}

// String returns a name for logs.
func (i Image) String() string {
	switch i.Kind {
	case ModuleImage:
		return "module"
	case EntryImage:
		return i.Attempt.String() + ".entry"
	case ResultImage:
		return i.Attempt.String() + ".result"
	case HashedImage:
		return "hashed"
	}
	return "none"
}

func (i Image) proto() *wire.Image {
	switch i.Kind {
	case EntryImage:
		return &wire.Image{Kind: wire.ImageKind_IMAGE_ENTRY, Attempt: i.Attempt[:]}
	case ResultImage:
		return &wire.Image{Kind: wire.ImageKind_IMAGE_RESULT, Attempt: i.Attempt[:]}
	case HashedImage:
		return &wire.Image{Kind: wire.ImageKind_IMAGE_HASHED}
	}
	return &wire.Image{Kind: wire.ImageKind_IMAGE_MODULE}
}

// imageOf converts a checked message.
func imageOf(m *wire.Image) Image {
	var a ID
	copy(a[:], m.GetAttempt())
	switch m.GetKind() {
	case wire.ImageKind_IMAGE_MODULE:
		return Image{Kind: ModuleImage}
	case wire.ImageKind_IMAGE_ENTRY:
		return Image{Kind: EntryImage, Attempt: a}
	case wire.ImageKind_IMAGE_RESULT:
		return Image{Kind: ResultImage, Attempt: a}
	case wire.ImageKind_IMAGE_HASHED:
		return Image{Kind: HashedImage}
	}
	return Image{}
}

// Entry is one import of an attempt as the device's log holds it.
type Entry struct {
	Class   Class
	Encoded []byte // package wasi's encoding
	Effect  []byte // deferrable effects: what to do on the device

	// Ops are the operations of an immediate entry, as the device performed
	// them. They outrank Encoded, which a clone wrote.
	Ops []Op
	// Open says that the clone's record of an immediate entry has not come:
	// Ops is all that is known of it, Encoded is empty.
	Open bool
	// Pending says that one more operation of this entry, always the log's
	// last, is in progress on the device; a re-run that reaches it waits for
	// [CompleteLog].
	Pending bool
	// Real is set when performing the effect gave another result than the one
	// that was assumed (PROTOCOL rule 14): it, and not Encoded, is the answer.
	Real *Real
}

// Real is what an effect really returned, in the caller's encoding.
type Real struct{ Outcome []byte }

// Op is one operation performed on the device for an immediate import.
type Op struct{ Request, Reply []byte }

// Effect is a deferrable effect to be performed on the device.
type Effect struct {
	Entry   uint32 // number of the import
	Class   Class  // Output or FileChange
	Payload []byte // opaque
}

// Why says why an attempt did not commit. The text is for reports.
type Why string

// The reasons.
const (
	WhyLink     Why = "link"     // lost for longer than the redial limit
	WhyUnknown  Why = "lost"     // the node does not hold the attempt (any more)
	WhyRefused  Why = "refused"  // by the node
	WhyTrap     Why = "trap"     // on the clone; the local run traps by itself
	WhyAborted  Why = "aborted"  // by the clone: pinned import, limit
	WhyChanged  Why = "changed"  // a file that was read or changed is not what it was
	WhyPrepare  Why = "prepare"  // the commit could not be prepared
	WhyApply    Why = "apply"    // the commit was undone half-way
	WhyOutput   Why = "output"   // output had another result than assumed
	WhyPrivate  Why = "private"  // the attempt asked for something private
	WhyProtocol Why = "protocol" // the peer broke the protocol
	WhyLimit    Why = "limit"    // the attempt ran into its time limit
	WhyCaller   Why = "caller"   // the caller abandoned it
)

// Reason is a [Why] with a detail.
type Reason struct {
	Why  Why
	Text string
}

// String returns both parts.
func (r Reason) String() string {
	if r.Text == "" {
		return string(r.Why)
	}
	return string(r.Why) + ": " + r.Text
}

func because(w Why, format string, args ...any) Reason {
	return Reason{Why: w, Text: fmt.Sprintf(format, args...)}
}

// BodyKind says what the caller puts into a frame's body.
type BodyKind uint8

// The kinds of body.
const (
	NoBody     BodyKind = iota
	DeltaBody           // Call: the entry memory against Base
	HashBody            // PageHashes: truncated SHA-256 of every page of the entry memory; the caller sets MemoryBytes
	PagesBody           // Call: the pages of Runs, and the hash of the whole entry memory
	ResultBody          // Return: the result memory against the attempt's entry image
)

// Body describes a frame's body. The caller computes it when it sends: guest
// memory stands still from Begin to Install or RunLocal.
type Body struct {
	Kind BodyKind
	Base Image // DeltaBody
	// Runs are the pages of a PagesBody: first, count, first, count... They
	// ascend and do not overlap, but may lie outside of memory: the caller
	// checks that, and abandons the attempt.
	Runs []uint32
}

// Send is the action to write a frame. If writing fails the caller reports a
// lost link.
type Send struct {
	Header wire.Header // type, run, attempt, numbers; lengths are not set
	Msg    proto.Message
	Body   Body
}

// Errors that [Device.Begin] returns; the caller runs the call locally.
var (
	ErrTainted   = errors.New("offload: this run touched something private")
	ErrBusy      = errors.New("offload: an attempt of this run is live")
	ErrReplaying = errors.New("offload: a re-run is bound to its import log")
	ErrLinkDown  = errors.New("offload: the link is down")
	ErrEnded     = errors.New("offload: the run was cancelled or has failed")
)

// Bounds of the machines; docs/PROTOCOL.md lists them.
const (
	DefaultRedial     = 2 * time.Second
	DefaultGrace      = 5 * time.Second
	DefaultRelease    = 200 * time.Millisecond
	DefaultLogEntries = 1 << 16
	DefaultLogBytes   = 8 << 20

	maxInboxFrames = 1024
	maxInboxBytes  = 64 << 20
	maxSites       = 64
	maxQueued      = 48 << 20 // bytes of effects that a clone holds back
	batchBytes     = 2 << 20  // of one Release
)
