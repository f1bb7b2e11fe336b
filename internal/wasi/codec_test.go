package wasi_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

func anyDirent(t *rapid.T) wasi.Dirent {
	return wasi.Dirent{
		Name: rapid.StringMatching(`[^\x00/]{1,20}`).Draw(t, "name"), Ino: rapid.Uint64().Draw(t, "ino"),
		Type: wasi.Filetype(rapid.Uint8Range(0, 7).Draw(t, "type")),
	}
}

func anyDesc(t *rapid.T) wasi.Desc {
	d := wasi.Desc{
		Handle: wasi.Handle(rapid.Uint64().Draw(t, "handle")), Type: wasi.Filetype(rapid.Uint8Range(0, 7).Draw(t, "type")),
		Flags: wasi.Fdflags(rapid.Uint8Range(0, 31).Draw(t, "flags")), Base: wasi.Rights(rapid.Uint64Range(0, 1<<30-1).Draw(t, "base")),
		Inheriting: wasi.Rights(rapid.Uint64Range(0, 1<<30-1).Draw(t, "inheriting")), Offset: rapid.Uint64Range(0, math.MaxInt64).Draw(t, "offset"),
		ReadOnly: rapid.Bool().Draw(t, "readonly"), Root: wasi.Handle(rapid.Uint64().Draw(t, "root")),
		Path: rapid.StringMatching(`([a-z][a-z/]{0,20})?`).Draw(t, "path"),
		Identity: wasi.Identity{
			Dev: rapid.Uint64().Draw(t, "dev"), Ino: rapid.Uint64().Draw(t, "ino"), Size: rapid.Uint64().Draw(t, "size"),
			Mtim: rapid.Int64().Draw(t, "mtim"), Ctim: rapid.Int64().Draw(t, "ctim"),
		},
	}
	if d.Type == wasi.FiletypeDirectory {
		if rapid.Bool().Draw(t, "preopen") {
			d.Preopen, d.Name = true, rapid.StringMatching(`/[a-z]{0,9}`).Draw(t, "guest path")
		}
		if rapid.Bool().Draw(t, "listed") {
			d.Listing = rapid.SliceOfN(rapid.Custom(anyDirent), 1, 5).Draw(t, "listing")
		}
	}
	return d
}

func TestAStateThatTravelsIsTheSameState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		strs := rapid.SliceOfN(rapid.StringMatching(`[^\x00]{0,10}`), 1, 4)
		st := wasi.State{
			Args: strs.Draw(t, "args"), Env: strs.Draw(t, "env"),
			Descs: rapid.MapOfN(rapid.Uint32Range(0, wasi.MaxDescs-1), rapid.Custom(anyDesc), 0, 8).Draw(t, "descs"),
		}
		if err := st.Validate(); err != nil {
			t.Fatal(err)
		}
		b := st.Encode()
		back, err := wasi.DecodeState(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(st, back) {
			t.Fatalf("got %+v, want %+v", back, st)
		}
		for _, cut := range []int{0, 1, len(b) / 2, len(b) - 1} {
			if _, err := wasi.DecodeState(b[:cut]); err == nil {
				t.Fatalf("the first %d of %d bytes decode", cut, len(b))
			}
		}
		if _, err := wasi.DecodeState(append(b, 0)); err == nil {
			t.Fatal("a byte too many decodes")
		}
	})
}

func TestAStateThatCannotBeIsRefused(t *testing.T) {
	file := wasi.Desc{Handle: 3, Type: wasi.FiletypeRegularFile, Path: "a"}
	with := func(change func(d *wasi.Desc)) wasi.State {
		d := file
		change(&d)
		return wasi.State{Descs: map[uint32]wasi.Desc{3: d}}
	}
	many := wasi.State{Descs: map[uint32]wasi.Desc{}}
	for i := range uint32(wasi.MaxDescs + 1) {
		many.Descs[i] = file
	}
	for name, st := range map[string]wasi.State{
		"too many descriptors":       many,
		"a descriptor out of range":  {Descs: map[uint32]wasi.Desc{wasi.MaxDescs: file}},
		"an unknown type":            with(func(d *wasi.Desc) { d.Type = 8 }),
		"unknown flags":              with(func(d *wasi.Desc) { d.Flags = 32 }),
		"unknown rights":             with(func(d *wasi.Desc) { d.Base = 1 << 30 }),
		"unknown inheriting rights":  with(func(d *wasi.Desc) { d.Inheriting = 1 << 63 }),
		"a negative offset":          with(func(d *wasi.Desc) { d.Offset = 1 << 63 }),
		"a preopen that is a file":   with(func(d *wasi.Desc) { d.Preopen, d.Name = true, "/" }),
		"a nameless preopen":         with(func(d *wasi.Desc) { d.Preopen, d.Type = true, wasi.FiletypeDirectory }),
		"an endless path":            with(func(d *wasi.Desc) { d.Path = strings.Repeat("a", wasi.MaxPath+1) }),
		"an absolute path":           with(func(d *wasi.Desc) { d.Path = "/etc" }),
		"a path with a NUL":          with(func(d *wasi.Desc) { d.Path = "a\x00" }),
		"a listing of a file":        with(func(d *wasi.Desc) { d.Listing = []wasi.Dirent{{Name: "a"}} }),
		"a listing without names":    with(func(d *wasi.Desc) { d.Type = wasi.FiletypeDirectory; d.Listing = []wasi.Dirent{{}} }),
		"an argument with a NUL":     {Args: []string{"a\x00b"}},
		"an endless environment":     {Env: []string{strings.Repeat("a", wasi.MaxArgsEnv)}},
		"a listing of unknown types": with(func(d *wasi.Desc) { d.Type = 3; d.Listing = []wasi.Dirent{{Name: "a", Type: 9}} }),
	} {
		t.Run(name, func(t *testing.T) {
			if st.Validate() == nil {
				t.Error("it validates")
			}
			if _, err := wasi.DecodeState(st.Encode()); err == nil {
				t.Error("it decodes")
			}
			g, _, _ := localGuest(t, false)
			before := g.sys.Capture()
			if err := g.sys.Install(st); err == nil {
				t.Error("it installs")
			}
			if now := g.sys.Capture(); !bytes.Equal(now.Encode(), before.Encode()) {
				t.Error("a refused state changed the table")
			}
		})
	}
}

func TestEntriesOfAnotherVersionAreNamed(t *testing.T) {
	for _, err := range []error{
		second(wasi.DecodeEntries([]byte{99, 0})), second(wasi.DecodeState([]byte{99, 0, 0, 0})),
	} {
		if err == nil || !strings.Contains(err.Error(), "version 99") {
			t.Errorf("error %v does not name the version", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzDecodeState(f *testing.F) {
	f.Add((&wasi.State{}).Encode())
	f.Add((&wasi.State{
		Args: []string{"a"}, Env: []string{"A=1"},
		Descs: map[uint32]wasi.Desc{
			0: {},
			3: {
				Handle: 3, Type: wasi.FiletypeDirectory, Preopen: true, Name: "/", Root: 3, Path: ".",
				Listing: []wasi.Dirent{{Name: ".", Type: 3}, {Name: "x", Ino: 9, Type: 4}},
			},
		},
	}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := wasi.DecodeState(b)
		if err != nil {
			return
		}
		if err := st.Validate(); err != nil {
			t.Fatalf("decoded, but invalid: %v", err)
		}
		if !bytes.Equal(st.Encode(), b) {
			t.Fatal("a second encoding of the same state")
		}
	})
}

func FuzzDecodeEntries(f *testing.F) {
	f.Add(wasi.EncodeEntries(nil))
	f.Add(wasi.EncodeEntries([]wasi.Entry{
		{Fn: wasi.FnFdWrite, Outputs: []byte{1, 0, 0, 0}},
		{Fn: wasi.FnFdRead, Errno: wasi.ErrnoBadf},
		{Fn: wasi.FnRandomGet, Hashed: true, Outputs: make([]byte, 16)},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := wasi.DecodeEntries(b)
		if err != nil {
			return
		}
		if !bytes.Equal(wasi.EncodeEntries(entries), b) {
			t.Fatal("a second encoding of the same entries")
		}
	})
}
