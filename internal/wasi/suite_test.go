package wasi_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/wasitest"
)

// suiteFailures lists the modules of the public suite that fail on a Local,
// and why. It may only shrink.
var suiteFailures = map[string]string{}

func TestThePublicSuitePassesLocally(t *testing.T) {
	runSuite(t, suiteFailures, nil)
}

// Every module once more, recorded and then held to its log in the same
// folder: the same exit code, and no divergence (PROTOCOL rule 17).
func TestThePublicSuiteRunsAgainFromItsLog(t *testing.T) {
	cases := suite(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			scratch := t.TempDir()
			var log []wasi.Entry
			err := c.Run(ctx, scratch, func(p *wasitest.Program) {
				p.Host = seeded
				p.Tap = &wasi.Recorder{Add: func(e wasi.Entry) { log = append(log, e) }}
			})
			if err != nil {
				t.Fatal(err)
			}
			root := filepath.Join(scratch, "root")
			ents, _ := os.ReadDir(root)
			for _, e := range ents {
				if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
					t.Fatal(err)
				}
			}
			r := wasi.ReplayEntries(log)
			c.Stdout = new(string) // it was released the first time
			err = c.Run(ctx, scratch, func(p *wasitest.Program) {
				p.Tap = r
				p.Host = func(p *wasitest.Program) (wasi.Host, []wasi.Handle, func(), error) {
					h, folders, done, err := seeded(p)
					if err == nil && len(folders) > 0 {
						touchAll(t, r, h, folders[0], root)
					}
					return h, folders, done, err
				}
			})
			if err != nil {
				t.Error(err)
			}
			if r.Entries() != len(log) {
				t.Errorf("%d of %d entries were used", r.Entries(), len(log))
			}
		})
	}
}

// touchAll tells a Replayer that everything in a folder was made anew.
func touchAll(t *testing.T, r *wasi.Replayer, host wasi.Host, h wasi.Handle, dir string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, e := host.StatAt(h, p, false)
		r.Touched(st.Dev, st.Ino)
		if e != wasi.ErrnoSuccess {
			return e
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// suite returns the modules of the public suite, or skips the test.
func suite(t *testing.T) []wasitest.Case {
	t.Helper()
	root := os.Getenv(wasitest.SuiteEnv)
	if root == "" {
		t.Skipf("%s is not set; it names a checkout of WebAssembly/wasi-testsuite, branch prod/testsuite-base", wasitest.SuiteEnv)
	}
	cases, err := wasitest.Suite(root)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// runSuite runs every preview 1 module of the suite and holds the failures
// to a list: what is not on it must pass, what passes must not be on it.
func runSuite(t *testing.T, failures map[string]string, adjust func(*wasitest.Program)) {
	cases := suite(t)
	passed := 0
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			err := c.Run(ctx, t.TempDir(), adjust)
			reason, known := failures[c.Name]
			switch {
			case err == nil && known:
				t.Errorf("passes: take it off the list (%s)", reason)
			case err == nil:
				passed++
			case known:
				t.Logf("known failure (%s): %v", reason, err)
			default:
				t.Error(err)
			}
		})
	}
	t.Logf("%d of %d modules pass", passed, len(cases))
}
