//go:build linux

package wasi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fionread asks how many bytes can be read.
const fionread = unix.TIOCINQ

func statTimes(st *syscall.Stat_t) (atim, ctim int64) {
	return st.Atim.Nano(), st.Ctim.Nano()
}

// appendFile writes to the end of a file in one step, as O_APPEND does, but
// without that flag, which would bend positional writes too.
func appendFile(f *os.File, data []byte) (n int, end uint64, err error) {
	cerr := control(f, func(fd int) {
		n, err = unix.Pwritev2(fd, [][]byte{data}, -1, unix.RWF_APPEND)
		if err == nil {
			var off int64
			off, err = unix.Seek(fd, 0, io.SeekCurrent)
			end = uint64(off)
		}
	})
	if cerr != nil {
		return 0, 0, cerr
	}
	if err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == unix.EINTR {
		return appendAtSize(f, data)
	}
	return max(n, 0), end, err
}

func allocate(f *os.File, off, n int64) error {
	var err error
	cerr := control(f, func(fd int) {
		for {
			if err = unix.Fallocate(fd, 0, off, n); err != unix.EINTR {
				return
			}
		}
	})
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		err = extend(f, off+n)
	}
	return errors.Join(cerr, err)
}

// setFileTimes sets the times of an open file.
func setFileTimes(f *os.File, atim, mtim TimeSet) error {
	ts := [2]unix.Timespec{timespec(atim), timespec(mtim)}
	var err error
	cerr := control(f, func(fd int) { err = futimens(fd, &ts) })
	return errors.Join(cerr, err)
}

func timespec(t TimeSet) unix.Timespec {
	switch {
	case t.Now:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	case t.Set:
		return unix.NsecToTimespec(t.At)
	}
	return unix.Timespec{Nsec: unix.UTIME_OMIT}
}

// readDir lists a folder with the inodes that the system call gives anyway.
func readDir(f *os.File) ([]Dirent, error) {
	var ents []Dirent
	var err error
	cerr := control(f, func(fd int) { ents, err = getdents(fd) })
	return ents, errors.Join(cerr, err)
}

func getdents(fd int) ([]Dirent, error) {
	var ents []Dirent
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return ents, err
		}
		// struct linux_dirent64: inode, offset, record length, type, name.
		const head = 19
		for b := buf[:n]; len(b) > head; {
			size := int(binary.NativeEndian.Uint16(b[16:]))
			if size <= head || size > len(b) {
				return nil, unix.EIO
			}
			name, _, _ := bytes.Cut(b[head:size], []byte{0})
			ent := Dirent{Name: string(name), Ino: binary.NativeEndian.Uint64(b), Type: direntType(fd, b[18], name)}
			if ent.Name != "." && ent.Name != ".." {
				ents = append(ents, ent)
			}
			if len(ents) > MaxDirents {
				return nil, unix.EOVERFLOW
			}
			b = b[size:]
		}
	}
}

func direntType(fd int, kind byte, name []byte) Filetype {
	if kind == unix.DT_UNKNOWN {
		var st unix.Stat_t
		if unix.Fstatat(fd, string(name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			kind = byte(st.Mode & unix.S_IFMT >> 12)
		}
	}
	switch kind {
	case unix.DT_REG:
		return FiletypeRegularFile
	case unix.DT_DIR:
		return FiletypeDirectory
	case unix.DT_LNK:
		return FiletypeSymbolicLink
	case unix.DT_CHR:
		return FiletypeCharacterDevice
	case unix.DT_BLK:
		return FiletypeBlockDevice
	case unix.DT_SOCK:
		return FiletypeSocketStream
	}
	return FiletypeUnknown
}
