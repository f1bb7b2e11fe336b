package wasi_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// quickHost is a Local on which nothing takes long or much: waiting moves
// the clock, and files stay small.
type quickHost struct {
	*wasi.Local
	skew int64
}

func (q *quickHost) Now(c wasi.ClockID) (int64, wasi.Errno) {
	v, e := q.Local.Now(c)
	return v + q.skew, e
}

func (q *quickHost) Wait(_, _ []wasi.Handle, deadline int64) wasi.Errno {
	now, _ := q.Now(wasi.ClockMonotonic)
	if deadline < 0 {
		return wasi.ErrnoInval
	}
	q.skew += max(0, deadline-now)
	return wasi.ErrnoSuccess
}

func (q *quickHost) Allocate(h wasi.Handle, off, n uint64) wasi.Errno {
	if off+n > 1<<20 {
		return wasi.ErrnoFbig
	}
	return q.Local.Allocate(h, off, n)
}

func (q *quickHost) SetSize(h wasi.Handle, n uint64) wasi.Errno {
	if n > 1<<20 {
		return wasi.ErrnoFbig
	}
	return q.Local.SetSize(h, n)
}

func (q *quickHost) PWrite(h wasi.Handle, b []byte, off uint64) (int, wasi.Errno) {
	if off > 1<<20 {
		return 0, wasi.ErrnoFbig
	}
	return q.Local.PWrite(h, b, off)
}

// once notes that every import shows itself to a tap exactly once.
type once struct {
	t             *testing.T
	enter, leaves int
}

func (o *once) Enter(wasi.Call) *wasi.Outcome { o.enter++; return nil }

func (o *once) Leave(c wasi.Call, out wasi.Outcome) *wasi.Outcome {
	o.leaves++
	if out.Errno != wasi.ErrnoSuccess && len(out.Outputs) != 0 {
		o.t.Errorf("%v fails with %v and yet has results", c.Fn, out.Errno)
	}
	return nil
}

// A corpus of calls that do something, for the two targets below.
func seedCalls(f *testing.F) {
	seed := func(memory string, calls ...byte) { f.Add([]byte(memory), calls) }
	path := "file\x00\x00\x00\x00d\x00\x00\x00new\x00\x10\x00\x00\x00\x04\x00\x00\x00"
	open := []byte{byte(wasi.FnPathOpen) - 1, 3, 1, 12, 3, 1, 255, 255, 0, 100}
	write := []byte{byte(wasi.FnFdWrite) - 1, 4, 16, 1, 100, 0, 0, 0, 0, 0}
	stat := []byte{byte(wasi.FnPathFilestatGet) - 1, 3, 0, 12, 3, 104, 0, 0, 0, 0}
	list := []byte{byte(wasi.FnFdReaddir) - 1, 3, 128, 120, 0, 100, 0, 0, 0, 0}
	rename := []byte{byte(wasi.FnPathRename) - 1, 3, 12, 3, 3, 0, 4, 0, 0, 0}
	seed(path, slices.Concat(open, write, stat, list, rename, list)...)
	for fn := range byte(wasi.NumFns) {
		seed(path, append(slices.Clone(open), fn, 3, 1, 0, 3, 0, 0, 0, 0, 0)...)
		seed(path, append(slices.Clone(open), fn, 4, 16, 1, 64, 32, 200, 100, 0, 0)...)
	}
}

// FuzzImports calls imports with any parameters on any memory: whatever they
// are, nothing may panic but proc_exit.
func FuzzImports(f *testing.F) {
	seedCalls(f)
	base := f.TempDir()
	f.Fuzz(func(t *testing.T, memory, calls []byte) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		os.Mkdir(filepath.Join(dir, "d"), 0o755)
		os.WriteFile(filepath.Join(dir, "file"), []byte("hello"), 0o644)
		l := wasi.NewLocal(nil, nil, nil)
		defer l.CloseAll()
		h, err := l.AddFolder(dir, false)
		if err != nil {
			t.Fatal(err)
		}
		sys, err := wasi.New(wasi.Config{
			Args: []string{"p", "q"}, Env: []string{"A=B"}, Host: &quickHost{Local: l},
			Preopens: []wasi.Preopen{{GuestPath: "/", Handle: h}},
		})
		if err != nil {
			t.Fatal(err)
		}
		tap := &once{t: t}
		if len(calls)%2 == 0 {
			sys.SetTap(tap)
		}
		g := newGuest(sys)
		g.mem = make([]byte, 4096)
		copy(g.mem, memory)
		fns, params := decodeCalls(calls, len(g.mem))
		for i := range fns {
			callAny(t, g, fns[i], params[i])
		}
		if tap.enter != tap.leaves {
			t.Errorf("a tap saw %d imports begin and %d end", tap.enter, tap.leaves)
		}
		st := sys.Capture()
		if _, err := wasi.DecodeState(st.Encode()); err != nil {
			t.Errorf("the state that is left does not travel: %v", err)
		}
	})
}

// decodeCalls makes calls of bytes: the function, then nine parameters, with
// the numbers that matter among them.
func decodeCalls(calls []byte, memory int) (fns []wasi.Fn, params [][]uint64) {
	for ; len(calls) >= 10 && len(fns) < 64; calls = calls[10:] {
		p := make([]uint64, 9)
		for i, b := range calls[1:10] {
			p[i] = uint64(b)
			switch {
			case b >= 250:
				p[i] = 1<<64 - 1 - uint64(255-b)
			case b >= 240:
				p[i] = 1<<31 + uint64(b)
			case b >= 230:
				p[i] = uint64(memory) - uint64(b-230)
			}
		}
		fns, params = append(fns, wasi.Fn(calls[0]%byte(wasi.NumFns)+1)), append(params, p)
	}
	return fns, params
}

func callAny(t *testing.T, g *guest, fn wasi.Fn, params []uint64) {
	defer func() {
		switch v := recover().(type) {
		case nil, wasi.Exit:
		default:
			t.Errorf("%v%x panics: %v", fn, params, v)
		}
	}()
	g.call(fn, params...)
}

// FuzzReplay does the same calls twice, the second time held to the log of
// the first: it must come to the same memory, files and descriptors
// (PROTOCOL rule 17).
func FuzzReplay(f *testing.F) {
	seedCalls(f)
	base := f.TempDir()
	f.Fuzz(func(t *testing.T, memory, calls []byte) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var log []wasi.Entry
		mem, files, state := replayOnce(t, dir, memory, calls, func(*wasi.Local, wasi.Handle) wasi.Tap {
			return &wasi.Recorder{Add: func(e wasi.Entry) { log = append(log, e) }}
		})
		mem2, files2, state2 := replayOnce(t, dir, memory, calls, func(l *wasi.Local, h wasi.Handle) wasi.Tap {
			r := wasi.ReplayEntries(log)
			for _, p := range []string{".", "d", "file"} { // made anew: not what they were
				st, _ := l.StatAt(h, p, false)
				r.Touched(st.Dev, st.Ino)
			}
			return r
		})
		if !bytes.Equal(mem, mem2) {
			t.Error("the guest's memory differs")
		}
		if files != files2 {
			t.Errorf("the files differ: %s and %s", files, files2)
		}
		if !slices.Equal(state, state2) {
			t.Errorf("the descriptors differ: %q and %q", state, state2)
		}
	})
}

func replayOnce(t *testing.T, dir string, memory, calls []byte, tap func(*wasi.Local, wasi.Handle) wasi.Tap) (mem []byte, files string, state []string) {
	t.Helper()
	ents, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ents {
		os.RemoveAll(filepath.Join(dir, e.Name()))
	}
	os.Mkdir(filepath.Join(dir, "d"), 0o755)
	os.WriteFile(filepath.Join(dir, "file"), []byte("hello"), 0o644)
	l := wasi.NewLocal(nil, nil, nil)
	defer l.CloseAll()
	l.Seed([32]byte{1})
	h, err := l.AddFolder(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := wasi.New(wasi.Config{Host: &quickHost{Local: l}, Preopens: []wasi.Preopen{{GuestPath: "/", Handle: h}}})
	if err != nil {
		t.Fatal(err)
	}
	sys.SetTap(tap(l, h))
	g := newGuest(sys)
	g.mem = make([]byte, 4096)
	copy(g.mem, memory)
	fns, params := decodeCalls(calls, len(g.mem))
	for i := range fns {
		callAny(t, g, fns[i], params[i])
	}
	for fd, d := range sys.Capture().Descs {
		state = append(state, fmt.Sprint(fd, d.Type, d.Flags, d.Base, d.Offset, d.Path))
	}
	slices.Sort(state)
	filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		b, _ := os.ReadFile(p) // of a folder there is nothing
		files += fmt.Sprintf("%s %v %q;", p, e.Type(), b)
		return err
	})
	return g.mem, files, state
}
