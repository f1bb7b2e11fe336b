package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/profile"
)

// open returns a store with a lock that holds within this process; those of the
// operating system are tested where they are: in package device.
func open(t *testing.T, dir string) (_ *Store, warned func() []string) {
	t.Helper()
	var mu sync.Mutex
	held, warnings := map[string]bool{}, []string(nil)
	s := New(Config{
		Dir: dir,
		Lock: func(path string) (func(), bool) {
			mu.Lock()
			defer mu.Unlock()
			if held[path] {
				return nil, false
			}
			held[path] = true
			return func() { mu.Lock(); defer mu.Unlock(); delete(held, path) }, true
		},
		Write: func(path string, data []byte) error { return os.WriteFile(path, data, 0o600) },
		Warn:  func(err error) { warnings = append(warnings, err.Error()) },
	})
	return s, func() []string { return warnings }
}

func sample(calls uint64) *profile.Tree {
	t := profile.New()
	t.Runs = 1
	t.Root.Make(3).Make(9).Calls = calls
	return t
}

var key = Key{Module: [32]byte{1, 2, 3}, Rewriting: 7}

func TestAProfileGrowsOverRuns(t *testing.T) {
	s, warned := open(t, filepath.Join(t.TempDir(), "profiles"))
	if tree, err := s.Load(key); err != nil || !tree.Empty() {
		t.Fatalf("of a module that never ran %+v is known: %v", tree, err)
	}
	for i := range uint64(3) {
		if err := s.Merge(key, sample(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := s.Load(key)
	if err != nil || tree.Runs != 3 || tree.Root.Child(3).Child(9).Calls != 6 {
		t.Errorf("%+v, %v", tree, err)
	}
	for _, other := range []Key{{Module: [32]byte{1, 2, 4}, Rewriting: 7}, {Module: key.Module, Rewriting: 8}} {
		if tree, err := s.Load(other); err != nil || !tree.Empty() {
			t.Errorf("it is known of %v too", other)
		}
	}
	if len(warned()) > 0 {
		t.Errorf("warnings: %v", warned())
	}
}

func TestADamagedProfileIsToldAndGrowsAnew(t *testing.T) {
	good := encode(sample(5), key)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, data := range map[string][]byte{
		"empty": {}, "cut off": good[:len(good)-9], "flipped": flipped, "another's": encode(sample(5), Key{Rewriting: 7}),
		"something else": []byte(strings.Repeat("#!/bin/sh\n", 100)), "huge": make([]byte, maxFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			s, warned := open(t, t.TempDir())
			if err := os.WriteFile(s.path(key), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Merge(key, sample(2)); err != nil {
				t.Fatal(err)
			}
			if w := warned(); len(w) != 1 || !strings.Contains(w[0], s.path(key)) {
				t.Errorf("warnings: %q", w)
			}
			if tree, err := s.Load(key); err != nil || tree.Runs != 1 || len(warned()) != 1 {
				t.Errorf("after it: %+v, %v, %q", tree, err, warned())
			}
		})
	}
}

func TestMergesAtOnceAreAllKept(t *testing.T) {
	s, _ := open(t, t.TempDir())
	var wg sync.WaitGroup
	const each, writers = 10, 4
	for range writers {
		wg.Go(func() {
			for range each {
				if err := s.Merge(key, sample(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if tree, err := s.Load(key); err != nil || tree.Runs != each*writers {
		t.Errorf("%d runs of %d, %v", tree.Runs, each*writers, err)
	}
}

func TestAFolderThatCannotBeUsedIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, filepath.Join(file, "profiles"))
	if err := s.Merge(key, sample(1)); err == nil {
		t.Error("merged into nothing")
	}
	s, _ = open(t, t.TempDir())
	s.conf.Write = func(string, []byte) error { return errors.New("disk full") }
	if err := s.Merge(key, sample(1)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a full disk: %v", err)
	}
}

func TestTheModulesThatRanLongestAgoGo(t *testing.T) {
	s, _ := open(t, t.TempDir())
	old := time.Now().Add(-time.Hour)
	for i := range maxModules {
		path := filepath.Join(s.conf.Dir, fmt.Sprintf("%04d%s", i, suffix))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Merge(key, sample(1)); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(s.conf.Dir, "*"+suffix))
	if err != nil || len(all) != maxModules {
		t.Errorf("%d profiles, want %d", len(all), maxModules)
	}
	if _, err := os.Stat(filepath.Join(s.conf.Dir, "0000"+suffix)); err == nil {
		t.Error("the oldest is there")
	}
}

func FuzzDecode(f *testing.F) {
	good := encode(sample(5), key)
	f.Add(good)
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := decode(b, key)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatal(err)
			}
			return
		}
		if again, err := decode(encode(tree, key), key); err != nil || !bytes.Equal(again.Encode(), tree.Encode()) {
			t.Fatalf("written again it is another: %v", err)
		}
	})
}
