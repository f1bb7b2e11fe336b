package db

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// maxModules bounds the folder: the modules that were written longest ago
	// go first.
	maxModules = 256
	lockWait   = 2 * time.Second
	lockPause  = 5 * time.Millisecond

	suffix = ".partitions"
)

// Config says how a database works.
type Config struct {
	Dir string
	// Lock takes the lock that belongs to the file path, if it is free.
	Lock func(path string) (release func(), ok bool)
	// Write replaces a file, as a whole or not at all.
	Write func(path string, data []byte) error
	// Warn is told of files that are not used. Nil: it is dropped.
	Warn func(error)
}

// DB is a folder of partitions. Several goroutines and processes may use it.
type DB struct{ conf Config }

// New returns the database in a folder, which need not exist.
func New(c Config) *DB {
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	return &DB{c}
}

func (d *DB) path(module [32]byte) string {
	return filepath.Join(d.conf.Dir, hex.EncodeToString(module[:])+suffix)
}

// Load returns the partitions of a module, newest first; none when there are
// none, or when the file is damaged or of a newer version, which Warn is told.
// An error means that the file cannot be read.
func (d *DB) Load(module [32]byte) ([]Entry, error) {
	data, err := read(d.path(module))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var entries []Entry
	if err == nil {
		entries, err = decode(data, module)
	}
	if errors.Is(err, errDamaged) || errors.Is(err, errNewer) {
		d.conf.Warn(fmt.Errorf("the partitions of this application are computed anew: %s: %w", d.path(module), err))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load partitions: %w", err)
	}
	return entries, nil
}

// Put adds partitions of a module, in the place of those of the same key.
func (d *DB) Put(module [32]byte, entries []Entry) error {
	if err := os.MkdirAll(d.conf.Dir, 0o700); err != nil {
		return fmt.Errorf("keep partitions: %w", err)
	}
	fresh := make([]Entry, len(entries))
	for i, e := range entries {
		fresh[i] = e.fit()
		if err := fresh[i].validate(); err != nil {
			return fmt.Errorf("keep partitions: %w", err)
		}
	}
	release, err := d.lock(d.path(module) + ".lock")
	if err != nil {
		return fmt.Errorf("keep partitions: %w", err)
	}
	defer release()
	known, err := d.Load(module)
	if err != nil {
		return err
	}
	if known == nil {
		d.makeRoom()
	}
	data, err := bounded(module, merge(known, fresh))
	if err != nil {
		return err
	}
	if err := d.conf.Write(d.path(module), data); err != nil {
		return fmt.Errorf("keep partitions: %w", err)
	}
	return nil
}

// bounded encodes as many entries, newest first, as a file may hold.
func bounded(module [32]byte, entries []Entry) ([]byte, error) {
	for {
		data, err := encode(module, entries)
		if err != nil || len(data) <= maxFile {
			return data, err
		}
		entries = entries[:len(entries)/2]
	}
}

func (d *DB) lock(path string) (release func(), err error) {
	for waited := time.Duration(0); ; waited += lockPause {
		if release, ok := d.conf.Lock(path); ok {
			return release, nil
		}
		if waited >= lockWait {
			return nil, fmt.Errorf("lock %s: not free within %v", path, lockWait)
		}
		time.Sleep(lockPause)
	}
}

// makeRoom removes the oldest files where there are too many. Locks stay:
// somebody may be waiting for one.
func (d *DB) makeRoom() {
	names, err := filepath.Glob(filepath.Join(d.conf.Dir, "*"+suffix))
	if err != nil || len(names) < maxModules {
		return
	}
	age := map[string]time.Time{}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			age[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(age[a].Compare(age[b]), cmp.Compare(a, b)) })
	for _, name := range names[:len(names)-maxModules+1] {
		_ = os.Remove(name)
	}
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%w: larger than %d bytes", errDamaged, maxFile)
	}
	return data, err
}
