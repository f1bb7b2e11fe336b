//go:build linux || darwin

package stage

import (
	"io/fs"
	"os"
	"path"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"golang.org/x/sys/unix"
)

const (
	noFollow  = unix.O_NOFOLLOW
	supported = true
)

func typeOf(m fs.FileMode) wasi.Filetype {
	switch m.Type() {
	case 0:
		return wasi.FiletypeRegularFile
	case fs.ModeDir:
		return wasi.FiletypeDirectory
	case fs.ModeSymlink:
		return wasi.FiletypeSymbolicLink
	default:
		return wasi.FiletypeUnknown
	}
}

// setTimes sets the times of name itself, not of what it links to.
func setTimes(r *os.Root, name string, atim, mtim wasi.TimeSet) error {
	d, err := r.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	ts := []unix.Timespec{spec(atim), spec(mtim)}
	if err := unix.UtimesNanoAt(int(d.Fd()), path.Base(name), ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}

func syncDir(d *os.File) error { return d.Sync() }

// writable reports why this process cannot change the entries of d.
func writable(d *os.File) error {
	err := unix.Faccessat(int(d.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if err != nil {
		return &fs.PathError{Op: "change", Path: d.Name(), Err: err}
	}
	return nil
}

// accessOf reports what a handle was opened for.
func accessOf(f *os.File) (read, write bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return true, true
	}
	fl := unix.O_RDWR
	if c.Control(func(fd uintptr) { fl, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }) != nil || err != nil {
		return true, true
	}
	mode := fl & unix.O_ACCMODE
	return mode != unix.O_WRONLY, mode != unix.O_RDONLY
}
