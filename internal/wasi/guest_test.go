package wasi_test

import (
	"encoding/binary"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

var le = binary.LittleEndian

// guest calls imports as a program would, with a memory of its own.
type guest struct {
	sys   *wasi.System
	mem   []byte
	funcs map[wasi.Fn]wasi.Func
}

func (g *guest) Bytes() []byte { return g.mem }

// Where a guest's calls put things.
const (
	atPath  = 0x1000 // a path
	atPath2 = 0x3000 // another
	atIov   = 0x5000 // one iovec
	atRes   = 0x5100 // results
	atBuf   = 0x6000 // data, to the end
	memSize = 0x40000
)

func newGuest(sys *wasi.System) *guest {
	g := &guest{sys: sys, mem: make([]byte, memSize), funcs: make(map[wasi.Fn]wasi.Func)}
	for i, f := range sys.Funcs() {
		g.funcs[wasi.Fn(i+1)] = f
	}
	return g
}

// call calls an import with integer parameters.
func (g *guest) call(fn wasi.Fn, params ...uint64) wasi.Errno {
	stack := append(params, 0)
	g.funcs[fn].Call(g, stack)
	if fn == wasi.FnProcExit {
		return wasi.ErrnoSuccess
	}
	return wasi.Errno(stack[0])
}

func (g *guest) path(at int, p string) (ptr, n uint64) {
	copy(g.mem[at:], p)
	return uint64(at), uint64(len(p))
}

func (g *guest) u32() uint32 { return le.Uint32(g.mem[atRes:]) }
func (g *guest) u64() uint64 { return le.Uint64(g.mem[atRes:]) }

const (
	oCreat, oDirectory, oExcl, oTrunc = 1, 2, 4, 8
	rw                                = uint64(wasi.RightFdRead | wasi.RightFdWrite)
	allRights                         = 1<<30 - 1
)

func (g *guest) open(dir uint32, p string, oflags uint32, rights uint64, flags wasi.Fdflags) (uint32, wasi.Errno) {
	ptr, n := g.path(atPath, p)
	e := g.call(wasi.FnPathOpen, uint64(dir), 1, ptr, n, uint64(oflags), rights, allRights, uint64(flags), atRes)
	return g.u32(), e
}

func (g *guest) iov(n int) {
	le.PutUint32(g.mem[atIov:], atBuf)
	le.PutUint32(g.mem[atIov+4:], uint32(n))
}

func (g *guest) write(fd uint32, data string) (uint32, wasi.Errno) {
	copy(g.mem[atBuf:], data)
	g.iov(len(data))
	e := g.call(wasi.FnFdWrite, uint64(fd), atIov, 1, atRes)
	return g.u32(), e
}

func (g *guest) pwrite(fd uint32, data string, off uint64) wasi.Errno {
	copy(g.mem[atBuf:], data)
	g.iov(len(data))
	return g.call(wasi.FnFdPwrite, uint64(fd), atIov, 1, off, atRes)
}

func (g *guest) read(fd uint32, n int) (string, wasi.Errno) {
	g.iov(n)
	e := g.call(wasi.FnFdRead, uint64(fd), atIov, 1, atRes)
	if e != wasi.ErrnoSuccess {
		return "", e
	}
	return string(g.mem[atBuf:][:g.u32()]), e
}

func (g *guest) pread(fd uint32, n int, off uint64) (string, wasi.Errno) {
	g.iov(n)
	e := g.call(wasi.FnFdPread, uint64(fd), atIov, 1, off, atRes)
	if e != wasi.ErrnoSuccess {
		return "", e
	}
	return string(g.mem[atBuf:][:g.u32()]), e
}

func (g *guest) seek(fd uint32, delta int64, whence uint32) (uint64, wasi.Errno) {
	e := g.call(wasi.FnFdSeek, uint64(fd), uint64(delta), uint64(whence), atRes)
	return g.u64(), e
}

func (g *guest) close(fd uint32) wasi.Errno { return g.call(wasi.FnFdClose, uint64(fd)) }

// at calls an import that takes a folder and one path.
func (g *guest) at(fn wasi.Fn, dir uint32, p string) wasi.Errno {
	ptr, n := g.path(atPath, p)
	return g.call(fn, uint64(dir), ptr, n)
}

func (g *guest) rename(dir uint32, from, to string) wasi.Errno {
	p, n := g.path(atPath, from)
	p2, n2 := g.path(atPath2, to)
	return g.call(wasi.FnPathRename, uint64(dir), p, n, uint64(dir), p2, n2)
}

func (g *guest) link(dir uint32, from, to string) wasi.Errno {
	p, n := g.path(atPath, from)
	p2, n2 := g.path(atPath2, to)
	return g.call(wasi.FnPathLink, uint64(dir), 0, p, n, uint64(dir), p2, n2)
}

func (g *guest) symlink(target string, dir uint32, name string) wasi.Errno {
	p, n := g.path(atPath, target)
	p2, n2 := g.path(atPath2, name)
	return g.call(wasi.FnPathSymlink, p, n, uint64(dir), p2, n2)
}

func (g *guest) stat(dir uint32, p string, follow bool) (wasi.Stat, wasi.Errno) {
	f := uint64(0)
	if follow {
		f = 1
	}
	ptr, n := g.path(atPath, p)
	e := g.call(wasi.FnPathFilestatGet, uint64(dir), f, ptr, n, atRes)
	return g.filestat(), e
}

func (g *guest) fstat(fd uint32) (wasi.Stat, wasi.Errno) {
	e := g.call(wasi.FnFdFilestatGet, uint64(fd), atRes)
	return g.filestat(), e
}

func (g *guest) filestat() wasi.Stat {
	b := g.mem[atRes:]
	return wasi.Stat{
		Dev: le.Uint64(b), Ino: le.Uint64(b[8:]), Type: wasi.Filetype(b[16]), Nlink: le.Uint64(b[24:]),
		Size: le.Uint64(b[32:]), Atim: int64(le.Uint64(b[40:])), Mtim: int64(le.Uint64(b[48:])), Ctim: int64(le.Uint64(b[56:])),
	}
}

// list reads a whole folder with a buffer of the size.
func (g *guest) list(fd uint32, size int) ([]string, wasi.Errno) {
	var names []string
	cookie := uint64(0)
	for {
		if e := g.call(wasi.FnFdReaddir, uint64(fd), atBuf, uint64(size), cookie, atRes); e != wasi.ErrnoSuccess {
			return nil, e
		}
		used := int(g.u32())
		for b := g.mem[atBuf:][:used]; len(b) >= 24; {
			n := int(le.Uint32(b[16:]))
			if len(b) < 24+n {
				break
			}
			names = append(names, string(b[24:24+n]))
			cookie = le.Uint64(b)
			b = b[24+n:]
		}
		if used < size {
			return names, wasi.ErrnoSuccess
		}
	}
}

// localGuest is a guest on a Local with one folder, descriptor 3.
func localGuest(t testing.TB, readOnly bool) (g *guest, l *wasi.Local, dir string) {
	t.Helper()
	dir = t.TempDir()
	l = wasi.NewLocal(nil, nil, nil)
	t.Cleanup(l.CloseAll)
	h, err := l.AddFolder(dir, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := wasi.New(wasi.Config{
		Args: []string{"prog", "x"}, Env: []string{"A=1"}, Host: l,
		Preopens: []wasi.Preopen{{GuestPath: "/", Handle: h, ReadOnly: readOnly}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return newGuest(sys), l, dir
}

func want(t *testing.T, what string, got, want wasi.Errno) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func ok(t *testing.T, what string, got wasi.Errno) {
	t.Helper()
	want(t, what, got, wasi.ErrnoSuccess)
}
