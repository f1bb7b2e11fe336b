package wasi

import "strconv"

// Class says what an import is to the rest of the world, and so where it may
// be answered and what a re-run does with it (PROTOCOL rules 10 and 17). It
// depends on the descriptor as much as on the function.
type Class uint8

const (
	// Quiet imports look at and change nothing but the guest's own state:
	// arguments, environment, the descriptor table.
	Quiet Class = iota
	// Clock imports read a clock or wait for one alone.
	Clock
	// Random is random_get.
	Random
	// Read imports look at files, folders and metadata and change nothing.
	Read
	// Output is what is written to stdout and stderr: deferrable, success
	// assumed.
	Output
	// FileChange imports change files and folders: deferrable.
	FileChange
	// Immediate imports have effects whose answer cannot be known
	// beforehand: stdin, sockets, pipes.
	Immediate
)

var classNames = [...]string{"quiet", "clock", "random", "read", "output", "file change", "immediate"}

// String names the class.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "class " + strconv.Itoa(int(c))
}

// Answered reports whether a re-run answers such imports from the log
// instead of doing them again.
func (c Class) Answered() bool { return c == Clock || c == Output || c == Immediate }

// readClass is the class of reading from d, or of looking at it.
func (d *Desc) readClass() Class {
	switch {
	case d == nil:
		return Quiet
	case d.stream():
		return Immediate
	}
	return Read
}

// statClass is the class of asking for d's metadata.
func (d *Desc) statClass() Class {
	if d != nil && d.std() {
		return Quiet // made up, the same wherever the guest is
	}
	return d.readClass()
}

// writeClass is the class of writing to d, or of changing it.
func (d *Desc) writeClass() Class {
	switch {
	case d == nil:
		return Quiet
	case d.Handle == 1 || d.Handle == 2:
		return Output
	case d.stream():
		return Immediate
	}
	return FileChange
}

// peek returns the descriptor that parameter fd names, or nil.
func (s *System) peek(fd uint32) *Desc {
	if uint64(fd) >= uint64(len(s.fds)) {
		return nil
	}
	return s.fds[fd]
}

// Class returns the class of calling fn on descriptor fd as things stand.
// For functions that take none fd is ignored. It answers for the worst case
// where the parameters decide: path_open may create, poll_oneoff may wait
// for stdin.
func (s *System) Class(fn Fn, fd uint32) Class {
	d := s.peek(fd)
	switch fn {
	case FnClockTimeGet:
		return Clock
	case FnRandomGet:
		return Random
	case FnFdRead, FnFdPread:
		return d.readClass()
	case FnFdFilestatGet:
		return d.statClass()
	case FnFdReaddir, FnPathFilestatGet, FnPathReadlink, FnFdSeek:
		return Read
	case FnFdWrite, FnFdPwrite, FnFdSync, FnFdDatasync:
		return d.writeClass()
	case FnFdAllocate, FnFdFilestatSetSize, FnFdFilestatSetTimes,
		FnPathCreateDirectory, FnPathFilestatSetTimes, FnPathLink, FnPathOpen, FnPathRemoveDirectory,
		FnPathRename, FnPathSymlink, FnPathUnlinkFile:
		return FileChange
	case FnPollOneoff, FnSockAccept, FnSockRecv, FnSockSend, FnSockShutdown:
		return Immediate
	default:
		return Quiet
	}
}
