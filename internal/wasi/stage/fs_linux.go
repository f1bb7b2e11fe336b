package stage

import (
	"errors"
	"os"
	"syscall"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"golang.org/x/sys/unix"
)

func infoOf(fi os.FileInfo) Info {
	st := fi.Sys().(*syscall.Stat_t)
	return Info{
		Stat: wasi.Stat{
			Dev: uint64(st.Dev), Ino: st.Ino, Type: typeOf(fi.Mode()), Nlink: uint64(st.Nlink), Size: uint64(st.Size),
			Atim: st.Atim.Nano(), Mtim: st.Mtim.Nano(), Ctim: st.Ctim.Nano(),
		},
		Mode: fi.Mode(), UID: st.Uid, GID: st.Gid,
	}
}

// spec turns a time into utimensat's: a value, now, or leave it.
func spec(t wasi.TimeSet) unix.Timespec {
	switch {
	case t.Now:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	case t.Set:
		return unix.NsecToTimespec(t.At)
	default:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
}

func reserve(f *os.File, n int64) error {
	if n == 0 {
		return nil
	}
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, n)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil // the file system cannot; a full disk then undoes the commit
		}
		return os.NewSyscallError("fallocate", err)
	}
}

// plain reports whether f has no extended attributes, access lists included.
func plain(f *os.File) bool {
	n, err := unix.Flistxattr(int(f.Fd()), nil)
	return err == nil && n == 0 || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}
