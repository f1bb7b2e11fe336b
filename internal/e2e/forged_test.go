package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wire"
)

const secret = "what no clone may see or change"

// scene is where a forgery is tried: the guest has the folder / and, to be read
// alone, the folder /kept; beside them is what it was not given.
type forgeryScene struct {
	scratch, kept, outside string
}

// identity is what the device's own system says of a file: a hostile clone that
// guesses it right is the worst one.
func identityOf(t *tamperer, path string) (wasi.Filetype, wasi.Identity) {
	dir, name := filepath.Split(path)
	l := wasi.NewLocal(nil, nil, nil)
	defer l.CloseAll()
	h, err := l.AddFolder(filepath.Clean(dir), true)
	if err != nil {
		t.tb.Error(err)
		return 0, wasi.Identity{}
	}
	st, e := l.StatAt(h, name, false)
	if e != wasi.ErrnoSuccess {
		t.tb.Errorf("%s: %v", path, e)
	}
	return st.Type, st.Identity()
}

// existing is an object of the device under a folder of the guest, as path of
// the folder and as path of the machine.
func existing(t *tamperer, folder, path, real string) site.Object {
	typ, id := identityOf(t, real)
	return site.Object{Type: typ, Handle: t.folder(folder), Path: path, ID: id}
}

// after sends output when the call is over.
func (t *tamperer) after() {
	list := site.EncodeList([]site.Effect{{Kind: site.EffectOutput, Stream: 1, Data: []byte("printed by a dead call\n")}})
	at := t.ret.First + uint32(len(t.ret.Entries))
	t.put(wire.TypeRelease, &wire.Release{First: at, Entries: []*wire.Entry{{Class: wire.Class_CLASS_OUTPUT, Effect: list}}}, nil)
}

// TestRule15AForgedReturnChangesNothing has a node that knows everything about
// the call change one thing in its Return.
func TestRule15AForgedReturnChangesNothing(t *testing.T) {
	p := effectsProgram()
	prepare := func(t *testing.T, s *forgeryScene) Setup {
		return func(o *device.Options) {
			s.scratch = o.Dirs[0].Host
			s.kept, s.outside = t.TempDir(), t.TempDir()
			for path, text := range map[string]string{filepath.Join(s.outside, "secret"): secret, filepath.Join(s.kept, "file"): "kept"} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Error(err)
				}
			}
			for name, target := range map[string]string{"way-out": s.outside, "way-out-to-secret": filepath.Join(s.outside, "secret")} {
				if err := os.Symlink(target, filepath.Join(s.scratch, name)); err != nil {
					t.Error(err)
				}
			}
			o.Dirs = append(o.Dirs, runner.Dir{Host: s.kept, Guest: "/kept", ReadOnly: true})
			o.TimeLimit, o.MaxPages = time.Minute, 512
		}
	}
	var s forgeryScene
	local := NewWorld(t).Run(p, OnDevice, prepare(t, &s))
	for _, f := range append(append([]forgery{{name: "an honest Return", stands: true, forge: sent(func(*tamperer, *forgeryScene) {})}},
		append(forgedPaths, forgedRights...)...), forgedValues...) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := NewWorld(t)
			var s forgeryScene
			var forged atomic.Bool
			var once sync.Once
			tamperWith(t, w, func(h *tamperer) {
				once.Do(func() {
					forged.Store(true) // the run may end before forge does
					f.forge(h, &s)
				})
			})
			remote := w.Run(p, Only("work"), prepare(t, &s))
			unlink(local.Files, remote.Files)
			if same(t, p, local, remote); t.Failed() {
				t.Log(calls(remote.Report.Calls))
			}
			if want := map[string]string{".": "folder", "secret": "file " + secret}; !maps.Equal(tree(t, s.outside), want) {
				t.Errorf("outside there is %q", tree(t, s.outside))
			}
			if want := map[string]string{".": "folder", "file": "file kept"}; !maps.Equal(tree(t, s.kept), want) {
				t.Errorf("in the read-only folder there is %q", tree(t, s.kept))
			}
			c := remote.Report.Totals
			if !forged.Load() || f.stands && (c.CallsClone != 1 || c.Fallbacks != 0) || !f.stands && c.Fallbacks != 1 {
				t.Errorf("forged: %v; %d calls committed, %d fell back: calls:%s", forged.Load(), c.CallsClone, c.Fallbacks, calls(remote.Report.Calls))
			}
			t.Log(calls(remote.Report.Calls))
		})
	}
}

// unlink forgets where the scene's links point: it differs from run to run.
func unlink(trees ...map[string]string) {
	for _, tree := range trees {
		for _, name := range []string{"way-out", "way-out-to-secret"} {
			if strings.HasPrefix(tree[name], "link to ") {
				tree[name] = "link"
			}
		}
	}
}
