package wasi_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

func TestEveryFunctionOfPreview1IsThere(t *testing.T) {
	g, _, _ := localGuest(t, false)
	funcs := g.sys.Funcs()
	if len(funcs) != 46 || wasi.NumFns != 46 {
		t.Fatalf("%d functions, want 46", len(funcs))
	}
	for i, f := range funcs {
		if f.Name != wasi.Fn(i+1).String() || f.Call == nil {
			t.Errorf("function %d is %q", i, f.Name)
		}
	}
}

func TestABadPointerIsAnErrorAndHasNoEffect(t *testing.T) {
	g, _, dir := localGuest(t, false)
	fd, e := g.open(3, "f", oCreat, rw, 0)
	ok(t, "open", e)
	_, e = g.write(fd, "text")
	ok(t, "write", e)
	_, e = g.seek(fd, 0, 0)
	ok(t, "seek", e)
	g.path(atPath, "new")
	g.iov(4)
	const bad = memSize - 1
	before := g.sys.Capture()
	for name, e := range map[string]wasi.Errno{
		"fd_read":               g.call(wasi.FnFdRead, uint64(fd), atIov, 1, bad),
		"fd_read of a bad list": g.call(wasi.FnFdRead, uint64(fd), bad, 1, atRes),
		"fd_write":              g.call(wasi.FnFdWrite, uint64(fd), atIov, 1, bad),
		"path_open":             g.call(wasi.FnPathOpen, 3, 0, atPath, 3, oCreat, rw, 0, 0, bad),
		"path_open of a path":   g.call(wasi.FnPathOpen, 3, 0, bad, 3, oCreat, rw, 0, 0, atRes),
		"mkdir":                 g.call(wasi.FnPathCreateDirectory, 3, bad, 100),
		"fd_seek":               g.call(wasi.FnFdSeek, uint64(fd), 3, 0, bad),
		"random_get":            g.call(wasi.FnRandomGet, 1<<32-1, 1<<32-1),
		"args_get":              g.call(wasi.FnArgsGet, bad, bad),
		"clock_time_get":        g.call(wasi.FnClockTimeGet, 0, 0, 1<<32-4),
	} {
		want(t, name, e, wasi.ErrnoFault)
	}
	if now := g.sys.Capture(); !bytes.Equal(now.Encode(), before.Encode()) {
		t.Error("the table changed")
	}
	if ents, _ := os.ReadDir(dir); len(ents) != 1 {
		t.Errorf("the folder now has %v", ents)
	}
	ok(t, "nothing, at a made-up pointer", g.call(wasi.FnRandomGet, 1<<32-1, 0))
}

func TestPathsFailAsPosixSays(t *testing.T) {
	g, _, dir := localGuest(t, false)
	os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644)
	os.MkdirAll(filepath.Join(dir, "d/sub"), 0o755)
	os.Symlink("loop", filepath.Join(dir, "loop"))
	os.Symlink("d", filepath.Join(dir, "to-d"))
	os.Symlink("f", filepath.Join(dir, "to-f"))
	open := func(p string, oflags uint32, rights uint64) wasi.Errno {
		_, e := g.open(3, p, oflags, rights, 0)
		return e
	}
	long := strings.Repeat("n", 300)
	for _, c := range []struct {
		what      string
		got, want wasi.Errno
	}{
		{"open a loop", open("loop", 0, 0), wasi.ErrnoLoop},
		{"open through a loop", open("loop/x", 0, 0), wasi.ErrnoLoop},
		{"open through a file", open("f/x", 0, 0), wasi.ErrnoNotdir},
		{"open nothing", open("", 0, 0), wasi.ErrnoNoent},
		{"open a missing folder's file", open("none/x", oCreat, 0), wasi.ErrnoNoent},
		{"open a file with a slash", open("f/", 0, 0), wasi.ErrnoNotdir},
		{"open a link to a file with a slash", open("to-f/", 0, 0), wasi.ErrnoNotdir},
		{"open a link to a folder with a slash", open("to-d/", 0, 0), wasi.ErrnoSuccess},
		{"create with a slash", open("new/", oCreat, 0), wasi.ErrnoIsdir},
		{"create a folder", open("d", oCreat, 0), wasi.ErrnoIsdir},
		{"create what is there", open("f", oCreat|oExcl, 0), wasi.ErrnoExist},
		{"create over a link", open("to-f", oCreat|oExcl, 0), wasi.ErrnoExist},
		{"write to a folder", open("d", 0, rw), wasi.ErrnoIsdir},
		{"open a long name", open(long, oCreat, 0), wasi.ErrnoNametoolong},
		{"open a long path", open(strings.Repeat("d/", 2100), 0, 0), wasi.ErrnoNametoolong},
		{"open what is not UTF-8", open("\xff", 0, 0), wasi.ErrnoIlseq},
		{"mkdir with a slash", g.at(wasi.FnPathCreateDirectory, 3, "made/"), wasi.ErrnoSuccess},
		{"mkdir of .", g.at(wasi.FnPathCreateDirectory, 3, "."), wasi.ErrnoExist},
		{"mkdir over a file", g.at(wasi.FnPathCreateDirectory, 3, "f"), wasi.ErrnoExist},
		{"rmdir of .", g.at(wasi.FnPathRemoveDirectory, 3, "."), wasi.ErrnoInval},
		{"rmdir of ..", g.at(wasi.FnPathRemoveDirectory, 3, "d/.."), wasi.ErrnoInval},
		{"rmdir of a full folder", g.at(wasi.FnPathRemoveDirectory, 3, "d"), wasi.ErrnoNotempty},
		{"rmdir of a link", g.at(wasi.FnPathRemoveDirectory, 3, "to-d"), wasi.ErrnoNotdir},
		{"unlink of .", g.at(wasi.FnPathUnlinkFile, 3, "."), wasi.ErrnoIsdir},
		{"unlink of a folder", g.at(wasi.FnPathUnlinkFile, 3, "d"), wasi.ErrnoIsdir},
		{"unlink of a file with a slash", g.at(wasi.FnPathUnlinkFile, 3, "f/"), wasi.ErrnoNotdir},
		{"rename of .", g.rename(3, ".", "x"), wasi.ErrnoBusy},
		{"rename into itself", g.rename(3, "d", "d/sub/x"), wasi.ErrnoInval},
		{"rename of a file with a slash", g.rename(3, "f/", "g"), wasi.ErrnoNotdir},
		{"rename of a file to a slash", g.rename(3, "f", "g/"), wasi.ErrnoNotdir},
		{"link of a folder", g.link(3, "d", "d2"), wasi.ErrnoPerm},
		{"link to what is there", g.link(3, "f", "to-f"), wasi.ErrnoExist},
		{"link over a link", g.symlink("x", 3, "to-f"), wasi.ErrnoExist},
		{"link out", g.symlink("/etc", 3, "etc"), wasi.ErrnoPerm},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestAListingDoesNotMoveUnderTheReader(t *testing.T) {
	g, l, dir := localGuest(t, false)
	for i := range 40 {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%02d", i)), nil, 0o644)
	}
	readdir := func(cookie uint64) (names []string, next uint64) {
		t.Helper()
		ok(t, "readdir", g.call(wasi.FnFdReaddir, 3, atBuf, 200, cookie, atRes))
		next = cookie
		for b := g.mem[atBuf:][:g.u32()]; len(b) >= 24; {
			n := int(le.Uint32(b[16:]))
			if len(b) < 24+n {
				break
			}
			names, next = append(names, string(b[24:24+n])), le.Uint64(b)
			b = b[24+n:]
		}
		return names, next
	}
	all, next := readdir(0)
	for i := 0; i < 40; i += 2 {
		os.Remove(filepath.Join(dir, fmt.Sprintf("file-%02d", i)))
	}
	os.WriteFile(filepath.Join(dir, "aaa"), nil, 0o644)
	second, _ := readdir(next)

	// Half-way, the table moves.
	st := g.sys.Capture()
	st, err := wasi.DecodeState(st.Encode())
	if err != nil {
		t.Fatal(err)
	}
	sys, err := wasi.New(wasi.Config{Host: l})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Install(st); err != nil {
		t.Fatal(err)
	}
	g = newGuest(sys)
	if again, _ := readdir(next); !slices.Equal(again, second) {
		t.Errorf("the same cookie gives %q and then %q", second, again)
	}
	for {
		names, to := readdir(next)
		if len(names) == 0 {
			break
		}
		all, next = append(all, names...), to
	}
	if len(all) != 42 || !slices.IsSorted(all) {
		t.Errorf("%d names: %q", len(all), all)
	}
	if names, _ := readdir(0); !slices.Contains(names, "aaa") {
		t.Errorf("from the start the listing is still the old one: %q", names)
	}
	if d := g.sys.Capture().Descs[3]; d.Listing == nil {
		t.Error("the listing is not kept although its end was not seen")
	}
}

func TestTheTableHasAnEnd(t *testing.T) {
	g, _, dir := localGuest(t, false)
	os.WriteFile(filepath.Join(dir, "f"), nil, 0o644)
	n := 4
	for ; n < wasi.MaxDescs+2; n++ {
		fd, e := g.open(3, "f", 0, 0, 0)
		if e == wasi.ErrnoMfile || e == wasi.ErrnoNfile {
			break // the system's own limit may be lower
		}
		if ok(t, "open", e); int(fd) != n {
			t.Fatalf("descriptor %d, want %d", fd, n)
		}
	}
	if n > wasi.MaxDescs {
		t.Errorf("%d descriptors are open", n)
	}
	ok(t, "close", g.close(10))
	if fd, e := g.open(3, "f", 0, 0, 0); e != wasi.ErrnoSuccess || fd != 10 {
		t.Errorf("descriptor %d, %v; want the lowest free, 10", fd, e)
	}
}

func TestTheClassOfAnImportDependsOnTheDescriptor(t *testing.T) {
	g, _, dir := localGuest(t, false)
	os.WriteFile(filepath.Join(dir, "f"), nil, 0o644)
	fd, e := g.open(3, "f", 0, rw, 0)
	ok(t, "open", e)
	for _, c := range []struct {
		fn   wasi.Fn
		fd   uint32
		want wasi.Class
	}{
		{wasi.FnFdWrite, 1, wasi.Output},
		{wasi.FnFdWrite, 2, wasi.Output},
		{wasi.FnFdWrite, fd, wasi.FileChange},
		{wasi.FnFdWrite, 99, wasi.Quiet},
		{wasi.FnFdRead, 0, wasi.Immediate},
		{wasi.FnFdRead, fd, wasi.Read},
		{wasi.FnFdFilestatGet, 1, wasi.Quiet},
		{wasi.FnFdFilestatGet, fd, wasi.Read},
		{wasi.FnClockTimeGet, 0, wasi.Clock},
		{wasi.FnRandomGet, 0, wasi.Random},
		{wasi.FnArgsGet, 0, wasi.Quiet},
		{wasi.FnPathUnlinkFile, 3, wasi.FileChange},
		{wasi.FnFdReaddir, 3, wasi.Read},
		{wasi.FnProcExit, 0, wasi.Quiet},
	} {
		if got := g.sys.Class(c.fn, c.fd); got != c.want {
			t.Errorf("%v on descriptor %d is %v, want %v", c.fn, c.fd, got, c.want)
		}
	}
	// What moved to another number is still what it was.
	ok(t, "renumber", g.call(wasi.FnFdRenumber, 1, uint64(fd)))
	if got := g.sys.Class(wasi.FnFdWrite, fd); got != wasi.Output {
		t.Errorf("stdout under another number is %v", got)
	}
}

// answering is a tap that answers some imports.
type answering map[wasi.Fn]wasi.Outcome

func (a answering) Enter(c wasi.Call) *wasi.Outcome {
	if out, ok := a[c.Fn]; ok {
		return &out
	}
	return nil
}

func (a answering) Leave(wasi.Call, wasi.Outcome) *wasi.Outcome { return nil }

func TestAnAnswerIsWrittenToTheGuest(t *testing.T) {
	g, l, _ := localGuest(t, false)
	g.sys.SetTap(answering{
		wasi.FnFdRead:       {Outputs: append([]byte{5, 0, 0, 0}, "hello"...)},
		wasi.FnClockTimeGet: {Outputs: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		wasi.FnFdWrite:      {Errno: wasi.ErrnoPipe},
	})
	if s, e := g.read(0, 10); e != wasi.ErrnoSuccess || s != "hello" {
		t.Errorf("read %q, %v", s, e)
	}
	ok(t, "clock", g.call(wasi.FnClockTimeGet, 0, 0, atRes))
	if g.u64() != 0x0807060504030201 {
		t.Errorf("time %x", g.u64())
	}
	_, e := g.write(1, "x")
	want(t, "write", e, wasi.ErrnoPipe)

	sys, err := wasi.New(wasi.Config{Host: l, Sockets: []wasi.Socket{{Handle: 50, Type: wasi.FiletypeSocketStream}}})
	if err != nil {
		t.Fatal(err)
	}
	g = newGuest(sys)
	g.sys.SetTap(answering{wasi.FnSockAccept: {Outputs: []byte{4, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, byte(wasi.FiletypeSocketStream)}}})
	ok(t, "accept", g.call(wasi.FnSockAccept, 3, 0, atRes))
	if d := g.sys.Capture().Descs[4]; d.Handle != 60 || d.Type != wasi.FiletypeSocketStream {
		t.Errorf("the accepted socket is %+v", d)
	}
}

func TestAnAnswerThatDoesNotFitIsADivergence(t *testing.T) {
	g, _, _ := localGuest(t, false)
	g.iov(4)
	for _, out := range [][]byte{nil, {5, 0, 0}, []byte("\x05\x00\x00\x00hello")} {
		g.sys.SetTap(answering{wasi.FnFdRead: {Outputs: out}})
		func() {
			defer func() {
				if _, ok := recover().(*wasi.Divergence); !ok {
					t.Errorf("results %q are accepted", out)
				}
			}()
			g.call(wasi.FnFdRead, 0, atIov, 1, atRes)
		}()
	}
}

func TestRightsOnceGivenUpStayGivenUp(t *testing.T) {
	g, _, dir := localGuest(t, false)
	os.MkdirAll(filepath.Join(dir, "d/e"), 0o755)
	os.WriteFile(filepath.Join(dir, "d/f"), []byte("x"), 0o644)
	d, e := g.open(3, "d", oDirectory, 0, 0)
	ok(t, "open", e)
	had := g.sys.Capture().Descs[d]
	ok(t, "give up", g.call(wasi.FnFdFdstatSetRights, uint64(d),
		uint64(had.Base&^wasi.RightPathUnlinkFile), uint64(had.Inheriting&^wasi.RightFdWrite)))
	want(t, "take back", g.call(wasi.FnFdFdstatSetRights, uint64(d), uint64(had.Base), 0), wasi.ErrnoNotcapable)
	want(t, "unlink", g.at(wasi.FnPathUnlinkFile, d, "f"), wasi.ErrnoNotcapable)
	sub, e := g.open(d, "e", oDirectory, 0, 0)
	ok(t, "open a folder in it", e)
	want(t, "unlink there", g.at(wasi.FnPathUnlinkFile, sub, "f"), wasi.ErrnoNotcapable)
	fd, e := g.open(d, "f", 0, rw, 0)
	ok(t, "open a file in it", e)
	_, e = g.write(fd, "y")
	want(t, "write to it", e, wasi.ErrnoBadf)
}

func TestAnImportThatNobodyTapsAllocatesNothing(t *testing.T) {
	g, _, _ := localGuest(t, false)
	fd, e := g.open(3, "f", oCreat, rw, 0)
	ok(t, "open", e)
	copy(g.mem[atBuf:], "data")
	g.iov(4)
	stack := make([]uint64, 9)
	do := func(fn wasi.Fn, params ...uint64) func() {
		f := g.funcs[fn]
		return func() {
			copy(stack, params)
			f.Call(g, stack)
			if stack[0] != 0 {
				t.Fatalf("%v: %v", fn, wasi.Errno(stack[0]))
			}
		}
	}
	for fn, f := range map[wasi.Fn]func(){
		wasi.FnFdPwrite:     do(wasi.FnFdPwrite, uint64(fd), atIov, 1, 0, atRes),
		wasi.FnFdPread:      do(wasi.FnFdPread, uint64(fd), atIov, 1, 0, atRes),
		wasi.FnClockTimeGet: do(wasi.FnClockTimeGet, 1, 0, atRes),
		wasi.FnFdSeek:       do(wasi.FnFdSeek, uint64(fd), 0, 0, atRes),
		wasi.FnFdWrite:      do(wasi.FnFdWrite, 1, atIov, 1, atRes),
	} {
		f()
		if n := testing.AllocsPerRun(20, f); n > 0 {
			t.Errorf("%v allocates %v times", fn, n)
		}
	}
}

func BenchmarkFdWriteOfABlock(b *testing.B) {
	for _, tapped := range []bool{false, true} {
		b.Run(fmt.Sprintf("tapped=%v", tapped), func(b *testing.B) {
			g, _, _ := localGuest(b, false)
			fd, _ := g.open(3, "f", oCreat, rw, 0)
			g.iov(4096)
			if tapped {
				g.sys.SetTap(&wasi.Recorder{Add: func(wasi.Entry) {}})
			}
			b.SetBytes(4096)
			for b.Loop() {
				if e := g.call(wasi.FnFdPwrite, uint64(fd), atIov, 1, 0, atRes); e != wasi.ErrnoSuccess {
					b.Fatal(e)
				}
			}
		})
	}
}
