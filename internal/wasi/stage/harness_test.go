//go:build linux || darwin

package stage_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

// bench is a device and a site, with what the tests want to know.
type bench struct {
	t        *testing.T
	dir      string
	local    *wasi.Local
	root     wasi.Handle
	out      bytes.Buffer
	descs    map[uint32]wasi.Desc
	srv      *stage.Server
	site     *site.Site
	requests []site.Op
	cfg      site.Config
	srvCfg   stage.Config
}

func newBench(t *testing.T, tune func(b *bench)) *bench {
	b := &bench{t: t, dir: t.TempDir(), descs: map[uint32]wasi.Desc{}}
	populate(t, b.dir)
	b.local = wasi.NewLocal(strings.NewReader("input"), &b.out, io.Discard)
	t.Cleanup(b.local.CloseAll)
	var err error
	b.root, err = b.local.AddFolder(b.dir, false)
	must(t, err)
	b.descs[3] = rootDesc(b.root)
	b.srvCfg = stage.Config{
		Host: b.local, Descs: func() map[uint32]wasi.Desc { return b.descs },
		Journal: stage.FileJournal{Path: filepath.Join(t.TempDir(), "journal")},
	}
	b.cfg = site.Config{Forward: func(r site.Request) (site.Reply, error) {
		b.requests = append(b.requests, r.Op)
		return b.srv.Serve(r), nil
	}}
	if tune != nil {
		tune(b)
	}
	b.srv = stage.NewServer(b.srvCfg)
	t.Cleanup(b.srv.Abandon)
	b.site = site.New(b.cfg)
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) open(path string, f wasi.OpenFlags) wasi.Handle {
	b.t.Helper()
	h, _, e := b.site.Open(b.root, path, f)
	b.ok(e)
	return h
}

func (b *bench) ok(e wasi.Errno) {
	b.t.Helper()
	if e != wasi.ErrnoSuccess {
		b.t.Fatal(e)
	}
}

func (b *bench) write(h wasi.Handle, s string, off uint64) {
	b.t.Helper()
	n, e := b.site.PWrite(h, []byte(s), off)
	b.ok(e)
	if n != len(s) {
		b.t.Fatal("short write of", n)
	}
}

func (b *bench) print(s string) {
	b.t.Helper()
	_, e := b.site.Write(1, []byte(s))
	b.ok(e)
}

func (b *bench) prepare() (*stage.Staged, error) {
	eff, reads := b.site.Finish()
	return b.srv.Prepare(eff, reads)
}

func (b *bench) commit() *stage.Committed {
	b.t.Helper()
	st, err := b.prepare()
	must(b.t, err)
	c, err := st.Commit()
	must(b.t, err)
	must(b.t, c.Leftover)
	return c
}

// aborted returns the reason for which f abandons the attempt.
func aborted(t *testing.T, f func()) (reason string) {
	t.Helper()
	defer func() {
		a, ok := recover().(wasi.Abort)
		if !ok {
			t.Fatal("the attempt goes on")
		}
		reason = a.Reason
	}()
	f()
	return ""
}

// allRights are more than any descriptor has.
const allRights = wasi.Rights(1<<30 - 1)

// rootDesc is a folder that the guest was given.
func rootDesc(h wasi.Handle) wasi.Desc {
	return wasi.Desc{
		Handle: h, Root: h, Path: ".", Preopen: true, Type: wasi.FiletypeDirectory, Base: allRights, Inheriting: allRights,
	}
}

var (
	toRead    = wasi.OpenFlags{Read: true, Follow: true}
	toCreate  = wasi.OpenFlags{Read: true, Write: true, Create: true, Follow: true}
	toRewrite = wasi.OpenFlags{Write: true, Truncate: true, Follow: true}
	toWrite   = wasi.OpenFlags{Read: true, Write: true, Follow: true}
)
