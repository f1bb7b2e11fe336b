package wasi_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// observe is what a guest can see of the time, of chance, and of files' inodes
// and times; it waits for an hour.
func observe(t *testing.T, g *guest) (seen []byte) {
	t.Helper()
	clocks := func() {
		for id := range uint64(4) {
			ok(t, "clock_time_get", g.call(wasi.FnClockTimeGet, id, 0, atRes))
			seen = append(seen, g.mem[atRes:][:8]...)
		}
	}
	clocks()
	sub := g.mem[atPath:][:48]
	clear(sub)
	le.PutUint32(sub[16:], uint32(wasi.ClockMonotonic))
	le.PutUint64(sub[24:], uint64(time.Hour))
	ok(t, "poll_oneoff", g.call(wasi.FnPollOneoff, atPath, atBuf, 1, atRes))
	seen = append(seen, g.mem[atBuf:][:32]...)
	clocks()
	for _, at := range []uint64{atBuf, atBuf + 64, atBuf} {
		ok(t, "random_get", g.call(wasi.FnRandomGet, at, 64))
		seen = append(seen, g.mem[at:][:64]...)
	}
	fd, e := g.open(3, "file", 0, rw, 0)
	ok(t, "open", e)
	for _, get := range []func() (wasi.Stat, wasi.Errno){
		func() (wasi.Stat, wasi.Errno) { return g.fstat(fd) },
		func() (wasi.Stat, wasi.Errno) { return g.stat(3, "file", true) },
		func() (wasi.Stat, wasi.Errno) { return g.stat(3, "folder", true) },
	} {
		st, e := get()
		ok(t, "filestat_get", e)
		if st.Ino == 0 {
			t.Error("an inode of 0, at which libraries ask again")
		}
		seen = append(seen, g.mem[atRes:][:64]...)
	}
	ok(t, "close", g.close(fd))
	ok(t, "fd_readdir", g.call(wasi.FnFdReaddir, 3, atBuf, 1000, 0, atRes))
	return append(seen, g.mem[atBuf:][:g.u32()]...)
}

// ground is a folder with a file and a folder.
func ground(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644),
		os.Mkdir(filepath.Join(dir, "folder"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestARepeatableRunSeesTheSameEachTime(t *testing.T) {
	var first []byte
	for i := range 2 {
		l := wasi.NewLocal(nil, nil, nil)
		defer l.CloseAll()
		l.StandStill()
		h, err := l.AddFolder(ground(t), false)
		if err != nil {
			t.Fatal(err)
		}
		sys, err := wasi.New(wasi.Config{Host: l, Repeatable: true, Preopens: []wasi.Preopen{{GuestPath: "/", Handle: h}}})
		if err != nil {
			t.Fatal(err)
		}
		g := newGuest(sys)
		seen := observe(t, g)
		if i == 0 {
			first = seen
			waited := le.Uint64(seen[64+8:]) - le.Uint64(seen[8:]) // monotonic
			if waited != uint64(time.Hour) {
				t.Errorf("an hour's wait took %v of the guest's time", time.Duration(waited))
			}
			random := seen[96:]
			if slices.Equal(random[:64], random[64:128]) {
				t.Error("two places get the same random numbers")
			}
		} else if !slices.Equal(first, seen) {
			t.Errorf("a second run sees\n%x\nthe first\n%x", seen, first)
		}
	}
}

// Waits at a site go by the clock that it is given, as those on the device do.
func TestASiteWaitsByItsOwnClock(t *testing.T) {
	var slept int64
	s := site.New(site.Config{
		Realtime: 1000, Monotonic: 500,
		Elapsed: func() int64 { return slept }, Sleep: func(ns int64) { slept += ns },
	})
	if e := s.Wait(nil, nil, 500+int64(time.Hour)); e != wasi.ErrnoSuccess {
		t.Fatal(e)
	}
	for clock, want := range map[wasi.ClockID]int64{wasi.ClockRealtime: 1000, wasi.ClockMonotonic: 500} {
		if now, _ := s.Now(clock); now != want+int64(time.Hour) {
			t.Errorf("clock %d shows %d after an hour's wait from %d", clock, now, want)
		}
	}
}
