package stage

import (
	"os"
	"syscall"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"golang.org/x/sys/unix"
)

func infoOf(fi os.FileInfo) Info {
	st := fi.Sys().(*syscall.Stat_t)
	return Info{
		Stat: wasi.Stat{
			Dev: uint64(uint32(st.Dev)), Ino: st.Ino, Type: typeOf(fi.Mode()), Nlink: uint64(st.Nlink), Size: uint64(st.Size),
			Atim: st.Atimespec.Nano(), Mtim: st.Mtimespec.Nano(), Ctim: st.Ctimespec.Nano(),
		},
		Mode: fi.Mode(), UID: st.Uid, GID: st.Gid,
	}
}

// spec turns a time into utimensat's: a value, now (-1), or leave it (-2).
func spec(t wasi.TimeSet) unix.Timespec {
	switch {
	case t.Now:
		return unix.Timespec{Nsec: -1}
	case t.Set:
		return unix.NsecToTimespec(t.At)
	default:
		return unix.Timespec{Nsec: -2}
	}
}

// reserve does nothing: a full disk undoes the commit.
func reserve(*os.File, int64) error { return nil }

// plain is never sure here: files are then changed in place.
func plain(*os.File) bool { return false }
