package pagestate

import (
	"encoding/binary"
	"fmt"
)

// The table of a delta: which pages it changes, and how.
type table struct {
	literal []run // content follows, XORed with the base
	zero    []run // all zeros now
	byHash  []run // content is named by hash; in whole states alone
}

func (t *table) lists() [3]*[]run { return [3]*[]run{&t.literal, &t.zero, &t.byHash} }

// append encodes the table: for each list the number of runs, and for each run
// the gap from the end of the one before, doubled, plus one when a length of two
// or more follows (less two).
func (t *table) append(dst []byte) []byte {
	for _, list := range t.lists() {
		dst = binary.AppendUvarint(dst, uint64(len(*list)))
		end := uint32(0)
		for _, r := range *list {
			gap := uint64(r.start-end) << 1
			if r.len() == 1 {
				dst = binary.AppendUvarint(dst, gap)
			} else {
				dst = binary.AppendUvarint(dst, gap|1)
				dst = binary.AppendUvarint(dst, uint64(r.len()-2))
			}
			end = r.end
		}
	}
	return dst
}

// tableMax bounds the encoded table of a memory of so many pages: no page costs
// more than a gap and a length of five bytes each.
func tableMax(pages uint64) uint64 { return 10*pages + 32 }

// parseTable decodes a table for a memory of so many pages. Each list ascends,
// with no two runs that touch, and no page is in two lists.
func parseTable(b []byte, pages uint64) (t table, err error) {
	d := decoder{b: b}
	for _, list := range t.lists() {
		count := d.uvarint(pages)
		end := uint64(0)
		for i := uint64(0); i < count && d.err == nil; i++ {
			word := d.uvarint(pages<<1 | 1)
			start, n := end+word>>1, uint64(1)
			if word&1 != 0 {
				n = d.uvarint(pages) + 2
			}
			if start+n > pages || (i > 0 && start == end) {
				return table{}, fmt.Errorf("%w: pages %d to %d after page %d of %d", ErrCorrupt, start, start+n, end, pages)
			}
			end = start + n
			*list = append(*list, run{uint32(start), uint32(end)})
		}
	}
	if d.err == nil && len(d.b) != 0 {
		d.fail("%d bytes after the table", len(d.b))
	}
	if d.err == nil && t.overlap() {
		d.fail("a page is listed twice")
	}
	return t, d.err
}

// overlap tells whether a page is in two lists.
func (t *table) overlap() bool {
	lists := [3][]run{t.literal, t.zero, t.byHash}
	for last := uint32(0); ; {
		best := -1
		for i, l := range lists {
			if len(l) > 0 && (best < 0 || l[0].start < lists[best][0].start) {
				best = i
			}
		}
		if best < 0 {
			return false
		}
		r := lists[best][0]
		if r.start < last {
			return true
		}
		last, lists[best] = r.end, lists[best][1:]
	}
}

// decoder reads the parts of an encoding. After its first error it reads nothing.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

// uvarint reads a number up to, and including, most.
func (d *decoder) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most {
		d.fail("number is cut off or above %d", most)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("%d bytes wanted, %d left", n, len(d.b))
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}
