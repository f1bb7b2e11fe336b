package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// ErrUnsupported says that this platform, or this place on it, cannot take
// over file changes with the promised guarantees. The call runs locally.
var ErrUnsupported = errors.New("file changes of a clone cannot be taken over here")

// Place is a file of the device: Name, with slashes, in the folder Root, an
// absolute path of the host. The folder itself has the name ".".
type Place struct{ Root, Name string }

// String returns the place as a person would write it.
func (p Place) String() string { return path.Join(p.Root, p.Name) }

// in returns name in the folder p.
func (p Place) in(name string) Place {
	if p.Name == "." {
		return Place{p.Root, name}
	}
	return Place{p.Root, p.Name + "/" + name}
}

// dir returns the folder that p is in.
func (p Place) dir() Place { return Place{p.Root, path.Dir(p.Name)} }

// Info is what a commit needs to know of a file.
type Info struct {
	wasi.Stat
	Mode     fs.FileMode
	UID, GID uint32
}

// FS is the file system as a commit uses it. Paths never follow a symbolic
// link at their end and never leave their root. Every method is one step
// after which the device may be cut.
type FS interface {
	Lstat(p Place) (Info, error)
	// Open opens a regular file for reading and writing.
	Open(p Place) (File, error)
	// Create makes a regular file that must not exist.
	Create(p Place, mode fs.FileMode) (File, error)
	Mkdir(p Place, mode fs.FileMode) error
	Symlink(target string, p Place) error
	Link(from, to Place) error
	// Rename must not be asked to replace a folder.
	Rename(from, to Place) error
	// Remove removes what is at p, with all that is in it. It is no error if
	// nothing is there.
	Remove(p Place) error
	// Writable reports why entries of a folder cannot be changed.
	Writable(dir Place) error
	SetTimes(p Place, atim, mtim wasi.TimeSet) error
	// SyncDir makes the entries of a folder durable.
	SyncDir(p Place) error
	// Plain reports whether a file has nothing that a copy would lose.
	Plain(p Place) bool
}

// content is what changes of a file.
type content interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
}

// File is an open regular file.
type File interface {
	content
	Stat() (Info, error)
	Chmod(mode fs.FileMode) error
	Chown(uid, gid uint32) error
	// Reserve takes n bytes of disk space for the file, if the file system can.
	Reserve(n int64) error
	Close() error
}

// OS returns the file system of the machine. It opens each root once, and
// Close closes them.
func OS() *HostFS { return &HostFS{roots: map[string]*os.Root{}} }

// HostFS is the file system of the machine, contained by os.Root.
type HostFS struct {
	mu    sync.Mutex
	roots map[string]*os.Root
}

var _ FS = (*HostFS)(nil)

func (h *HostFS) root(p Place) (*os.Root, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.roots[p.Root]; r != nil {
		return r, nil
	}
	r, err := os.OpenRoot(p.Root)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	h.roots[p.Root] = r
	return r, nil
}

// Close closes the roots.
func (h *HostFS) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for k, r := range h.roots {
		errs = append(errs, r.Close())
		delete(h.roots, k)
	}
	return errors.Join(errs...)
}

// Lstat implements FS.
func (h *HostFS) Lstat(p Place) (Info, error) {
	r, err := h.root(p)
	if err != nil {
		return Info{}, err
	}
	fi, err := r.Lstat(p.Name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

// Open implements FS.
func (h *HostFS) Open(p Place) (File, error) { return h.open(p, os.O_RDWR|noFollow, 0) }

// Create implements FS.
func (h *HostFS) Create(p Place, mode fs.FileMode) (File, error) {
	return h.open(p, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
}

func (h *HostFS) open(p Place, flag int, mode fs.FileMode) (File, error) {
	r, err := h.root(p)
	if err != nil {
		return nil, err
	}
	f, err := r.OpenFile(p.Name, flag, mode)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

// Mkdir implements FS.
func (h *HostFS) Mkdir(p Place, mode fs.FileMode) error {
	r, err := h.root(p)
	if err != nil {
		return err
	}
	return r.Mkdir(p.Name, mode)
}

// Symlink implements FS.
func (h *HostFS) Symlink(target string, p Place) error {
	r, err := h.root(p)
	if err != nil {
		return err
	}
	return r.Symlink(target, p.Name)
}

// Link implements FS.
func (h *HostFS) Link(from, to Place) error {
	r, err := h.both(from, to)
	if err != nil {
		return err
	}
	return r.Link(from.Name, to.Name)
}

// Rename implements FS.
func (h *HostFS) Rename(from, to Place) error {
	r, err := h.both(from, to)
	if err != nil {
		return err
	}
	return r.Rename(from.Name, to.Name)
}

// both returns the root that two places share.
func (h *HostFS) both(a, b Place) (*os.Root, error) {
	if a.Root != b.Root {
		return nil, fmt.Errorf("from %s to %s: %w", a.Root, b.Root, ErrUnsupported)
	}
	return h.root(a)
}

// Remove implements FS.
func (h *HostFS) Remove(p Place) error {
	r, err := h.root(p)
	if err != nil {
		return err
	}
	return r.RemoveAll(p.Name)
}

// Writable implements FS.
func (h *HostFS) Writable(dir Place) error {
	r, err := h.root(dir)
	if err != nil {
		return err
	}
	d, err := r.Open(dir.Name)
	if err != nil {
		return err
	}
	err = writable(d)
	return errors.Join(err, d.Close())
}

// SetTimes implements FS.
func (h *HostFS) SetTimes(p Place, atim, mtim wasi.TimeSet) error {
	r, err := h.root(p)
	if err != nil {
		return err
	}
	return setTimes(r, p.Name, atim, mtim)
}

// SyncDir implements FS.
func (h *HostFS) SyncDir(p Place) error {
	r, err := h.root(p)
	if err != nil {
		return err
	}
	d, err := r.Open(p.Name)
	if err != nil {
		return err
	}
	err = syncDir(d)
	return errors.Join(err, d.Close())
}

// Plain implements FS.
func (h *HostFS) Plain(p Place) bool {
	r, err := h.root(p)
	if err != nil {
		return false
	}
	f, err := r.OpenFile(p.Name, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return plain(f)
}

type osFile struct{ *os.File }

func (f *osFile) Stat() (Info, error) {
	fi, err := f.File.Stat()
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

func (f *osFile) Chown(uid, gid uint32) error { return f.File.Chown(int(uid), int(gid)) }
func (f *osFile) Reserve(n int64) error       { return reserve(f.File, n) }
