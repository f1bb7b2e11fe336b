//go:build amd64 || arm64 || riscv64

package pagestate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// keepMax is the number of pages that stay private in the guest after their
	// content went into the base (Userfault alone can tell them from dirty ones).
	// The next write to such a page is a cheap fault instead of a copy; the price
	// is the page twice. 16 MiB.
	keepMax = 4096

	// manyRuns is where one call over all of memory beats one call for each run.
	manyRuns = 64

	// manyLoose is how many clean pages a scan may look at twice before they are armed.
	manyLoose = 256

	// seals let nobody but the view that is mapped already write the base, and
	// nobody change its length: PROTOCOL rule 9.
	seals = unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
)

// osPages is how many of our pages the kernel's page holds: 1, or 4 or 16 on
// some arm64 systems.
var osPages = uint32(max(os.Getpagesize()/PageSize, 1))

// memfdBackend has the base in a memfd: the guest maps it private, view shared.
//
// What lies beyond the last image is anonymous memory until the next one: the first
// write to a hole of a memfd through a private mapping fills the hole too, so a guest
// that never offloads would take each of its pages twice.
type memfdBackend struct {
	kind   Kind
	fd     int
	mem    []byte // all of the reservation, accessible up to size
	view   []byte // the base, writable through this mapping alone
	size   uint64
	mapped uint64 // so much of mem shows the memfd; a multiple of the kernel's page

	kept int // upper bound of the pages that are private but equal to the base

	vec  []pageRegion
	buf  []byte // of pagemap entries
	runs []run  // the last scan's
	fast []run
}

var _ backend = (*memfdBackend)(nil)

func newMemfd(kind Kind, maxSize uint64) (_ *memfdBackend, err error) {
	if maxSize%uint64(os.Getpagesize()) != 0 {
		return nil, fmt.Errorf("maximum of %d bytes is no multiple of the kernel's page", maxSize)
	}
	if err := openKernel(kind); err != nil {
		return nil, err
	}
	b := &memfdBackend{kind: kind, fd: -1}
	defer func() {
		if err != nil {
			b.free()
		}
	}()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	if b.fd, err = unix.MemfdCreate("guest", flags|unix.MFD_NOEXEC_SEAL); errors.Is(err, unix.EINVAL) {
		b.fd, err = unix.MemfdCreate("guest", flags) // before Linux 6.3
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	// The whole length now, sparse, so that it can be sealed.
	if err = unix.Ftruncate(b.fd, int64(maxSize)); err != nil {
		return nil, fmt.Errorf("extend memfd: %w", err)
	}
	if b.view, err = unix.Mmap(b.fd, 0, int(maxSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE); err != nil {
		return nil, fmt.Errorf("map base: %w", err)
	}
	if _, err = unix.FcntlInt(uintptr(b.fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal memfd: %w", err)
	}
	if b.mem, err = unix.Mmap(-1, 0, int(maxSize), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE); err != nil {
		return nil, fmt.Errorf("reserve memory: %w", err)
	}
	return b, nil
}

func (b *memfdBackend) grow(size uint64) (mem, base []byte, err error) {
	if size > b.size {
		n := roundUp(size)
		if err := unix.Mprotect(b.mem[:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil, nil, fmt.Errorf("make %d bytes accessible: %w", n, err)
		}
		b.size = size
	}
	return b.mem[:size:size], b.view[:size:size], nil
}

// roundUp rounds a size up to the kernel's page.
func roundUp(size uint64) uint64 {
	n := uint64(osPages) * PageSize
	return (size + n - 1) / n * n
}

func (b *memfdBackend) candidates() (runs []run, err error) {
	if b.size == 0 {
		return nil, nil
	}
	b.runs = b.runs[:0]
	mapped, all := uint32(b.mapped/PageSize), uint32(roundUp(b.size)/PageSize)
	switch b.kind {
	case Pagemap:
		b.runs, err = b.readPagemap(b.runs, run{0, all}, isPrivate)
	case Userfault:
		if b.runs, err = b.scanWritten(b.runs, run{0, mapped}); err == nil {
			b.runs, err = b.scan(b.runs, scanPrivate, run{mapped, all})
		}
	default:
		b.runs, err = b.scan(b.runs, scanPrivate, run{0, all})
	}
	if err != nil {
		return nil, err
	}
	return b.runs, nil
}

// scanWritten finds the pages that are private and were written since they were
// last protected. Nothing has to be protected beforehand: a page that was only read
// belongs to the memfd and does not match, so neither a restore nor growth costs
// anything. But the kernel is about ten times as fast when asked for unprotected pages
// alone, so it is first asked that, and then about the pages it named.
func (b *memfdBackend) scanWritten(runs []run, all run) (_ []run, err error) {
	if !fastScanIsSound() {
		return b.scan(runs, scanPrivate|scanUnprotected, all)
	}
	if b.fast, err = b.scan(b.fast[:0], scanUnprotected, all); err != nil {
		return nil, err
	}
	if len(b.fast) > manyRuns {
		b.fast = append(b.fast[:0], run{b.fast[0].start, b.fast[len(b.fast)-1].end})
	}
	for _, r := range b.fast {
		if runs, err = b.scan(runs, scanPrivate|scanUnprotected, r); err != nil {
			return nil, err
		}
	}
	if countPages(b.fast)-countPages(runs) > manyLoose && len(runs) <= manyRuns {
		if err := b.protectBetween(runs); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// protectBetween arms what lies between the dirty runs: pages that were read but
// never protected, which the first scan would name each time.
func (b *memfdBackend) protectBetween(dirty []run) error {
	at := uint32(0)
	for _, r := range append(slices.Clone(dirty), run{uint32(b.mapped / PageSize), 0}) {
		if r.start > at {
			if err := b.protectAll(run{at, r.start}); err != nil {
				return err
			}
		}
		at = r.end
	}
	return nil
}

// protectAll arms what there is of the run.
func (b *memfdBackend) protectAll(in run) error {
	begin := addrOf(span(b.mem, in))
	if _, err := pagemapScan(armUnprotected, begin, begin+uintptr(in.len())*PageSize, nil); err != nil {
		return fmt.Errorf("protect memory: %w", err)
	}
	return nil
}

// fastScanIsSound tells whether the kernel's fast path can be believed. Before it was
// repaired in 2024 it took a bit of a swap entry for the mark of protection, and so
// could miss a dirty page that was swapped out or just being moved. A self-test cannot
// provoke that, so the version decides.
var fastScanIsSound = sync.OnceValue(func() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	return atLeast(unix.ByteSliceToString(u.Release[:]), 6, 11)
})

// atLeast tells whether a kernel release such as 6.11.4-arch1 is major.minor or later.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

// scan appends the pages of a run that match.
func (b *memfdBackend) scan(runs []run, what scanFor, in run) ([]run, error) {
	if b.vec == nil {
		b.vec = make([]pageRegion, 1024)
	}
	origin := addrOf(b.mem)
	end := origin + uintptr(in.end)*PageSize
	for at := origin + uintptr(in.start)*PageSize; at < end; {
		n, err := pagemapScan(what, at, end, b.vec)
		if err != nil {
			return nil, fmt.Errorf("scan memory: %w", err)
		}
		for _, reg := range b.vec[:n] {
			r := run{uint32((uintptr(reg.start) - origin) / PageSize), uint32((uintptr(reg.end) - origin) / PageSize)}
			if k := len(runs); k > 0 && runs[k-1].end == r.start {
				runs[k-1].end = r.end
			} else {
				runs = append(runs, r)
			}
		}
		if n < len(b.vec) {
			break
		}
		// Not from walk_end, which is wrong when there are many regions.
		at = uintptr(b.vec[n-1].end)
	}
	return runs, nil
}

// readPagemap appends the pages of a run whose entry matches.
func (b *memfdBackend) readPagemap(runs []run, in run, match func(uint64) bool) ([]run, error) {
	if b.buf == nil {
		b.buf = make([]byte, 64<<10)
	}
	first := uint64(addrOf(b.mem)) / (uint64(osPages) * PageSize)
	for at, n := uint64(in.start/osPages), uint64(in.end/osPages); at < n; {
		want := min(n-at, uint64(len(b.buf)/8))
		if k, err := unix.Pread(kernel.pagemap, b.buf[:want*8], int64(first+at)*8); err != nil || k != int(want*8) {
			return nil, fmt.Errorf("read pagemap (%d of %d bytes): %w", k, want*8, err)
		}
		for i := range want {
			if e := b.buf[i*8 : i*8+8]; match(binary.NativeEndian.Uint64(e)) {
				p := uint32(at+i) * osPages
				for q := range osPages {
					runs = addPage(runs, p+q)
				}
			}
		}
		at += want
	}
	return runs, nil
}

// isPrivate tells from a pagemap entry whether the mapping has its own copy of
// the page. Bit 61 says that the page belongs to a file. A marker that userfaultfd
// leaves for a page which was never touched, or was dropped, reads as swapped (62)
// and protected (57), and is no page at all.
func isPrivate(entry uint64) bool {
	const protected, file, swapped, present = 1 << 57, 1 << 61, 1 << 62, 1 << 63
	if entry&swapped != 0 && entry&protected != 0 {
		return false
	}
	return entry&(swapped|present) != 0 && entry&file == 0
}

func (b *memfdBackend) rebase(dirty []run) error {
	old, grown := splitRuns(dirty, uint32(b.mapped/PageSize))
	for _, r := range old {
		copy(span(b.view, r), span(b.mem, r))
	}
	for _, r := range grown {
		for p := r.start; p < r.end; p++ {
			if m := page(b.mem, p); !isZero(m) { // a hole stays one
				copy(page(b.view, p), m)
			}
		}
	}
	if err := b.mapBase(roundUp(b.size)); err != nil {
		return err
	}
	if b.kind != Userfault {
		return b.drop(old)
	}
	b.kept += countPages(old)
	if b.kept > keepMax {
		b.kept = 0
		return b.advise(b.mem[:b.mapped], unix.MADV_DONTNEED)
	}
	return b.protect(old)
}

// splitRuns cuts ascending runs at a page.
func splitRuns(runs []run, at uint32) (below, above []run) {
	i := 0
	for i < len(runs) && runs[i].end <= at {
		i++
	}
	if i == len(runs) || runs[i].start >= at {
		return runs[:i], runs[i:]
	}
	below = append(slices.Clone(runs[:i]), run{runs[i].start, at})
	above = append([]run{{at, runs[i].end}}, runs[i+1:]...)
	return below, above
}

// mapBase shows the memfd, private, in all of mem below end that does not yet.
func (b *memfdBackend) mapBase(end uint64) error {
	if end <= b.mapped {
		return nil
	}
	part := b.mem[b.mapped:end]
	if err := remap(part, b.fd, b.mapped); err != nil {
		return fmt.Errorf("map base: %w", err)
	}
	b.mapped = end
	if b.kind != Userfault {
		return nil
	}
	// A new mapping loses what registration there was: register after it.
	if err := uffdRegister(part); err != nil {
		return fmt.Errorf("register memory with userfaultfd: %w", err)
	}
	return nil
}

// protect arms the runs, which are all that is dirty, so that they count as dirty
// from their next write.
func (b *memfdBackend) protect(dirty []run) error {
	if len(dirty) > manyRuns {
		return b.protectAll(run{0, uint32(b.mapped / PageSize)})
	}
	for _, r := range dirty {
		if err := uffdProtect(span(b.mem, r)); err != nil {
			return fmt.Errorf("protect pages %d to %d: %w", r.start, r.end, err)
		}
	}
	return nil
}

// drop throws the private copies of the runs away; the base shows in their place.
// The runs lie in what is mapped, and all that is dirty is in them.
func (b *memfdBackend) drop(runs []run) error {
	if len(runs) > manyRuns {
		// Every other page is equal to the base, so dropping them too loses nothing.
		b.kept = 0
		return b.advise(b.mem[:b.mapped], unix.MADV_DONTNEED)
	}
	for _, r := range runs {
		if err := b.advise(span(b.mem, r), unix.MADV_DONTNEED); err != nil {
			return err
		}
	}
	return nil
}

func (b *memfdBackend) advise(mem []byte, advice int) error {
	if err := unix.Madvise(mem, advice); err != nil {
		return fmt.Errorf("madvise %d bytes: %w", len(mem), err)
	}
	return nil
}

func (b *memfdBackend) rollback(dirty []run) error {
	old, grown := splitRuns(dirty, uint32(b.mapped/PageSize))
	b.fill(grown) // there are none, unless mapping them once failed (see written)
	return b.drop(old)
}

// fill copies the base over the content of the runs.
func (b *memfdBackend) fill(runs []run) {
	for _, r := range runs {
		copy(span(b.mem, r), span(b.view, r))
	}
}

func (b *memfdBackend) writing(pages []run) {
	// Fault the view in with one call for a long run instead of once a page.
	// Only speed depends on it.
	for _, r := range pages {
		if r.len() >= 16 {
			_ = unix.Madvise(span(b.view, wide(r)), unix.MADV_POPULATE_WRITE)
		}
	}
}

// wide extends a run to whole pages of the kernel.
func wide(r run) run {
	if osPages == 1 {
		return r
	}
	return run{r.start / osPages * osPages, (r.end + osPages - 1) / osPages * osPages}
}

// written drops what may be private of the pages: though their content was equal
// to the base, there are kept ones, and those written with what they held before.
func (b *memfdBackend) written(pages []run) {
	if osPages > 1 {
		pages = slices.Clone(pages)
		for i := range pages {
			pages[i] = wide(pages[i])
		}
		pages = mergeRuns(pages)
	}
	// Where the kernel will not, for want of memory or because it is locked, copying
	// serves as well. What is not mapped then stays suspect, and is compared.
	if b.mapBase(roundUp(b.size)) != nil {
		b.fill(pages)
		return
	}
	if b.drop(pages) != nil {
		b.fill(pages)
	}
}

// populated returns the extents of the memfd and the private pages.
func (b *memfdBackend) populated() ([]run, error) {
	private, err := b.candidates()
	if err != nil {
		return nil, err
	}
	runs := slices.Clone(private)
	for at := int64(0); at < int64(b.size); {
		start, err := unix.Seek(b.fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("find data in memfd: %w", err)
		}
		end, err := unix.Seek(b.fd, start, unix.SEEK_HOLE)
		if err != nil {
			return nil, fmt.Errorf("find hole in memfd: %w", err)
		}
		if start < int64(b.size) {
			end = min(end, int64(b.size))
			runs = append(runs, run{uint32(start / PageSize), uint32((end + PageSize - 1) / PageSize)})
		}
		at = end
	}
	return mergeRuns(runs), nil
}

func (b *memfdBackend) adopt(old backend, size uint64) (mem, base []byte, err error) {
	o := old.(*memfdBackend)
	// The old one gets the fresh memfd, so that both can be freed alike.
	b.fd, o.fd = o.fd, b.fd
	b.view, o.view = o.view, b.view
	b.mapped, b.kept = 0, 0
	if err := b.mapBase(roundUp(size)); err != nil {
		b.fd, o.fd = o.fd, b.fd
		b.view, o.view = o.view, b.view
		return nil, nil, err
	}
	return b.mem[:size:size], b.view[:size:size], nil
}

func (b *memfdBackend) free() {
	// None of these fails for what this file opened and mapped.
	if b.mem != nil {
		_ = unix.Munmap(b.mem)
	}
	if b.view != nil {
		_ = unix.Munmap(b.view)
	}
	if b.fd >= 0 {
		_ = unix.Close(b.fd)
	}
	b.mem, b.view, b.fd, b.size = nil, nil, -1, 0
}
