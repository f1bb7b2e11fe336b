package pagestate

import (
	"bytes"
	"slices"
)

// run is the pages from start up to, not including, end.
type run struct{ start, end uint32 }

func (r run) len() int { return int(r.end - r.start) }

// selfTestSlack is how many pages one page may make suspect: what the largest page of
// a kernel holds.
const selfTestSlack = 16

var zeroPage [PageSize]byte

func isZero(page []byte) bool { return bytes.Equal(page, zeroPage[:len(page)]) }

// page returns page p of b.
func page(b []byte, p uint32) []byte {
	off := uint64(p) * PageSize
	return b[off : off+PageSize : off+PageSize]
}

// span returns the bytes of a run of b.
func span(b []byte, r run) []byte {
	return b[uint64(r.start)*PageSize : uint64(r.end)*PageSize]
}

// changed tells whether page p differs from the base.
func (s *Space) changed(p uint32) bool {
	return !bytes.Equal(page(s.mem, p), s.basePage(p))
}

// basePage returns page p of the base. What lies beyond the base is not read
// from it: reading a hole of a memfd through its shared view would fill it.
func (s *Space) basePage(p uint32) []byte {
	if uint64(p)*PageSize >= s.baseSize {
		return zeroPage[:]
	}
	return page(s.base, p)
}

// addPage appends page p to ascending runs.
func addPage(runs []run, p uint32) []run {
	if n := len(runs); n > 0 && runs[n-1].end == p {
		runs[n-1].end = p + 1
		return runs
	}
	return append(runs, run{p, p + 1})
}

// mergeRuns sorts runs and joins those that touch or overlap, in place.
func mergeRuns(runs []run) []run {
	slices.SortFunc(runs, func(a, b run) int { return int(int64(a.start) - int64(b.start)) })
	out := runs[:0]
	for _, r := range runs {
		if n := len(out); n > 0 && r.start <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, r.end)
			continue
		}
		out = append(out, r)
	}
	return out
}

func countPages(runs []run) int {
	n := 0
	for _, r := range runs {
		n += r.len()
	}
	return n
}
