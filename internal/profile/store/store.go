// Package store keeps profiles between runs: one file for each module and
// version of the rewriting, in one folder.
//
// A file is replaced as a whole and carries a checksum, so a crash leaves the
// old one or the new one, and damage is found and costs that one module's
// history: it is told, and the profile grows anew. Runs that end at once merge
// one after the other, under a lock of the operating system that dies with its
// process. Readers need none.
//
// The package imports only package profile. How files are locked and replaced
// is given to it.
package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/profile"
)

const (
	// MaxNodes bounds a stored tree.
	MaxNodes = 4096
	// maxFile bounds a file, in bytes.
	maxFile = 8 << 20
	// maxModules bounds the folder: the modules that ran longest ago go first.
	maxModules = 1024
	// lockWait bounds the wait for another run, which merges in milliseconds.
	lockWait  = 2 * time.Second
	lockPause = 5 * time.Millisecond

	suffix = ".profile"
)

// Config says how a store works.
type Config struct {
	Dir string
	// Lock takes the lock that belongs to the file path, if it is free.
	Lock func(path string) (release func(), ok bool)
	// Write replaces a file, as a whole or not at all.
	Write func(path string, data []byte) error
	// Warn is told of damage. Nil: it is dropped.
	Warn func(error)
}

// Store is a folder of profiles. Its methods may be called by several goroutines
// and processes at once.
type Store struct{ conf Config }

// New returns the store in a folder, which need not exist.
func New(c Config) *Store {
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	return &Store{c}
}

// Key names a profile.
type Key struct {
	Module    [32]byte // SHA-256
	Rewriting uint32   // version of what chooses and stubs candidates
}

func (k Key) name() string {
	return fmt.Sprintf("%s.%d%s", hex.EncodeToString(k.Module[:]), k.Rewriting, suffix)
}

func (s *Store) path(k Key) string { return filepath.Join(s.conf.Dir, k.name()) }

// errDamaged means that a file is not what was written.
var errDamaged = errors.New("damaged")

// Load returns what is known of a module; an empty profile when nothing is. Of a
// damaged file it warns, and nothing is known. An error means that the folder or
// file cannot be read.
func (s *Store) Load(k Key) (*profile.Tree, error) {
	data, err := read(s.path(k))
	if errors.Is(err, fs.ErrNotExist) {
		return profile.New(), nil
	}
	if err == nil {
		var t *profile.Tree
		if t, err = decode(data, k); err == nil {
			return t, nil
		}
	}
	if !errors.Is(err, errDamaged) {
		return nil, fmt.Errorf("load profile: %w", err)
	}
	s.conf.Warn(fmt.Errorf("the profile of this application is lost and grows anew: %s: %w", s.path(k), err))
	return profile.New(), nil
}

// Merge adds t to what is known of a module.
func (s *Store) Merge(k Key, t *profile.Tree) error {
	if err := os.MkdirAll(s.conf.Dir, 0o700); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	release, err := s.lock(s.path(k) + ".lock")
	if err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	defer release()
	known, err := s.Load(k)
	if err != nil {
		return err
	}
	if known.Empty() {
		s.makeRoom()
	}
	known.Merge(t)
	known.Bound(MaxNodes)
	if err := s.conf.Write(s.path(k), encode(known, k)); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	return nil
}

func (s *Store) lock(path string) (release func(), err error) {
	for waited := time.Duration(0); ; waited += lockPause {
		if release, ok := s.conf.Lock(path); ok {
			return release, nil
		}
		if waited >= lockWait {
			return nil, fmt.Errorf("lock %s: not free within %v", path, lockWait)
		}
		time.Sleep(lockPause)
	}
}

// makeRoom removes the profiles that were written longest ago where there are
// too many. Their locks stay: another run may be waiting for one.
func (s *Store) makeRoom() {
	entries, err := os.ReadDir(s.conf.Dir)
	if err != nil {
		return
	}
	type file struct {
		name string
		at   time.Time
	}
	var all []file
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) {
			all = append(all, file{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name)) })
	for i := 0; i <= len(all)-maxModules; i++ {
		_ = os.Remove(filepath.Join(s.conf.Dir, all[i].name))
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

// A file is: the magic, the key (32 bytes, and the rewriting's version in 4), the
// tree, and the CRC-32C of all that, in 4 bytes. Integers are little endian.
var (
	magic = []byte("ccprof1\n")
	table = crc32.MakeTable(crc32.Castagnoli)
)

func encode(t *profile.Tree, k Key) []byte {
	b := append([]byte(nil), magic...)
	b = append(b, k.Module[:]...)
	b = binary.LittleEndian.AppendUint32(b, k.Rewriting)
	b = append(b, t.Encode()...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, table))
}

// decode reads a file's bytes. Errors wrap errDamaged.
func decode(b []byte, k Key) (*profile.Tree, error) {
	head := len(magic) + len(k.Module) + 4
	if len(b) < head+4 || !bytes.HasPrefix(b, magic) {
		return nil, fmt.Errorf("%w: it does not begin as a profile does", errDamaged)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, table) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: its checksum does not fit", errDamaged)
	}
	if own := (Key{Module: [32]byte(b[len(magic):]), Rewriting: binary.LittleEndian.Uint32(b[head-4:])}); own != k {
		return nil, fmt.Errorf("%w: it is about another module", errDamaged)
	}
	t, err := profile.Decode(body[head:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return t, nil
}
