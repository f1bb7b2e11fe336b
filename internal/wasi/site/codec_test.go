package site_test

import (
	"bytes"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

var (
	sampleID    = wasi.Identity{Dev: 1, Ino: 2, Size: 3, Mtim: -4, Ctim: 5}
	sampleStat  = wasi.Stat{Dev: 1, Ino: 2, Type: wasi.FiletypeRegularFile, Nlink: 1, Size: 3, Atim: 1, Mtim: -4, Ctim: 5}
	sampleReply = site.Reply{
		Facts: []site.Fact{{Path: "d/l", Stat: sampleStat, Target: "x"}, {Path: "d/x", Errno: wasi.ErrnoNoent}},
		End:   "d", Stat: sampleStat, Data: []byte("data"), Names: []wasi.Dirent{{Name: "n", Ino: 7, Type: wasi.FiletypeDirectory}},
		Listed: true, N: 9, Flags: 3, Handle: 12,
	}
	sampleRequest = site.Request{
		Op: site.OpWait, Handle: 3, Path: "a/b", Follow: true, ID: sampleID, Offset: 1, Length: 2, Data: []byte("x"),
		Flags: 1, ReadSet: []wasi.Handle{0, 5}, WriteSet: []wasi.Handle{1}, Timeout: -1,
	}
	sampleEffects = site.Effects{
		Objects: []site.Object{
			{Type: wasi.FiletypeDirectory, Handle: 3, ID: sampleID},
			{New: true, Type: wasi.FiletypeRegularFile},
			{New: true, Type: wasi.FiletypeSymbolicLink},
		},
		List: []site.Effect{
			{Kind: site.EffectOutput, Stream: 1, Entry: 4, Data: []byte("hello")},
			{Kind: site.EffectCreate, Name: "f", Object: 1},
			{Kind: site.EffectWrite, Object: 1, Offset: 7, Data: []byte("world")},
			{Kind: site.EffectSetSize, Object: 1, Size: 100},
			{Kind: site.EffectTimes, Object: 1, Mtim: wasi.TimeSet{Set: true, At: -5}},
			{Kind: site.EffectSymlink, Name: "l", Object: 2, Target: "f"},
			{Kind: site.EffectLink, Name: "g", Object: 1},
			{Kind: site.EffectRename, Name: "g", Name2: "h"},
			{Kind: site.EffectUnlink, Name: "h"},
			{Kind: site.EffectRmdir, Name: "d"},
		},
		Opens: []site.Open{{Handle: wasi.SiteHandle | 2, Object: 1, Flags: wasi.OpenFlags{Read: true, Append: true}}},
	}
	sampleReads = site.Reads{
		{Kind: site.ReadFile, Handle: 3, Path: "a", Type: wasi.FiletypeRegularFile, ID: sampleID},
		{Kind: site.ReadMissing, Handle: 3, Path: "b", Errno: wasi.ErrnoNoent},
		{Kind: site.ReadListing, Handle: 3, Hash: [16]byte{1}},
		{Kind: site.ReadLink, Handle: 3, Path: "l", Type: wasi.FiletypeSymbolicLink, ID: sampleID, Target: "t"},
		{Kind: site.ReadThrough, Handle: 3, Path: "d", Type: wasi.FiletypeDirectory, ID: sampleID},
		{Kind: site.ReadWritable, Handle: 3, Path: "d"},
	}
)

// again decodes what a message encodes to, and encodes that.
func again[T any](t *testing.T, b []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	t.Helper()
	v, err := decode(b)
	if err != nil {
		return
	}
	once := encode(v)
	v2, err := decode(once)
	if err != nil {
		t.Fatalf("what was decoded does not decode again: %v", err)
	}
	if twice := encode(v2); !bytes.Equal(once, twice) {
		t.Fatalf("not stable:\n%x\n%x", once, twice)
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	for name, b := range map[string][]byte{
		"request": sampleRequest.Encode(nil), "reply": sampleReply.Encode(nil),
		"effects": sampleEffects.Encode(nil), "reads": sampleReads.Encode(nil),
	} {
		decode := map[string]func([]byte) ([]byte, error){
			"request": func(b []byte) ([]byte, error) { v, err := site.DecodeRequest(b); return v.Encode(nil), err },
			"reply":   func(b []byte) ([]byte, error) { v, err := site.DecodeReply(b); return v.Encode(nil), err },
			"effects": func(b []byte) ([]byte, error) { v, err := site.DecodeEffects(b); return v.Encode(nil), err },
			"reads":   func(b []byte) ([]byte, error) { v, err := site.DecodeReads(b); return v.Encode(nil), err },
		}[name]
		got, err := decode(b)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %v\n%x\n%x", name, err, b, got)
		}
		for n := range b {
			if _, err := decode(b[:n]); err == nil {
				t.Errorf("%s: its first %d of %d bytes decode", name, n, len(b))
			}
		}
		if _, err := decode(append(b, 0)); err == nil {
			t.Errorf("%s: decodes with a byte too many", name)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(sampleRequest.Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, site.DecodeRequest, func(r site.Request) []byte { return r.Encode(nil) })
	})
}

func FuzzReply(f *testing.F) {
	f.Add(sampleReply.Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, site.DecodeReply, func(r site.Reply) []byte { return r.Encode(nil) })
	})
}

func FuzzEffects(f *testing.F) {
	f.Add(sampleEffects.Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, site.DecodeEffects, func(e site.Effects) []byte { return e.Encode(nil) })
	})
}

func FuzzReads(f *testing.F) {
	f.Add(sampleReads.Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, site.DecodeReads, func(r site.Reads) []byte { return r.Encode(nil) })
	})
}
