package wasi

import (
	"hash/fnv"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Windows has no calls relative to a folder beyond os.Root's, no inodes in a
// folder's listing and nothing to poll; this is the portable way of each.

type poller interface {
	SyscallConn() (syscall.RawConn, error)
}

func removeFolder(d *entry, path string) Errno {
	fi, err := d.root.Lstat(path)
	switch {
	case err != nil:
		return ErrnoOf(err)
	case !fi.IsDir():
		return ErrnoNotdir
	case base(path) == "." || base(path) == "..":
		return ErrnoInval
	}
	return ErrnoOf(d.root.Remove(path))
}

func removeFile(d *entry, path string) Errno {
	fi, err := d.root.Lstat(path)
	switch {
	case err != nil:
		return ErrnoOf(err)
	case fi.IsDir():
		return ErrnoIsdir
	}
	return ErrnoOf(d.root.Remove(path))
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// among returns both paths under one root: an open folder cannot be renamed
// here, so its name still leads to it.
func among(od *entry, oldPath string, nd *entry, newPath string) (*os.Root, string, string, Errno) {
	if od == nd {
		return od.root, oldPath, newPath, ErrnoSuccess
	}
	if rel, err := filepath.Rel(od.root.Name(), nd.root.Name()); err == nil && filepath.IsLocal(rel) {
		return od.root, oldPath, filepath.ToSlash(rel) + "/" + newPath, ErrnoSuccess
	}
	if rel, err := filepath.Rel(nd.root.Name(), od.root.Name()); err == nil && filepath.IsLocal(rel) {
		return nd.root, filepath.ToSlash(rel) + "/" + oldPath, newPath, ErrnoSuccess
	}
	return nil, "", "", ErrnoXdev
}

func rename(od *entry, oldPath string, nd *entry, newPath string) Errno {
	root, op, np, e := among(od, oldPath, nd, newPath)
	if e != ErrnoSuccess {
		return e
	}
	return ErrnoOf(root.Rename(op, np))
}

func link(od *entry, oldPath string, nd *entry, newPath string) Errno {
	root, op, np, e := among(od, oldPath, nd, newPath)
	if e != ErrnoSuccess {
		return e
	}
	if fi, err := root.Lstat(op); err == nil && fi.IsDir() {
		return ErrnoPerm
	}
	return ErrnoOf(root.Link(op, np))
}

func setLinkTimes(*entry, string, TimeSet, TimeSet) Errno { return ErrnoNotsup }

func statFile(f *os.File) (Stat, error) {
	fi, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	st := statInfo(fi)
	var info syscall.ByHandleFileInformation
	c, err := f.SyscallConn()
	if err != nil {
		return st, nil
	}
	cerr := c.Control(func(fd uintptr) { err = syscall.GetFileInformationByHandle(syscall.Handle(fd), &info) })
	if cerr == nil && err == nil {
		st.Dev = uint64(info.VolumeSerialNumber)
		st.Ino = uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow)
		st.Nlink = uint64(info.NumberOfLinks)
	}
	return st, nil
}

func statPath(root *os.Root, path string, follow bool) (Stat, error) {
	look := root.Lstat
	if follow {
		look = root.Stat
	}
	fi, err := look(path)
	if err != nil {
		return Stat{}, err
	}
	if fi.Mode()&fs.ModeSymlink == 0 {
		if f, err := root.Open(path); err == nil {
			defer f.Close()
			return statFile(f)
		}
	}
	return statInfo(fi), nil
}

// statInfo makes do without a handle: the inode is a hash of the name.
func statInfo(fi fs.FileInfo) Stat {
	h := fnv.New64a()
	io.WriteString(h, fi.Name())
	st := Stat{Ino: h.Sum64() | 1, Type: typeOf(fi.Mode()), Nlink: 1, Mtim: fi.ModTime().UnixNano()}
	st.Atim, st.Ctim = st.Mtim, st.Mtim
	if !fi.IsDir() {
		st.Size = uint64(fi.Size())
	}
	if sys, ok := fi.Sys().(*syscall.Win32FileAttributeData); ok {
		st.Atim, st.Ctim = sys.LastAccessTime.Nanoseconds(), sys.LastWriteTime.Nanoseconds()
	}
	return st
}

func appendFile(f *os.File, data []byte) (int, uint64, error) { return appendAtSize(f, data) }

func allocate(f *os.File, off, n int64) error { return extend(f, off+n) }

func setFileTimes(f *os.File, atim, mtim TimeSet) error {
	filetime := func(t TimeSet) *syscall.Filetime {
		if !t.Set {
			return nil
		}
		ft := syscall.NsecToFiletime(t.time().UnixNano())
		return &ft
	}
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := c.Control(func(fd uintptr) {
		err = syscall.SetFileTime(syscall.Handle(fd), nil, filetime(atim), filetime(mtim))
	})
	if cerr != nil {
		return cerr
	}
	return err
}

func readDir(f *os.File) ([]Dirent, error) { return readDirInfo(f) }

func ready(poller, bool) (uint64, bool, error) { return 1, false, nil }

func waitReady(_, _ []poller, left time.Duration) error {
	if left > 0 {
		time.Sleep(min(left, 10*time.Millisecond))
	}
	return nil
}

func peek(net.Conn, []byte) (int, error) { return 0, ErrnoNotsup }

// Windows' own error numbers, beside which Go's syscall package invents some
// under the names of POSIX.
var errnoTable = map[syscall.Errno]Errno{
	2: ErrnoNoent, 3: ErrnoNoent, 4: ErrnoMfile, 5: ErrnoAcces, 6: ErrnoBadf, 8: ErrnoNomem, 17: ErrnoXdev,
	19: ErrnoRofs, 32: ErrnoBusy, 33: ErrnoBusy, 39: ErrnoNospc, 80: ErrnoExist, 87: ErrnoInval,
	109: ErrnoPipe, 112: ErrnoNospc, 123: ErrnoNoent, 145: ErrnoNotempty, 183: ErrnoExist,
	206: ErrnoNametoolong, 232: ErrnoPipe, 267: ErrnoNotdir, 1142: ErrnoMlink, 1314: ErrnoPerm,
	1921: ErrnoLoop, 4390: ErrnoInval, 4392: ErrnoInval,
	syscall.EEXIST: ErrnoExist, syscall.EISDIR: ErrnoIsdir,
	syscall.ENOTEMPTY: ErrnoNotempty, syscall.EINVAL: ErrnoInval,
	syscall.ELOOP: ErrnoLoop, syscall.EACCES: ErrnoAcces, syscall.EPERM: ErrnoPerm, syscall.EPIPE: ErrnoPipe,
	syscall.ENAMETOOLONG: ErrnoNametoolong, syscall.ENOSYS: ErrnoNosys, syscall.ENOTSUP: ErrnoNotsup,
	syscall.EXDEV: ErrnoXdev, syscall.ENOSPC: ErrnoNospc, syscall.EBADF: ErrnoBadf, syscall.EAGAIN: ErrnoAgain,
}

func sysErrno(sys syscall.Errno) (Errno, bool) {
	e, ok := errnoTable[sys]
	return e, ok
}
