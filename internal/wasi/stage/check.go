package stage

import (
	"errors"
	"fmt"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// ErrChanged says that something which the attempt read is no longer what it
// was: the attempt is abandoned. It is wrapped with the file's name.
var ErrChanged = errors.New("changed since the clone looked at it")

// CheckReads reports whether every read still holds (PROTOCOL rules 13, 15).
func (s *Server) CheckReads(rs site.Reads) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkReads(rs)
}

func (s *Server) checkReads(rs site.Reads) error {
	for _, r := range rs {
		if err := s.checkRead(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) checkRead(r site.Read) error {
	name := r.Path
	if name == "" {
		name = fmt.Sprintf("an open file (handle %d)", r.Handle)
	}
	changed := fmt.Errorf("%s: %w", name, ErrChanged)
	if r.Handle&wasi.SiteHandle != 0 || r.Path != "" && !validPath(r.Path) {
		return fmt.Errorf("read of %q: %w", name, ErrHostile)
	}
	if r.Kind == site.ReadListing {
		ds, e := s.entries(r.Handle, r.Path)
		if e != wasi.ErrnoSuccess || site.HashListing(ds) != r.Hash {
			return changed
		}
		return nil
	}
	if r.Kind == site.ReadWritable {
		if !s.mayChange(r.Handle, r.Path) {
			return changed
		}
		return nil
	}
	var st wasi.Stat
	var e wasi.Errno
	if r.Path == "" {
		st, e = s.cfg.Host.Stat(r.Handle)
	} else {
		st, e = s.cfg.Host.StatAt(r.Handle, r.Path, false)
	}
	ok := e == wasi.ErrnoSuccess
	switch r.Kind {
	case site.ReadMissing:
		ok = e != wasi.ErrnoSuccess && e == r.Errno
	case site.ReadThrough:
		ok = ok && st.Type == r.Type && st.Dev == r.ID.Dev && st.Ino == r.ID.Ino
	case site.ReadFile:
		ok = ok && st.Type == r.Type && st.Identity() == r.ID
	case site.ReadLink:
		ok = ok && st.Type == wasi.FiletypeSymbolicLink && st.Identity() == r.ID
		if ok {
			target, e := s.cfg.Host.Readlink(r.Handle, r.Path)
			ok = e == wasi.ErrnoSuccess && target == r.Target
		}
	default:
		return fmt.Errorf("read of kind %d: %w", r.Kind, ErrHostile)
	}
	if !ok {
		return changed
	}
	return nil
}

// mayChange reports whether entries of a folder can be changed. A folder that
// cannot be opened counts as one that cannot: the call then runs locally.
func (s *Server) mayChange(dir wasi.Handle, path string) bool {
	root, readOnly := s.cfg.Host.Folder(dir)
	if root == nil || readOnly {
		return false
	}
	if path == "" {
		path = "."
	}
	d, err := root.Open(path)
	if err != nil {
		return false
	}
	defer d.Close()
	return writable(d) == nil
}

// OutputError says that output was not taken as the clone had assumed
// (PROTOCOL rule 14): the first N bytes of it were, and then Errno.
type OutputError struct {
	Index int    // of the effect in the list that was given
	Entry uint64 // the import that did it
	N     int
	Errno wasi.Errno
}

// Error implements error.
func (e *OutputError) Error() string {
	if e.Errno == wasi.ErrnoSuccess {
		return fmt.Sprintf("output of import %d: only %d bytes were taken", e.Entry, e.N)
	}
	return fmt.Sprintf("output of import %d: %d bytes were taken, then %s", e.Entry, e.N, e.Errno)
}

// Release checks a batch's reads and then writes its output. It returns how
// many of the batch's effects are on their stream; if that is not all, also
// an error, which is an *OutputError where a write came out otherwise than
// the clone assumed.
func (s *Server) Release(b site.Batch) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkReads(b.Reads); err != nil {
		return 0, fmt.Errorf("release output: %w", err)
	}
	for i := range b.Output {
		if b.Output[i].Kind != site.EffectOutput {
			return i, fmt.Errorf("release output: effect %d changes a file: %w", i, ErrHostile)
		}
		if err := s.emit(i, &b.Output[i]); err != nil {
			return i, fmt.Errorf("release output: %w", err)
		}
	}
	return len(b.Output), nil
}

// emit writes one output effect.
func (s *Server) emit(i int, x *site.Effect) error {
	if x.Stream != 1 && x.Stream != 2 {
		return fmt.Errorf("output to stream %d: %w", x.Stream, ErrHostile)
	}
	n, e := s.cfg.Host.Write(wasi.Handle(x.Stream), x.Data)
	if n != len(x.Data) || e != wasi.ErrnoSuccess {
		return &OutputError{Index: i, Entry: x.Entry, N: n, Errno: e}
	}
	return nil
}
