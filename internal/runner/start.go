package runner

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// Roles of a runner.
const (
	RoleDevice = "device"
	RoleClone  = "clone"
)

// Start is the first thing that a manager sends to its runner: what to run and
// what the guest may have. The module's bytes follow it.
type Start struct {
	Role string
	Run  wire.ID

	App      string   // name of the application, for people
	Args     []string // argv, the application's name first
	Env      []string // the guest's, "K=V"
	Dirs     []Dir
	Engine   string // compiler or interpreter; empty: the best that works here
	CacheDir string // of compiled code; empty: none
	StateDir string // where commit records are kept (device)
	MaxPages uint32 // 64 KiB pages that memory may grow to

	Where   string   // auto, device or clone (device role)
	Offload []string // functions to offer beside those chosen (device role)
	Only    []string // if any: offer exactly these functions
	// Constants are the values of globals that the module imports (clone role).
	Constants []Constant
	// MaxOffloads, if not 0, is how many calls may be offloaded in all, and
	// OffloadEvery, if not 0, lets the first of each so many calls move, for tests
	// of functions that are called millions of times.
	MaxOffloads, OffloadEvery int
	// Armed, if any, are the only functions whose calls may move of those that
	// are offered, by index, for tests that take one function after the other
	// and compile the program once.
	Armed []uint32
	// Repeatable has clocks stand still but for waits, and random numbers, times
	// and inodes be the same in every run, for tests (package wasi).
	Repeatable bool
	// HashMemory asks for the hash of the guest's final memory, for tests.
	HashMemory bool
	// Hold stops the runner inside a commit, for tests.
	Hold *Hold `json:",omitempty"`
	// Redial is how long an attempt waits for a lost link, in seconds; 0 is
	// the protocol's 2 s.
	Redial float64

	ModuleSize int // bytes that follow
}

// Dir is a folder that the guest may see.
type Dir struct {
	Host, Guest string
	ReadOnly    bool
}

// Constant is the value of an imported global, which cannot change: raw bits.
type Constant struct {
	Module, Name string
	Bits         uint64
}

// maxStart bounds the encoded Start: arguments and environment above all.
const maxStart = 64 << 20

// WriteStart sends s and the module.
func WriteStart(w io.Writer, s Start, module []byte) error {
	s.ModuleSize = len(module)
	head, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode start: %w", err)
	}
	if len(head) > maxStart {
		return fmt.Errorf("arguments and environment of %d bytes; the limit is %d", len(head), maxStart)
	}
	buf := binary.LittleEndian.AppendUint32(nil, uint32(len(head)))
	if _, err := w.Write(append(buf, head...)); err != nil {
		return fmt.Errorf("start runner: %w", err)
	}
	if _, err := w.Write(module); err != nil {
		return fmt.Errorf("send module to runner: %w", err)
	}
	return nil
}

// readStart is the runner's side of WriteStart.
func readStart(r io.Reader) (s Start, module []byte, err error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return s, nil, fmt.Errorf("read start: %w", err)
	}
	size := binary.LittleEndian.Uint32(n[:])
	if size > maxStart {
		return s, nil, errors.New("read start: too large")
	}
	head := make([]byte, size)
	if _, err := io.ReadFull(r, head); err != nil {
		return s, nil, fmt.Errorf("read start: %w", err)
	}
	if err := json.Unmarshal(head, &s); err != nil {
		return s, nil, fmt.Errorf("read start: %w", err)
	}
	if s.ModuleSize < 0 || s.ModuleSize > wire.MaxModule {
		return s, nil, fmt.Errorf("read start: module of %d bytes", s.ModuleSize)
	}
	module = make([]byte, s.ModuleSize)
	if _, err := io.ReadFull(r, module); err != nil {
		return s, nil, fmt.Errorf("read module: %w", err)
	}
	return s, module, nil
}

// Event is what a runner tells its manager beside the protocol: exactly one
// field is set.
type Event struct {
	Ready *Ready `json:",omitempty"`
	Call  *Call  `json:",omitempty"`
	Exit  *Exit  `json:",omitempty"`
	Ended string `json:",omitempty"` // an attempt, in hexadecimal, that came to nothing
	Warn  string `json:",omitempty"`
}

// Ready says that the guest is compiled and about to start.
type Ready struct {
	Engine   string
	Why      string // why this engine
	Tracker  string // how dirty pages are found
	Confined string // what confinement was applied
	Pinned   string // why the module is not offloaded; empty: it may be
	Compile  float64
	Cached   bool
}

// Call is one finished call of a candidate that was decided on.
type Call struct {
	Function  string
	Index     uint32
	Where     string // device or clone
	Reason    string
	Seconds   float64
	BytesUp   int64
	BytesDown int64
	Attempts  int
	Fallback  bool // an attempt failed and the call ran here
	Remote    float64
	Predicted map[string]float64 `json:",omitempty"` // seconds by site
}

// Exit is the last event of a device's runner.
type Exit struct {
	Code        uint32
	Error       string // why, when it is not the guest's own exit
	Hint        string
	Unsupported bool
	Usage       bool // what was asked for does not exist in the module
	Divergence  bool
	Memory      []byte // SHA-256 of the final memory and globals, if asked for
}
