//go:build linux || darwin

package stage_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

func TestASmallFileIsOpenedAndReadInOneRoundTrip(t *testing.T) {
	b := newBench(t, nil)
	buf := make([]byte, 4096)
	h := b.open("ld/up", toRead) // through two links
	n, e := b.site.PRead(h, buf, 0)
	b.ok(e)
	if n != 4096 || !strings.HasPrefix(string(buf), "b.b.") {
		t.Errorf("read %d bytes", n)
	}
	if len(b.requests) != 1 {
		t.Errorf("%d round trips: %v", len(b.requests), b.requests)
	}
	for _, again := range []string{"b", "d/up", "ld/../b"} {
		if _, e := b.site.StatAt(b.root, again, true); e != wasi.ErrnoSuccess {
			t.Error(again, e)
		}
	}
	if len(b.requests) > 1 {
		t.Errorf("what is known is asked for again: %v", b.requests)
	}
}

func TestAFileReadInSmallPiecesIsFetchedAhead(t *testing.T) {
	b := newBench(t, nil)
	want := bytes.Repeat([]byte("0123456789abcdef"), 256<<10/16*16) // 4 MiB
	must(t, os.WriteFile(b.path("big"), want, 0o600))
	h := b.open("big", toRead)
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, e := b.site.PRead(h, buf, uint64(len(got)))
		b.ok(e)
		if n == 0 {
			break
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("read something else")
	}
	if len(b.requests) > 16 {
		t.Errorf("%d round trips for 4 MiB", len(b.requests))
	}
}

func TestRule10AFailedLookupAndAListingAreAskedForOnce(t *testing.T) {
	b := newBench(t, nil)
	for range 3 {
		if _, e := b.site.StatAt(b.root, "n/o/t", true); e != wasi.ErrnoNoent {
			t.Fatal(e)
		}
		_, e := b.site.ReadDir(b.root)
		b.ok(e)
	}
	if len(b.requests) > 2 { // the walk, the listing
		t.Error(b.requests)
	}
}

func TestRule10SomethingPrivateIsPinned(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.srvCfg.Private = func(p string) bool { return strings.HasPrefix(p, b.path("d")) }
	})
	for name, f := range map[string]func(){
		"opened":                 func() { b.site.Open(b.root, "d/a", toRead) },
		"looked at":              func() { b.site.StatAt(b.root, "d", false) },
		"reached through a link": func() { b.site.StatAt(b.root, "ld/a", true) },
		"listed":                 func() { b.site.ReadDir(b.root) },
	} {
		t.Run(name, func(t *testing.T) {
			if r := aborted(t, f); !strings.Contains(r, "private") {
				t.Error(r)
			}
		})
	}
	if _, e := b.site.StatAt(b.root, "a", true); e != wasi.ErrnoSuccess {
		t.Error(e)
	}
	s, e := b.local.StatAt(b.root, ".", true)
	b.ok(e)
	if _, err := b.srv.Prepare(site.Effects{
		Objects: []site.Object{{Type: s.Type, Handle: b.root, ID: s.Identity()}},
		List:    []site.Effect{{Kind: site.EffectRename, Name: "d", Name2: "mine"}},
	}, nil); !errors.Is(err, stage.ErrHostile) {
		t.Error("a clone may take what is private:", err)
	}
}

func TestRule11ForwardedReadsLeaveTheDescriptorTableAlone(t *testing.T) {
	b := newBench(t, nil)
	before := len(b.local.Handles())
	for range 3 {
		h := b.open("b", toRead)
		b.site.PRead(h, make([]byte, 10), 90_000)
		b.site.Close(h)
	}
	b.srv.Abandon()
	if now := len(b.local.Handles()); now != before {
		t.Errorf("%d handles, there were %d", now, before)
	}
}

func TestRule13OutputIsReleasedUpToTheFirstFileChange(t *testing.T) {
	b := newBench(t, nil)
	b.site.SetEntry(7)
	b.print("one")
	b.print("two")
	h := b.open("n", toCreate)
	b.print("three")
	batch, ok := b.site.TakeOutput(1 << 20)
	if !ok || len(batch.Output) != 2 || batch.Output[0].Entry != 7 {
		t.Fatalf("%+v", batch)
	}
	if n, err := b.srv.Release(batch); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if b.out.String() != "onetwo" {
		t.Fatal(b.out.String())
	}
	if _, ok := b.site.TakeOutput(1 << 20); ok {
		t.Error("released past a file change")
	}
	b.write(h, "content", 0)
	b.commit()
	if b.out.String() != "onetwothree" {
		t.Error(b.out.String())
	}
}

func TestRule13AChangedFileKeepsABatchBack(t *testing.T) {
	for name, look := range map[string]func(b *bench){
		"read":          func(b *bench) { b.site.PRead(b.open("d/a", toRead), make([]byte, 10), 0) },
		"statted":       func(b *bench) { b.site.StatAt(b.root, "d/a", true) },
		"by a link":     func(b *bench) { b.site.StatAt(b.root, "ld/a", true) },
		"looked for":    func(b *bench) { b.site.StatAt(b.root, "new", true) },
		"listed":        func(b *bench) { b.site.ReadDir(b.root) },
		"opened":        func(b *bench) { b.open("d/a", toWrite) },
		"link followed": func(b *bench) { b.site.StatAt(b.root, "l", true) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			look(b)
			b.print("x")
			batch, _ := b.site.TakeOutput(1 << 20)
			must(t, b.srv.CheckReads(batch.Reads))
			must(t, os.WriteFile(b.path("d/a"), []byte("other"), 0o600))
			must(t, os.WriteFile(b.path("new"), nil, 0o600))
			must(t, os.Remove(b.path("l")))
			if n, err := b.srv.Release(batch); n != 0 || !errors.Is(err, stage.ErrChanged) {
				t.Error(n, err)
			}
			if b.out.Len() != 0 {
				t.Error("something was released")
			}
		})
	}
}

func TestRule13WhatWasCheckedIsSettledAndWhatIsReadAgainIsNot(t *testing.T) {
	b := newBench(t, nil)
	h := b.open("d/a", toRead)
	b.print("x")
	batch, _ := b.site.TakeOutput(1 << 20)
	must(t, b.srv.CheckReads(batch.Reads))
	must(t, os.WriteFile(b.path("d/a"), []byte("other"), 0o600))
	b.print("y")
	batch, _ = b.site.TakeOutput(1 << 20)
	must(t, b.srv.CheckReads(batch.Reads))
	b.site.PRead(h, make([]byte, 1), 0)
	b.print("z")
	batch, _ = b.site.TakeOutput(1 << 20)
	if err := b.srv.CheckReads(batch.Reads); !errors.Is(err, stage.ErrChanged) {
		t.Error(err)
	}
}

func TestRule13AnImmediateEffectComesAfterAllOutput(t *testing.T) {
	var b *bench
	b = newBench(t, func(x *bench) {
		x.cfg.BeforeImmediate = func() error {
			_, err := b.srv.Release(b.site.TakeBatch())
			return err
		}
	})
	b.print("name? ")
	buf := make([]byte, 10)
	n, e := b.site.Read(0, buf)
	b.ok(e)
	if string(buf[:n]) != "input" || b.out.String() != "name? " {
		t.Errorf("%q %q", buf[:n], b.out.String())
	}
	b.open("n", toCreate)
	if r := aborted(t, func() { b.site.Read(0, buf) }); !strings.Contains(r, "file change") {
		t.Error(r)
	}
}

func TestRule13AFileThatChangedKeepsAnImmediateEffectBack(t *testing.T) {
	var b *bench
	b = newBench(t, func(x *bench) {
		x.cfg.BeforeImmediate = func() error {
			_, err := b.srv.Release(b.site.TakeBatch())
			return err
		}
	})
	b.site.StatAt(b.root, "a", true)
	must(t, os.WriteFile(b.path("a"), []byte("other"), 0o600))
	buf := make([]byte, 10)
	if r := aborted(t, func() { b.site.Read(0, buf) }); !strings.Contains(r, "changed") {
		t.Error(r)
	}
	if n, _ := b.local.Read(0, buf); string(buf[:n]) != "input" {
		t.Error("the effect happened")
	}
}

func TestClocksAndRandomnessGoOnFromTheCall(t *testing.T) {
	elapsed := int64(0)
	b := newBench(t, func(b *bench) {
		b.cfg.Realtime, b.cfg.Monotonic, b.cfg.Seed = 1e18, 5e9, [32]byte{7}
		b.cfg.Elapsed = func() int64 { return elapsed }
	})
	elapsed = 1e6
	if now, _ := b.site.Now(wasi.ClockRealtime); now != 1e18+1e6 {
		t.Error(now)
	}
	if now, _ := b.site.Now(wasi.ClockMonotonic); now != 5e9+1e6 {
		t.Error(now)
	}
	b.ok(b.site.Wait(nil, nil, 5e9)) // passed already
	b.local.Seed([32]byte{7})
	x, y := make([]byte, 100), make([]byte, 100)
	b.site.Random(x)
	b.local.Random(y)
	if !bytes.Equal(x, y) {
		t.Error("another stream than the device's")
	}
	if len(b.requests) > 0 {
		t.Error(b.requests)
	}
}

func TestAnAcceptedConnectionSurvivesTheCommit(t *testing.T) {
	var b *bench
	b = newBench(t, func(x *bench) {
		x.cfg.BeforeImmediate = func() error {
			_, err := b.srv.Release(b.site.TakeBatch())
			return err
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	lh, e := b.local.AddListener(ln)
	b.ok(e)
	client, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer client.Close()
	h, _, e := b.site.Accept(lh, 0)
	b.ok(e)
	client.Write([]byte("hello"))
	buf := make([]byte, 10)
	n, _, e := b.site.Recv(h, buf, 0)
	b.ok(e)
	if string(buf[:n]) != "hello" {
		t.Error(string(buf[:n]))
	}
	if n, e := b.site.Send(h, []byte("bye"), 0); n != 3 || e != wasi.ErrnoSuccess {
		t.Error(n, e)
	}
	c := b.commit()
	b.srv.Abandon()
	if len(c.Accepted) != 1 || c.Accepted[0] != h {
		t.Error(c.Accepted)
	}
	if n, e := b.local.Send(h, []byte("!"), 0); n != 1 || e != wasi.ErrnoSuccess {
		t.Error(n, e)
	}
}

func TestTheOverlayIsBounded(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Limits = site.Limits{Overlay: 1 << 20, Nodes: 100, Handles: 20} })
	h := b.open("n", toCreate)
	for name, f := range map[string]func(){
		"content": func() {
			for i := range uint64(1000) {
				b.site.PWrite(h, make([]byte, 4096), i*4096)
			}
		},
		"output": func() {
			for range 1000 {
				b.site.Write(1, make([]byte, 4096))
			}
		},
		"lookups": func() {
			for i := range 200 {
				b.site.StatAt(b.root, strings.Repeat("x", i+1), true)
			}
		},
		"handles": func() {
			for range 100 {
				b.site.Open(b.root, "a", toRead)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { aborted(t, f) })
	}
}

func TestAReadOnlyFolderIsSoAtASite(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.root, _ = b.local.AddFolder(b.dir, true)
		b.descs[3] = rootDesc(b.root)
	})
	host := []wasi.Host{b.local, b.site}
	for name, f := range map[string]func(h wasi.Host) wasi.Errno{
		"open to write": func(h wasi.Host) wasi.Errno { _, _, e := h.Open(b.root, "a", toWrite); return e },
		"create": func(h wasi.Host) wasi.Errno {
			_, _, e := h.Open(b.root, "n", wasi.OpenFlags{Read: true, Create: true})
			return e
		},
		"create what is there": func(h wasi.Host) wasi.Errno {
			_, _, e := h.Open(b.root, "a", wasi.OpenFlags{Read: true, Create: true})
			return e
		},
		"open to read": func(h wasi.Host) wasi.Errno { _, _, e := h.Open(b.root, "a", toRead); return e },
		"mkdir":        func(h wasi.Host) wasi.Errno { return h.Mkdir(b.root, "n") },
		"rmdir":        func(h wasi.Host) wasi.Errno { return h.Rmdir(b.root, "empty") },
		"unlink":       func(h wasi.Host) wasi.Errno { return h.Unlink(b.root, "a") },
		"rename":       func(h wasi.Host) wasi.Errno { return h.Rename(b.root, "a", b.root, "n") },
		"link":         func(h wasi.Host) wasi.Errno { return h.Link(b.root, "a", false, b.root, "n") },
		"symlink":      func(h wasi.Host) wasi.Errno { return h.Symlink("a", b.root, "n") },
		"times": func(h wasi.Host) wasi.Errno {
			return h.SetTimesAt(b.root, "a", true, wasi.TimeSet{Now: true}, wasi.TimeSet{})
		},
		"through a subfolder": func(h wasi.Host) wasi.Errno {
			d, _, e := h.Open(b.root, "d", wasi.OpenFlags{Read: true, Directory: true})
			b.ok(e)
			return h.Mkdir(d, "n")
		},
	} {
		if l, s := f(host[0]), f(host[1]); l != s {
			t.Errorf("%s: %v locally, %v at the site", name, l, s)
		}
	}
}

// TestAFlusherMayTakeOutputWhileTheGuestRuns is for the race detector, and
// counts that every byte comes out once and in order.
func TestAFlusherMayTakeOutputWhileTheGuestRuns(t *testing.T) {
	b := newBench(t, nil)
	const writes = 2000
	stop, taken := make(chan struct{}), make(chan []byte)
	go func() {
		var got []byte
		for stopped := false; ; {
			batch, ok := b.site.TakeOutput(100)
			for _, x := range batch.Output {
				got = append(got, x.Data...)
			}
			if !ok && stopped {
				taken <- got
				return
			}
			select {
			case <-stop:
				stopped = true
			default:
			}
		}
	}()
	var want []byte
	for i := range writes {
		s := string(rune('a' + i%26))
		b.print(s)
		want = append(want, s...)
		b.site.StatAt(b.root, "a", true)
	}
	close(stop)
	if got := <-taken; !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out of %d", len(got), len(want))
	}
}
