//go:build linux || darwin

package stage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
	"pgregory.net/rapid"
)

// must ends a test on an error.
func must(t interface{ Fatal(...any) }, err error) {
	if err != nil {
		if h, ok := t.(interface{ Helper() }); ok {
			h.Helper()
		}
		t.Fatal(err)
	}
}

// populate fills a folder with one of everything.
func populate(t interface{ Fatal(...any) }, dir string) {
	write := func(name string, n int) {
		must(t, os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte(name+"."), n), 0o640))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "d", "e"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	write("a", 5)
	write("b", 50_000)
	write("d/a", 3000)
	write("d/e/c", 1)
	write("ro", 3)
	write("wo", 3)
	must(t, os.Chmod(filepath.Join(dir, "ro"), 0o444))
	must(t, os.Chmod(filepath.Join(dir, "wo"), 0o200))
	must(t, os.Mkdir(filepath.Join(dir, "locked"), 0o755))
	write("locked/a", 3)
	must(t, os.Chmod(filepath.Join(dir, "locked"), 0o555))
	must(t, os.WriteFile(filepath.Join(dir, "nothing"), nil, 0o600))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "d", "h")))
	for name, target := range map[string]string{
		"l": "a", "ld": "d", "dangling": "nowhere", "out": "../x", "abs": "/etc", "loop": "loop", "d/up": "../b", "d/e/slash": "../../empty/",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
}

// clear removes a folder with what populate locked.
func clear(base string) {
	filepath.WalkDir(base, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o755)
		}
		return nil
	})
	os.RemoveAll(base)
}

// tree describes a folder and all that is in it, but for times and inodes.
func tree(t interface{ Fatal(...any) }, dir string) string {
	var out []string
	inodes := map[uint64]string{}
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		line := fmt.Sprintf("%s %v", rel, fi.Mode())
		switch {
		case fi.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			line += " -> " + target
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if errors.Is(err, fs.ErrPermission) {
				b, err = []byte(fmt.Sprint(fi.Size())), nil
			}
			if err != nil {
				return err
			}
			ino := inodeOf(fi)
			if inodes[ino] == "" {
				inodes[ino] = rel
			}
			line += fmt.Sprintf(" %d %x is %s", len(b), hash(b), inodes[ino])
		}
		out = append(out, line)
		return nil
	}))
	return strings.Join(out, "\n")
}

// world is one folder with a guest on it.
type world struct {
	dir     string
	local   *wasi.Local
	root    wasi.Handle
	host    wasi.Host
	handles []wasi.Handle // by slot; 0 is the preopened folder
	out     *bytes.Buffer
	paths   map[wasi.Handle]string
}

func newWorld(t interface{ Fatal(...any) }, dir string) *world {
	populate(t, dir)
	out := &bytes.Buffer{}
	l := wasi.NewLocal(strings.NewReader("input"), out, out)
	h, err := l.AddFolder(dir, false)
	must(t, err)
	return &world{
		dir: dir, local: l, root: h, host: l, handles: []wasi.Handle{h}, out: out,
		paths: map[wasi.Handle]string{h: "."},
	}
}

func (w *world) descs() map[uint32]wasi.Desc {
	m := map[uint32]wasi.Desc{}
	for i, h := range w.handles {
		if h != 0 && h&wasi.SiteHandle == 0 {
			d := rootDesc(h)
			d.Root, d.Path, d.Preopen = w.root, w.paths[h], h == w.root
			if st, e := w.local.Stat(h); e == wasi.ErrnoSuccess {
				d.Type = st.Type
			}
			m[uint32(i)] = d
		}
	}
	return m
}

// op is one call of a Host, with slots for handles.
type op struct {
	name        string
	slot, slot2 int
	path, path2 string
	flags       wasi.OpenFlags
	follow      bool
	off, n      uint64
	data        []byte
	atim, mtim  wasi.TimeSet
	stream      wasi.Handle
}

func (o op) String() string {
	return fmt.Sprintf("%s slot %d,%d %q %q flags %+v follow %v off %d n %d data %d", o.name, o.slot, o.slot2, o.path, o.path2, o.flags, o.follow, o.off, o.n, len(o.data))
}

func (w *world) h(slot int) wasi.Handle { return w.handles[slot%len(w.handles)] }

func showStat(st wasi.Stat) string {
	size := st.Size
	if st.Type == wasi.FiletypeDirectory {
		size = 0
	}
	return fmt.Sprintf("type %d nlink %d size %d", st.Type, st.Nlink, size)
}

// do performs o and returns all that a guest could see of it.
func (w *world) do(o op) string {
	h, h2 := w.h(o.slot), w.h(o.slot2)
	switch o.name {
	case "open":
		nh, st, e := w.host.Open(h, o.path, o.flags)
		if e == wasi.ErrnoSuccess {
			w.handles = append(w.handles, nh)
			w.paths[nh] = w.paths[h] + "/" + o.path
			return "ok " + showStat(st)
		}
		return e.String()
	case "close":
		if o.slot%len(w.handles) == 0 {
			return ""
		}
		e := w.host.Close(h)
		w.handles = slices.Delete(w.handles, o.slot%len(w.handles), o.slot%len(w.handles)+1)
		return e.String()
	case "stat":
		st, e := w.host.Stat(h)
		return showStat(st) + e.String()
	case "statat":
		st, e := w.host.StatAt(h, o.path, o.follow)
		return showStat(st) + e.String()
	case "pread":
		buf := make([]byte, o.n)
		n, e := w.host.PRead(h, buf, o.off)
		return fmt.Sprintf("%x %v", hash(buf[:n]), e)
	case "pwrite":
		n, e := w.host.PWrite(h, o.data, o.off)
		return fmt.Sprint(n, e)
	case "append":
		n, end, e := w.host.Append(h, o.data)
		if e != wasi.ErrnoSuccess {
			end = 0
		}
		return fmt.Sprint(n, end, e)
	case "setsize":
		return w.host.SetSize(h, o.n).String()
	case "allocate":
		return w.host.Allocate(h, o.off, o.n).String()
	case "sync":
		return w.host.Sync(h, false).String()
	case "settimes":
		return w.host.SetTimes(h, o.atim, o.mtim).String()
	case "settimesat":
		return w.host.SetTimesAt(h, o.path, o.follow, o.atim, o.mtim).String()
	case "readdir":
		ds, e := w.host.ReadDir(h)
		var names []string
		for _, d := range ds {
			names = append(names, fmt.Sprintf("%s:%d", d.Name, d.Type))
		}
		slices.Sort(names)
		return fmt.Sprint(names, e)
	case "mkdir":
		return w.host.Mkdir(h, o.path).String()
	case "rmdir":
		return w.host.Rmdir(h, o.path).String()
	case "unlink":
		return w.host.Unlink(h, o.path).String()
	case "rename":
		return w.host.Rename(h, o.path, h2, o.path2).String()
	case "link":
		return w.host.Link(h, o.path, o.follow, h2, o.path2).String()
	case "symlink":
		return w.host.Symlink(o.path2, h, o.path).String()
	case "readlink":
		s, e := w.host.Readlink(h, o.path)
		return s + e.String()
	case "write":
		n, e := w.host.Write(o.stream, o.data)
		return fmt.Sprint(n, e)
	case "random":
		buf := make([]byte, o.n%64)
		w.host.Random(buf)
		return fmt.Sprintf("%x", buf)
	}
	panic(o.name)
}

var opNames = []string{
	"open", "open", "open", "open", "close", "stat", "statat", "pread", "pread", "pwrite", "pwrite", "pwrite", "append",
	"setsize", "allocate", "sync", "settimes", "settimesat", "readdir", "mkdir", "rmdir", "unlink", "rename", "rename",
	"link", "symlink", "readlink", "write", "random",
}

var partNames = []string{"a", "b", "d", "e", "c", "l", "ld", "h", "empty", "n", "m", "dangling", "nothing", "up", "..", ".", "out", "abs", "loop"}

func genPath(t *rapid.T, label string) string {
	if rapid.IntRange(0, 2).Draw(t, label+" known") > 0 {
		return rapid.SampledFrom([]string{
			"a", "b", "d/a", "d/e/c", "d/e", "d", "empty", "n", "d/n", "ld/a", "ld/n", "l", "d/up", "d/h", "empty/n", "m", "n/m",
			"d/../a", "ld/../a", "dangling", "out", "abs/x", "loop", "d/e/slash", "d/e/slash/n", "a/x", ".", "d/.", "d/..", "..", "../x",
			"nothing", "n/../a", "ro", "wo", "locked/a", "locked/n",
		}).Draw(t, label)
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(partNames), 1, 4).Draw(t, label), "/")
}

func genOp(t *rapid.T) op {
	o := op{
		name: rapid.SampledFrom(opNames).Draw(t, "op"),
		slot: 0, slot2: 0,
	}
	if rapid.Bool().Draw(t, "other slot") {
		o.slot = rapid.IntRange(0, 12).Draw(t, "slot")
		o.slot2 = rapid.IntRange(0, 12).Draw(t, "slot2")
	}
	switch o.name {
	case "open":
		o.flags = wasi.OpenFlags{
			Read: rapid.IntRange(0, 3).Draw(t, "read") > 0, Write: rapid.Bool().Draw(t, "write"),
			Create: rapid.Bool().Draw(t, "create"), Exclusive: rapid.IntRange(0, 4).Draw(t, "excl") == 0,
			Truncate: rapid.IntRange(0, 3).Draw(t, "trunc") == 0, Directory: rapid.IntRange(0, 4).Draw(t, "dir") == 0,
			Follow: rapid.IntRange(0, 3).Draw(t, "follow") > 0,
		}
		o.path = genPath(t, "path")
	case "pwrite", "append", "write":
		o.slot = rapid.IntRange(0, 12).Draw(t, "slot")
		o.data = bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "data"), rapid.SampledFrom([]int{1, 1, 7, 600, 9000}).Draw(t, "times"))
		o.off = genOff(t)
		o.stream = wasi.Handle(rapid.IntRange(1, 2).Draw(t, "stream"))
	case "pread", "setsize", "allocate", "stat", "sync", "readdir", "close", "random", "settimes":
		o.slot = rapid.IntRange(0, 12).Draw(t, "slot")
		o.off, o.n = genOff(t), genOff(t)
	default:
		o.path, o.path2 = genPath(t, "path"), genPath(t, "path2")
		o.follow = rapid.Bool().Draw(t, "follow")
	}
	if strings.HasPrefix(o.name, "settimes") {
		o.atim = wasi.TimeSet{Set: rapid.Bool().Draw(t, "atim"), At: 1_000_000_000_000_000_000}
		// Linux does not even look at the path if there is nothing to set.
		o.mtim = wasi.TimeSet{Set: !o.atim.Set || rapid.Bool().Draw(t, "mtim"), At: 1_100_000_000_000_000_000}
	}
	return o
}

func genOff(t *rapid.T) uint64 {
	return rapid.SampledFrom([]uint64{0, 1, 5, 100, 4095, 4096, 4097, 9000, 65536, 70000, 131072, 300000}).Draw(t, "off")
}

// newSite returns a site that asks srv in the wire's form.
func newSite(srv *stage.Server) *site.Site {
	return site.New(site.Config{Forward: func(r site.Request) (site.Reply, error) {
		req, err := site.DecodeRequest(r.Encode(nil))
		if err != nil {
			return site.Reply{}, err
		}
		p := srv.Serve(req)
		return site.DecodeReply(p.Encode(nil))
	}, Realtime: 1_700_000_000_000_000_000, Seed: [32]byte{1}})
}

// depart sends the guest to a site.
func (w *world) depart(journal string) (*site.Site, *stage.Server) {
	srv := stage.NewServer(stage.Config{Host: w.local, Descs: w.descs, Journal: stage.FileJournal{Path: journal}})
	s := newSite(srv)
	w.host = s
	return s, srv
}

// arrive commits what the guest did, through the wire's form.
func (w *world) arrive(t interface{ Fatal(...any) }, s *site.Site, srv *stage.Server) {
	eff, reads := s.Finish()
	eff2, err := site.DecodeEffects(eff.Encode(nil))
	must(t, err)
	reads2, err := site.DecodeReads(reads.Encode(nil))
	must(t, err)
	st, err := srv.Prepare(eff2, reads2)
	if errors.Is(err, stage.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		if sk, ok := t.(interface{ Skip(...any) }); ok {
			sk.Skip(err)
		}
	}
	if errors.Is(err, stage.ErrChanged) && os.Geteuid() != 0 {
		if sk, ok := t.(interface{ Skip(...any) }); ok {
			sk.Skip(err) // an answer that holds only where folders may be changed
		}
	}
	must(t, err)
	done, err := st.Commit()
	must(t, err)
	must(t, done.Leftover)
	for i, h := range w.handles {
		if h&wasi.SiteHandle != 0 {
			nh, ok := done.Handles[h]
			if !ok {
				t.Fatal("no handle of the device for", h)
			}
			w.handles[i] = nh
			w.paths[nh] = w.paths[h]
		}
	}
	srv.Abandon()
	w.host = w.local
}

// TestAnyProgramAtASiteIsAsAtHome is the oracle: whatever a program does, a
// site and a commit give what the device alone gives.
func TestAnyProgramAtASiteIsAsAtHome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, err := os.MkdirTemp("", "oracle")
		must(t, err)
		defer clear(base)
		for _, d := range []string{"home", "away"} {
			must(t, os.Mkdir(filepath.Join(base, d), 0o755))
		}
		a, b := newWorld(t, filepath.Join(base, "home")), newWorld(t, filepath.Join(base, "away"))
		defer a.local.CloseAll()
		defer b.local.CloseAll()
		a.local.Seed([32]byte{1})
		denied := false
		run := func(n int, phase string) {
			for range n {
				o := genOp(t)
				if phase != "away" && o.name == "random" {
					continue
				}
				ra, rb := a.do(o), b.do(o)
				if phase == "away" && ra == "EACCES" && ra != rb {
					denied = true // the site assumes success; the commit must not
					return
				}
				if ra != rb {
					t.Fatalf("%s: %v\nat home: %s\nat site: %s", phase, o, ra, rb)
				}
			}
		}
		run(rapid.IntRange(0, 6).Draw(t, "before"), "before")
		s, srv := b.depart(filepath.Join(base, "journal"))
		run(rapid.IntRange(1, 25).Draw(t, "ops"), "away")
		if denied {
			if _, err := srv.Prepare(s.Finish()); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, stage.ErrUnsupported) && !errors.Is(err, stage.ErrChanged) {
				t.Fatalf("not permitted at home, but prepared: %v", err)
			}
			return
		}
		b.arrive(t, s, srv)
		if ta, tb := tree(t, a.dir), tree(t, b.dir); ta != tb {
			t.Fatalf("at home:\n%s\nat site:\n%s", ta, tb)
		}
		if a.out.String() != b.out.String() {
			t.Fatalf("output at home %d bytes, at site %d", a.out.Len(), b.out.Len())
		}
		run(rapid.IntRange(0, 6).Draw(t, "after"), "after")
		if ta, tb := tree(t, a.dir), tree(t, b.dir); ta != tb {
			t.Fatalf("later, at home:\n%s\nat site:\n%s", ta, tb)
		}
		if _, err := os.Stat(filepath.Join(base, "journal")); err == nil {
			t.Fatal("the journal was not cleared")
		}
	})
}
