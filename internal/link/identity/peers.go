package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a peer store.
const (
	MaxPeers     = 1024
	MaxAddresses = 8
	MaxName      = 64  // bytes
	maxAddress   = 300 // bytes: a DNS name of 253 and a port
	maxStoreFile = 4 << 20
	minPrefix    = 4 // characters, below which a prefix finds nobody
	storeVersion = 1
)

// Errors a caller branches on.
var (
	// ErrUnknownPeer reports an ID that the store does not list.
	ErrUnknownPeer = errors.New("no such peer is paired")
	// ErrAmbiguous reports a prefix that several peers share.
	ErrAmbiguous = errors.New("several paired peers match: give more characters of the id")
	// ErrTooManyPeers reports a full store.
	ErrTooManyPeers = fmt.Errorf("already %d peers are paired: remove one with `clonecloud unpair ID`", MaxPeers)
)

// Peer is one known device or node.
type Peer struct {
	ID        ID        `json:"id"`
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses,omitempty"` // HOST:PORT, best first; empty for a device
	Added     time.Time `json:"added"`
}

// Store is the list of known peers in one directory. Every method reads the
// file again when another process changed it; methods may run concurrently.
type Store struct {
	dir string

	mu    sync.Mutex
	seen  os.FileInfo // the file that state was read from; nil when there was none
	state storeState
	valid bool
}

type storeState struct {
	Version  int    `json:"version"`
	Disabled bool   `json:"disabled,omitempty"` // inverted so that an absent file means "on"
	Peers    []Peer `json:"peers"`
}

// OpenStore returns the store in dir, which need not hold one yet.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, advise(fmt.Errorf("create peer folder: %w", err), "set CLONECLOUD_HOME to a folder that you may write")
	}
	s := &Store{dir: dir}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil {
		return nil, err
	}
	return s, nil
}

// List returns all peers, oldest first.
func (s *Store) List() ([]Peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil {
		return nil, err
	}
	out := slices.Clone(s.state.Peers)
	for i := range out {
		out[i].Addresses = slices.Clone(out[i].Addresses)
	}
	return out, nil
}

// Get returns the peer with this ID; the error wraps ErrUnknownPeer.
func (s *Store) Get(id ID) (Peer, error) {
	peers, err := s.List()
	if err != nil {
		return Peer{}, err
	}
	for _, p := range peers {
		if p.ID == id {
			return p, nil
		}
	}
	return Peer{}, fmt.Errorf("%s: %w", id.Short(), ErrUnknownPeer)
}

// Listed reports whether id may talk to us. A store that cannot be read lists
// nobody.
func (s *Store) Listed(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refresh() != nil {
		return false
	}
	return slices.ContainsFunc(s.state.Peers, func(p Peer) bool { return p.ID == id })
}

// Find returns the one peer whose ID begins with text or whose name is text.
// The error wraps ErrUnknownPeer or ErrAmbiguous.
func (s *Store) Find(text string) (Peer, error) {
	peers, err := s.List()
	if err != nil {
		return Peer{}, err
	}
	prefix := normalise(text)
	var found []Peer
	for _, p := range peers {
		if (len(prefix) >= minPrefix && strings.HasPrefix(p.ID.Compact(), prefix)) || (p.Name != "" && p.Name == text) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return Peer{}, fmt.Errorf("%q: %w", text, ErrUnknownPeer)
	case 1:
		return found[0], nil
	default:
		return Peer{}, fmt.Errorf("%q: %w", text, ErrAmbiguous)
	}
}

// Add lists p, or updates name and addresses of a peer that is listed already.
// Its name is cleaned, because it came from the other side.
func (s *Store) Add(p Peer) error {
	if p.ID.IsZero() {
		return errors.New("add peer: it has no id")
	}
	p.Name = CleanName(p.Name)
	if len(p.Addresses) > MaxAddresses {
		p.Addresses = p.Addresses[:MaxAddresses]
	}
	for _, a := range p.Addresses {
		if len(a) > maxAddress || strings.ContainsFunc(a, unprintable) {
			return fmt.Errorf("add peer %s: address %.40q is not HOST:PORT", p.ID.Short(), a)
		}
	}
	if p.Added.IsZero() {
		p.Added = time.Now().UTC().Truncate(time.Second)
	}
	return s.update(func(st *storeState) error {
		i := slices.IndexFunc(st.Peers, func(q Peer) bool { return q.ID == p.ID })
		if i >= 0 {
			p.Added = st.Peers[i].Added
			st.Peers[i] = p
			return nil
		}
		if len(st.Peers) >= MaxPeers {
			return ErrTooManyPeers
		}
		st.Peers = append(st.Peers, p)
		return nil
	})
}

// Remove forgets a peer; the error wraps ErrUnknownPeer when it was not listed.
func (s *Store) Remove(id ID) error {
	return s.update(func(st *storeState) error {
		n := len(st.Peers)
		st.Peers = slices.DeleteFunc(st.Peers, func(p Peer) bool { return p.ID == id })
		if len(st.Peers) == n {
			return fmt.Errorf("%s: %w", id.Short(), ErrUnknownPeer)
		}
		return nil
	})
}

// Enabled reports whether offloading is on. A store that cannot be read is off.
func (s *Store) Enabled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refresh() == nil && !s.state.Disabled
}

// SetEnabled turns offloading on or off for every process that uses the store.
func (s *Store) SetEnabled(on bool) error {
	return s.update(func(st *storeState) error {
		st.Disabled = !on
		return nil
	})
}

func (s *Store) path() string { return filepath.Join(s.dir, "peers.json") }

// update changes the file under the lock of all processes.
func (s *Store) update(change func(*storeState) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock, err := lock(filepath.Join(s.dir, lockFile))
	if err != nil {
		return fmt.Errorf("lock peer store: %w", err)
	}
	defer unlock()
	if err := s.refresh(); err != nil {
		return err
	}
	next := s.state
	next.Version = storeVersion
	next.Peers = slices.Clone(s.state.Peers)
	if err := change(&next); err != nil {
		return fmt.Errorf("change peer store: %w", err)
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("encode peer store: %w", err)
	}
	s.valid = false // read it back: the file is the truth
	if err := WriteFile(s.path(), append(data, '\n'), 0o600); err != nil {
		return err
	}
	return s.refresh()
}

// refresh reads the file when it is another one than last time. Each write is a
// rename, so a change shows as another file, not only as another time.
func (s *Store) refresh() error {
	st, err := os.Stat(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		s.seen, s.state, s.valid = nil, storeState{Version: storeVersion}, true
		return nil
	}
	if err != nil {
		return fmt.Errorf("read peer store: %w", err)
	}
	if s.valid && s.seen != nil && os.SameFile(st, s.seen) && st.ModTime().Equal(s.seen.ModTime()) && st.Size() == s.seen.Size() {
		return nil
	}
	data, err := readLimited(s.path(), maxStoreFile)
	if err != nil {
		return err
	}
	var next storeState
	if err := json.Unmarshal(data, &next); err != nil {
		return advise(fmt.Errorf("%s is damaged: %w", s.path(), err), "restore it, or delete it and pair again")
	}
	if next.Version > storeVersion {
		return fmt.Errorf("%s was written by a newer clonecloud (format %d): update this one", s.path(), next.Version)
	}
	s.seen, s.state, s.valid = st, next, true
	return nil
}

// CleanName makes a name that came from elsewhere fit to print: no control
// characters (a terminal would obey them), at most MaxName bytes.
func CleanName(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unprintable(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s))
	for len(s) > MaxName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
