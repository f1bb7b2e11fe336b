//go:build amd64 || arm64 || riscv64

package pagestate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Each test here is a trap that was met.

// Where the kernel has what a kind needs, a self-test that fails is a fault of ours,
// and every other test would just be skipped.
func TestSelfTestPassesWhereTheKernelHasTheCalls(t *testing.T) {
	for _, kind := range []Kind{Userfault, Scan, Pagemap} {
		if err := openKernel(kind); err != nil {
			t.Logf("%v: %v", kind, err)
			continue
		}
		err := SelfTest(kind)
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS) {
			t.Logf("%v: %v", kind, err) // no PAGEMAP_SCAN
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

// A scan protects pages that were only read, to be faster next time. It must not
// protect dirty ones among them.
func TestTrapScanProtectsNoDirtyPage(t *testing.T) {
	s, _ := newUserfault(t)
	grow(t, s, 4<<20)
	noise(1, s.Bytes())
	must(t, s.SetImage("a"))
	for p := range uint32(1024) {
		_ = bytes.IndexByte(page(s.Bytes(), p), 1)
	}
	for _, p := range []uint32{0, 3, 4, 700, 1023} {
		page(s.Bytes(), p)[0]++
	}
	for range 3 {
		dirtyIs(t, s, 0, 3, 4, 700, 1023)
	}
	page(s.Bytes(), 5)[0]++
	dirtyIs(t, s, 0, 3, 4, 5, 700, 1023)
}

func newUserfault(t *testing.T) (*Space, *memfdBackend) {
	t.Helper()
	if err := SelfTest(Userfault); err != nil {
		t.Skipf("not on this system: %v", err)
	}
	s := newFreed(t, Userfault, 1<<20)
	return s, s.back.(*memfdBackend)
}

// A protection marker on a page that was never touched reads as a swapped page in
// pagemap: bit 62 set, bit 61 clear. Only bit 57 tells it from a private one.
func TestTrapMarkerOfUntouchedPageReadsAsSwapped(t *testing.T) {
	s, b := newUserfault(t)
	must(t, s.SetImage("a"))
	must(t, uffdProtect(s.Bytes()))
	page(s.Bytes(), 7)[0] = 1
	naive := func(entry uint64) bool { return entry&(1<<62|1<<63) != 0 && entry&(1<<61) == 0 }
	runs, err := b.readPagemap(nil, run{0, 256}, naive)
	must(t, err)
	if countPages(runs) != 256 {
		t.Logf("this kernel shows markers otherwise: %d pages by the naive rule", countPages(runs))
	}
	runs, err = b.readPagemap(nil, run{0, 256}, isPrivate)
	must(t, err)
	if !slices.Equal(runs, []run{{7, 8}}) {
		t.Fatalf("private pages %v, want page 7 alone", runs)
	}
	dirtyIs(t, s, 7)
}

// MADV_DONTNEED drops the protection of pages that were written: a scan for
// unprotected pages goes on naming them, and they must not count as dirty.
func TestTrapDroppedPagesLoseTheirProtection(t *testing.T) {
	s, b := newUserfault(t)
	noise(1, s.Bytes())
	must(t, s.SetImage("a"))
	must(t, uffdProtect(s.Bytes()))
	page(s.Bytes(), 5)[0]++
	page(s.Bytes(), 6)[0]++
	must(t, s.Rollback())
	for p := range uint32(256) {
		_ = bytes.IndexByte(page(s.Bytes(), p), 1)
	}
	loose, err := b.scan(nil, scanUnprotected, run{0, 256})
	must(t, err)
	t.Logf("unprotected after rollback: %v", loose)
	cand, err := s.candidates()
	must(t, err)
	if len(cand) != 0 {
		t.Fatalf("suspected after rollback: %v", cand)
	}
	page(s.Bytes(), 5)[0]++
	dirtyIs(t, s, 5)
}

// Pages kept private after a change of image hide what is written to the base below
// them, if they are not dropped.
func TestTrapKeptPageHidesTheBase(t *testing.T) {
	s, b := newUserfault(t)
	must(t, s.SetImage("0"))
	page(s.Bytes(), 9)[0] = 1
	must(t, s.SetImage("a"))
	if b.kept == 0 {
		t.Fatal("nothing was kept")
	}
	if cand, err := s.candidates(); err != nil || len(cand) != 0 {
		t.Fatalf("a kept page is suspected: %v, %v", cand, err)
	}
	other := newFreed(t, Compare, 1<<20)
	page(other.Bytes(), 9)[0] = 1
	must(t, other.SetImage("a"))
	page(other.Bytes(), 9)[0] = 2
	delta, err := other.Diff()
	must(t, err)
	applyImage(t, s, delta, "b")
	if got := page(s.Bytes(), 9)[0]; got != 2 {
		t.Fatalf("page 9 holds %d", got)
	}
}

// The kernel fills at most 512 regions at a time and says a wrong walk_end: a scan
// goes on from the last region it got. Alternate pages make the most regions.
func TestTrapScanOfManyRegions(t *testing.T) {
	for _, kind := range []Kind{Userfault, Scan} {
		t.Run(kind.String(), func(t *testing.T) {
			if err := SelfTest(kind); err != nil {
				t.Skipf("not on this system: %v", err)
			}
			s, err := New(Options{Kind: kind, Max: 64 << 20})
			must(t, err)
			t.Cleanup(s.Free)
			grow(t, s, 64<<20)
			must(t, s.SetImage("a"))
			var want []uint32
			for p := uint32(1); p < 64<<20/PageSize; p += 2 {
				page(s.Bytes(), p)[0] = 1
				want = append(want, p)
			}
			for _, regions := range []int{1, 511, 512, 513, 1024, 8191, 8192, 9000} {
				s.back.(*memfdBackend).vec = make([]pageRegion, regions)
				dirtyIs(t, s, want...)
			}
		})
	}
}

// Whoever else gets the descriptor may map the base privately, and no more.
func TestTrapSealsProtectTheBase(t *testing.T) {
	if err := SelfTest(Pagemap); err != nil {
		t.Skipf("not on this system: %v", err)
	}
	s := newFreed(t, Pagemap, 1<<20)
	page(s.Bytes(), 2)[0] = 5
	must(t, s.SetImage("a"))
	b := s.back.(*memfdBackend)
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", b.fd), os.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	defer func() { must(t, unix.Close(again)) }()
	for _, fd := range []int{b.fd, again} {
		if m, err := unix.Mmap(fd, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			_ = unix.Munmap(m)
			t.Error("the base can be mapped shared and writable")
		}
		if _, err := unix.Pwrite(fd, []byte{1}, 0); err == nil {
			t.Error("the base can be written")
		}
		if unix.Ftruncate(fd, 4096) == nil || unix.Ftruncate(fd, 2*testMax) == nil {
			t.Error("the length of the base can be changed")
		}
		if unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<16) == nil {
			t.Error("a hole can be punched into the base")
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, 0); err == nil {
			t.Error("the seals can be changed")
		}
		m, err := unix.Mmap(fd, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		must(t, err)
		if page(m, 2)[0] != 5 {
			t.Error("a private mapping does not show the base")
		}
		page(m, 2)[0] = 6
		must(t, unix.Munmap(m))
	}
	page(s.Bytes(), 3)[0] = 1
	must(t, s.SetImage("b")) // the owner's view still writes
	same(t, "base", page(s.base, 2), page(s.Bytes(), 2))
	if page(s.base, 3)[0] != 1 {
		t.Fatal("the owner cannot write the base")
	}
}

// The first write to a hole of a memfd through a private mapping fills the hole as
// well, and so does a read through the shared view. Memory that no image holds must
// not be taken twice.
func TestTrapFillingHolesOfTheBase(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := newFreed(t, kind, 1<<20)
		b, ok := s.back.(*memfdBackend)
		if !ok {
			t.Skip("no memfd")
		}
		held := func(most int64) {
			t.Helper()
			var st unix.Stat_t
			must(t, unix.Fstat(b.fd, &st))
			if st.Blocks*512 > most {
				t.Fatalf("the base takes %d bytes, want at most %d", st.Blocks*512, most)
			}
		}
		noise(1, s.Bytes()[:1<<19])
		held(0)
		must(t, s.SetImage("a"))
		held(1 << 19)
		grow(t, s, 4<<20)
		noise(2, s.Bytes()[1<<20:])
		_, err := s.Diff()
		must(t, err)
		dirtyIs(t, s, pagesOf(256, 1024)...)
		held(1 << 19)
	})
}

func pagesOf(start, end uint32) (pages []uint32) {
	for p := start; p < end; p++ {
		pages = append(pages, p)
	}
	return pages
}

// Where pages of the kernel are larger than ours, its lists are in its pages.
func TestTrapLargeKernelPages(t *testing.T) {
	old := osPages
	t.Cleanup(func() { osPages = old })
	for _, n := range []uint32{1, 4, 16} {
		osPages = n
		if roundUp(1) != uint64(n)*PageSize || roundUp(1<<16) != 1<<16 {
			t.Errorf("round up with %d: %d, %d", n, roundUp(1), roundUp(1<<16))
		}
		w := wide(run{5, 18})
		if w.start%n != 0 || w.end%n != 0 || w.start > 5 || w.end < 18 || w.len() >= 13+2*int(n) {
			t.Errorf("wide with %d: %v", n, w)
		}
	}
}

func TestKernelReleaseIsRead(t *testing.T) {
	for release, want := range map[string]bool{
		"6.11.0": true, "6.11": true, "6.18.44-fc": true, "7.0-rc1": true, "10.1.2": true,
		"6.10.14": false, "6.7.0-arch1": false, "5.15.0-91-generic": false, "4.19": false, "": false, "next": false,
	} {
		if atLeast(release, 6, 11) != want {
			t.Errorf("%q at least 6.11: %v", release, !want)
		}
	}
}

// The slow, exact scan of older kernels finds the same as the fast one.
func TestScanWithoutTheFastPath(t *testing.T) {
	old := fastScanIsSound
	t.Cleanup(func() { fastScanIsSound = old })
	fastScanIsSound = func() bool { return false }
	if err := SelfTest(Userfault); err != nil {
		t.Skipf("not on this system: %v", err)
	}
	for _, run := range []func(*testing.T, Kind){testGrowth, testImages, testRollback, testAdopt, testCapture, testScattered} {
		run(t, Userfault)
	}
}
