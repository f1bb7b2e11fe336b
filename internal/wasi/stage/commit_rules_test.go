//go:build linux || darwin

package stage_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

func TestRule14AnOutputThatFailsUndoesTheCommit(t *testing.T) {
	for name, want := range map[string]stage.OutputError{
		"closed":      {Index: 5, Entry: 9, Errno: wasi.ErrnoPipe},
		"short write": {Index: 5, Entry: 9, N: 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.local = wasi.NewLocal(nil, &failing{after: 1, short: want.N}, nil)
				b.root, _ = b.local.AddFolder(b.dir, false)
				b.descs[3] = rootDesc(b.root)
				b.srvCfg.Host = b.local
			})
			before := tree(t, b.dir)
			b.print("one")
			b.write(b.open("n", toCreate), "content", 0)
			b.write(b.open("a", toWrite), "other", 0)
			b.ok(b.site.Unlink(b.root, "b"))
			b.site.SetEntry(9)
			b.print("two")
			b.print("three")
			st, err := b.prepare()
			must(t, err)
			_, err = st.Commit()
			var ce *stage.CommitError
			var oe *stage.OutputError
			if !errors.As(err, &ce) || ce.Undo != nil || ce.Outputs != 1 || !errors.As(err, &oe) || *oe != want {
				t.Errorf("%v: %+v", err, oe)
			}
			if now := tree(t, b.dir); now != before {
				t.Errorf("not undone:\n%s", now)
			}
		})
	}
}

// failing is a stream that takes some writes and then fails, or is short.
type failing struct {
	after, short int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.after > 0 {
		f.after--
		return len(p), nil
	}
	if f.short > 0 {
		return f.short, nil
	}
	return 0, io.ErrClosedPipe
}

func TestRule15AFileThatChangedSinceItsFirstTouchAbandonsTheAttempt(t *testing.T) {
	for name, change := range map[string]func(b *bench) error{
		"content":  func(b *bench) error { return os.WriteFile(b.path("b"), []byte("x"), 0o600) },
		"replaced": func(b *bench) error { return os.Rename(b.path("a"), b.path("b")) },
		"removed":  func(b *bench) error { return os.Remove(b.path("b")) },
		"renamed":  func(b *bench) error { return os.Rename(b.path("b"), b.path("n")) },
	} {
		for _, when := range []string{"before prepare", "before commit"} {
			t.Run(name+" "+when, func(t *testing.T) {
				b := newBench(t, nil)
				b.write(b.open("b", toWrite), "changed by the clone", 3)
				b.write(b.open("n2", toCreate), "new", 0)
				b.print("out")
				var err error
				if when == "before prepare" {
					must(t, change(b))
					_, err = b.prepare()
				} else {
					var st *stage.Staged
					st, err = b.prepare()
					must(t, err)
					must(t, change(b))
					_, err = st.Commit()
				}
				if !errors.Is(err, stage.ErrChanged) {
					t.Error(err)
				}
				b.isClean()
				if b.out.Len() > 0 {
					t.Error("output was released")
				}
				if _, err := os.Stat(b.path("n2")); err == nil {
					t.Error("half of it was committed")
				}
			})
		}
	}
}

// isClean reports names of our own that were left behind.
func (b *bench) isClean() {
	b.t.Helper()
	if s := tree(b.t, b.dir); strings.Contains(s, ".clonecloud-") {
		b.t.Error("left behind:\n" + s)
	}
}

func TestRule16PrepareChangesNothingThatShows(t *testing.T) {
	b := newBench(t, nil)
	before := tree(t, b.dir)
	b.write(b.open("d/n", toCreate), "new", 0)
	b.write(b.open("b", toRewrite), "rewritten", 0)
	b.write(b.open("a", toWrite), "in place", 200_000)
	b.ok(b.site.Rename(b.root, "d/e", b.root, "m"))
	fi, err := os.Stat(b.path("a"))
	must(t, err)
	st, err := b.prepare()
	must(t, err)
	var lines []string
	for _, l := range strings.Split(tree(t, b.dir), "\n") {
		if !strings.Contains(l, ".clonecloud-") {
			lines = append(lines, l)
		}
	}
	if now := strings.Join(lines, "\n"); now != before {
		t.Errorf("now:\n%s\nbefore:\n%s", now, before)
	}
	if now, _ := os.Stat(b.path("a")); !now.ModTime().Equal(fi.ModTime()) {
		t.Error("the time of a file changed")
	}
	must(t, st.Abandon())
	if now := tree(t, b.dir); now != before {
		t.Errorf("abandoned:\n%s\nbefore:\n%s", now, before)
	}
}

func TestRule16AFileHeldOpenOrWithTwoNamesKeepsItsInode(t *testing.T) {
	for name, path := range map[string]string{"held": "b", "two names": "a"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			if path == "b" {
				h, _, e := b.local.Open(b.root, "b", toWrite)
				b.ok(e)
				b.descs[4] = wasi.Desc{Handle: h, Root: b.root, Path: "b", Type: wasi.FiletypeRegularFile, Base: allRights}
			}
			before, err := os.Stat(b.path(path))
			must(t, err)
			b.write(b.open(path, toRewrite), "rewritten", 0)
			b.commit()
			after, err := os.Stat(b.path(path))
			must(t, err)
			if !os.SameFile(before, after) || after.Size() != 9 {
				t.Error("another file now")
			}
		})
	}
}

func TestRule16AReplacedFileKeepsItsMode(t *testing.T) {
	b := newBench(t, nil)
	must(t, os.Chmod(b.path("d/a"), 0o751))
	b.write(b.open("d/a", toRewrite), "rewritten", 0)
	b.commit()
	fi, err := os.Stat(b.path("d/a"))
	must(t, err)
	if fi.Mode() != 0o751 || fi.Size() != 9 {
		t.Error(fi.Mode(), fi.Size())
	}
}

func TestRule16DDescriptorsAreMappedAndIdentitiesFresh(t *testing.T) {
	b := newBench(t, nil)
	held, _, e := b.local.Open(b.root, "b", toWrite)
	b.ok(e)
	b.descs[4] = wasi.Desc{Handle: held, Root: b.root, Path: "b", Type: wasi.FiletypeRegularFile, Base: allRights}
	h := b.open("d/n", toCreate)
	b.write(h, "hello", 0)
	dir := b.open("d", wasi.OpenFlags{Read: true, Directory: true})
	gone := b.open("tmp", toCreate)
	b.write(gone, "still there", 0)
	b.ok(b.site.Unlink(b.root, "tmp"))
	b.ok(b.site.Rename(b.root, "d", b.root, "m"))
	b.write(held, "changed", 0)
	c := b.commit()
	buf := make([]byte, 20)
	if n, e := b.local.PRead(c.Handles[h], buf, 0); string(buf[:n]) != "hello" {
		t.Error(string(buf[:n]), e)
	}
	if n, e := b.local.PRead(c.Handles[gone], buf, 0); string(buf[:n]) != "still there" {
		t.Error(string(buf[:n]), e)
	}
	if _, e := b.local.StatAt(c.Handles[dir], "n", false); e != wasi.ErrnoSuccess {
		t.Error(e)
	}
	for _, h := range []wasi.Handle{held, c.Handles[h]} {
		st, e := b.local.Stat(h)
		b.ok(e)
		if c.Identities[h] != st.Identity() {
			t.Error("a stale identity")
		}
	}
	b.isClean()
}

func TestAnUncutJournalRefusesTheNextCommit(t *testing.T) {
	b := newBench(t, nil)
	must(t, b.srvCfg.Journal.Append([]byte("left by a cut")))
	b.open("n", toCreate)
	if _, err := b.prepare(); !errors.Is(err, stage.ErrUnsupported) {
		t.Error(err)
	}
	b.isClean()
}

// TestAFileOfAReadOnlyFolderMayStayOpen: opening changes nothing, so the commit
// has no reason to refuse it.
func TestAFileOfAReadOnlyFolderMayStayOpen(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.root, _ = b.local.AddFolder(b.dir, true)
		d := rootDesc(b.root)
		d.ReadOnly = true
		b.descs[3] = d
	})
	h := b.open("a", toRead)
	got, ok := b.commit().Handles[h]
	if !ok || got&wasi.SiteHandle != 0 {
		t.Fatalf("handle %d became %d", h, got)
	}
	if _, e := b.local.PRead(got, make([]byte, 1), 0); e != wasi.ErrnoSuccess {
		t.Error(e)
	}
}
