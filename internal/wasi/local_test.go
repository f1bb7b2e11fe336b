package wasi_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

func TestNoPathLeadsOutOfAFolder(t *testing.T) {
	g, _, dir := localGuest(t, false)
	outside := t.TempDir()
	for name, content := range map[string]string{"secret": "s", "inside/secret": "s"} {
		os.MkdirAll(filepath.Dir(filepath.Join(outside, name)), 0o755)
		if err := os.WriteFile(filepath.Join(outside, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "own"), nil, 0o644))
	must(os.Symlink(outside, filepath.Join(dir, "abs")))
	rel, err := filepath.Rel(dir, outside)
	must(err)
	must(os.Symlink(rel, filepath.Join(dir, "rel")))
	must(os.Symlink(filepath.Join(rel, "secret"), filepath.Join(dir, "relfile")))
	must(os.Symlink("rel", filepath.Join(dir, "twice")))

	for _, p := range []string{
		"..", "../x", "sub/../..", "sub/../../x", "/etc/passwd", "/", "abs", "abs/secret", "rel/secret", "relfile",
		"twice/secret", "twice/inside/secret", "sub/../rel/secret", "abs/../own", "rel/../own",
	} {
		t.Run(p, func(t *testing.T) {
			refused := func(what string, e wasi.Errno) {
				t.Helper()
				if e == wasi.ErrnoSuccess {
					t.Errorf("%s %q succeeds", what, p)
				}
			}
			_, e := g.open(3, p, 0, rw, 0)
			refused("open", e)
			_, e = g.open(3, p, oCreat, rw, 0)
			refused("create", e)
			_, e = g.open(3, p, oDirectory, 0, 0)
			refused("open folder", e)
			_, e = g.stat(3, p, true)
			refused("stat", e)
			refused("mkdir", g.at(wasi.FnPathCreateDirectory, 3, p+"/new"))
			refused("rmdir", g.at(wasi.FnPathRemoveDirectory, 3, p+"/inside"))
			refused("unlink", g.at(wasi.FnPathUnlinkFile, 3, p+"/secret"))
			refused("rename out", g.rename(3, "own", p+"/own"))
			refused("rename in", g.rename(3, p+"/secret", "mine"))
			refused("link out", g.link(3, "own", p+"/own"))
			refused("link in", g.link(3, p+"/secret", "mine"))
			refused("symlink", g.symlink("x", 3, p+"/link"))
		})
	}
	ents, err := os.ReadDir(outside)
	if err != nil || len(ents) != 2 {
		t.Errorf("outside there is now %v, %v", ents, err)
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "s" {
		t.Errorf("the secret is now %q", b)
	}
}

func TestAReadOnlyFolderRefusesEveryChange(t *testing.T) {
	g, l, dir := localGuest(t, true)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Join(dir, "d"), 0o755)
	rofs := func(what string, e wasi.Errno) { t.Helper(); want(t, what, e, wasi.ErrnoRofs) }
	_, e := g.open(3, "f", 0, rw, 0)
	rofs("open for writing", e)
	_, e = g.open(3, "f", oTrunc, uint64(wasi.RightFdRead), 0)
	rofs("truncate", e)
	_, e = g.open(3, "new", oCreat, 0, 0)
	rofs("create", e)
	rofs("mkdir", g.at(wasi.FnPathCreateDirectory, 3, "new"))
	rofs("rmdir", g.at(wasi.FnPathRemoveDirectory, 3, "d"))
	rofs("unlink", g.at(wasi.FnPathUnlinkFile, 3, "f"))
	rofs("rename", g.rename(3, "f", "g"))
	rofs("link", g.link(3, "f", "g"))
	rofs("symlink", g.symlink("f", 3, "g"))
	p, n := g.path(atPath, "f")
	rofs("set times", g.call(wasi.FnPathFilestatSetTimes, 3, 0, p, n, 1, 1, 4))
	fd, e := g.open(3, "f", oCreat, uint64(wasi.RightFdRead), 0)
	ok(t, "open for reading, created if need be", e)
	rofs("set times of an open file", g.call(wasi.FnFdFilestatSetTimes, uint64(fd), 1, 1, 4))
	s, e := g.read(fd, 10)
	if ok(t, "read", e); s != "text" {
		t.Errorf("read %q", s)
	}
	sub, e := g.open(3, "d", oDirectory, 0, 0)
	ok(t, "open a folder in it", e)
	rofs("mkdir in a folder in it", g.at(wasi.FnPathCreateDirectory, sub, "new"))

	// The host holds to it by itself.
	h := l.Handles()[3]
	rofs("mkdir on the host", l.Mkdir(h, "new"))
	_, _, e = l.Open(h, "f", wasi.OpenFlags{Write: true})
	rofs("open on the host", e)
}

func TestAFolderThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	l := wasi.NewLocal(nil, nil, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, hint string }{
		"missing":  {filepath.Join(dir, "none"), "mkdir -p"},
		"a file":   {file, "it is no folder"},
		"no right": {noRight(t, dir), "give this user access"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.path == "" {
				t.Skip("this user may read everything")
			}
			_, err := l.AddFolder(c.path, false)
			if err == nil || !strings.Contains(err.Error(), c.hint) || !strings.Contains(err.Error(), "--dir") {
				t.Errorf("error %v; want a hint %q", err, c.hint)
			}
		})
	}
}

// noRight makes a folder that this user may not open, or returns "".
func noRight(t *testing.T, dir string) string {
	p := filepath.Join(dir, "locked")
	if err := os.Mkdir(p, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(p); err == nil {
		f.Close()
		return ""
	} else if !errors.Is(err, fs.ErrPermission) {
		t.Fatal(err)
	}
	return p
}

func TestHandlesOfAnAbandonedAttemptAreClosed(t *testing.T) {
	g, l, dir := localGuest(t, false)
	os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644)
	before := len(l.Handles())
	st := g.sys.Capture()
	mark := l.Mark()
	for range 5 {
		_, e := g.open(3, "f", 0, rw, 0)
		ok(t, "open", e)
	}
	l.CloseSince(mark)
	if n := len(l.Handles()); n != before {
		t.Errorf("%d handles, want %d", n, before)
	}
	if err := g.sys.Install(st); err != nil {
		t.Fatal(err)
	}
	fd, e := g.open(3, "f", 0, rw, 0)
	if ok(t, "open again", e); fd != 4 {
		t.Errorf("descriptor %d, want 4", fd)
	}
	if hs := l.Handles(); hs[len(hs)-1] < mark+5 {
		t.Errorf("a handle number was used again: %v, mark %d", hs, mark)
	}
}

func TestClocksNeverAnswerLessThanASiteDid(t *testing.T) { // PROTOCOL rule 4
	l := wasi.NewLocal(nil, nil, nil)
	real0, _ := l.Now(wasi.ClockRealtime)
	mono0, _ := l.Now(wasi.ClockMonotonic)
	const hour = int64(time.Hour)
	l.NotBefore(real0+hour, mono0+hour)
	for range 3 {
		r, _ := l.Now(wasi.ClockRealtime)
		m, _ := l.Now(wasi.ClockMonotonic)
		if r < real0+hour || m < mono0+hour {
			t.Fatalf("clocks went back: %d, %d", r-real0, m-mono0)
		}
		real0, mono0 = r-hour, m-hour
	}
	l.NotBefore(0, 0)
	if m, _ := l.Now(wasi.ClockMonotonic); m < mono0+hour {
		t.Fatal("the monotonic clock went back")
	}
}

func TestASeedGivesTheSameRandomBytesEverywhere(t *testing.T) {
	draw := func() string {
		l := wasi.NewLocal(nil, nil, nil)
		l.Seed([32]byte{7})
		var all []byte
		for _, n := range []int{1, 8, 3, 100} {
			b := make([]byte, n)
			l.Random(b)
			all = append(all, b...)
		}
		return string(all)
	}
	if first := draw(); first != draw() {
		t.Error("two streams differ")
	}
	l := wasi.NewLocal(nil, nil, nil)
	a, b := make([]byte, 32), make([]byte, 32)
	l.Random(a)
	l.Random(b)
	if string(a) == string(b) {
		t.Error("unseeded bytes repeat")
	}
}

func TestAppendingWritesAtTheEndWhateverItIs(t *testing.T) {
	g, _, dir := localGuest(t, false)
	fd, e := g.open(3, "log", oCreat, rw, wasi.FdflagAppend)
	ok(t, "open", e)
	_, e = g.write(fd, "one")
	ok(t, "write", e)
	other, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	other.WriteString("TWO")
	other.Close()
	_, e = g.seek(fd, 0, 0)
	ok(t, "seek", e)
	_, e = g.write(fd, "three")
	ok(t, "write", e)
	if at, e := g.seek(fd, 0, 1); e != wasi.ErrnoSuccess || at != 11 {
		t.Errorf("the offset is %d, %v", at, e)
	}
	ok(t, "pwrite", g.pwrite(fd, "O", 0))
	if b, _ := os.ReadFile(filepath.Join(dir, "log")); string(b) != "OneTWOthree" {
		t.Errorf("the file holds %q", b)
	}
}

func TestTimesAreSetOneByOne(t *testing.T) {
	g, _, _ := localGuest(t, false)
	fd, e := g.open(3, "f", oCreat, rw, 0)
	ok(t, "open", e)
	const aSet, mSet, mNow = 1, 4, 8
	ok(t, "set both", g.call(wasi.FnFdFilestatSetTimes, uint64(fd), 1111, 2222_000, aSet|mSet))
	st, e := g.fstat(fd)
	ok(t, "stat", e)
	if st.Mtim != 2222_000 || runtime.GOOS == "linux" && st.Atim != 1111 {
		t.Errorf("times %d, %d", st.Atim, st.Mtim)
	}
	p, n := g.path(atPath, "f")
	ok(t, "set one by path", g.call(wasi.FnPathFilestatSetTimes, 3, 0, p, n, 5555_000, 0, aSet))
	st, e = g.fstat(fd)
	ok(t, "stat", e)
	if st.Atim != 5555_000 || st.Mtim != 2222_000 {
		t.Errorf("times %d, %d", st.Atim, st.Mtim)
	}
	before := time.Now().Add(-time.Minute).UnixNano()
	ok(t, "set to now", g.call(wasi.FnFdFilestatSetTimes, uint64(fd), 0, 0, mNow))
	st, e = g.fstat(fd)
	ok(t, "stat", e)
	if st.Mtim < before || st.Atim != 5555_000 {
		t.Errorf("times %d, %d", st.Atim, st.Mtim)
	}
	ok(t, "mkdir", g.at(wasi.FnPathCreateDirectory, 3, "d"))
	d, e := g.open(3, "d", oDirectory, 0, 0)
	ok(t, "open folder", e)
	ok(t, "set a folder's", g.call(wasi.FnFdFilestatSetTimes, uint64(d), 0, 7777_000, mSet))
	if st, _ := g.fstat(d); st.Mtim != 7777_000 {
		t.Errorf("the folder's time is %d", st.Mtim)
	}
}

func TestPollWaitsForAPipeAndForAClock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("nothing to poll with on Windows")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := wasi.NewLocal(r, io.Discard, nil)
	sys, err := wasi.New(wasi.Config{Host: l})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(sys)
	poll := func(n int) (events []byte) {
		t.Helper()
		ok(t, "poll", g.call(wasi.FnPollOneoff, atPath, atBuf, uint64(n), atRes))
		return g.mem[atBuf:][:32*g.u32()]
	}
	sub := func(i int, user uint64, kind byte, fdOrClock uint32, timeout time.Duration) {
		b := g.mem[atPath+48*i:][:48]
		clear(b)
		le.PutUint64(b, user)
		b[8] = kind
		le.PutUint32(b[16:], fdOrClock)
		le.PutUint64(b[24:], uint64(timeout))
	}
	sub(0, 10, 0, 1, 20*time.Millisecond)
	sub(1, 11, 1, 0, 0)
	start := time.Now()
	ev := poll(2)
	if len(ev) != 32 || le.Uint64(ev) != 10 {
		t.Errorf("events %x, want the clock's", ev)
	}
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("waited only %v", d)
	}

	sub(0, 10, 0, 1, time.Hour)
	go func() { w.WriteString("hello") }()
	if ev = poll(2); len(ev) != 32 || le.Uint64(ev) != 11 || le.Uint64(ev[16:]) != 5 {
		t.Errorf("events %x, want 5 bytes on stdin", ev)
	}
	if s, e := g.read(0, 100); e != wasi.ErrnoSuccess || s != "hello" {
		t.Errorf("read %q, %v", s, e)
	}

	ok(t, "set non-blocking", g.call(wasi.FnFdFdstatSetFlags, 0, uint64(wasi.FdflagNonblock)))
	_, e := g.read(0, 1)
	want(t, "read of an empty pipe", e, wasi.ErrnoAgain)
	w.Close()
	if ev = poll(2); len(ev) != 32 || le.Uint16(ev[24:]) != 1 {
		t.Errorf("events %x, want a hangup", ev)
	}
	if s, e := g.read(0, 1); e != wasi.ErrnoSuccess || s != "" {
		t.Errorf("read %q, %v at the end", s, e)
	}

	sub(0, 12, 2, 1, 0)
	sub(1, 13, 1, 77, 0)
	ev = poll(2)
	if len(ev) != 64 || le.Uint64(ev) != 12 || le.Uint64(ev[32:]) != 13 || wasi.Errno(le.Uint16(ev[40:])) != wasi.ErrnoBadf {
		t.Errorf("events %x, want stdout writable and a bad descriptor", ev)
	}
	want(t, "poll for nothing", g.call(wasi.FnPollOneoff, atPath, atBuf, 0, atRes), wasi.ErrnoInval)
}

func TestSocketsAcceptReceiveSendAndShutDown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	l := wasi.NewLocal(nil, nil, nil)
	defer l.CloseAll()
	h, e := l.AddListener(ln)
	ok(t, "add listener", e)
	sys, err := wasi.New(wasi.Config{Host: l, Sockets: []wasi.Socket{{Handle: h, Type: wasi.FiletypeSocketStream}}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(sys)
	if runtime.GOOS != "windows" {
		ok(t, "set non-blocking", g.call(wasi.FnFdFdstatSetFlags, 3, uint64(wasi.FdflagNonblock)))
		want(t, "accept with nobody there", g.call(wasi.FnSockAccept, 3, 0, atRes), wasi.ErrnoAgain)
		ok(t, "set blocking", g.call(wasi.FnFdFdstatSetFlags, 3, 0))
	}
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	peer.SetDeadline(time.Now().Add(10 * time.Second))
	ok(t, "accept", g.call(wasi.FnSockAccept, 3, 0, atRes))
	fd := g.u32()
	fmt.Fprint(peer, "ping")
	g.iov(100)
	recv := func(flags uint64) string {
		t.Helper()
		ok(t, "recv", g.call(wasi.FnSockRecv, uint64(fd), atIov, 1, flags, atRes, atRes+8))
		return string(g.mem[atBuf:][:g.u32()])
	}
	if runtime.GOOS != "windows" {
		if s := recv(1); s != "ping" {
			t.Errorf("peeked %q", s)
		}
	}
	if s := recv(0); s != "ping" {
		t.Errorf("received %q", s)
	}
	copy(g.mem[atBuf:], "pong")
	g.iov(4)
	ok(t, "send", g.call(wasi.FnSockSend, uint64(fd), atIov, 1, 0, atRes))
	_, e = g.write(fd, "!")
	ok(t, "write", e)
	ok(t, "shutdown", g.call(wasi.FnSockShutdown, uint64(fd), 2))
	if b, err := io.ReadAll(peer); string(b) != "pong!" {
		t.Errorf("the peer received %q, %v", b, err)
	}
	peer.Close()
	if s := recv(0); s != "" {
		t.Errorf("received %q at the end", s)
	}
	want(t, "send to a file", g.call(wasi.FnSockSend, 1, atIov, 1, 0, atRes), wasi.ErrnoNotsock)
	ok(t, "close", g.close(fd))
}
