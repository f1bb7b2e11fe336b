package pagestate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// forged is a message put together by hand, right in all that is not said.
type forged struct {
	version, form byte
	base, size    uint64 // pages
	table         []byte
	tableLen      uint64 // 0: the right one
	tableCoded    []byte // nil: plain
	sums          []byte
	content       []byte // of literal pages, before XOR
	literals      []byte // nil: content as zstd
	tail          []byte
	yield         *[sumSize]byte
}

func (f forged) bytes() []byte {
	var c codecTemp
	c.begin(f.form, f.base*PageSize, f.size*PageSize, f.table)
	_, _ = c.hash.Write(f.content)
	yield := c.sum()
	if f.yield != nil {
		yield = *f.yield
	}
	if f.version == 0 {
		f.version = formatVersion
	}
	out := []byte{f.version, f.form}
	out = binary.AppendUvarint(out, f.base)
	out = binary.AppendUvarint(out, f.size)
	out = append(out, yield[:]...)
	if f.tableLen == 0 {
		f.tableLen = uint64(len(f.table))
	}
	if f.tableCoded == nil {
		f.tableCoded = f.table
	}
	out = binary.AppendUvarint(out, f.tableLen)
	out = binary.AppendUvarint(out, uint64(len(f.tableCoded)))
	out = append(out, f.tableCoded...)
	out = append(out, f.sums...)
	if f.literals == nil && len(f.content) > 0 {
		f.literals = squeeze(f.content)
	}
	out = append(out, f.literals...)
	return append(out, f.tail...)
}

func squeeze(b []byte) []byte { return newEncoder().EncodeAll(b, nil) }

func uvarints(values ...uint64) (b []byte) {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func onePage() []byte {
	b := make([]byte, PageSize)
	b[17] = 3
	return b
}

func TestHostileDeltaIsRefusedAndChangesNothing(t *testing.T) {
	// The memory is 16 pages of zeros, base and content; its limit is 64 pages.
	const pages, limit = 16, 64
	literal5 := uvarints(1, 5<<1, 0, 0)
	good := forged{base: pages, size: pages, table: literal5, content: onePage()}
	valid := good.bytes()
	cases := []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing at all", nil, ErrCorrupt},
		{"a version to come", forged{version: 2, base: pages, size: pages, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"an unknown form", forged{form: 2, base: pages, size: pages, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"another base", forged{base: pages - 1, size: pages, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"a memory that shrinks", forged{base: pages, size: pages - 1, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"a memory above the limit", forged{base: pages, size: limit + 1, table: literal5, content: onePage()}.bytes(), ErrLimit},
		{"a memory above 4 GiB", forged{base: pages, size: 1<<20 + 1, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"a memory of 2^64-1 pages", forged{base: pages, size: 1<<64 - 1, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"a whole state with a base", forged{form: formWhole, base: pages, size: pages, table: literal5, content: onePage()}.bytes(), ErrCorrupt},
		{"a page beyond memory", forged{base: pages, size: pages, table: uvarints(1, pages<<1, 0, 0), content: onePage()}.bytes(), ErrCorrupt},
		{"a run that ends beyond memory", forged{base: pages, size: pages, table: uvarints(1, 15<<1|1, 0, 0, 0), content: make([]byte, 2*PageSize)}.bytes(), ErrCorrupt},
		{"a run of 2^63 pages", forged{base: pages, size: pages, table: uvarints(1, 1, 1<<63, 0, 0), content: onePage()}.bytes(), ErrCorrupt},
		{"a gap of 2^63 pages", forged{base: pages, size: pages, table: uvarints(1, 1<<63, 0, 0), content: onePage()}.bytes(), ErrCorrupt},
		{"more runs than pages", forged{base: pages, size: pages, table: uvarints(1<<40, 0, 0, 0), content: onePage()}.bytes(), ErrCorrupt},
		{"runs that touch", forged{base: pages, size: pages, table: uvarints(2, 1<<1, 0, 0, 0), content: make([]byte, 2*PageSize)}.bytes(), ErrCorrupt},
		{"a page both zero and literal", forged{base: pages, size: pages, table: uvarints(1, 5<<1, 1, 5<<1, 0), content: onePage()}.bytes(), ErrCorrupt},
		{"a run across another list's page", forged{base: pages, size: pages, table: uvarints(1, 5<<1, 1, 4<<1|1, 0, 0), content: onePage()}.bytes(), ErrCorrupt},
		{"a page by hash in a delta", forged{base: pages, size: pages, table: uvarints(0, 0, 1, 5<<1), sums: make([]byte, sumSize)}.bytes(), ErrCorrupt},
		{"a zero page in a whole state", forged{form: formWhole, size: pages, table: uvarints(0, 1, 5<<1, 0)}.bytes(), ErrCorrupt},
		{"a hash of no page here", forged{form: formWhole, size: pages, table: uvarints(0, 0, 1, 5<<1), sums: bytes.Repeat([]byte{7}, sumSize)}.bytes(), ErrCorrupt},
		{"a hash cut off", forged{form: formWhole, size: pages, table: uvarints(0, 0, 1, 5<<1), sums: make([]byte, sumSize-1)}.bytes(), ErrCorrupt},
		{"bytes after the table", forged{base: pages, size: pages, table: append(bytes.Clone(literal5), 0), content: onePage()}.bytes(), ErrCorrupt},
		{"a table that is cut off", forged{base: pages, size: pages, table: literal5[:1], content: onePage()}.bytes(), ErrCorrupt},
		{"a table said to be huge", forged{base: pages, size: pages, table: literal5, tableLen: 1 << 50, content: onePage()}.bytes(), ErrCorrupt},
		{"a table that is a bomb", forged{base: pages, size: pages, table: literal5, tableLen: 100, tableCoded: squeeze(make([]byte, 1<<24))[:90], content: onePage()}.bytes(), ErrCorrupt},
		{"a table that decodes to less", forged{base: pages, size: pages, table: literal5, tableLen: 190, tableCoded: squeeze(make([]byte, 150)), content: onePage()}.bytes(), ErrCorrupt},
		{"pages that are no zstd", forged{base: pages, size: pages, table: literal5, content: onePage(), literals: onePage()}.bytes(), ErrCorrupt},
		{"pages that are missing", forged{base: pages, size: pages, table: literal5, content: onePage(), literals: []byte{}}.bytes(), ErrCorrupt},
		{"half a page", forged{base: pages, size: pages, table: literal5, content: onePage(), literals: squeeze(onePage()[:PageSize/2])}.bytes(), ErrCorrupt},
		{"two pages for one", forged{base: pages, size: pages, table: literal5, content: onePage(), literals: squeeze(append(onePage(), onePage()...))}.bytes(), ErrCorrupt},
		{"a second stream behind", forged{base: pages, size: pages, table: literal5, content: onePage(), tail: squeeze(onePage())}.bytes(), ErrCorrupt},
		{"a bomb of pages", forged{base: pages, size: pages, table: literal5, content: onePage(), literals: squeeze(make([]byte, 64<<20))}.bytes(), ErrCorrupt},
		{"a window of a gigabyte", forged{base: pages, size: pages, table: literal5, content: onePage(), literals: hugeWindow()}.bytes(), ErrCorrupt},
		{"junk behind", append(bytes.Clone(valid), 1, 2, 3), ErrCorrupt},
		{"junk behind a delta without pages", append(forged{base: pages, size: pages, table: uvarints(0, 0, 0)}.bytes(), 0), ErrCorrupt},
		{"other pages than it says", forged{base: pages, size: pages, table: literal5, content: onePage(), yield: new([sumSize]byte)}.bytes(), ErrCorrupt},
		{"the right pages elsewhere", forged{base: pages, size: pages, table: uvarints(1, 6<<1, 0, 0), content: onePage(), yield: yieldOf(good)}.bytes(), ErrCorrupt},
		{"another size for the same pages", forged{base: pages, size: pages + 16, table: literal5, content: onePage(), yield: yieldOf(good)}.bytes(), ErrCorrupt},
	}
	eachKind(t, func(t *testing.T, kind Kind) {
		s, err := New(Options{Kind: kind, Max: testMax, Limit: limit * PageSize})
		must(t, err)
		t.Cleanup(s.Free)
		grow(t, s, pages*PageSize)
		must(t, s.SetImage("a"))
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				_, err := s.Prepare(c.b, Limits{})
				isErr(t, err, c.want)
				if s.Image() != "a" || !isZeroAll(s.Bytes()) {
					t.Fatal("memory changed")
				}
				if !strings.Contains(err.Error(), `"a"`) {
					t.Errorf("the error does not name the image: %v", err)
				}
			})
		}
		for n := range valid {
			if _, err := s.Prepare(valid[:n], Limits{}); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut to %d of %d bytes: %v", n, len(valid), err)
			}
		}
		_, err = s.Prepare(append(valid, squeeze(nil)...), Limits{MaxPages: 0})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		applyImage(t, s, valid, "b")
		same(t, "the good one", page(s.Bytes(), 5), onePage())
	})
}

func isZeroAll(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), PageSize)
		if !isZero(b[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

func yieldOf(f forged) *[sumSize]byte {
	b := f.bytes()
	var y [sumSize]byte
	copy(y[:], b[4:]) // version, form and two sizes of one byte each
	return &y
}

// hugeWindow is a frame that wants the decoder to keep a gigabyte.
func hugeWindow() []byte {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	// No single segment, window of 2^30; one last raw block of PageSize bytes.
	b := append(magic, 0x00, (30-10)<<3)
	head := uint32(PageSize)<<3 | 1
	b = append(b, byte(head), byte(head>>8), byte(head>>16))
	return append(b, onePage()...)
}

func TestPrepareKeepsToItsLimits(t *testing.T) {
	from, to := pair(t, Compare)
	for p := range uint32(10) {
		page(from.Bytes(), p)[0]++
	}
	grow(t, from, 2<<20)
	delta, err := from.Diff()
	must(t, err)
	_, err = to.Prepare(delta, Limits{MaxPages: 9})
	isErr(t, err, ErrLimit)
	_, err = to.Prepare(delta, Limits{MaxSize: 1 << 20})
	isErr(t, err, ErrLimit)
	_, err = to.Prepare(delta, Limits{MaxPages: 10, MaxSize: 2 << 20})
	must(t, err)
}

// A small message must not make the decoder take much: what it may hold follows
// from what it has decoded so far, and ends with the limit.
func TestFalseCountTakesLittleMemory(t *testing.T) {
	s, err := New(Options{Kind: Compare, Max: 1 << 30})
	must(t, err)
	t.Cleanup(s.Free)
	const pages = 1 << 30 / PageSize
	short := forged{size: pages, table: uvarints(1, 1, pages-2, 0, 0), literals: squeeze(make([]byte, 2<<20))}.bytes()
	_, err = s.Prepare(short, Limits{})
	isErr(t, err, ErrCorrupt)
	if cap(s.stage) > 16<<20 {
		t.Fatalf("%d bytes held for a message of %d", cap(s.stage), len(short))
	}
}

func FuzzPrepare(f *testing.F) {
	const pages = 16
	f.Add(forged{base: pages, size: pages, table: uvarints(1, 5<<1, 1, 7<<1, 0), content: onePage()}.bytes())
	f.Add(forged{form: formWhole, size: 2 * pages, table: uvarints(1, 5<<1|1, 0, 0, 1, 9<<1), content: append(onePage(), onePage()...), sums: make([]byte, sumSize)}.bytes())
	f.Add(forged{base: pages, size: 2 * pages, table: uvarints(0, 2, 1<<1, 1<<1|1, 3, 0)}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fix := range []bool{false, true} {
			s, err := New(Options{Kind: Compare, Max: 64 * PageSize})
			must(t, err)
			grow(t, s, pages*PageSize)
			noise(1, page(s.Bytes(), 3))
			must(t, s.SetImage("a"))
			before := bytes.Clone(s.Bytes())
			ch, err := prepareFuzzed(s, b, fix)
			same(t, "prepared only", s.Bytes(), before)
			if err == nil {
				grow(t, s, ch.NewSize())
				must(t, ch.ApplyImage("b"))
				// What was taken can be told on, and comes out the same.
				delta, err := s.Whole(nil, nil)
				must(t, err)
				other := newSpace(t, Compare, 0)
				applyImage(t, other, delta, "b")
				same(t, "told on", other.Bytes(), s.Bytes())
				other.Free()
			}
			s.Free()
		}
	})
}

// prepareFuzzed is Prepare, with the yield hash put right when fix is set, so that
// what lies behind that check is reached too.
func prepareFuzzed(s *Space, b []byte, fix bool) (*Change, error) {
	if fix {
		d := decoder{b: b}
		if h, err := s.parseHead(&d, Limits{}); err == nil && len(h.lists.byHash) == 0 {
			s.codec.begin(h.form, h.base, h.size, h.table)
			if s.decodeLiterals(d.b, h) == nil {
				sum := s.codec.sum()
				b = bytes.Replace(b, h.yield[:], sum[:], 1)
			}
		}
	}
	return s.Prepare(b, Limits{})
}
