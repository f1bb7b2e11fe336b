//go:build linux || darwin

package stage_test

import (
	"os"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

// BenchmarkCommit takes over one attempt that printed a line, or also wrote
// one file. The second is the disk's: it flushes six times.
func BenchmarkCommit(b *testing.B) {
	for name, file := range map[string]bool{"a line": false, "a line and a file": true} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			l := wasi.NewLocal(nil, nil, nil)
			defer l.CloseAll()
			root, err := l.AddFolder(dir, false)
			must(b, err)
			srv := stage.NewServer(stage.Config{Host: l, Journal: stage.FileJournal{Path: dir + "/journal"}})
			for b.Loop() {
				s := newSite(srv)
				s.Write(1, []byte("line\n"))
				if file {
					h, _, e := s.Open(root, "f", wasi.OpenFlags{Write: true, Create: true, Truncate: true})
					if e != wasi.ErrnoSuccess {
						b.Fatal(e)
					}
					s.PWrite(h, []byte("content"), 0)
					s.Close(h)
				}
				st, err := srv.Prepare(s.Finish())
				must(b, err)
				if _, err := st.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead reads a file of 64 MiB through a site in small pieces,
// without a network in between.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	must(b, os.WriteFile(dir+"/f", make([]byte, 64<<20), 0o600))
	l := wasi.NewLocal(nil, nil, nil)
	defer l.CloseAll()
	root, err := l.AddFolder(dir, false)
	must(b, err)
	buf := make([]byte, 4096)
	b.SetBytes(64 << 20)
	for b.Loop() {
		srv := stage.NewServer(stage.Config{Host: l})
		s := site.New(site.Config{Forward: func(r site.Request) (site.Reply, error) { return srv.Serve(r), nil }})
		h, _, e := s.Open(root, "f", wasi.OpenFlags{Read: true})
		if e != wasi.ErrnoSuccess {
			b.Fatal(e)
		}
		for off := uint64(0); off < 64<<20; off += 4096 {
			if n, e := s.PRead(h, buf, off); n != 4096 || e != wasi.ErrnoSuccess {
				b.Fatal(n, e)
			}
		}
		srv.Abandon()
	}
}
