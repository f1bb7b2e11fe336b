//go:build amd64 || arm64 || riscv64

package pagestate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

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
