package wasi_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// tryReplay runs f with what it logged before, and returns the divergence.
func tryReplay(g *guest, r *wasi.Replayer, f func()) (d *wasi.Divergence) {
	g.sys.SetTap(r)
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.As(err, &d) {
				panic(v)
			}
		}
	}()
	f()
	return nil
}

func recordOf(g *guest, f func()) []wasi.Entry {
	var log []wasi.Entry
	g.sys.SetTap(&wasi.Recorder{Add: func(e wasi.Entry) { log = append(log, e) }})
	f()
	g.sys.SetTap(nil)
	return log
}

func TestTimesAndInodesOfWhatTheAttemptMadeAreTheLogs(t *testing.T) { // PROTOCOL rule 17
	g, _, dir := localGuest(t, false)
	os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o644)
	start := g.sys.Capture()
	var stats []wasi.Stat
	var names [][]string
	work := func() {
		stats, names = nil, nil
		note := func(st wasi.Stat, e wasi.Errno) {
			t.Helper()
			ok(t, "stat", e)
			stats = append(stats, st)
		}
		fd, e := g.open(3, "new", oCreat, rw, 0)
		ok(t, "create", e)
		_, e = g.write(fd, "hello")
		ok(t, "write", e)
		note(g.fstat(fd))
		note(g.stat(3, "new", false))
		ok(t, "mkdir", g.at(wasi.FnPathCreateDirectory, 3, "d"))
		ok(t, "rename", g.rename(3, "new", "d/newer"))
		ok(t, "link", g.link(3, "d/newer", "linked"))
		ok(t, "symlink", g.symlink("old", 3, "sym"))
		note(g.stat(3, "d", false))
		note(g.stat(3, "linked", false))
		note(g.stat(3, "sym", false))
		note(g.stat(3, ".", false))
		ok(t, "unlink", g.at(wasi.FnPathUnlinkFile, 3, "linked"))
		note(g.stat(3, "d/newer", false))
		list, e := g.list(3, 100)
		ok(t, "list", e)
		names = append(names, list)
	}
	undo := func() {
		t.Helper()
		for _, p := range []string{"d", "sym", "linked", "new"} {
			if err := os.RemoveAll(filepath.Join(dir, p)); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.sys.Install(start); err != nil {
			t.Fatal(err)
		}
	}
	log := recordOf(g, work)
	logged := stats
	undo()
	os.WriteFile(filepath.Join(dir, "takes the inode"), nil, 0o644)
	os.Remove(filepath.Join(dir, "takes the inode"))
	r := wasi.ReplayEntries(log)
	if d := tryReplay(g, r, work); d != nil {
		t.Fatal(d)
	}
	if r.Entries() != len(log) {
		t.Errorf("%d of %d entries were used", r.Entries(), len(log))
	}
	for i := range logged {
		if stats[i] != logged[i] {
			t.Errorf("stat %d: %+v, logged %+v", i, stats[i], logged[i])
		}
	}
	if len(names[0]) != 5 {
		t.Errorf("listed %q", names[0])
	}
	if b, err := os.ReadFile(filepath.Join(dir, "d", "newer")); err != nil || string(b) != "hello" {
		t.Errorf("the re-run leaves %q, %v", b, err)
	}
}

func TestAFileThatOthersChangedIsADivergence(t *testing.T) { // PROTOCOL rules 17 and 18
	for name, c := range map[string]struct {
		look   func(g *guest) wasi.Errno
		change func(path string) error
	}{
		"its time": {
			func(g *guest) wasi.Errno { _, e := g.stat(3, "f", true); return e },
			func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1000, 0)) },
		},
		"its size": {
			func(g *guest) wasi.Errno { _, e := g.stat(3, "f", true); return e },
			func(p string) error { return os.WriteFile(p, []byte("longer"), 0o644) },
		},
		"what it holds": {
			func(g *guest) wasi.Errno {
				fd, e := g.open(3, "f", 0, rw, 0)
				if e == wasi.ErrnoSuccess {
					_, e = g.read(fd, 10)
				}
				return e
			},
			func(p string) error { return os.WriteFile(p, []byte("TEXT"), 0o644) },
		},
		"that it is there": {
			func(g *guest) wasi.Errno { _, e := g.open(3, "f", 0, rw, 0); return e },
			os.Remove,
		},
		"the names beside it": {
			func(g *guest) wasi.Errno { _, e := g.list(3, 1000); return e },
			func(p string) error { return os.WriteFile(p+"2", nil, 0o644) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, dir := localGuest(t, false)
			p := filepath.Join(dir, "f")
			os.WriteFile(p, []byte("text"), 0o644)
			start := g.sys.Capture()
			log := recordOf(g, func() { ok(t, "look", c.look(g)) })
			if err := g.sys.Install(start); err != nil {
				t.Fatal(err)
			}
			if err := c.change(p); err != nil {
				t.Fatal(err)
			}
			if d := tryReplay(g, wasi.ReplayEntries(log), func() { c.look(g) }); d == nil {
				t.Error("the re-run goes on")
			}
		})
	}
}

func TestAWriteThatFailsNowIsADivergence(t *testing.T) { // PROTOCOL rule 17
	g, _, _ := localGuest(t, false)
	log := recordOf(g, func() { ok(t, "mkdir", g.at(wasi.FnPathCreateDirectory, 3, "d")) })
	// The folder is there already, so it cannot be made now.
	if d := tryReplay(g, wasi.ReplayEntries(log), func() { g.at(wasi.FnPathCreateDirectory, 3, "d") }); d == nil {
		t.Error("the re-run goes on")
	} else if d.Fn != wasi.FnPathCreateDirectory || d.Entry != 0 {
		t.Errorf("it names %v, entry %d", d.Fn, d.Entry)
	}
}
