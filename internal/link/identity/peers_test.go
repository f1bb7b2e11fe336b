package identity

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func newStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTwoStoresOfOneFolderSeeEachOthersChanges(t *testing.T) {
	dir := t.TempDir()
	a, b := newStore(t, dir), newStore(t, dir)
	id := ID{1}
	if b.Listed(id) {
		t.Fatal("listed before it was added")
	}
	if err := a.Add(Peer{ID: id, Name: "cellar", Addresses: []string{"192.0.2.1:1"}}); err != nil {
		t.Fatal(err)
	}
	got, err := b.Get(id)
	if err != nil || got.Name != "cellar" || got.Added.IsZero() || !b.Listed(id) {
		t.Fatalf("%+v %v", got, err)
	}
	if err := b.Remove(id); err != nil {
		t.Fatal(err)
	}
	if a.Listed(id) {
		t.Fatal("listed after it was removed")
	}
	if err := a.Remove(id); !errors.Is(err, ErrUnknownPeer) {
		t.Fatal(err)
	}
}

func TestOffAndOnReachEveryProcess(t *testing.T) {
	dir := t.TempDir()
	a, b := newStore(t, dir), newStore(t, dir)
	if !a.Enabled() {
		t.Fatal("off without being told")
	}
	for _, on := range []bool{false, true} {
		if err := a.SetEnabled(on); err != nil {
			t.Fatal(err)
		}
		if b.Enabled() != on {
			t.Fatal("not seen")
		}
	}
}

func TestConcurrentAddsAreAllKept(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	const writers, each = 4, 5
	for w := range writers {
		s := newStore(t, dir)
		wg.Go(func() {
			for i := range each {
				if err := s.Add(Peer{ID: ID{byte(w + 1), byte(i + 1)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	peers, err := newStore(t, dir).List()
	if err != nil || len(peers) != writers*each {
		t.Fatal(len(peers), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) != 0 {
		t.Fatal("temporary files left", left, err)
	}
}

func TestADamagedStoreListsNobodyAndIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	if err := s.Add(Peer{ID: ID{1}}); err != nil {
		t.Fatal(err)
	}
	junk := []byte(`{"peers":[{"id":`)
	if err := os.WriteFile(s.path(), junk, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Listed(ID{1}) || s.Enabled() {
		t.Fatal("a damaged store still lists or enables")
	}
	if err := s.Add(Peer{ID: ID{2}}); err == nil {
		t.Fatal("added to a damaged store")
	}
	if got, _ := os.ReadFile(s.path()); !bytes.Equal(got, junk) {
		t.Fatal("overwritten")
	}
}

func TestAStoreOfALaterVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "peers.json"), []byte(`{"version":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(dir); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Fatal(err)
	}
}

func TestFindTakesAPrefixOrAName(t *testing.T) {
	s := newStore(t, t.TempDir())
	ids := []ID{{0xff, 1}, {0xff, 2}, {3}}
	for i, id := range ids {
		if err := s.Add(Peer{ID: id, Name: fmt.Sprint("node", i)}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, text string
		want       ID
		err        error
	}{
		{"the whole id", ids[0].String(), ids[0], nil},
		{"the short form", ids[2].Short(), ids[2], nil},
		{"a name", "node1", ids[1], nil},
		{"too short a prefix", ids[2].Compact()[:2], ID{}, ErrUnknownPeer},
		{"nobody", "zzzzzzz", ID{}, ErrUnknownPeer},
		{"nothing", "", ID{}, ErrUnknownPeer},
	}
	for _, tt := range tests {
		got, err := s.Find(tt.text)
		if got.ID != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %s %v", tt.name, got.ID.Short(), err)
		}
	}
	if err := s.Add(Peer{ID: ID{9}, Name: "node1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("node1"); !errors.Is(err, ErrAmbiguous) {
		t.Fatal(err)
	}
}

func TestTheStoreHasALimit(t *testing.T) {
	s := newStore(t, t.TempDir())
	st := storeState{}
	for i := range MaxPeers {
		st.Peers = append(st.Peers, Peer{ID: ID{1, byte(i), byte(i >> 8)}})
	}
	if err := s.update(func(x *storeState) error { *x = st; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(Peer{ID: ID{2}}); !errors.Is(err, ErrTooManyPeers) {
		t.Fatal(err)
	}
	if err := s.Add(Peer{ID: st.Peers[0].ID, Name: "known ones may still be updated"}); err != nil {
		t.Fatal(err)
	}
}

func TestNamesFromOutsideCannotPlayWithTheTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := CleanName(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		if len(s) > MaxName || !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\r\n\t\x00\u202e\u009b") {
			t.Fatalf("%q", s)
		}
	})
}
