package wasi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Capture returns the guest's WASI state by value.
func (s *System) Capture() State {
	st := State{
		Args:  slices.Clone(s.args),
		Env:   slices.Clone(s.env),
		Descs: make(map[uint32]Desc, len(s.fds)),
	}
	for fd, d := range s.fds {
		if d != nil {
			st.Descs[uint32(fd)] = *d
		}
	}
	return st
}

// Install replaces the guest's WASI state. Nothing is closed: the handles
// that are no longer named are the caller's. An error leaves s as it was.
func (s *System) Install(st State) error {
	if err := st.Validate(); err != nil {
		return err
	}
	s.args, s.env = slices.Clone(st.Args), slices.Clone(st.Env)
	s.fds = nil
	for _, fd := range slices.Sorted(maps.Keys(st.Descs)) {
		d := st.Descs[fd]
		s.put(fd, &d)
	}
	return nil
}

// Validate checks all that a state from elsewhere may not be trusted in; it
// cannot check that handles exist.
func (st *State) Validate() error {
	for _, list := range [][]string{st.Args, st.Env} {
		total := 0
		for _, v := range list {
			if hasNul(v) {
				return errors.New("state: an argument or variable contains a NUL byte")
			}
			total += len(v) + 1
		}
		if total > MaxArgsEnv {
			return fmt.Errorf("state: arguments or environment of %d bytes, more than %d", total, MaxArgsEnv)
		}
	}
	if len(st.Descs) > MaxDescs {
		return fmt.Errorf("state: %d open descriptors, more than %d", len(st.Descs), MaxDescs)
	}
	for fd, d := range st.Descs {
		if fd >= MaxDescs {
			return fmt.Errorf("state: descriptor %d, at most %d", fd, MaxDescs-1)
		}
		if err := d.validate(); err != nil {
			return fmt.Errorf("state: descriptor %d: %w", fd, err)
		}
	}
	return nil
}

func (d *Desc) validate() error {
	switch {
	case d.Type > FiletypeSymbolicLink:
		return fmt.Errorf("unknown file type %d", d.Type)
	case d.Flags&^fdflagsAll != 0:
		return fmt.Errorf("unknown flags %#x", d.Flags)
	case (d.Base|d.Inheriting)&^rightsAll != 0:
		return fmt.Errorf("unknown rights %#x", d.Base|d.Inheriting)
	case d.Offset > maxOffset:
		return fmt.Errorf("offset %d out of range", d.Offset)
	case d.Preopen && d.Type != FiletypeDirectory:
		return errors.New("a preopen that is no folder")
	case d.Preopen && d.Name == "":
		return errors.New("a preopen without a name")
	case len(d.Name) > MaxPath || len(d.Path) > MaxPath:
		return fmt.Errorf("a path of more than %d bytes", MaxPath)
	case hasNul(d.Name) || hasNul(d.Path):
		return errors.New("a path with a NUL byte")
	case len(d.Path) > 0 && d.Path[0] == '/':
		return errors.New("an absolute path")
	case len(d.Listing) > MaxDirents:
		return fmt.Errorf("a listing of more than %d entries", MaxDirents)
	case len(d.Listing) > 0 && d.Type != FiletypeDirectory:
		return errors.New("a listing of what is no folder")
	}
	for i := range d.Listing {
		if e := &d.Listing[i]; e.Name == "" || len(e.Name) > MaxName || hasNul(e.Name) || e.Type > FiletypeSymbolicLink {
			return fmt.Errorf("a malformed listing entry %d", i)
		}
	}
	return nil
}

// maxOffset is the largest file position, as on every system: hosts convert
// it to int64.
const maxOffset = 1<<63 - 1

// desc returns an open descriptor that has the rights.
func (s *System) desc(fd uint32, need Rights) (*Desc, Errno) {
	if uint64(fd) >= uint64(len(s.fds)) || s.fds[fd] == nil {
		return nil, ErrnoBadf
	}
	d := s.fds[fd]
	if missing := need &^ d.Base; missing != 0 {
		switch {
		case d.Type == FiletypeDirectory && missing&fileRights != 0:
			return nil, ErrnoIsdir
		case missing&(RightFdRead|RightFdWrite) != 0:
			return nil, ErrnoBadf
		case missing&(RightFdSeek|RightFdTell) != 0 && d.stream():
			return nil, ErrnoSpipe
		}
		return nil, ErrnoNotcapable
	}
	return d, ErrnoSuccess
}

// folder is desc for what must be a folder.
func (s *System) folder(fd uint32, need Rights) (*Desc, Errno) {
	d, e := s.desc(fd, 0)
	switch {
	case e != ErrnoSuccess:
		return nil, e
	case d.Type != FiletypeDirectory:
		return nil, ErrnoNotdir
	}
	return s.desc(fd, need)
}

// changeable is folder for an operation that changes what is in it.
func (s *System) changeable(fd uint32, need Rights) (*Desc, Errno) {
	d, e := s.folder(fd, need)
	if e == ErrnoSuccess && d.ReadOnly {
		return nil, ErrnoRofs
	}
	return d, e
}

// free returns the lowest number that is not in use.
func (s *System) free() (uint32, Errno) {
	for fd, d := range s.fds {
		if d == nil {
			return uint32(fd), ErrnoSuccess
		}
	}
	if len(s.fds) >= MaxDescs {
		return 0, ErrnoMfile
	}
	return uint32(len(s.fds)), ErrnoSuccess
}

// put makes fd name d.
func (s *System) put(fd uint32, d *Desc) {
	for uint32(len(s.fds)) <= fd {
		s.fds = append(s.fds, nil)
	}
	s.fds[fd] = d
}

// drop frees a number and closes what it named.
func (s *System) drop(fd uint32) Errno {
	h := s.fds[fd].Handle
	s.fds[fd] = nil
	for len(s.fds) > 0 && s.fds[len(s.fds)-1] == nil {
		s.fds = s.fds[:len(s.fds)-1]
	}
	return s.host.Close(h)
}

// std reports whether d is one of the three standard streams.
func (d *Desc) std() bool { return d.Handle <= 2 }

// stream reports whether d is read and written in order, without offsets.
func (d *Desc) stream() bool {
	return d.std() || d.Type != FiletypeRegularFile && d.Type != FiletypeDirectory && d.Type != FiletypeBlockDevice
}

// socket reports whether d is a socket.
func (d *Desc) socket() bool {
	return d.Type == FiletypeSocketStream || d.Type == FiletypeSocketDgram
}
