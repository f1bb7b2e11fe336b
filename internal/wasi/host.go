package wasi

// Handle names an open file, folder, stream or socket of a [Host]. Handles
// are values: they can travel to a site and come back in the descriptor
// table. The handles 0, 1 and 2 are the standard streams. A handle with
// [SiteHandle] set was made by a site for something that exists only in its
// overlay; a commit gives it a device handle.
type Handle uint64

// SiteHandle marks handles that a site made.
const SiteHandle Handle = 1 << 63

// Stat is a file's metadata. Times are nanoseconds since the Unix epoch,
// sizes are bytes.
type Stat struct {
	Dev, Ino         uint64
	Type             Filetype
	Nlink            uint64
	Size             uint64
	Atim, Mtim, Ctim int64
}

// Identity is what must not have changed for an earlier look at a file to
// still hold (PROTOCOL rules 13 and 15). Times are nanoseconds.
type Identity struct {
	Dev, Ino   uint64
	Size       uint64
	Mtim, Ctim int64
}

// Identity returns the part of s by which a file is recognised as unchanged.
func (s Stat) Identity() Identity {
	return Identity{Dev: s.Dev, Ino: s.Ino, Size: s.Size, Mtim: s.Mtim, Ctim: s.Ctim}
}

// Dirent is one entry of a folder.
type Dirent struct {
	Name string
	Ino  uint64
	Type Filetype
}

// OpenFlags says how a path is opened. The zero value opens an existing file
// or folder for nothing but metadata.
type OpenFlags struct {
	Read, Write, Append         bool
	Create, Exclusive, Truncate bool
	Directory                   bool // fail with ErrnoNotdir on anything else
	Follow                      bool // follow a symbolic link at the end of the path
	Sync, Dsync, Nonblock       bool
}

// TimeSet says what becomes of one of a file's two times.
type TimeSet struct {
	Set, Now bool  // neither: leave it; Now wins over At
	At       int64 // nanoseconds since the epoch
}

// Host is what the descriptor table stands on: files, streams, clocks and
// randomness, by value and by handle, with positional file access so that
// offsets live in the table and nowhere else. There are two
// implementations: [Local], contained by os.Root, and the one of package
// site, which answers on a clone from an overlay and from the device.
//
// Paths are relative to dir, use '/', are never empty or absolute and never
// end in a slash, are valid UTF-8 and have no NUL: the [System] sees to that,
// and to read-only preopens. A Host must refuse (ErrnoPerm) any path that
// leaves dir, through ".." or a symbolic link alike. A Host is used by one
// goroutine, the guest's. Methods of a site may panic with an [Abort], which
// ends the attempt.
type Host interface {
	Open(dir Handle, path string, f OpenFlags) (Handle, Stat, Errno)
	Close(h Handle) Errno
	Stat(h Handle) (Stat, Errno)
	StatAt(dir Handle, path string, follow bool) (Stat, Errno)

	// Read and Write are for streams; PRead and PWrite for files. A short
	// count with ErrnoSuccess is legal; 0 bytes read means end of file.
	Read(h Handle, buf []byte) (int, Errno)
	Write(h Handle, data []byte) (int, Errno)
	PRead(h Handle, buf []byte, off uint64) (int, Errno)
	PWrite(h Handle, data []byte, off uint64) (int, Errno)
	// Append writes at the end, whatever it is by then, and returns the
	// offset just behind what was written.
	Append(h Handle, data []byte) (n int, end uint64, e Errno)

	SetSize(h Handle, size uint64) Errno
	Allocate(h Handle, off, n uint64) Errno
	Sync(h Handle, dataOnly bool) Errno
	SetFlags(h Handle, f Fdflags) Errno
	SetTimes(h Handle, atim, mtim TimeSet) Errno
	SetTimesAt(dir Handle, path string, follow bool, atim, mtim TimeSet) Errno

	// ReadDir lists a folder, without "." and "..". The order is free: the
	// System sorts by name, so that every Host gives the guest the same.
	ReadDir(h Handle) ([]Dirent, Errno)
	Mkdir(dir Handle, path string) Errno
	Rmdir(dir Handle, path string) Errno
	Unlink(dir Handle, path string) Errno
	Rename(oldDir Handle, oldPath string, newDir Handle, newPath string) Errno
	Link(oldDir Handle, oldPath string, follow bool, newDir Handle, newPath string) Errno
	Symlink(target string, dir Handle, path string) Errno
	Readlink(dir Handle, path string) (string, Errno)

	// Ready reports how many bytes can be read or written now without
	// blocking, and whether the other end hung up or a read is at its end.
	// Neither: not ready.
	Ready(h Handle, write bool) (n uint64, hangup bool, e Errno)
	// Wait blocks until one of the handles is ready or the deadline on the
	// monotonic clock (nanoseconds, <0: none) has passed.
	Wait(read, write []Handle, deadline int64) Errno

	Accept(h Handle, f Fdflags) (Handle, Stat, Errno)
	Recv(h Handle, buf []byte, flags uint16) (n int, roflags uint16, e Errno)
	Send(h Handle, data []byte, flags uint16) (int, Errno)
	Shutdown(h Handle, how uint8) Errno

	// Now returns a clock's value in nanoseconds; Resolution its grain.
	Now(clock ClockID) (int64, Errno)
	Resolution(clock ClockID) (int64, Errno)
	Random(buf []byte)
	Yield()
}

// Abort is what a site's Host panics with when the attempt cannot go on: a
// pinned import, a lost device, a limit. The engine lets it unwind the
// guest, and the device runs the call locally.
type Abort struct{ Reason string }

// Error returns the reason.
func (a Abort) Error() string { return "wasi: attempt abandoned: " + a.Reason }
