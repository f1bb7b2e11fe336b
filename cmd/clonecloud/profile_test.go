package main

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/clonecloud/clonecloud/internal/profile"
)

// TestRoundsMeasureTheCallsInsideLevelByLevel: a function is measured in the run
// for the depth at which it is first met, and the outermost in none.
func TestRoundsMeasureTheCallsInsideLevelByLevel(t *testing.T) {
	long := profile.Cost{Calls: 2, Nanos: 2 * leastReplayed}
	tree := profile.New()
	start := tree.Root.Make(1)
	start.Device = long
	tree.Root.Make(profile.Other).Device = long
	main := start.Make(2)
	main.Device = long
	main.Make(3).Device = profile.Cost{Calls: 2, Nanos: 6 * leastReplayed}
	main.Make(4).Device = long
	main.Make(5).Device = profile.Cost{Calls: 3, Nanos: 2 * leastReplayed} // too short
	deep := main.Make(3)
	deep.Make(2).Device = long // measured further up
	for _, f := range []uint32{6, 7, 8} {
		deep = deep.Make(f)
		deep.Device = long
	}
	want := [][]uint32{{2}, {3, 4}, {6}} // and no more than three
	if got := rounds(tree); !reflect.DeepEqual(got, want) {
		t.Errorf("rounds %v, want %v", got, want)
	}
	if got := rounds(profile.New()); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestEveryRunReadsTheSameInput for a file that was read in part already, and
// for a pipe.
func TestEveryRunReadsTheSameInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte("skipped the rest"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(8, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if _, err := w.WriteString("the rest"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, from := range map[string]*os.File{"file": file, "pipe": pipe} {
		in, err := newInput(from)
		if err != nil {
			t.Fatal(err)
		}
		for run, open := range []func() (*os.File, error){in.first, in.again, in.again} {
			f, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || string(got) != "the rest" {
				t.Errorf("%s, run %d reads %q, %v", name, run, got, err)
			}
		}
		in.close()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	in, err := newInput(null)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	if f, err := in.again(); f != nil || err != nil {
		t.Errorf("a later run gets %v, %v of a device", f, err)
	}
}
