package stage

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"
)

// Journal keeps the record of the commit in progress where the next start
// finds it. Append returns when the bytes are durable.
type Journal interface {
	Append(entry []byte) error
	// Load returns all that was appended since the last Clear; the last
	// entry may be torn if the device was cut.
	Load() ([]byte, error)
	Clear() error
}

// maxRecord bounds what is read back, bytes: the undo limit and room for
// names.
const maxRecord = 1 << 30

// FileJournal is a Journal in one file. The folder must exist.
type FileJournal struct{ Path string }

var _ Journal = FileJournal{}

// Append implements Journal.
func (j FileJournal) Append(entry []byte) (err error) {
	_, statErr := os.Lstat(j.Path)
	f, err := os.OpenFile(j.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("commit record: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(entry); err != nil {
		return fmt.Errorf("commit record: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("commit record: %w", err)
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		return j.syncDir()
	}
	return nil
}

// Load implements Journal.
func (j FileJournal) Load() ([]byte, error) {
	f, err := os.Open(j.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("commit record: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("commit record: %w", err)
	}
	if len(b) > maxRecord {
		return nil, fmt.Errorf("commit record %s is larger than %d bytes", j.Path, maxRecord)
	}
	return b, nil
}

// Clear implements Journal.
func (j FileJournal) Clear() error {
	if err := os.Remove(j.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("commit record: %w", err)
	}
	return j.syncDir()
}

func (j FileJournal) syncDir() error {
	d, err := os.Open(filepath.Dir(j.Path))
	if err != nil {
		return fmt.Errorf("commit record: %w", err)
	}
	return errors.Join(syncDir(d), d.Close())
}

// entry is one entry of the journal; exactly one field is set.
type entry struct {
	Stages []Place // names that may exist beside targets, and mean nothing yet
	Record *record // how to undo the commit that begins now
	Batch  *int    // the steps up to this batch may have been done
	Done   bool    // the commit holds; what Record calls garbage may go
}

// frame returns e with its length and checksum, so that a torn one shows.
func (e *entry) frame() ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, 12))
	if err := gob.NewEncoder(&b).Encode(e); err != nil {
		return nil, fmt.Errorf("commit record: %w", err)
	}
	p := b.Bytes()
	if len(p) > maxRecord/2 {
		return nil, fmt.Errorf("commit record of %d bytes: %w", len(p), ErrTooLarge)
	}
	binary.LittleEndian.PutUint32(p, uint32(len(p)-12))
	binary.LittleEndian.PutUint64(p[4:], xxh3.Hash(p[12:]))
	return p, nil
}

// parse returns the entries of a journal up to the first torn one.
func parse(b []byte) []entry {
	var es []entry
	for len(b) >= 12 {
		n := int64(binary.LittleEndian.Uint32(b))
		if n > int64(len(b)-12) || xxh3.Hash(b[12:12+n]) != binary.LittleEndian.Uint64(b[4:]) {
			break
		}
		var e entry
		if gob.NewDecoder(bytes.NewReader(b[12:12+n])).Decode(&e) != nil {
			break
		}
		es = append(es, e)
		b = b[12+n:]
	}
	return es
}
