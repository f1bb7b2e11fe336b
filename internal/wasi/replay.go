package wasi

import (
	"bytes"
	"fmt"
)

// Recorder is a Tap that makes a log entry of every import.
type Recorder struct {
	// Add takes the next entry.
	Add func(Entry)
	// ByValue also logs what was read from files by value, not by hash.
	ByValue bool
}

var _ Tap = (*Recorder)(nil)

// Enter lets everything be carried out.
func (r *Recorder) Enter(Call) *Outcome { return nil }

// Leave records what came of it.
func (r *Recorder) Leave(c Call, out Outcome) *Outcome {
	e := Entry{Fn: c.Fn, Args: HashArgs(c), Errno: out.Errno}
	switch {
	case out.Errno != ErrnoSuccess:
	case c.Fn == FnRandomGet, c.Class == Read && (len(out.Outputs) > MaxEntryOutputs || c.fileData() && !r.ByValue):
		h := HashOutputs(out.Outputs)
		e.Outputs, e.Hashed = h[:], true
	default:
		e.Outputs = bytes.Clone(out.Outputs)
	}
	r.Add(e)
	return nil
}

// fileData reports whether the results are what a file holds.
func (c Call) fileData() bool { return c.Fn == FnFdRead || c.Fn == FnFdPread }

// Divergence is what a [Replayer] panics with: a re-run did not do what the
// log says it did. It is never continued on either value (PROTOCOL rule 18).
type Divergence struct {
	Entry     int // number of the log entry, from 0
	Fn        Fn  // the import that the guest called
	Want, Got string
}

// Error names the import.
func (d *Divergence) Error() string {
	return fmt.Sprintf("wasi: the re-run differs from the import log at entry %d, %s: logged %s, now %s", d.Entry, d.Fn, d.Want, d.Got)
}

// Replayer is a Tap that holds a re-run to a log (PROTOCOL rule 17): clocks
// and effects are answered from it; what is done to files and descriptors is
// done now and must come out as logged, descriptor numbers included, except
// that times, inodes, devices and link counts of what the re-run created or
// changed are those of the log. Random bytes come from the Host, which must
// be seeded as the attempt was, and must be as logged. After the last entry
// it is transparent.
type Replayer struct {
	next    func() (Entry, bool)
	n       int // entries taken
	cur     Entry
	active  bool // cur is being carried out
	done    bool
	touched map[[2]uint64]struct{} // device and inode
	inodes  map[uint64]struct{}
}

var (
	_ Tap     = (*Replayer)(nil)
	_ Tracker = (*Replayer)(nil)
)

// NewReplayer makes a Replayer over a log. Next returns entries in order and
// false after the last; it may block while an effect is still in progress.
func NewReplayer(next func() (Entry, bool)) *Replayer {
	return &Replayer{next: next, touched: make(map[[2]uint64]struct{}), inodes: make(map[uint64]struct{})}
}

// ReplayEntries makes a Replayer over a log that is complete.
func ReplayEntries(entries []Entry) *Replayer {
	return NewReplayer(func() (Entry, bool) {
		if len(entries) == 0 {
			return Entry{}, false
		}
		e := entries[0]
		entries = entries[1:]
		return e, true
	})
}

// Done reports whether the log is used up, and the re-run on its own.
func (r *Replayer) Done() bool { return r.done }

// Entries returns how many entries the re-run has come to.
func (r *Replayer) Entries() int { return r.n }

// Touched notes a file or folder that the re-run created or changed.
func (r *Replayer) Touched(dev, ino uint64) {
	if !r.done {
		r.touched[[2]uint64{dev, ino}] = struct{}{}
		r.inodes[ino] = struct{}{}
	}
}

// Enter compares an import with the next entry, and answers what is not to
// be done again.
func (r *Replayer) Enter(c Call) *Outcome {
	r.active = false
	if r.done {
		return nil
	}
	e, ok := r.next()
	if !ok {
		r.done = true
		return nil
	}
	r.n++
	switch {
	case e.Fn != c.Fn:
		r.diverge(c, e.Fn.String(), c.Fn.String())
	case e.Args != HashArgs(c):
		r.diverge(c, "other arguments", "these")
	case !e.valid():
		r.diverge(c, "a malformed entry", "a call")
	}
	if c.Class.Answered() {
		if e.Hashed {
			r.diverge(c, "only a hash of the results", "a call whose results cannot be had again")
		}
		return &Outcome{Errno: e.Errno, Outputs: e.Outputs}
	}
	r.cur, r.active = e, true
	return nil
}

// Leave compares what came of an import with the log.
func (r *Replayer) Leave(c Call, out Outcome) *Outcome {
	if !r.active {
		return nil
	}
	r.active = false
	e := &r.cur
	if e.Errno != out.Errno {
		r.diverge(c, e.Errno.String(), out.Errno.String())
	}
	if e.Errno != ErrnoSuccess {
		return nil
	}
	if e.Hashed {
		if h := HashOutputs(out.Outputs); !bytes.Equal(h[:], e.Outputs) {
			r.diverge(c, "other data", "this")
		}
		return nil
	}
	if bytes.Equal(e.Outputs, out.Outputs) {
		return nil
	}
	same := bytes.Clone(out.Outputs)
	if len(e.Outputs) == len(same) {
		switch c.Fn {
		case FnFdFilestatGet, FnPathFilestatGet:
			r.excuseStat(same, e.Outputs)
		case FnFdReaddir:
			r.excuseListing(same, e.Outputs)
		}
	}
	if !bytes.Equal(e.Outputs, same) {
		r.diverge(c, abridge(e.Outputs), abridge(out.Outputs))
	}
	return &Outcome{Outputs: e.Outputs}
}

// excuseStat takes from the log what may differ in a filestat.
func (r *Replayer) excuseStat(now, logged []byte) {
	copy(now[40:48], logged[40:48]) // reading changes when a file was last read
	if _, ok := r.touched[[2]uint64{le.Uint64(now), le.Uint64(now[8:])}]; !ok {
		return
	}
	copy(now[:16], logged[:16])   // device, inode
	copy(now[24:32], logged[24:]) // links
	copy(now[40:64], logged[40:]) // times
	if Filetype(now[16]) == FiletypeDirectory {
		copy(now[32:40], logged[32:40]) // how large a folder is says nothing
	}
}

// excuseListing takes from the log the inodes that may differ in a listing.
func (r *Replayer) excuseListing(now, logged []byte) {
	// How many bytes are used goes before the entries.
	for at := 4; at+8 < len(now); {
		if at+16 > len(now) {
			// Cut off by the end of the buffer; whoever wants the entry
			// reads it again.
			copy(now[at+8:], logged[at+8:])
			return
		}
		ino := now[at+8 : at+16]
		if _, ok := r.inodes[le.Uint64(ino)]; ok {
			copy(ino, logged[at+8:])
		}
		if at+direntSize > len(now) {
			return
		}
		at += direntSize + int(le.Uint32(now[at+16:]))
	}
}

func (r *Replayer) diverge(c Call, want, got string) {
	panic(&Divergence{Entry: r.n - 1, Fn: c.Fn, Want: want, Got: got})
}

// abridge shows the first bytes of something.
func abridge(b []byte) string {
	if len(b) > 48 {
		return fmt.Sprintf("%x... (%d bytes)", b[:48], len(b))
	}
	return fmt.Sprintf("%x", b)
}
