package e2e

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// forgery is one thing that a hostile clone tries.
type forgery struct {
	name string
	// forge changes the Return and sends it.
	forge func(t *tamperer, s *forgeryScene)
	// stands says that the call commits all the same: what was forged is not the
	// Return.
	stands bool
}

// sent is a forgery of the Return alone.
func sent(change func(t *tamperer, s *forgeryScene)) func(*tamperer, *forgeryScene) {
	return func(t *tamperer, s *forgeryScene) {
		change(t, s)
		t.send()
	}
}

// write is an effect on an object: the attempt would overwrite it.
func write(object int) site.Effect {
	return site.Effect{Kind: site.EffectWrite, Object: object, Data: []byte("overwritten by the clone")}
}

// fdOf is a descriptor of the result's table for which f holds.
func (t *tamperer) fdOf(f func(d *wasi.Desc) bool) (uint32, wasi.Desc) {
	for fd, d := range t.state.Descs {
		if f(&d) {
			return fd, d
		}
	}
	t.tb.Error("the result's table has no such descriptor")
	return 0, wasi.Desc{}
}

func isRoot(d *wasi.Desc) bool { return d.Preopen && d.Name == "/" }
func isKept(d *wasi.Desc) bool { return d.Preopen && d.Name == "/kept" }

// opened adds a handle of the attempt to the table.
func (t *tamperer) opened(o site.Object, flags wasi.OpenFlags, change func(d *wasi.Desc)) {
	h := wasi.SiteHandle | 77
	t.effects.Opens = append(t.effects.Opens, site.Open{Handle: h, Object: t.object(o), Flags: flags})
	_, root := t.fdOf(isRoot)
	d := wasi.Desc{Handle: h, Type: o.Type, Root: root.Root, Path: o.Path, Base: wasi.RightFdRead, Identity: o.ID}
	if o.Handle != root.Handle {
		_, kept := t.fdOf(isKept)
		d.Root, d.ReadOnly = kept.Root, true
	}
	if change != nil {
		change(&d)
	}
	t.state.Descs[40] = d
}

var forgedPaths = []forgery{
	{name: "a new file by a name with ..", forge: sent(func(t *tamperer, s *forgeryScene) {
		n := t.object(site.Object{New: true, Type: wasi.FiletypeRegularFile})
		root := t.object(existing(t, "/", "", s.scratch))
		t.do(site.Effect{Kind: site.EffectCreate, Dir: root, Name: "../planted", Object: n})
	})},
	{name: "a new file by an absolute name", forge: sent(func(t *tamperer, s *forgeryScene) {
		n := t.object(site.Object{New: true, Type: wasi.FiletypeRegularFile})
		root := t.object(existing(t, "/", "", s.scratch))
		t.do(site.Effect{Kind: site.EffectCreate, Dir: root, Name: filepath.Join(s.outside, "planted"), Object: n})
	})},
	{name: "a file by a path with ..", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.do(write(t.object(existing(t, "/", "../"+filepath.Base(s.outside)+"/secret", filepath.Join(s.outside, "secret")))))
	})},
	{name: "a file by an absolute path", forge: sent(func(t *tamperer, s *forgeryScene) {
		path := filepath.Join(s.outside, "secret")
		t.do(write(t.object(existing(t, "/", path, path))))
	})},
	{name: "a file through a link that was there", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.do(write(t.object(existing(t, "/", "way-out/secret", filepath.Join(s.outside, "secret")))))
	})},
	{name: "a link that points at a file outside, as if it were the file", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.do(write(t.object(existing(t, "/", "way-out-to-secret", filepath.Join(s.outside, "secret")))))
	})},
	{name: "a file through a link that it plants", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		l := t.object(site.Object{New: true, Type: wasi.FiletypeSymbolicLink})
		t.do(site.Effect{Kind: site.EffectSymlink, Dir: root, Name: "planted", Object: l, Target: "../" + filepath.Base(s.outside)})
		t.do(write(t.object(existing(t, "/", "planted/secret", filepath.Join(s.outside, "secret")))))
	})},
	{name: "a new file in a link that it plants", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		l := t.object(site.Object{New: true, Type: wasi.FiletypeSymbolicLink})
		n := t.object(site.Object{New: true, Type: wasi.FiletypeRegularFile})
		t.do(site.Effect{Kind: site.EffectSymlink, Dir: root, Name: "planted", Object: l, Target: "../" + filepath.Base(s.outside)})
		t.do(site.Effect{Kind: site.EffectCreate, Dir: l, Name: "file", Object: n})
	})},
	{name: "a link to an absolute target", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		l := t.object(site.Object{New: true, Type: wasi.FiletypeSymbolicLink})
		t.do(site.Effect{Kind: site.EffectSymlink, Dir: root, Name: "planted", Object: l, Target: s.outside})
	})},
	{name: "a rename out of the folder", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		out := t.object(existing(t, "/", "../"+filepath.Base(s.outside), s.outside))
		t.do(site.Effect{Kind: site.EffectRename, Dir: root, Name: "log.txt", Dir2: out, Name2: "moved"})
	})},
	{name: "a rename into the folder", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		out := t.object(existing(t, "/", "way-out", s.outside))
		t.do(site.Effect{Kind: site.EffectRename, Dir: out, Name: "secret", Dir2: root, Name2: "moved"})
	})},
	{name: "a rename across to another folder", forge: sent(func(t *tamperer, s *forgeryScene) {
		root, kept := t.object(existing(t, "/", "", s.scratch)), t.object(existing(t, "/kept", "", s.kept))
		t.do(site.Effect{Kind: site.EffectRename, Dir: root, Name: "log.txt", Dir2: kept, Name2: "moved"})
	})},
	{name: "a link to a file outside", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		o := t.object(existing(t, "/", "../"+filepath.Base(s.outside)+"/secret", filepath.Join(s.outside, "secret")))
		t.do(site.Effect{Kind: site.EffectLink, Dir: root, Name: "second", Object: o})
	})},
	{name: "removal of the folder itself", forge: sent(func(t *tamperer, s *forgeryScene) {
		up := t.object(existing(t, "/", "..", filepath.Dir(s.scratch)))
		t.do(site.Effect{Kind: site.EffectRmdir, Dir: up, Name: filepath.Base(s.scratch)})
	})},
	{name: "a read by a path with ..", forge: reading(func(s *forgeryScene) string { return "../" + filepath.Base(s.outside) + "/secret" })},
	{name: "a read by an absolute path", forge: reading(func(s *forgeryScene) string { return filepath.Join(s.outside, "secret") })},
	{name: "a read through a link", forge: reading(func(*forgeryScene) string { return "way-out/secret" })},
	{name: "a read of a link", forge: reading(func(*forgeryScene) string { return "way-out-to-secret" })},
}

// reading asks the device for a file that the guest has no way to, and then
// gives up: the answer must not hold a byte of it.
func reading(path func(*forgeryScene) string) func(*tamperer, *forgeryScene) {
	return func(t *tamperer, s *forgeryScene) {
		_, id := identityOf(t, filepath.Join(s.outside, "secret"))
		for _, op := range []site.Op{site.OpWalk, site.OpRead} {
			r := t.ask(wire.Class_CLASS_READ, site.Request{
				Op: op, Handle: t.folder("/"), Path: path(s), Follow: true, Read: true, ID: id, Length: 100,
			})
			if r == nil {
				return // refused: the attempt is over
			}
			if bytes.Contains(r.Payload, []byte(secret)) {
				t.tb.Errorf("operation %d: the device gave it away", op)
			}
			t.ret.Entries = append(t.ret.Entries, &wire.Entry{Class: wire.Class_CLASS_READ})
		}
		t.ret.Outcome = wire.Outcome_OUTCOME_TRAPPED
		t.send()
	}
}

var forgedRights = []forgery{
	{name: "a write to a file that may only be read", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.do(write(t.object(existing(t, "/kept", "file", filepath.Join(s.kept, "file")))))
	})},
	{name: "a new file in a folder that may only be read", forge: sent(func(t *tamperer, s *forgeryScene) {
		kept, n := t.object(existing(t, "/kept", "", s.kept)), t.object(site.Object{New: true, Type: wasi.FiletypeRegularFile})
		t.do(site.Effect{Kind: site.EffectCreate, Dir: kept, Name: "planted", Object: n})
	})},
	{name: "a write to standard input", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.do(write(t.object(site.Object{Type: wasi.FiletypeRegularFile, Handle: 0})))
	})},
	{name: "a handle to write where one may only read", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.opened(existing(t, "/kept", "file", filepath.Join(s.kept, "file")), wasi.OpenFlags{Read: true, Write: true}, nil)
	})},
	{name: "a right to write with a handle to read", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.opened(existing(t, "/kept", "file", filepath.Join(s.kept, "file")), wasi.OpenFlags{Read: true}, func(d *wasi.Desc) { d.ReadOnly = false })
	})},
	{name: "a handle with rights that no folder gives", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.opened(existing(t, "/", "log.txt", filepath.Join(s.scratch, "log.txt")), wasi.OpenFlags{Read: true}, func(d *wasi.Desc) { d.Base = wasi.RightSockAccept | wasi.RightFdRead })
	})},
	{name: "a file that claims to be a folder", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.opened(existing(t, "/", "log.txt", filepath.Join(s.scratch, "log.txt")), wasi.OpenFlags{Read: true}, func(d *wasi.Desc) { d.Type = wasi.FiletypeDirectory })
	})},
	{name: "a handle on a file outside", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.opened(existing(t, "/", "way-out/secret", filepath.Join(s.outside, "secret")), wasi.OpenFlags{Read: true}, nil)
	})},
	{name: "a handle that claims to be preopened", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.opened(existing(t, "/", "", s.scratch), wasi.OpenFlags{Read: true}, func(d *wasi.Desc) { d.Preopen, d.Name = true, "/more" })
	})},
	{name: "a preopened folder that was never given", forge: sent(func(t *tamperer, s *forgeryScene) {
		_, d := t.fdOf(isRoot)
		d.Handle, d.Root, d.Name = 99, 99, "/more"
		t.state.Descs[41] = d
	})},
	{name: "a preopened folder by another name", forge: sent(func(t *tamperer, s *forgeryScene) {
		fd, d := t.fdOf(isKept)
		d.Name = "/etc"
		t.state.Descs[fd] = d
	})},
	{name: "a read-only folder that may be changed", forge: sent(func(t *tamperer, s *forgeryScene) {
		fd, d := t.fdOf(isKept)
		d.ReadOnly = false
		t.state.Descs[fd] = d
	})},
	{name: "rights that were never given", forge: sent(func(t *tamperer, s *forgeryScene) {
		fd, d := t.fdOf(isRoot)
		d.Base |= wasi.RightFdWrite
		t.state.Descs[fd] = d
	})},
	{name: "standard input that may be written", forge: sent(func(t *tamperer, s *forgeryScene) {
		d := t.state.Descs[0]
		d.Base |= wasi.RightFdWrite
		t.state.Descs[0] = d
	})},
	{name: "a descriptor that nobody opened", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.state.Descs[42] = wasi.Desc{Handle: wasi.SiteHandle | 4711, Type: wasi.FiletypeRegularFile, Base: wasi.RightFdRead}
	})},
	{name: "more descriptors than there may be", forge: sent(func(t *tamperer, s *forgeryScene) {
		d := t.state.Descs[1]
		for fd := range uint32(wasi.MaxDescs + 1) {
			t.state.Descs[fd] = d
		}
	})},
	{name: "arguments that nobody gave", forge: sent(func(t *tamperer, s *forgeryScene) { t.state.Args = append(t.state.Args, "--force") })},
	{name: "no state at all", forge: func(t *tamperer, s *forgeryScene) {
		t.ret.Wasi = nil
		t.put(wire.TypeReturn, t.ret, t.body)
	}},
}

var forgedValues = []forgery{
	{name: "memory beyond the maximum", forge: sent(func(t *tamperer, s *forgeryScene) { t.body = t.memory(64 << 20) })},
	{name: "memory of almost 4 GiB", forge: sent(func(t *tamperer, s *forgeryScene) { t.body = t.memory(3 << 30) })},
	{name: "memory with a flipped bit", forge: sent(func(t *tamperer, s *forgeryScene) { t.body[len(t.body)/2] ^= 4 })},
	{name: "memory that ends early", forge: sent(func(t *tamperer, s *forgeryScene) { t.body = t.body[:len(t.body)/2] })},
	{name: "memory of another form", forge: sent(func(t *tamperer, s *forgeryScene) { t.body[1] ^= 1 })},
	{name: "no memory", forge: sent(func(t *tamperer, s *forgeryScene) { t.body = nil })},
	{name: "a global too many", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.Globals = append(t.ret.Globals, 0) })},
	{name: "no globals", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.Globals = nil })},
	{name: "a global that is no i32", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.Globals[0] |= 1 << 40 })},
	{name: "no result", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.Results = nil })},
	{name: "two results", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.Results = append(t.ret.Results, 1) })},
	{name: "a result that is no i32", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.Results[0] |= 1 << 63 })},
	{name: "a batch that begins elsewhere", forge: sent(func(t *tamperer, s *forgeryScene) { t.ret.First += 3 })},
	{name: "an immediate effect that the device did not perform", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.ret.Entries = append(t.ret.Entries, &wire.Entry{Class: wire.Class_CLASS_IMMEDIATE})
	})},
	{name: "a file change that calls itself output", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		t.do(site.Effect{Kind: site.EffectUnlink, Dir: root, Name: "log.txt"})
		t.ret.Entries[len(t.ret.Entries)-1].Class = wire.Class_CLASS_OUTPUT
	})},
	{name: "a file change in a Release", forge: func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		t.do(site.Effect{Kind: site.EffectUnlink, Dir: root, Name: "log.txt"})
		e := t.ret.Entries[len(t.ret.Entries)-1:]
		e[0].Class = wire.Class_CLASS_OUTPUT
		t.put(wire.TypeRelease, &wire.Release{First: t.ret.First, Entries: e}, nil)
		t.ret.First, t.ret.Entries = t.ret.First+1, t.ret.Entries[:len(t.ret.Entries)-1]
		t.send()
	}},
	{name: "output to a stream that is none", forge: sent(func(t *tamperer, s *forgeryScene) {
		list := []byte{1, byte(site.EffectOutput), 7, 0, 1, 'x'}
		t.ret.Entries = append(t.ret.Entries, &wire.Entry{Class: wire.Class_CLASS_OUTPUT, Effect: list})
	})},
	{name: "output after an exit that does not hold", forge: func(t *tamperer, s *forgeryScene) {
		t.ret.Outcome, t.ret.ExitCode, t.ret.Globals = wire.Outcome_OUTCOME_EXITED, 3, nil
		t.send()
		t.after()
	}},
	{name: "output after the Return", stands: true, forge: func(t *tamperer, s *forgeryScene) {
		t.send()
		t.after()
	}},
	{name: "the Return twice", stands: true, forge: func(t *tamperer, s *forgeryScene) {
		t.send()
		t.send()
	}},
	{name: "more entries than a batch may have", forge: sent(func(t *tamperer, s *forgeryScene) {
		for len(t.ret.Entries) <= wire.MaxBatch {
			t.ret.Entries = append(t.ret.Entries, &wire.Entry{})
		}
	})},
	{name: "more effects than an attempt may have", forge: sent(func(t *tamperer, s *forgeryScene) {
		one := t.ret.Entries[len(t.ret.Entries)-1].Effect
		at := t.ret.First + uint32(len(t.ret.Entries))
		for i := range uint32(wire.MaxBare + 1) {
			t.ret.Bare = append(t.ret.Bare, &wire.BareEffect{Entry: at + i, Class: wire.Class_CLASS_OUTPUT, Effect: one})
		}
	})},
	{name: "a list of effects that says that it is longer than it is", forge: sent(func(t *tamperer, s *forgeryScene) {
		t.ret.Entries = append(t.ret.Entries, &wire.Entry{Class: wire.Class_CLASS_FILE_CHANGE, Effect: []byte{0xff, 0xff, 0xff, 0xff, 0x0f}})
	})},
	{name: "a hundred thousand new files and one too many", forge: sent(func(t *tamperer, s *forgeryScene) {
		root := t.object(existing(t, "/", "", s.scratch))
		var list []site.Effect
		for i := range 100_000 {
			n := t.object(site.Object{New: true, Type: wasi.FiletypeRegularFile})
			list = append(list, site.Effect{Kind: site.EffectCreate, Dir: root, Name: "planted-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strconv.Itoa(i), Object: n})
		}
		t.do(append(list, site.Effect{Kind: site.EffectUnlink, Dir: root, Name: "no such file"})...)
	})},
	{name: "a file of an absurd size", forge: sent(func(t *tamperer, s *forgeryScene) {
		o := t.object(existing(t, "/", "log.txt", filepath.Join(s.scratch, "log.txt")))
		t.do(site.Effect{Kind: site.EffectWrite, Object: o, Offset: site.MaxFile - 4, Data: []byte("far")})
	})},
}
