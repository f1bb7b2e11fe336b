package wasi_test

import (
	"os"
	"path/filepath"
	"strings"
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

// FuzzImports calls imports with any parameters on any memory: whatever they
// are, nothing may panic but proc_exit.
func FuzzImports(f *testing.F) {
	seed := func(memory string, calls ...byte) { f.Add([]byte(memory), calls) }
	seed("file\x00\x00\x00\x00d", 32, 3, 0, 0, 4, 1, 255, 255, 9, 0)
	seed(strings.Repeat("\x08\x00\x00\x00", 20), 27, 4, 0, 1, 60, 0, 0, 0, 0, 0)
	for fn := range byte(wasi.NumFns) {
		seed("a/b", fn, 3, 1, 0, 3, 0, 0, 0, 0, 0)
		seed("d", fn, 3, 0, 1, 64, 32, 200, 100, 0, 0)
	}
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
		n := 0
		for ; len(calls) >= 10 && n < 64; calls = calls[10:] {
			n++
			params := make([]uint64, 9)
			for i, b := range calls[1:10] {
				params[i] = uint64(b)
				switch { // some numbers that matter
				case b >= 250:
					params[i] = 1<<64 - 1 - uint64(255-b)
				case b >= 240:
					params[i] = 1<<31 + uint64(b)
				case b >= 230:
					params[i] = uint64(len(g.mem)) - uint64(b-230)
				}
			}
			callAny(t, g, wasi.Fn(calls[0]%byte(wasi.NumFns)+1), params)
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
