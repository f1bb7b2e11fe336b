//go:build linux || darwin

package stage_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
	"github.com/clonecloud/clonecloud/internal/wasi/wasitest"
)

// suiteAbandons lists the modules of the public suite that a site cannot
// bring to a commit, and why: these run locally. It may only shrink.
var suiteAbandons = map[string]string{}

// TestThePublicSuitePassesAtASite runs every preview 1 module wholly at a
// site, and commits it.
func TestThePublicSuitePassesAtASite(t *testing.T) {
	root := os.Getenv(wasitest.SuiteEnv)
	if root == "" {
		t.Skipf("%s is not set", wasitest.SuiteEnv)
	}
	cases, err := wasitest.Suite(root)
	must(t, err)
	passed := 0
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			var commit error
			err := c.Run(ctx, t.TempDir(), func(p *wasitest.Program) {
				p.Host = func(p *wasitest.Program) (wasi.Host, []wasi.Handle, func(), error) { return atASite(t, p, &commit) }
			})
			if err == nil {
				err = commit
			}
			reason, known := suiteAbandons[c.Name]
			switch {
			case err == nil && known:
				t.Errorf("passes: take it off the list (%s)", reason)
			case err == nil:
				passed++
			case known:
				t.Logf("runs locally (%s): %v", reason, err)
			default:
				t.Error(err)
			}
		})
	}
	t.Logf("%d of %d modules pass", passed, len(cases))
}

// atASite gives a program a site as its Host, which is committed when the
// program has ended.
func atASite(t *testing.T, p *wasitest.Program, commit *error) (wasi.Host, []wasi.Handle, func(), error) {
	local, folders, closeAll, err := wasitest.LocalHost(p)
	if err != nil {
		return nil, nil, nil, err
	}
	l := local.(*wasi.Local)
	descs := map[uint32]wasi.Desc{}
	for i, h := range folders {
		descs[uint32(3+i)] = rootDesc(h)
	}
	srv := stage.NewServer(stage.Config{
		Host: l, Descs: func() map[uint32]wasi.Desc { return descs },
		Journal: stage.FileJournal{Path: filepath.Join(t.TempDir(), "journal")},
	})
	real, _ := l.Now(wasi.ClockRealtime)
	mono, _ := l.Now(wasi.ClockMonotonic)
	var s *site.Site
	s = site.New(site.Config{
		Forward:  func(r site.Request) (site.Reply, error) { return srv.Serve(r), nil },
		Realtime: real, Monotonic: mono,
		BeforeImmediate: func() error { _, err := srv.Release(s.TakeBatch()); return err },
	})
	return s, folders, func() {
		st, err := srv.Prepare(s.Finish())
		if err == nil {
			_, err = st.Commit()
		}
		*commit = err
		srv.Abandon()
		closeAll()
	}, nil
}
