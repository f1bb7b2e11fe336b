package wasi

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Files and folders of a Local.

func (l *Local) folder(h Handle) (*entry, Errno) {
	ent := l.open[h]
	switch {
	case ent == nil:
		return nil, ErrnoBadf
	case ent.root == nil:
		return nil, ErrnoNotdir
	}
	return ent, ErrnoSuccess
}

func (l *Local) changeable(h Handle) (*entry, Errno) {
	ent, e := l.folder(h)
	if e == ErrnoSuccess && ent.readOnly {
		return nil, ErrnoRofs
	}
	return ent, e
}

// file returns what is a file, or a stream that the system has open.
func (l *Local) file(h Handle) (*entry, Errno) {
	ent := l.open[h]
	switch {
	case ent == nil:
		return nil, ErrnoBadf
	case ent.root != nil:
		return nil, ErrnoIsdir
	case ent.file == nil || ent.std:
		return nil, ErrnoSpipe
	}
	return ent, ErrnoSuccess
}

// Open opens a path under a folder.
func (l *Local) Open(dir Handle, path string, f OpenFlags) (Handle, Stat, Errno) {
	d, e := l.folder(dir)
	if e != ErrnoSuccess {
		return 0, Stat{}, e
	}
	var before fs.FileInfo
	if !f.Follow {
		fi, err := d.root.Lstat(path)
		if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
			if f.Create && f.Exclusive {
				return 0, Stat{}, ErrnoExist
			}
			return 0, Stat{}, ErrnoLoop
		}
		before = fi
	}
	if d.readOnly && (f.Write || f.Truncate) {
		return 0, Stat{}, ErrnoRofs
	}
	if d.readOnly && f.Create {
		if _, err := d.root.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return 0, Stat{}, ErrnoRofs
		}
		f.Create = false
	}
	if f.Directory {
		return l.openFolder(d, path, before)
	}
	file, err := openFile(d.root, path, f)
	if err != nil {
		return 0, Stat{}, ErrnoOf(err)
	}
	fi, err := file.Stat()
	if err != nil {
		file.Close()
		return 0, Stat{}, ErrnoOf(err)
	}
	if fi.IsDir() {
		file.Close()
		if f.Write {
			return 0, Stat{}, ErrnoIsdir
		}
		return l.openFolder(d, path, before)
	}
	if !f.Follow && before != nil && !os.SameFile(before, fi) {
		file.Close() // swapped for a link, or another file, since we looked
		return 0, Stat{}, ErrnoLoop
	}
	st, err := statFile(file)
	if err != nil {
		file.Close()
		return 0, Stat{}, ErrnoOf(err)
	}
	ent := &entry{file: file, readOnly: d.readOnly}
	ent.flags = f.fdflags()
	h, e := l.add(ent)
	return h, st, e
}

func (f OpenFlags) fdflags() Fdflags {
	var v Fdflags
	if f.Append {
		v |= FdflagAppend
	}
	if f.Sync {
		v |= FdflagSync
	}
	if f.Dsync {
		v |= FdflagDsync
	}
	if f.Nonblock {
		v |= FdflagNonblock
	}
	return v
}

// openFile opens what may be a file.
func openFile(root *os.Root, path string, f OpenFlags) (*os.File, error) {
	flag := os.O_RDONLY
	switch {
	case f.Write && f.Read, f.Truncate && f.Read:
		flag = os.O_RDWR
	case f.Write, f.Truncate:
		flag = os.O_WRONLY
	}
	if f.Create {
		flag |= os.O_CREATE
	}
	if f.Exclusive {
		flag |= os.O_EXCL
	}
	if f.Truncate {
		flag |= os.O_TRUNC
	}
	if f.Nonblock {
		flag |= syscall.O_NONBLOCK
	}
	file, err := root.OpenFile(path, flag, 0o666)
	if err != nil && !f.Read && flag == os.O_RDONLY && errors.Is(err, fs.ErrPermission) {
		// For nothing but metadata: a file that may only be written will do.
		if file, werr := root.OpenFile(path, os.O_WRONLY, 0); werr == nil {
			return file, nil
		}
	}
	return file, err
}

func (l *Local) openFolder(d *entry, path string, before fs.FileInfo) (Handle, Stat, Errno) {
	root, err := d.root.OpenRoot(path)
	if err != nil {
		return 0, Stat{}, ErrnoOf(err)
	}
	if before != nil {
		if fi, err := root.Stat("."); err == nil && !os.SameFile(before, fi) {
			root.Close()
			return 0, Stat{}, ErrnoLoop
		}
	}
	h, e := l.addRoot(root, d.readOnly)
	if e != ErrnoSuccess {
		return 0, Stat{}, e
	}
	st, e := l.Stat(h)
	if e != ErrnoSuccess {
		l.Close(h)
	}
	return h, st, e
}

// Close closes a handle. The files under the standard streams stay open.
func (l *Local) Close(h Handle) Errno {
	ent := l.open[h]
	if ent == nil {
		return ErrnoBadf
	}
	delete(l.open, h)
	return ErrnoOf(ent.close())
}

// Stat returns the metadata of what a handle names.
func (l *Local) Stat(h Handle) (Stat, Errno) {
	ent := l.open[h]
	switch {
	case ent == nil:
		return Stat{}, ErrnoBadf
	case ent.ln != nil || ent.conn != nil:
		return Stat{Ino: uint64(h), Type: FiletypeSocketStream, Nlink: 1}, ErrnoSuccess
	case ent.file == nil:
		return Stat{Ino: uint64(h) + 1, Nlink: 1}, ErrnoSuccess
	}
	st, err := statFile(ent.file)
	return st, ErrnoOf(err)
}

// StatAt returns the metadata of what a path names.
func (l *Local) StatAt(dir Handle, path string, follow bool) (Stat, Errno) {
	d, e := l.folder(dir)
	if e != ErrnoSuccess {
		return Stat{}, e
	}
	st, err := statPath(d.root, path, follow)
	return st, ErrnoOf(err)
}

// PRead reads from a file at an offset.
func (l *Local) PRead(h Handle, buf []byte, off uint64) (int, Errno) {
	ent, e := l.file(h)
	if e != ErrnoSuccess {
		return 0, e
	}
	n, err := ent.file.ReadAt(buf, int64(off))
	if err == io.EOF || n > 0 {
		err = nil
	}
	return n, ErrnoOf(err)
}

// PWrite writes to a file at an offset.
func (l *Local) PWrite(h Handle, data []byte, off uint64) (int, Errno) {
	ent, e := l.file(h)
	if e != ErrnoSuccess {
		return 0, e
	}
	n, err := ent.file.WriteAt(data, int64(off))
	return ent.wrote(n, err)
}

// Append writes to the end of a file.
func (l *Local) Append(h Handle, data []byte) (n int, end uint64, e Errno) {
	ent, e := l.file(h)
	if e != ErrnoSuccess {
		return 0, 0, e
	}
	n, end, err := appendFile(ent.file, data)
	n, e = ent.wrote(n, err)
	return n, end, e
}

// appendAtSize is for systems that cannot append in one step: another
// process that appends at the same moment may be overwritten.
func appendAtSize(f *os.File, data []byte) (int, uint64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	n, err := f.WriteAt(data, fi.Size())
	return n, uint64(fi.Size()) + uint64(n), err
}

// wrote ends a write: a short one is a success, and what must be on disk is
// put there.
func (ent *entry) wrote(n int, err error) (int, Errno) {
	if n > 0 {
		err = nil
	}
	if err == nil && ent.flags&(FdflagSync|FdflagDsync|FdflagRsync) != 0 {
		err = ent.file.Sync()
	}
	return n, ErrnoOf(err)
}

// SetSize cuts or extends a file.
func (l *Local) SetSize(h Handle, size uint64) Errno {
	ent, e := l.file(h)
	if e != ErrnoSuccess {
		return e
	}
	return ErrnoOf(ent.file.Truncate(int64(size)))
}

// Allocate reserves space where the system can, and extends a file that is
// too short.
func (l *Local) Allocate(h Handle, off, n uint64) Errno {
	ent, e := l.file(h)
	if e != ErrnoSuccess {
		return e
	}
	return ErrnoOf(allocate(ent.file, int64(off), int64(n)))
}

// extend makes a file at least size bytes long.
func extend(f *os.File, size int64) error {
	fi, err := f.Stat()
	if err != nil || fi.Size() >= size {
		return err
	}
	return f.Truncate(size)
}

// Sync puts what was written on the disk. Of a stream there is nothing to
// put.
func (l *Local) Sync(h Handle, _ bool) Errno {
	ent := l.open[h]
	switch {
	case ent == nil:
		return ErrnoBadf
	case ent.file == nil || ent.std:
		return ErrnoSuccess
	}
	return ErrnoOf(ent.file.Sync())
}

// SetFlags changes the flags of a handle.
func (l *Local) SetFlags(h Handle, f Fdflags) Errno {
	ent := l.open[h]
	if ent == nil {
		return ErrnoBadf
	}
	ent.flags = f
	return ErrnoSuccess
}

// SetTimes sets the times of an open file or folder.
func (l *Local) SetTimes(h Handle, atim, mtim TimeSet) Errno {
	ent := l.open[h]
	switch {
	case ent == nil:
		return ErrnoBadf
	case ent.readOnly:
		return ErrnoRofs
	case ent.root != nil:
		return ErrnoOf(ent.root.Chtimes(".", atim.time(), mtim.time()))
	case ent.file == nil || ent.std:
		return ErrnoInval
	}
	return ErrnoOf(setFileTimes(ent.file, atim, mtim))
}

// SetTimesAt sets the times of what a path names.
func (l *Local) SetTimesAt(dir Handle, path string, follow bool, atim, mtim TimeSet) Errno {
	d, e := l.changeable(dir)
	if e != ErrnoSuccess {
		return e
	}
	if !follow {
		fi, err := d.root.Lstat(path)
		if err != nil {
			return ErrnoOf(err)
		}
		if fi.Mode()&fs.ModeSymlink != 0 {
			return setLinkTimes(d, path, atim, mtim)
		}
	}
	return ErrnoOf(d.root.Chtimes(path, atim.time(), mtim.time()))
}

// time is what os functions take: the zero time leaves a file's as it is.
func (t TimeSet) time() time.Time {
	switch {
	case t.Now:
		return time.Now()
	case t.Set:
		return time.Unix(0, t.At)
	}
	return time.Time{}
}

// ReadDir lists a folder.
func (l *Local) ReadDir(h Handle) ([]Dirent, Errno) {
	d, e := l.folder(h)
	if e != ErrnoSuccess {
		return nil, e
	}
	f, err := d.root.Open(".") // of its own, for the position
	if err != nil {
		return nil, ErrnoOf(err)
	}
	defer f.Close()
	ents, err := readDir(f)
	return ents, ErrnoOf(err)
}

// Mkdir makes a folder.
func (l *Local) Mkdir(dir Handle, path string) Errno {
	d, e := l.changeable(dir)
	if e != ErrnoSuccess {
		return e
	}
	return ErrnoOf(d.root.Mkdir(path, 0o777))
}

// Symlink makes a symbolic link. Following it is contained, whatever the
// target.
func (l *Local) Symlink(target string, dir Handle, path string) Errno {
	d, e := l.changeable(dir)
	if e != ErrnoSuccess {
		return e
	}
	return ErrnoOf(d.root.Symlink(target, path))
}

// Readlink returns where a symbolic link points.
func (l *Local) Readlink(dir Handle, path string) (string, Errno) {
	d, e := l.folder(dir)
	if e != ErrnoSuccess {
		return "", e
	}
	target, err := d.root.Readlink(path)
	return target, ErrnoOf(err)
}

// Rmdir removes an empty folder.
func (l *Local) Rmdir(dir Handle, path string) Errno {
	d, e := l.changeable(dir)
	if e != ErrnoSuccess {
		return e
	}
	return removeFolder(d, path)
}

// Unlink removes a name that is not a folder's.
func (l *Local) Unlink(dir Handle, path string) Errno {
	d, e := l.changeable(dir)
	if e != ErrnoSuccess {
		return e
	}
	return removeFile(d, path)
}

// Rename gives something another name, and replaces what had it.
func (l *Local) Rename(oldDir Handle, oldPath string, newDir Handle, newPath string) Errno {
	od, e := l.changeable(oldDir)
	if e != ErrnoSuccess {
		return e
	}
	nd, e := l.changeable(newDir)
	if e != ErrnoSuccess {
		return e
	}
	return rename(od, oldPath, nd, newPath)
}

// Link gives a file a second name. What a symbolic link points to cannot be
// linked without a race, so follow is refused.
func (l *Local) Link(oldDir Handle, oldPath string, follow bool, newDir Handle, newPath string) Errno {
	if follow {
		return ErrnoInval
	}
	od, e := l.changeable(oldDir)
	if e != ErrnoSuccess {
		return e
	}
	nd, e := l.changeable(newDir)
	if e != ErrnoSuccess {
		return e
	}
	return link(od, oldPath, nd, newPath)
}

func typeOf(m fs.FileMode) Filetype {
	switch {
	case m.IsRegular():
		return FiletypeRegularFile
	case m.IsDir():
		return FiletypeDirectory
	case m&fs.ModeSymlink != 0:
		return FiletypeSymbolicLink
	case m&fs.ModeCharDevice != 0:
		return FiletypeCharacterDevice
	case m&fs.ModeDevice != 0:
		return FiletypeBlockDevice
	case m&fs.ModeSocket != 0:
		return FiletypeSocketStream
	}
	return FiletypeUnknown
}
