//go:build linux || darwin

package stage_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

func TestHostileRequestsGetAnErrorAndNothingElse(t *testing.T) {
	b := newBench(t, nil)
	id := wasi.Identity{}
	for name, r := range map[string]site.Request{
		"no operation":              {},
		"an unknown one":            {Op: 99},
		"a handle of nothing":       {Op: site.OpWalk, Handle: 4711, Path: "a"},
		"a handle of the site":      {Op: site.OpStat, Handle: wasi.SiteHandle | 3},
		"out of the folder":         {Op: site.OpRead, Handle: b.root, Path: "../x", Length: 10},
		"out through a link":        {Op: site.OpRead, Handle: b.root, Path: "out", Length: 10},
		"an absolute link":          {Op: site.OpRead, Handle: b.root, Path: "abs/passwd", Length: 10},
		"an absolute path":          {Op: site.OpRead, Handle: b.root, Path: "/etc/passwd", Length: 10},
		"a NUL":                     {Op: site.OpRead, Handle: b.root, Path: "a\x00b", Length: 10},
		"a list of a file":          {Op: site.OpList, Handle: b.root, Path: "a"},
		"a list outside":            {Op: site.OpList, Handle: b.root, Path: ".."},
		"a list through a link":     {Op: site.OpList, Handle: b.root, Path: "ld"},
		"too much":                  {Op: site.OpRead, Handle: b.root, Path: "a", Length: 1 << 40},
		"from too far":              {Op: site.OpRead, Handle: b.root, Path: "a", Offset: 1<<64 - 1, Length: 1},
		"another file":              {Op: site.OpRead, Handle: b.root, Path: "a", ID: id, Length: 10},
		"content of a folder":       {Op: site.OpRead, Handle: b.root, Length: 10},
		"a socket that is none":     {Op: site.OpRecv, Handle: b.root, Length: 10},
		"accepting from a folder":   {Op: site.OpAccept, Handle: b.root},
		"writing to a folder":       {Op: site.OpStreamWrite, Handle: b.root, Data: []byte("x")},
		"waiting for a site handle": {Op: site.OpWait, ReadSet: []wasi.Handle{wasi.SiteHandle}},
		"shutting a folder down":    {Op: site.OpShutdown, Handle: b.root, Flags: 9},
	} {
		p := b.srv.Serve(r)
		if p.Code == site.Answered && p.Errno == wasi.ErrnoSuccess || len(p.Data) > 0 || len(p.Names) > 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, path := range []string{"../x", "out", "abs", "abs/passwd", "loop", "d/../../x", strings.Repeat("d/../", 600) + "a"} {
		p := b.srv.Serve(site.Request{Op: site.OpWalk, Handle: b.root, Path: path, Follow: true, Read: true, Length: 100})
		if p.End != "" && p.End != "a" || len(p.Data) > 0 && p.End != "a" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestHostileEffectsAreRefusedWithNothingChanged(t *testing.T) {
	b := newBench(t, nil)
	st := func(path string) wasi.Identity {
		if path == "" {
			path = "."
		}
		s, e := b.local.StatAt(b.root, path, false)
		b.ok(e)
		return s.Identity()
	}
	outside := filepath.Join(filepath.Dir(b.dir), "outside")
	must(t, os.WriteFile(outside, []byte("outside"), 0o600))
	must(t, os.Symlink(filepath.Dir(b.dir), b.path("escape")))
	var (
		root     = site.Object{Type: wasi.FiletypeDirectory, Handle: b.root, ID: st("")}
		fileA    = site.Object{Type: wasi.FiletypeRegularFile, Handle: b.root, Path: "a", ID: st("a")}
		dirD     = site.Object{Type: wasi.FiletypeDirectory, Handle: b.root, Path: "d", ID: st("d")}
		fresh    = site.Object{New: true, Type: wasi.FiletypeRegularFile}
		freshDir = site.Object{New: true, Type: wasi.FiletypeDirectory}
	)
	with := func(o site.Object, change func(*site.Object)) site.Object { change(&o); return o }
	type objs = []site.Object
	type list = []site.Effect
	create := site.Effect{Kind: site.EffectCreate, Name: "n", Object: 1}
	for name, e := range map[string]site.Effects{
		"an object of no handle":     {Objects: objs{with(root, func(o *site.Object) { o.Handle = 99 })}},
		"a standard stream":          {Objects: objs{with(fileA, func(o *site.Object) { o.Handle, o.Path = 1, "" })}},
		"a file outside":             {Objects: objs{with(fileA, func(o *site.Object) { o.Path = "../outside" })}},
		"a file through a link":      {Objects: objs{with(fileA, func(o *site.Object) { o.Path = "escape/outside" })}},
		"a path that is not clean":   {Objects: objs{with(fileA, func(o *site.Object) { o.Path = "d/../a" })}},
		"an absolute path":           {Objects: objs{with(fileA, func(o *site.Object) { o.Path = "/etc/passwd" })}},
		"another identity":           {Objects: objs{with(fileA, func(o *site.Object) { o.ID.Size++ })}},
		"another type":               {Objects: objs{with(fileA, func(o *site.Object) { o.Type = wasi.FiletypeDirectory })}},
		"a new device":               {Objects: objs{with(fresh, func(o *site.Object) { o.Type = wasi.FiletypeBlockDevice })}},
		"a kind that is none":        {List: list{{Kind: 77}}},
		"output to stdin":            {List: list{{Kind: site.EffectOutput, Stream: 0}}},
		"output to a file":           {List: list{{Kind: site.EffectOutput, Stream: 3}}},
		"an index too far":           {Objects: objs{root}, List: list{{Kind: site.EffectWrite, Object: 1}}},
		"a negative index":           {Objects: objs{root}, List: list{{Kind: site.EffectWrite, Object: -1}}},
		"a write before creation":    {Objects: objs{root, fresh}, List: list{{Kind: site.EffectWrite, Object: 1}}},
		"a write to a folder":        {Objects: objs{root}, List: list{{Kind: site.EffectWrite, Data: []byte("x")}}},
		"a write too far":            {Objects: objs{fileA}, List: list{{Kind: site.EffectWrite, Offset: 1<<64 - 1, Data: []byte("x")}}},
		"a size too large":           {Objects: objs{fileA}, List: list{{Kind: site.EffectSetSize, Size: 1 << 63}}},
		"a second creation":          {Objects: objs{root, fresh}, List: list{create, {Kind: site.EffectCreate, Name: "m", Object: 1}}},
		"a creation over something":  {Objects: objs{root, fresh}, List: list{{Kind: site.EffectCreate, Name: "a", Object: 1}}},
		"a creation of what is old":  {Objects: objs{root, fileA}, List: list{create}},
		"a creation in a file":       {Objects: objs{fileA, fresh}, List: list{create}},
		"a creation outside":         {Objects: objs{root, fresh}, List: list{{Kind: site.EffectCreate, Name: "../n", Object: 1}}},
		"a creation of dots":         {Objects: objs{root, fresh}, List: list{{Kind: site.EffectCreate, Name: "..", Object: 1}}},
		"a creation through a link":  {Objects: objs{root, fresh}, List: list{{Kind: site.EffectCreate, Name: "escape/n", Object: 1}}},
		"a folder made as a file":    {Objects: objs{root, freshDir}, List: list{create}},
		"removal of nothing":         {Objects: objs{root}, List: list{{Kind: site.EffectUnlink, Name: "nothere"}}},
		"removal of a folder":        {Objects: objs{root}, List: list{{Kind: site.EffectUnlink, Name: "empty"}}},
		"removal of a full folder":   {Objects: objs{root}, List: list{{Kind: site.EffectRmdir, Name: "d"}}},
		"rmdir of a file":            {Objects: objs{root}, List: list{{Kind: site.EffectRmdir, Name: "a"}}},
		"a folder into itself":       {Objects: objs{root, dirD}, List: list{{Kind: site.EffectRename, Name: "d", Dir2: 1, Name2: "x"}}},
		"a file onto a folder":       {Objects: objs{root}, List: list{{Kind: site.EffectRename, Name: "a", Name2: "empty"}}},
		"a folder onto a full one":   {Objects: objs{root}, List: list{{Kind: site.EffectRename, Name: "empty", Name2: "d"}}},
		"a file onto itself":         {Objects: objs{root}, List: list{{Kind: site.EffectRename, Name: "a", Name2: "a"}}},
		"a link to a folder":         {Objects: objs{root, dirD}, List: list{{Kind: site.EffectLink, Object: 1, Name: "n"}}},
		"a link to nothing":          {Objects: objs{root, fresh}, List: list{{Kind: site.EffectLink, Object: 1, Name: "n"}}},
		"a symlink to an absolute":   {Objects: objs{root, {New: true, Type: wasi.FiletypeSymbolicLink}}, List: list{{Kind: site.EffectSymlink, Object: 1, Name: "n", Target: "/etc"}}},
		"a symlink without a target": {Objects: objs{root, {New: true, Type: wasi.FiletypeSymbolicLink}}, List: list{{Kind: site.EffectSymlink, Object: 1, Name: "n"}}},
		"use of a removed folder":    {Objects: objs{root, freshDir, fresh}, List: list{{Kind: site.EffectMkdir, Name: "n", Object: 1}, {Kind: site.EffectRmdir, Name: "n"}, {Kind: site.EffectCreate, Dir: 1, Name: "x", Object: 2}}},
		"a handle that is no site's": {Objects: objs{fileA}, Opens: []site.Open{{Handle: 5, Flags: toRead}}},
		"a handle twice":             {Objects: objs{fileA}, Opens: []site.Open{{Handle: wasi.SiteHandle | 5, Flags: toRead}, {Handle: wasi.SiteHandle | 5, Flags: toRead}}},
		"a handle of nothing made":   {Objects: objs{fresh}, Opens: []site.Open{{Handle: wasi.SiteHandle | 5, Flags: toRead}}},
	} {
		t.Run(name, func(t *testing.T) {
			before, handles := tree(t, b.dir), len(b.local.Handles())
			// All that an honest clone may do comes first, so that there is
			// something to take back.
			st, err := b.srv.Prepare(e, nil)
			if err == nil {
				_, err = st.Commit()
			}
			if err == nil {
				t.Error("committed")
			}
			if now := tree(t, b.dir); now != before {
				t.Errorf("changed:\n%s", now)
			}
			if n := len(b.local.Handles()); n != handles {
				t.Errorf("%d handles, there were %d", n, handles)
			}
			if got, _ := os.ReadFile(outside); string(got) != "outside" {
				t.Fatal("a file outside was changed")
			}
		})
	}
	if b.out.Len() > 0 {
		t.Error("there was output")
	}
}

// TestEffectsHaveTheGuestsRightsAndNoMore takes one right after the other off
// the guest's descriptors, as fd_fdstat_set_rights does, and lets a clone act as
// if it had them.
func TestEffectsHaveTheGuestsRightsAndNoMore(t *testing.T) {
	type objs = []site.Object
	type list = []site.Effect
	for name, c := range map[string]struct {
		entry, open wasi.Rights // what the folder's descriptor lacks
		make        func(root, fileA, dirEmpty, fresh, freshDir, freshLink site.Object) site.Effects
	}{
		"create": {wasi.RightPathCreateFile, 0, func(root, _, _, fresh, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, fresh}, List: list{{Kind: site.EffectCreate, Name: "n", Object: 1}}}
		}},
		"mkdir": {wasi.RightPathCreateDirectory, 0, func(root, _, _, _, freshDir, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, freshDir}, List: list{{Kind: site.EffectMkdir, Name: "n", Object: 1}}}
		}},
		"symlink": {wasi.RightPathSymlink, 0, func(root, _, _, _, _, freshLink site.Object) site.Effects {
			return site.Effects{Objects: objs{root, freshLink}, List: list{{Kind: site.EffectSymlink, Name: "n", Target: "a", Object: 1}}}
		}},
		"link": {wasi.RightPathLinkTarget, 0, func(root, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, fileA}, List: list{{Kind: site.EffectLink, Name: "n", Object: 1}}}
		}},
		"unlink": {wasi.RightPathUnlinkFile, 0, func(root, _, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root}, List: list{{Kind: site.EffectUnlink, Name: "a"}}}
		}},
		"rmdir": {wasi.RightPathRemoveDirectory, 0, func(root, _, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root}, List: list{{Kind: site.EffectRmdir, Name: "empty"}}}
		}},
		"rename from": {wasi.RightPathRenameSource, 0, func(root, _, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root}, List: list{{Kind: site.EffectRename, Name: "a", Name2: "n"}}}
		}},
		"rename to": {wasi.RightPathRenameTarget, 0, func(root, _, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root}, List: list{{Kind: site.EffectRename, Name: "a", Name2: "n"}}}
		}},
		"write": {0, wasi.RightFdWrite, func(root, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, fileA}, List: list{{Kind: site.EffectWrite, Object: 1, Data: []byte("x")}}}
		}},
		"write in a folder that may not be opened": {wasi.RightPathOpen, 0, func(root, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, fileA}, List: list{{Kind: site.EffectWrite, Object: 1, Data: []byte("x")}}}
		}},
		"size": {wasi.RightPathFilestatSetSize, wasi.RightFdFilestatSetSize | wasi.RightFdAllocate, func(root, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, fileA}, List: list{{Kind: site.EffectSetSize, Object: 1, Size: 3}}}
		}},
		"times": {wasi.RightPathFilestatSetTimes, wasi.RightFdFilestatSetTimes, func(root, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{root, fileA}, List: list{{Kind: site.EffectTimes, Object: 1, Mtim: wasi.TimeSet{Set: true, At: 1e18}}}}
		}},
		"a handle to read": {0, wasi.RightFdRead, func(_, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{fileA}, Opens: []site.Open{{Handle: wasi.SiteHandle | 5, Flags: toRead}}}
		}},
		"a handle to write": {0, wasi.RightFdWrite, func(_, fileA, _, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{fileA}, Opens: []site.Open{{Handle: wasi.SiteHandle | 5, Flags: toWrite}}}
		}},
		"a handle on a folder": {wasi.RightPathOpen, 0, func(_, _, dirEmpty, _, _, _ site.Object) site.Effects {
			return site.Effects{Objects: objs{dirEmpty}, Opens: []site.Open{{Handle: wasi.SiteHandle | 5, Flags: toRead}}}
		}},
	} {
		for _, lacks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, right taken: %v", name, lacks), func(t *testing.T) {
				b := newBench(t, nil)
				object := func(path string) site.Object {
					s, e := b.local.StatAt(b.root, cmp.Or(path, "."), false)
					b.ok(e)
					return site.Object{Type: s.Type, Handle: b.root, Path: path, ID: s.Identity()}
				}
				e := c.make(object(""), object("a"), object("empty"), site.Object{New: true, Type: wasi.FiletypeRegularFile},
					site.Object{New: true, Type: wasi.FiletypeDirectory}, site.Object{New: true, Type: wasi.FiletypeSymbolicLink})
				before := tree(t, b.dir)
				if d := b.descs[3]; lacks {
					d.Base &^= c.entry
					d.Inheriting &^= c.open
					b.descs[3] = d
				}
				st, err := b.srv.Prepare(e, nil)
				if err == nil {
					_, err = st.Commit()
				}
				switch {
				case !lacks && err != nil:
					t.Error(err)
				case lacks && !errors.Is(err, stage.ErrHostile):
					t.Errorf("error %v", err)
				case lacks && tree(t, b.dir) != before:
					t.Errorf("changed:\n%s", tree(t, b.dir))
				}
			})
		}
	}
}

// fuzzBench is a bench that a fuzz target makes anew for every input.
func fuzzBench(t *testing.T) *bench { return newBench(t, nil) }

func FuzzServe(f *testing.F) {
	for op := site.OpWalk; op <= site.OpSetFlags; op++ {
		r := site.Request{Op: op, Handle: 3, Path: "ld/up", Follow: true, Read: true, List: true, Length: 100, Timeout: 1}
		f.Add(r.Encode(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := site.DecodeRequest(in)
		if err != nil || r.Op == site.OpWait && (r.Timeout < 0 || r.Timeout > 1000) {
			return
		}
		b := fuzzBench(t)
		before := tree(t, b.dir)
		p := b.srv.Serve(r)
		if _, err := site.DecodeReply(p.Encode(nil)); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if now := tree(t, b.dir); now != before {
			t.Fatalf("a read changed files:\n%s", now)
		}
	})
}

func FuzzPrepare(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 1, 3}, []byte("a/b"))
	f.Fuzz(func(t *testing.T, shape, names []byte) {
		b := fuzzBench(t)
		before := tree(t, b.dir)
		st, err := b.srv.Prepare(b.scramble(shape, names), nil)
		if err == nil {
			_, err = st.Commit()
		}
		if err != nil && tree(t, b.dir) != before {
			t.Fatalf("%v, but changed:\n%s", err, tree(t, b.dir))
		}
		b.isClean()
		if j, err := b.srvCfg.Journal.Load(); err != nil || j != nil {
			t.Fatalf("the journal is left: %v", err)
		}
	})
}

// scramble makes effects of well-formed parts in an order that makes no
// sense, from bytes of a fuzzer.
func (b *bench) scramble(shape, names []byte) site.Effects {
	next := func() int {
		if len(shape) == 0 {
			return 0
		}
		v := shape[0]
		shape = shape[1:]
		return int(v)
	}
	name := func() string {
		known := []string{"a", "b", "d", "e", "n", "m", "empty", "l", "h", "c", string(names)}
		return known[next()%len(known)]
	}
	var e site.Effects
	for _, p := range []string{"", "a", "b", "d", "d/e", "d/a", "d/h", "empty", "l"} {
		at := p
		if p == "" {
			at = "."
		}
		st, errno := b.local.StatAt(b.root, at, false)
		b.ok(errno)
		e.Objects = append(e.Objects, site.Object{Type: st.Type, Handle: b.root, Path: p, ID: st.Identity()})
	}
	for _, typ := range []wasi.Filetype{wasi.FiletypeRegularFile, wasi.FiletypeRegularFile, wasi.FiletypeDirectory, wasi.FiletypeDirectory, wasi.FiletypeSymbolicLink} {
		e.Objects = append(e.Objects, site.Object{New: true, Type: typ})
	}
	n := len(e.Objects)
	for len(shape) > 0 && len(e.List) < 40 {
		e.List = append(e.List, site.Effect{
			Kind: site.Kind(1 + next()%11), Stream: 1, Dir: []int{0, 3, 4, 7, 11, 12}[next()%6], Dir2: []int{0, 3, 4, 7, 11, 12}[next()%6],
			Object: next() % n, Name: name(), Name2: name(), Target: "t", Data: names,
			Offset: uint64(next()) * 300, Size: uint64(next()) * 300, Mtim: wasi.TimeSet{Set: true, At: 1e18},
		})
	}
	for i := range next() % 4 {
		e.Opens = append(e.Opens, site.Open{Handle: wasi.SiteHandle | wasi.Handle(i+1), Object: next() % n, Flags: toRead})
	}
	return e
}

func FuzzRecover(f *testing.F) {
	f.Add([]byte("nonsense"))
	f.Fuzz(func(t *testing.T, in []byte) {
		dir := t.TempDir()
		j := stage.FileJournal{Path: filepath.Join(dir, "journal")}
		must(t, j.Append(in))
		fsys := stage.OS()
		defer fsys.Close()
		if err := stage.Recover(j, fsys, stage.AsRecorded); err != nil {
			t.Skip(err)
		}
	})
}
