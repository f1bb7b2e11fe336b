package wasi

// Call is one import by value.
type Call struct {
	Fn    Fn
	Class Class
	// Args are the canonical arguments: scalars in little endian, strings
	// after their length, written data as its length and 16 bytes of its
	// SHA-256, the sizes of result buffers; no guest pointers. Valid until
	// the import is over.
	Args []byte
}

// Outcome is what came of an import, by value.
type Outcome struct {
	Errno Errno
	// Outputs are the canonical results, empty unless Errno is success: what
	// has a fixed size, then what was filled of the result buffers. For
	// sock_accept the handle (8 bytes) and file type (1 byte) of the new
	// socket follow, which the guest does not see. Valid until the import is
	// over.
	Outputs []byte
}

// Tap sees every import by value. It is called on the guest's goroutine.
type Tap interface {
	// Enter sees an import before it is carried out. An answer other than
	// nil is what the guest gets, and the import is not carried out.
	Enter(c Call) *Outcome
	// Leave sees what came of an import that was carried out. An outcome
	// other than nil, of the same errno and size, is what the guest gets
	// instead. Leave is not called for what Enter answered. For proc_exit it
	// is called before the guest unwinds.
	Leave(c Call, out Outcome) *Outcome
}

// Tracker is a Tap that also wants to know which files and folders imports
// create or change.
type Tracker interface {
	Tap
	// Touched is called before Leave, with a file's device and inode.
	Touched(dev, ino uint64)
}

// touch reports that what d names was changed.
func (s *System) touch(d *Desc) {
	if s.track != nil {
		s.track.Touched(d.Identity.Dev, d.Identity.Ino)
	}
}

// touchAt reports that what path names was created or changed, and with
// parent the folder that it is in.
func (s *System) touchAt(dir *Desc, path string, parent bool) {
	if s.track == nil {
		return
	}
	if st, e := s.host.StatAt(dir.Handle, path, false); e == ErrnoSuccess {
		s.track.Touched(st.Dev, st.Ino)
	}
	if parent {
		s.touchParent(dir, path)
	}
}

// touchParent reports that the folder which path is in was changed.
func (s *System) touchParent(dir *Desc, path string) {
	if s.track == nil {
		return
	}
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			if st, e := s.host.StatAt(dir.Handle, path[:max(i, 1)], true); e == ErrnoSuccess {
				s.track.Touched(st.Dev, st.Ino)
			}
			return
		}
	}
	if st, e := s.host.Stat(dir.Handle); e == ErrnoSuccess {
		s.track.Touched(st.Dev, st.Ino)
	}
}
