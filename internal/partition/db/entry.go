package db

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/partition"
)

// Limits of a file.
const (
	MaxEntries = 256 // the oldest go first
	MaxMoves   = 1024
	maxDepth   = 128 // functions of a context
	maxName    = 256 // bytes
	maxFile    = 16 << 20
)

// Key names one partition of a module.
type Key struct {
	Network   partition.NetworkClass `json:"network"`
	Objective partition.Kind         `json:"objective"`
	Weight    float64                `json:"weight,omitempty"` // of time; balanced only
	Input     partition.InputClass   `json:"input"`
}

// Entry is one partition.
type Entry struct {
	Key
	Made    time.Time `json:"made"`
	Profile string    `json:"profile"` // names the profile that it follows from
	// Local and Cost are of one run: on the device, and so partitioned.
	Local partition.Cost `json:"local"`
	Cost  partition.Cost `json:"cost"`
	// Gap is how far Cost may be above the optimum, as a share; 0: it is the optimum.
	Gap   float64 `json:"gap,omitempty"`
	Moves []Move  `json:"moves"`
}

// Move says that the calls in one context go to a clone.
type Move struct {
	Context  []uint32 `json:"context"` // function indices, from the outermost candidate to the one that moves
	Function string   `json:"function"`
	Site     string   `json:"site"`
	Calls    float64  `json:"calls"` // a run
	// Here and There are of all these calls in one run.
	Here  partition.Cost `json:"here"`
	There partition.Cost `json:"there"`
	// Compute is what the clone computes of There, in seconds; BytesUp and
	// BytesDown are of one call. All 0 in files that do not tell.
	Compute   float64 `json:"compute,omitempty"`
	BytesUp   float64 `json:"bytesUp,omitempty"`
	BytesDown float64 `json:"bytesDown,omitempty"`
}

// file is the JSON in a file.
type file struct {
	Module  string  `json:"module"`
	Entries []Entry `json:"entries"`
}

// Version is the version of the format.
const Version = 1

const magic = "clonecloud partitions "

var (
	errDamaged = errors.New("damaged")
	errNewer   = errors.New("written by a newer version")
)

// encode gives a file: one line "clonecloud partitions VERSION SHA256", and the
// JSON that the hash is of.
func encode(module [32]byte, entries []Entry) ([]byte, error) {
	body, err := json.Marshal(file{hex.EncodeToString(module[:]), entries})
	if err != nil {
		return nil, fmt.Errorf("encode partitions: %w", err)
	}
	head := fmt.Sprintf("%s%d %x\n", magic, Version, sha256.Sum256(body))
	return append([]byte(head), body...), nil
}

// decode reads a file's bytes. Errors wrap errDamaged or errNewer.
func decode(b []byte, module [32]byte) ([]Entry, error) {
	head, body, ok := bytes.Cut(b, []byte("\n"))
	var version int
	var sum string
	if n, err := fmt.Sscanf(strings.TrimPrefix(string(head[:min(len(head), 200)]), magic), "%d %64s", &version, &sum); !ok || !bytes.HasPrefix(b, []byte(magic)) || n < 1 {
		return nil, fmt.Errorf("%w: it does not begin as a partition database does (%v)", errDamaged, err)
	}
	if version > Version {
		return nil, fmt.Errorf("%w: format %d, this one knows up to %d", errNewer, version, Version)
	}
	if own := sha256.Sum256(body); version < 1 || hex.EncodeToString(own[:]) != sum {
		return nil, fmt.Errorf("%w: its checksum does not fit", errDamaged)
	}
	var f file
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if f.Module != hex.EncodeToString(module[:]) {
		return nil, fmt.Errorf("%w: it is about another module", errDamaged)
	}
	if len(f.Entries) > MaxEntries {
		return nil, fmt.Errorf("%w: %d entries", errDamaged, len(f.Entries))
	}
	for i := range f.Entries {
		if err := f.Entries[i].validate(); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", errDamaged, i, err)
		}
	}
	return f.Entries, nil
}

// validate reports what no partition can be, whoever wrote it.
func (e *Entry) validate() error {
	o := partition.Objective{Kind: e.Objective, Weight: e.Weight}
	switch {
	case !slices.Contains(partition.Networks(), e.Network):
		return fmt.Errorf("network class %q is not known", e.Network)
	case !e.Input.Valid():
		return fmt.Errorf("input class %q is not valid", e.Input)
	case len(e.Profile) > maxName || len(e.Moves) > MaxMoves:
		return fmt.Errorf("%d moves", len(e.Moves))
	case !sane(e.Local) || !sane(e.Cost) || !(e.Gap >= 0):
		return errors.New("a cost is negative or no number")
	}
	if err := o.Validate(); err != nil {
		return err
	}
	for _, m := range e.Moves {
		if len(m.Context) == 0 || len(m.Context) > maxDepth || len(m.Function) > maxName || len(m.Site) > maxName ||
			!sane(m.Here) || !sane(m.There) || !(m.Calls >= 0) || !(m.Compute >= 0) || !(m.BytesUp >= 0) || !(m.BytesDown >= 0) {
			return fmt.Errorf("the move of %.40q makes no sense", m.Function)
		}
	}
	return nil
}

func sane(c partition.Cost) bool { return c.Seconds >= 0 && c.Joules >= 0 && c.Bytes >= 0 }

// merge replaces old entries by new ones of the same key, and drops the oldest
// where there are too many.
func merge(old, fresh []Entry) []Entry {
	all := map[Key]Entry{}
	for _, e := range slices.Concat(old, fresh) {
		all[e.Key] = e
	}
	out := make([]Entry, 0, len(all))
	for _, e := range all {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(a.Network, b.Network), cmp.Compare(a.Objective, b.Objective),
			cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Input, b.Input))
	})
	return out[:min(len(out), MaxEntries)]
}

// fit cuts an entry to what a file may hold: names by length, moves by what
// they save.
func (e Entry) fit() Entry {
	cut := func(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxName)], "") }
	e.Profile = cut(e.Profile)
	e.Moves = slices.Clone(e.Moves)
	slices.SortStableFunc(e.Moves, func(a, b Move) int {
		return cmp.Compare(b.Here.Seconds-b.There.Seconds, a.Here.Seconds-a.There.Seconds)
	})
	e.Moves = slices.DeleteFunc(e.Moves, func(m Move) bool { return len(m.Context) == 0 || len(m.Context) > maxDepth })
	e.Moves = e.Moves[:min(len(e.Moves), MaxMoves)]
	for i := range e.Moves {
		e.Moves[i].Function, e.Moves[i].Site = cut(e.Moves[i].Function), cut(e.Moves[i].Site)
	}
	return e
}
