package wasi_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// model is what files and descriptors should be, in a few lines.
type model struct {
	files map[string]*node // by path; folders and files
	fds   map[uint32]*mfd
}

type node struct {
	dir  bool
	data []byte
}

type mfd struct {
	n              *node
	off            int
	r, w, appender bool
}

func (m *model) lookup(p string) (*node, wasi.Errno) {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		parent, e := m.lookup(p[:i])
		switch {
		case e != wasi.ErrnoSuccess:
			return nil, e
		case parent == nil:
			return nil, wasi.ErrnoNoent
		case !parent.dir:
			return nil, wasi.ErrnoNotdir
		}
	}
	return m.files[p], wasi.ErrnoSuccess
}

func (m *model) children(p string) (names []string) {
	for q := range m.files {
		if rest, ok := strings.CutPrefix(q, p+"/"); ok && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

func (m *model) open(p string, oflags uint32, r, w, appender bool) (uint32, wasi.Errno) {
	if oflags&oDirectory != 0 && oflags&oCreat != 0 {
		return 0, wasi.ErrnoInval
	}
	n, e := m.lookup(p)
	if e != wasi.ErrnoSuccess {
		return 0, e
	}
	switch {
	case n == nil && oflags&oCreat == 0:
		return 0, wasi.ErrnoNoent
	case n == nil:
		n = &node{}
		m.files[p] = n
	case oflags&oCreat != 0 && oflags&oExcl != 0:
		return 0, wasi.ErrnoExist
	case n.dir && (w || oflags&(oCreat|oTrunc) != 0):
		return 0, wasi.ErrnoIsdir
	case !n.dir && oflags&oDirectory != 0:
		return 0, wasi.ErrnoNotdir
	case !n.dir && oflags&oTrunc != 0:
		n.data = nil
	}
	fd := uint32(0)
	for m.fds[fd] != nil {
		fd++
	}
	m.fds[fd] = &mfd{n: n, r: r, w: w, appender: appender}
	return fd, wasi.ErrnoSuccess
}

func (m *model) file(fd uint32, r, w bool) (*mfd, wasi.Errno) {
	f := m.fds[fd]
	switch {
	case f == nil:
		return nil, wasi.ErrnoBadf
	case f.n.dir:
		return nil, wasi.ErrnoIsdir
	case r && !f.r, w && !f.w:
		return nil, wasi.ErrnoBadf
	}
	return f, wasi.ErrnoSuccess
}

func (n *node) writeAt(b string, off int) {
	if len(b) == 0 {
		return
	}
	if grow := off + len(b) - len(n.data); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[off:], b)
}

func (n *node) readAt(size, off int) string {
	off = min(off, len(n.data))
	return string(n.data[off:min(off+size, len(n.data))])
}

func (m *model) rename(from, to string) wasi.Errno {
	a, e := m.lookup(from)
	if e != wasi.ErrnoSuccess {
		return e
	}
	b, e := m.lookup(to)
	switch {
	case e != wasi.ErrnoSuccess:
		return e
	case a == nil:
		return wasi.ErrnoNoent
	case a.dir && strings.HasPrefix(to, from+"/"):
		return wasi.ErrnoInval
	case strings.HasPrefix(from, to+"/"):
		return wasi.ErrnoNotempty
	case a == b:
		return wasi.ErrnoSuccess
	case b != nil && a.dir && !b.dir:
		return wasi.ErrnoNotdir
	case b != nil && !a.dir && b.dir:
		return wasi.ErrnoIsdir
	case b != nil && b.dir && len(m.children(to)) > 0:
		return wasi.ErrnoNotempty
	}
	delete(m.files, from)
	m.files[to] = a
	for p, n := range m.files {
		if rest, ok := strings.CutPrefix(p, from+"/"); ok {
			delete(m.files, p)
			m.files[to+"/"+rest] = n
		}
	}
	return wasi.ErrnoSuccess
}

func TestFilesBehaveLikeAPlainModelWhereverTheTableMoves(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "run")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		l := wasi.NewLocal(nil, nil, nil)
		defer l.CloseAll()
		h, err := l.AddFolder(dir, false)
		if err != nil {
			t.Fatal(err)
		}
		sys, err := wasi.New(wasi.Config{Host: l, Preopens: []wasi.Preopen{{GuestPath: "/", Handle: h}}})
		if err != nil {
			t.Fatal(err)
		}
		g := newGuest(sys)
		m := &model{files: map[string]*node{}, fds: map[uint32]*mfd{}}
		for fd := range uint32(4) {
			m.fds[fd] = &mfd{n: &node{dir: true}} // not the model's business
		}
		same := func(what string, got, want wasi.Errno) {
			t.Helper()
			if got != want {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
		path := rapid.SampledFrom([]string{"x", "y", "d", "e", "d/x", "d/y", "d/e", "d/e/x", "e/x"})
		fdOf := rapid.Uint32Range(4, 9)
		text := rapid.StringMatching(`[a-z]{0,12}`)
		size := rapid.IntRange(0, 20)
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				p, fl := path.Draw(t, "path"), rapid.Uint32Range(0, 15).Draw(t, "oflags")
				r, w, app := rapid.Bool().Draw(t, "r"), rapid.Bool().Draw(t, "w"), rapid.Bool().Draw(t, "append")
				rights, fdf := uint64(0), wasi.Fdflags(0)
				if r {
					rights |= uint64(wasi.RightFdRead)
				}
				if w {
					rights |= uint64(wasi.RightFdWrite)
				}
				if app {
					fdf = wasi.FdflagAppend
				}
				if len(m.fds) > 9 {
					t.Skip("enough are open")
				}
				wantFd, want := m.open(p, fl, r, w, app)
				gotFd, got := g.open(3, p, fl, rights, fdf)
				same("open "+p, got, want)
				if want == wasi.ErrnoSuccess && gotFd != wantFd {
					t.Fatalf("open %s: descriptor %d, want %d", p, gotFd, wantFd)
				}
			},
			"close": func(t *rapid.T) {
				fd, want := fdOf.Draw(t, "fd"), wasi.ErrnoBadf
				if m.fds[fd] != nil {
					want = wasi.ErrnoSuccess
					delete(m.fds, fd)
				}
				same("close", g.close(fd), want)
			},
			"renumber": func(t *rapid.T) {
				a, b, want := fdOf.Draw(t, "from"), fdOf.Draw(t, "to"), wasi.ErrnoBadf
				if m.fds[a] != nil && m.fds[b] != nil {
					want = wasi.ErrnoSuccess
					f := m.fds[a]
					delete(m.fds, a)
					m.fds[b] = f
				}
				same("renumber", g.call(wasi.FnFdRenumber, uint64(a), uint64(b)), want)
			},
			"write": func(t *rapid.T) {
				fd, s := fdOf.Draw(t, "fd"), text.Draw(t, "text")
				f, want := m.file(fd, false, true)
				n, got := g.write(fd, s)
				same("write", got, want)
				if want != wasi.ErrnoSuccess {
					return
				}
				if f.appender && s != "" {
					f.off = len(f.n.data)
				}
				f.n.writeAt(s, f.off)
				f.off += len(s)
				if int(n) != len(s) {
					t.Fatalf("wrote %d of %d", n, len(s))
				}
			},
			"pwrite": func(t *rapid.T) {
				fd, s, off := fdOf.Draw(t, "fd"), text.Draw(t, "text"), size.Draw(t, "off")
				f, want := m.file(fd, false, true)
				same("pwrite", g.pwrite(fd, s, uint64(off)), want)
				if want == wasi.ErrnoSuccess {
					f.n.writeAt(s, off)
				}
			},
			"read": func(t *rapid.T) {
				fd, n := fdOf.Draw(t, "fd"), size.Draw(t, "n")
				f, want := m.file(fd, true, false)
				s, got := g.read(fd, n)
				same("read", got, want)
				if want == wasi.ErrnoSuccess {
					if w := f.n.readAt(n, f.off); s != w {
						t.Fatalf("read %q, want %q", s, w)
					}
					f.off += len(s)
				}
			},
			"pread": func(t *rapid.T) {
				fd, n, off := fdOf.Draw(t, "fd"), size.Draw(t, "n"), size.Draw(t, "off")
				f, want := m.file(fd, true, false)
				s, got := g.pread(fd, n, uint64(off))
				same("pread", got, want)
				if want == wasi.ErrnoSuccess {
					if w := f.n.readAt(n, off); s != w {
						t.Fatalf("pread %q, want %q", s, w)
					}
				}
			},
			"seek": func(t *rapid.T) {
				fd, by, whence := fdOf.Draw(t, "fd"), rapid.IntRange(-10, 10).Draw(t, "by"), rapid.Uint32Range(0, 2).Draw(t, "whence")
				f, want := m.file(fd, false, false)
				at, got := g.seek(fd, int64(by), whence)
				to := by
				if f != nil {
					to += []int{0, f.off, len(f.n.data)}[whence]
					if to < 0 {
						want = wasi.ErrnoInval
					}
				}
				same("seek", got, want)
				if want == wasi.ErrnoSuccess {
					f.off = to
					if int(at) != to {
						t.Fatalf("seek to %d, want %d", at, to)
					}
				}
			},
			"set size": func(t *rapid.T) {
				fd, n := fdOf.Draw(t, "fd"), size.Draw(t, "n")
				f, want := m.file(fd, false, false)
				if f != nil && !f.w {
					want = wasi.ErrnoInval
				}
				same("set size", g.call(wasi.FnFdFilestatSetSize, uint64(fd), uint64(n)), want)
				if want == wasi.ErrnoSuccess {
					f.n.data = append(f.n.data, make([]byte, max(0, n-len(f.n.data)))...)[:n]
				}
			},
			"mkdir": func(t *rapid.T) {
				p := path.Draw(t, "path")
				n, want := m.lookup(p)
				if n != nil {
					want = wasi.ErrnoExist
				}
				same("mkdir "+p, g.at(wasi.FnPathCreateDirectory, 3, p), want)
				if want == wasi.ErrnoSuccess {
					m.files[p] = &node{dir: true}
				}
			},
			"rmdir": func(t *rapid.T) {
				p := path.Draw(t, "path")
				n, want := m.lookup(p)
				switch {
				case want != wasi.ErrnoSuccess:
				case n == nil:
					want = wasi.ErrnoNoent
				case !n.dir:
					want = wasi.ErrnoNotdir
				case len(m.children(p)) > 0:
					want = wasi.ErrnoNotempty
				default:
					delete(m.files, p)
				}
				same("rmdir "+p, g.at(wasi.FnPathRemoveDirectory, 3, p), want)
			},
			"unlink": func(t *rapid.T) {
				p := path.Draw(t, "path")
				n, want := m.lookup(p)
				switch {
				case want != wasi.ErrnoSuccess:
				case n == nil:
					want = wasi.ErrnoNoent
				case n.dir:
					want = wasi.ErrnoIsdir
				default:
					delete(m.files, p)
				}
				same("unlink "+p, g.at(wasi.FnPathUnlinkFile, 3, p), want)
			},
			"rename": func(t *rapid.T) {
				a, b := path.Draw(t, "from"), path.Draw(t, "to")
				same("rename "+a+" "+b, g.rename(3, a, b), m.rename(a, b))
			},
			"link": func(t *rapid.T) {
				a, b := path.Draw(t, "from"), path.Draw(t, "to")
				from, want := m.lookup(a)
				to, e := m.lookup(b)
				switch {
				case want != wasi.ErrnoSuccess:
				case e != wasi.ErrnoSuccess:
					want = e
				case from == nil:
					want = wasi.ErrnoNoent
				case to != nil:
					want = wasi.ErrnoExist
				case from.dir:
					want = wasi.ErrnoPerm
				default:
					m.files[b] = from
				}
				same("link "+a+" "+b, g.link(3, a, b), want)
			},
			"move the table": func(t *rapid.T) {
				st := g.sys.Capture()
				back, err := wasi.DecodeState(st.Encode())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(back.Encode(), st.Encode()) {
					t.Fatal("the state is not what it was")
				}
				sys, err := wasi.New(wasi.Config{Host: l})
				if err != nil {
					t.Fatal(err)
				}
				if err := sys.Install(back); err != nil {
					t.Fatal(err)
				}
				g = newGuest(sys)
			},
			"": func(t *rapid.T) {
				for p, n := range m.files {
					st, e := g.stat(3, p, false)
					same("stat "+p, e, wasi.ErrnoSuccess)
					if n.dir != (st.Type == wasi.FiletypeDirectory) || !n.dir && int(st.Size) != len(n.data) {
						t.Fatalf("stat %s: %+v", p, st)
					}
					if !n.dir {
						if b, err := os.ReadFile(filepath.Join(dir, p)); err != nil || !bytes.Equal(b, n.data) {
							t.Fatalf("%s holds %q, want %q (%v)", p, b, n.data, err)
						}
						continue
					}
					fd, e := g.open(3, p, oDirectory, 0, 0)
					same("open folder "+p, e, wasi.ErrnoSuccess)
					names, e := g.list(fd, 64)
					same("list "+p, e, wasi.ErrnoSuccess)
					if want := append([]string{".", ".."}, m.children(p)...); !slices.Equal(names, want) {
						t.Fatalf("list %s: %q, want %q", p, names, want)
					}
					same("close", g.close(fd), wasi.ErrnoSuccess)
				}
			},
		})
	})
}
