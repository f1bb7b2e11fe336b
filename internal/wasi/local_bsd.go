//go:build unix && !linux

package wasi

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fionread asks how many bytes can be read.
const fionread = 0x4004667f

func statTimes(st *syscall.Stat_t) (atim, ctim int64) {
	return st.Atimespec.Nano(), st.Ctimespec.Nano()
}

func appendFile(f *os.File, data []byte) (int, uint64, error) { return appendAtSize(f, data) }

func allocate(f *os.File, off, n int64) error { return extend(f, off+n) }

// setFileTimes sets the times of an open file, to the microsecond.
func setFileTimes(f *os.File, atim, mtim TimeSet) error {
	st, err := statFile(f)
	if err != nil {
		return err
	}
	a, m := st.Atim, st.Mtim
	if atim.Set {
		a = atim.time().UnixNano()
	}
	if mtim.Set {
		m = mtim.time().UnixNano()
	}
	tv := []unix.Timeval{unix.NsecToTimeval(a), unix.NsecToTimeval(m)}
	cerr := control(f, func(fd int) { err = unix.Futimes(fd, tv) })
	return errors.Join(cerr, err)
}

func readDir(f *os.File) ([]Dirent, error) { return readDirInfo(f) }
