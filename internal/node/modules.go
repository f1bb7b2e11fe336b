package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/wire"
)

const (
	maxUploads  = 2  // at once, on one connection
	maxOfDevice = 4  // at once, of one device: none may keep the others out
	maxArriving = 12 // at once, on the node: each may take wire.MaxModule of memory
	maxModules  = 64 // kept for one device; the longest unused go first

	// uploadStall is how long the next chunk of a module may take.
	uploadStall = 30 * time.Second
)

// arrivals counts the modules that are being uploaded, by device.
type arrivals struct {
	mu  sync.Mutex
	by  map[link.ID]int
	all int
}

// begin takes a place for one more, if there is one; end gives it back.
func (a *arrivals) begin(device link.ID) (end func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all >= maxArriving || a.by[device] >= maxOfDevice {
		return nil, false
	}
	if a.by == nil {
		a.by = map[link.ID]int{}
	}
	a.all++
	a.by[device]++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all--
		if a.by[device]--; a.by[device] == 0 {
			delete(a.by, device)
		}
	}), true
}

// moduleStore keeps one device's modules by their SHA-256.
type moduleStore struct{ dir string }

func (n *Node) modules(device link.ID) moduleStore {
	return moduleStore{filepath.Join(n.deviceDir(device), "modules")}
}

func (m moduleStore) path(sum []byte) string {
	return filepath.Join(m.dir, hex.EncodeToString(sum)+".wasm")
}

// has reports whether the module is here, and marks it as used.
func (m moduleStore) has(sum []byte) bool {
	now := time.Now()
	return os.Chtimes(m.path(sum), now, now) == nil
}

// load reads a module and holds it against its hash: a bit that flipped on
// disk is as good as a module that is not there.
func (m moduleStore) load(sum []byte) ([]byte, error) {
	data, err := os.ReadFile(m.path(sum))
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	if got := sha256.Sum256(data); !bytes.Equal(got[:], sum) {
		_ = os.Remove(m.path(sum))
		return nil, errors.New("the module on the node's disk is damaged and was removed; run the program again")
	}
	return data, nil
}

// keep stores a module that has been checked.
func (m moduleStore) keep(sum, data []byte) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return fmt.Errorf("store module: %w", err)
	}
	m.prune()
	if err := identity.WriteFile(m.path(sum), data, 0o600); err != nil {
		return fmt.Errorf("store module: %w", err)
	}
	return nil
}

// prune makes room for one more module.
func (m moduleStore) prune() {
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) < maxModules {
		return
	}
	type aged struct {
		name string
		used time.Time
	}
	var all []aged
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			all = append(all, aged{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b aged) int { return a.used.Compare(b.used) })
	for i := 0; i+maxModules <= len(all); i++ {
		_ = os.Remove(filepath.Join(m.dir, all[i].name))
	}
}

// upload assembles a module from its chunks.
type upload struct {
	store moduleStore
	open  *wire.RunOpen

	mu    sync.Mutex
	data  []byte
	have  []bool
	left  int
	zr    *zstd.Decoder // nil once it was discarded
	stall *time.Timer
	end   func()
}

// receive prepares for the module of a RunOpen; end is called when the upload is
// over. Memory is taken as chunks arrive, not on the word of the RunOpen.
func (m moduleStore) receive(open *wire.RunOpen, end func()) (*upload, error) {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*wire.ChunkSize))
	if err != nil {
		return nil, fmt.Errorf("receive module: %w", err)
	}
	chunks := int((open.ModuleSize + wire.ChunkSize - 1) / wire.ChunkSize)
	u := &upload{store: m, open: open, have: make([]bool, chunks), left: chunks, zr: zr, end: end}
	u.stall = time.AfterFunc(uploadStall, u.discard)
	return u, nil
}

// missing lists the chunks to ask for.
func (u *upload) missing() []uint32 {
	var want []uint32
	for i, have := range u.have {
		if !have {
			want = append(want, uint32(i))
		}
	}
	return want
}

// chunk takes one chunk, and reports whether the module is complete and kept.
func (u *upload) chunk(m *wire.ModuleChunk, body []byte) (done bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.zr == nil {
		return false, fmt.Errorf("no chunk came for %v", uploadStall)
	}
	u.stall.Reset(uploadStall)
	i := int(m.Index)
	if i >= len(u.have) {
		return false, fmt.Errorf("chunk %d of %d", i, len(u.have))
	}
	if u.have[i] {
		return false, nil
	}
	at := uint64(i) * wire.ChunkSize
	if want := min(wire.ChunkSize, u.open.ModuleSize-at); uint64(m.Size) != want {
		return false, fmt.Errorf("chunk %d has %d bytes, want %d", i, m.Size, want)
	}
	plain, err := u.zr.DecodeAll(body, make([]byte, 0, m.Size))
	if err != nil {
		return false, fmt.Errorf("unpack chunk %d: %w", i, err)
	}
	if sum := sha256.Sum256(plain); len(plain) != int(m.Size) || !bytes.Equal(sum[:], m.Sha256) {
		return false, fmt.Errorf("chunk %d does not match its hash", i)
	}
	if end := at + uint64(len(plain)); uint64(len(u.data)) < end {
		u.data = append(u.data, make([]byte, end-uint64(len(u.data)))...)
	}
	copy(u.data[at:], plain)
	u.have[i] = true
	if u.left--; u.left > 0 {
		return false, nil
	}
	if sum := sha256.Sum256(u.data); !bytes.Equal(sum[:], u.open.ModuleSha256) {
		return false, errors.New("the module does not match its hash")
	}
	defer u.discardLocked()
	if err := u.store.keep(u.open.ModuleSha256, u.data); err != nil {
		return false, &storeError{err}
	}
	return true, nil
}

// storeError is a fault of the node's own disk: its text is the operator's.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// discard ends the upload, whatever became of it.
func (u *upload) discard() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.discardLocked()
}

func (u *upload) discardLocked() {
	if u.zr == nil {
		return
	}
	u.stall.Stop()
	u.zr.Close()
	u.zr, u.data = nil, nil
	u.end()
}
