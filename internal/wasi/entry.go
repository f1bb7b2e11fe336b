package wasi

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Limits on the import log.
const (
	MaxEntryOutputs = 16 << 20 // bytes of one entry's results
	MaxBatchEntries = 1 << 20  // entries that travel together
	MaxBatchBytes   = 64 << 20
)

// entriesVersion begins an encoded run of entries.
const entriesVersion = 1

// Hash is the front of a SHA-256.
type Hash [16]byte

// Entry is one import in the log of a call (PROTOCOL rule 12): entry n is the
// n-th import of the attempt, quiet ones included.
type Entry struct {
	Fn    Fn
	Args  Hash // see [HashArgs]
	Errno Errno
	// Outputs are the canonical results, or with Hashed set their hash: what
	// a re-run reads again, or computes from the seed, need not travel.
	Outputs []byte
	Hashed  bool
}

// HashArgs returns what an entry keeps of an import's arguments.
func HashArgs(c Call) Hash {
	h := sha256.New()
	h.Write([]byte{byte(c.Fn)})
	h.Write(c.Args)
	return Hash(h.Sum(nil)[:len(Hash{})])
}

// HashOutputs returns what a hashed entry keeps of an import's results.
func HashOutputs(b []byte) Hash {
	sum := sha256.Sum256(b)
	return Hash(sum[:len(Hash{})])
}

// AppendTo appends the entry's encoding.
func (e *Entry) AppendTo(b []byte) []byte {
	var flags byte
	if e.Hashed {
		flags = 1
	}
	b = append(b, byte(e.Fn), flags, byte(e.Errno))
	b = append(b, e.Args[:]...)
	b = binary.AppendUvarint(b, uint64(len(e.Outputs)))
	return append(b, e.Outputs...)
}

const minEntrySize = 3 + 16 + 1

// EncodeEntries encodes a run of entries.
func EncodeEntries(entries []Entry) []byte {
	b := binary.AppendUvarint([]byte{entriesVersion}, uint64(len(entries)))
	for i := range entries {
		b = entries[i].AppendTo(b)
	}
	return b
}

// DecodeEntries decodes what EncodeEntries made, and trusts nothing. The
// entries refer to b.
func DecodeEntries(b []byte) ([]Entry, error) {
	if len(b) > MaxBatchBytes {
		return nil, fmt.Errorf("wasi: decode log entries: %d bytes, more than %d", len(b), MaxBatchBytes)
	}
	r := reader{b: b}
	if v := r.byte(); v != entriesVersion && !r.bad {
		return nil, fmt.Errorf("wasi: decode log entries: version %d, this program speaks %d; update the older side", v, entriesVersion)
	}
	n := r.count(minEntrySize)
	if n > MaxBatchEntries {
		return nil, fmt.Errorf("wasi: decode log entries: %d entries, more than %d", n, MaxBatchEntries)
	}
	entries := make([]Entry, 0, n)
	for ; n > 0 && !r.bad; n-- {
		entries = append(entries, r.entry())
	}
	if r.bad || len(r.b) != 0 {
		return nil, fmt.Errorf("wasi: decode log entries: %w", errTruncated)
	}
	return entries, nil
}

func (r *reader) entry() Entry {
	var e Entry
	e.Fn = Fn(r.byte())
	flags := r.byte()
	e.Hashed = flags == 1
	e.Errno = Errno(r.byte())
	if len(r.b) < len(e.Args) {
		r.bad, r.b = true, nil
		return e
	}
	r.b = r.b[copy(e.Args[:], r.b):]
	e.Outputs = r.bytes(MaxEntryOutputs)
	r.bad = r.bad || !e.valid() || flags > 1
	return e
}

// valid checks what holds for every entry.
func (e *Entry) valid() bool {
	switch {
	case !e.Fn.Valid(), e.Errno > ErrnoNotcapable:
		return false
	case e.Errno != ErrnoSuccess:
		return len(e.Outputs) == 0 && !e.Hashed
	case e.Hashed:
		return len(e.Outputs) == len(Hash{})
	}
	return len(e.Outputs) <= MaxEntryOutputs
}
