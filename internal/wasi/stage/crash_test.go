//go:build linux || darwin

package stage_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
	"pgregory.net/rapid"
)

// faults makes the n-th change of the disk fail: either the device is cut
// there (it panics, and a write is torn), or that one operation reports an
// error.
type faults struct {
	n, at int
	cut   bool
}

type cut struct{}

var errFault = errors.New("no space left on the test's device")

// step counts one change. The result says that it fails.
func (f *faults) step(torn func()) error {
	f.n++
	if f.n != f.at {
		return nil
	}
	if !f.cut {
		return errFault
	}
	if torn != nil {
		torn()
	}
	panic(cut{})
}

type faultyFS struct {
	*stage.HostFS
	f *faults
}

func (x faultyFS) Open(p stage.Place) (stage.File, error) {
	f, err := x.HostFS.Open(p)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, x.f}, nil
}

func (x faultyFS) Create(p stage.Place, mode fs.FileMode) (stage.File, error) {
	if err := x.f.step(nil); err != nil {
		return nil, err
	}
	f, err := x.HostFS.Create(p, mode)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, x.f}, nil
}

func (x faultyFS) Mkdir(p stage.Place, mode fs.FileMode) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.Mkdir(p, mode)
}

func (x faultyFS) Symlink(target string, p stage.Place) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.Symlink(target, p)
}

func (x faultyFS) Link(from, to stage.Place) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.Link(from, to)
}

func (x faultyFS) Rename(from, to stage.Place) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.Rename(from, to)
}

func (x faultyFS) Remove(p stage.Place) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.Remove(p)
}

func (x faultyFS) SetTimes(p stage.Place, atim, mtim wasi.TimeSet) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.SetTimes(p, atim, mtim)
}

func (x faultyFS) SyncDir(p stage.Place) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.HostFS.SyncDir(p)
}

type faultyFile struct {
	stage.File
	f *faults
}

func (x faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := x.f.step(func() { x.File.WriteAt(p[:len(p)/2], off) }); err != nil {
		return 0, err
	}
	return x.File.WriteAt(p, off)
}

func (x faultyFile) Truncate(size int64) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.File.Truncate(size)
}

func (x faultyFile) Sync() error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.File.Sync()
}

type faultyJournal struct {
	stage.FileJournal
	f *faults
}

func (x faultyJournal) Append(b []byte) error {
	if err := x.f.step(func() { x.FileJournal.Append(b[:len(b)/2]) }); err != nil {
		return err
	}
	return x.FileJournal.Append(b)
}

func (x faultyJournal) Trim(n int) error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.FileJournal.Trim(n)
}

func (x faultyJournal) Clear() error {
	if err := x.f.step(nil); err != nil {
		return err
	}
	return x.FileJournal.Clear()
}

// cutAt calls f and reports whether the device was cut in it.
func cutAt(f func()) (was bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, was = r.(cut); !was {
				panic(r)
			}
		}
	}()
	f()
	return false
}

// scene is one commit in a folder of its own, with faults.
type scene struct {
	base, dir     string
	before, after string // trees
	out           string
	f             faults
	committed     bool
	err           error
}

// play runs ops at a site and commits them under f.
func play(t fatal, ops []op, f faults) *scene {
	base, err := os.MkdirTemp("", "crash")
	must(t, err)
	sc := &scene{base: base, dir: filepath.Join(base, "folder"), f: f}
	must(t, os.Mkdir(sc.dir, 0o755))
	w := newWorld(t, sc.dir)
	defer w.local.CloseAll()
	w.do(op{name: "open", path: "b", flags: wasi.OpenFlags{Read: true, Write: true}})
	sc.before = tree(t, sc.dir)
	fsys := stage.OS()
	defer fsys.Close()
	srv := stage.NewServer(stage.Config{
		Host: w.local, Descs: w.descs, FS: faultyFS{fsys, &sc.f}, Journal: faultyJournal{sc.journal(), &sc.f},
	})
	s := newSite(srv)
	w.host = s
	for _, o := range ops {
		w.do(o)
	}
	eff, reads := s.Finish()
	cutAt(func() {
		st, err := srv.Prepare(eff, reads)
		if err != nil {
			sc.err = err
			return
		}
		done, err := st.Commit()
		sc.committed, sc.err = err == nil, err
		if err == nil {
			sc.err = done.Leftover
		}
	})
	srv.Abandon()
	sc.after, sc.out = tree(t, sc.dir), w.out.String()
	return sc
}

func (sc *scene) journal() stage.FileJournal {
	return stage.FileJournal{Path: filepath.Join(sc.base, "journal")}
}

// recover is the next start, perhaps cut itself.
func (sc *scene) recover(t fatal, f faults) {
	fsys := stage.OS()
	defer fsys.Close()
	cutAt(func() { must(t, stage.Recover(faultyJournal{sc.journal(), &f}, faultyFS{fsys, &f}, stage.AsRecorded)) })
}

func (sc *scene) close() { clear(sc.base) }

// checkCuts plays ops with the device cut at every point, and the recovery
// cut as well, and with every operation failing once.
func checkCuts(t fatal, ops []op, stride int) {
	whole := play(t, ops, faults{})
	defer whole.close()
	if errors.Is(whole.err, stage.ErrUnsupported) || errors.Is(whole.err, fs.ErrPermission) {
		return
	}
	must(t, whole.err)
	for at := 1; at <= whole.f.n; at++ {
		sc := play(t, ops, faults{at: at, cut: true})
		if at%stride == 0 {
			for again := 1; again < 40; again += stride {
				sc.recover(t, faults{at: again, cut: true})
			}
		}
		sc.recover(t, faults{})
		if now := tree(t, sc.dir); now != whole.before && now != whole.after {
			t.Fatalf("cut at %d of %d: neither before nor after:\n%s\n\nbefore:\n%s\n\nafter:\n%s", at, whole.f.n, now, whole.before, whole.after)
		}
		if _, err := os.Stat(sc.journal().Path); err == nil {
			t.Fatalf("cut at %d: the journal was not cleared", at)
		}
		sc.close()
	}
	for at := 1; at <= whole.f.n; at++ {
		sc := play(t, ops, faults{at: at})
		want := whole.before
		if sc.committed {
			want = whole.after
			sc.recover(t, faults{})
			sc.after = tree(t, sc.dir)
		}
		if sc.after != want {
			t.Fatalf("failure at %d of %d (%v, committed %v):\n%s\n\nwant:\n%s", at, whole.f.n, sc.err, sc.committed, sc.after, want)
		}
		sc.close()
	}
}

type fatal interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

// TestADeviceCutAnywhereInACommitRecovers has one program with every kind of
// step, and cuts the device after each.
func TestADeviceCutAnywhereInACommitRecovers(t *testing.T) {
	create := wasi.OpenFlags{Write: true, Create: true, Follow: true}
	rewrite := wasi.OpenFlags{Write: true, Truncate: true, Follow: true}
	write := wasi.OpenFlags{Write: true, Follow: true}
	for name, ops := range map[string][]op{
		"a new file in a new folder": {
			{name: "mkdir", path: "n"},
			{name: "open", path: "n/m", flags: create},
			{name: "pwrite", slot: 2, data: []byte("hello")},
			{name: "write", stream: 1, data: []byte("out")},
			{name: "pwrite", slot: 2, data: []byte("more"), off: 5},
		},
		"a file written anew, and again later": {
			{name: "open", path: "d/a", flags: rewrite},
			{name: "pwrite", slot: 2, data: []byte("new")},
			{name: "write", stream: 1, data: []byte("out")},
			{name: "pwrite", slot: 2, data: []byte("er"), off: 3},
		},
		"a file held open, changed in place": {
			{name: "pwrite", slot: 1, data: []byte("new"), off: 100},
			{name: "setsize", slot: 1, n: 5000},
			{name: "pwrite", slot: 1, data: []byte("far"), off: 200_000},
		},
		"a file with two names": {
			{name: "open", path: "a", flags: write},
			{name: "pwrite", slot: 2, data: []byte("new"), off: 3},
			{name: "unlink", path: "d/h"},
		},
		"removals": {
			{name: "unlink", path: "a"},
			{name: "unlink", path: "l"},
			{name: "rmdir", path: "empty"},
			{name: "unlink", path: "d/e/c"},
			{name: "unlink", path: "d/e/slash"},
			{name: "rmdir", path: "d/e"},
		},
		"names swapped": {
			{name: "rename", path: "a", path2: "n"}, {name: "rename", path: "b", path2: "a"}, {name: "rename", path: "n", path2: "b"},
		},
		"a folder renamed and used": {
			{name: "open", path: "d/n", flags: create},
			{name: "pwrite", slot: 2, data: []byte("x")},
			{name: "rename", path: "d", path2: "m"},
			{name: "open", path: "m/e/n", flags: create},
			{name: "pwrite", slot: 3, data: []byte("y")},
			{name: "rename", path: "m", path2: "d"},
		},
		"replaced by renames": {
			{name: "open", path: "n", flags: create},
			{name: "pwrite", slot: 2, data: []byte("x")},
			{name: "rename", path: "n", path2: "a"},
			{name: "rename", path: "d/e", path2: "empty"},
			{name: "rename", path: "a", path2: "d/a"},
		},
		"links": {
			{name: "link", path: "b", path2: "d/n"},
			{name: "symlink", path: "m", path2: "d/n"},
			{name: "link", path: "m", path2: "d/m"},
			{name: "unlink", path: "b"},
			{name: "link", path: "d/n", path2: "b"},
		},
		"a folder emptied and replaced": {
			{name: "unlink", path: "d/e/c"},
			{name: "unlink", path: "d/e/slash"},
			{name: "mkdir", path: "n"},
			{name: "open", path: "n/c", flags: create},
			{name: "rename", path: "n", path2: "d/e"},
		},
		"times": {
			{name: "settimesat", path: "a", mtim: wasi.TimeSet{Set: true, At: 1e18}},
			{name: "settimesat", path: "d", mtim: wasi.TimeSet{Set: true, At: 1e18}},
			{name: "settimesat", path: "l", mtim: wasi.TimeSet{Set: true, At: 1e18}},
			{name: "settimes", slot: 1, mtim: wasi.TimeSet{Set: true, At: 1e18}},
		},
	} {
		t.Run(name, func(t *testing.T) { checkCuts(t, ops, 1) })
	}
}

// TestAnyCommitCutAnywhereRecovers does the same to programs nobody chose.
func TestAnyCommitCutAnywhereRecovers(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	rapid.Check(t, func(t *rapid.T) {
		var ops []op
		for range rapid.IntRange(1, 10).Draw(t, "ops") {
			o := genOp(t)
			if o.name != "random" {
				ops = append(ops, o)
			}
		}
		checkCuts(t, ops, 5)
	})
}

// TestWhatIsPrintedAfterAChangeIsPrintedWhenTheChangeHolds: a program that says
// "saved" has saved, wherever the device is cut (PROTOCOL rule 19).
func TestRule19WhatIsPrintedAfterAChangeIsPrintedWhenTheChangeHolds(t *testing.T) {
	ops := []op{
		{name: "write", stream: 1, data: []byte("saving ")},
		{name: "open", path: "d/a", flags: wasi.OpenFlags{Write: true, Truncate: true, Follow: true}},
		{name: "pwrite", slot: 2, data: []byte("new")},
		{name: "unlink", path: "l"},
		{name: "write", stream: 1, data: []byte("saved")},
	}
	whole := play(t, ops, faults{})
	defer whole.close()
	must(t, whole.err)
	seen := map[string]int{}
	for at := 1; at <= whole.f.n; at++ {
		sc := play(t, ops, faults{at: at, cut: true})
		sc.recover(t, faults{})
		holds := tree(t, sc.dir) == whole.after
		if sc.out == "saving saved" && !holds {
			t.Errorf("cut at %d of %d: it says that it has saved, and has not", at, whole.f.n)
		}
		seen[sc.out]++
		sc.close()
	}
	for _, out := range []string{"", "saving ", "saving saved"} {
		if seen[out] == 0 {
			t.Errorf("no cut came after %q: %v", out, seen)
		}
	}
}

// TestOutputThatFailsAfterTheLastChangeUndoesIt: nothing may follow on a write
// that did not go as the clone assumed (PROTOCOL rule 14).
func TestRule14OutputThatFailsAfterTheLastChangeUndoesIt(t *testing.T) {
	b := newBench(t, nil)
	b.local = wasi.NewLocal(nil, brokenOutput{}, io.Discard)
	t.Cleanup(b.local.CloseAll)
	var err error
	b.root, err = b.local.AddFolder(b.dir, false)
	must(t, err)
	b.descs[3] = rootDesc(b.root)
	b.srvCfg.Host = b.local
	b.srv = stage.NewServer(b.srvCfg)
	before := tree(t, b.dir)
	b.write(b.open("a", toRewrite), "new", 0)
	b.print("saved")
	st, err := b.prepare()
	must(t, err)
	_, err = st.Commit()
	var ce *stage.CommitError
	if !errors.As(err, &ce) || ce.Outputs != 0 || ce.Undo != nil {
		t.Errorf("%v", err)
	}
	if now := tree(t, b.dir); now != before {
		t.Errorf("changed:\n%s\n\nbefore:\n%s", now, before)
	}
}

type brokenOutput struct{}

func (brokenOutput) Write([]byte) (int, error) { return 0, errFault }
