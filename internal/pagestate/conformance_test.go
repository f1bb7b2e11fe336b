package pagestate

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func dirtyIs(t *testing.T, s *Space, want ...uint32) {
	t.Helper()
	got, err := s.Dirty()
	must(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("dirty pages %v, want %v", got, want)
	}
}

func isErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// TestEveryKind is the contract that each kind keeps.
func TestEveryKind(t *testing.T) {
	contract := []struct {
		name string
		run  func(t *testing.T, kind Kind)
	}{
		{"fresh memory is empty, then zero", testFresh},
		{"growth keeps content, place and dirty set", testGrowth},
		{"growth stops at the limit and the guest lives on", testLimit},
		{"an image is the content at its time", testImages},
		{"rollback restores the base and nothing else", testRollback},
		{"a write of what was there is not dirty", testSameWrite},
		{"a grown memory goes back by adoption", testAdopt},
		{"adoption refuses what does not fit", testAdoptRefusals},
		{"a delta carries growth, zeros and content", testDelta},
		{"zero pages go by number", testZeros},
		{"capture is a delta and a new image", testCapture},
		{"apply leaves the base, apply image moves it", testApply},
		{"a change is good once and for its state", testStale},
		{"a delta wants a clean memory", testWantsClean},
		{"a whole state replaces anything", testWhole},
		{"a whole state sends only what is missing", testMissing},
		{"thousands of scattered pages", testScattered},
		{"freed memory answers with errors", testFreed},
	}
	eachKind(t, func(t *testing.T, kind Kind) {
		for _, c := range contract {
			t.Run(c.name, func(t *testing.T) { c.run(t, kind) })
		}
	})
}

func newFreed(t *testing.T, kind Kind, size uint64) *Space {
	t.Helper()
	s := newSpace(t, kind, size)
	t.Cleanup(s.Free)
	return s
}

func testFresh(t *testing.T, kind Kind) {
	s := newFreed(t, kind, 0)
	if s.Size() != 0 || s.Image() != "" || s.Kind() != kind {
		t.Fatalf("size %d, image %q, kind %v", s.Size(), s.Image(), s.Kind())
	}
	dirtyIs(t, s)
	grow(t, s, 1<<20)
	same(t, "fresh", s.Bytes(), make([]byte, 1<<20))
	dirtyIs(t, s)
	isErr(t, s.Rollback(), ErrGrown)
	must(t, s.SetImage("zero"))
	must(t, s.Rollback())
	s.Rename("nought")
	if s.Image() != "nought" || s.BaseSize() != 1<<20 {
		t.Fatalf("image %q of %d bytes", s.Image(), s.BaseSize())
	}
}

func testGrowth(t *testing.T, kind Kind) {
	s := newFreed(t, kind, 1<<20)
	before := &s.Bytes()[0]
	page(s.Bytes(), 3)[0] = 9
	must(t, s.SetImage("a"))
	page(s.Bytes(), 4)[0] = 9
	grow(t, s, 2<<20)
	if kind != Compare && before != &s.Bytes()[0] {
		t.Fatal("memory moved")
	}
	dirtyIs(t, s, 4)
	page(s.Bytes(), 256)[1] = 1
	page(s.Bytes(), 511)[PageSize-1] = 1
	dirtyIs(t, s, 4, 256, 511)
	for _, refused := range []uint64{1 << 20, 2<<20 + 1, testMax + 1<<16, 1 << 62} {
		if s.Reallocate(refused) != nil {
			t.Fatalf("size %d was accepted", refused)
		}
	}
	grow(t, s, 2<<20)
	must(t, s.SetImage("b"))
	dirtyIs(t, s)
}

func testLimit(t *testing.T, kind Kind) {
	s, err := New(Options{Kind: kind, Max: testMax, Limit: 1 << 20})
	must(t, err)
	t.Cleanup(s.Free)
	grow(t, s, 1<<20)
	if s.Limit() != 1<<20 || s.Reallocate(1<<20+PageSize) != nil {
		t.Fatal("memory passed its limit")
	}
	s.Bytes()[1<<20-1] = 1
	big := newFreed(t, kind, 2<<20)
	delta, err := big.Diff()
	must(t, err)
	_, err = s.Prepare(delta, Limits{})
	isErr(t, err, ErrLimit)
	if _, err := New(Options{Kind: kind, Max: MaxSize + 1}); err == nil {
		t.Fatal("a maximum above 4 GiB was accepted")
	}
}

func testImages(t *testing.T, kind Kind) {
	s := newFreed(t, kind, 1<<20)
	for round := range byte(5) {
		page(s.Bytes(), 1)[0] = round + 1
		page(s.Bytes(), uint32(round)*20+2)[7] = 1
		must(t, s.SetImage(attempt(int(round), "x")))
		dirtyIs(t, s)
		page(s.Bytes(), 1)[0] = 77
		must(t, s.Rollback())
		if got := page(s.Bytes(), 1)[0]; got != round+1 {
			t.Fatalf("round %d: page 1 holds %d", round, got)
		}
	}
}

func testRollback(t *testing.T, kind Kind) {
	s := newFreed(t, kind, 1<<20)
	noise(1, s.Bytes())
	want := bytes.Clone(s.Bytes())
	must(t, s.SetImage("a"))
	for round := range 4 {
		noise(uint64(round), s.Bytes()[round*9000:round*30000+40000])
		clear(page(s.Bytes(), 200))
		must(t, s.Rollback())
		same(t, "rolled back", s.Bytes(), want)
		dirtyIs(t, s)
	}
}

func testSameWrite(t *testing.T, kind Kind) {
	s := newFreed(t, kind, 1<<20)
	page(s.Bytes(), 5)[0] = 3
	must(t, s.SetImage("a"))
	page(s.Bytes(), 5)[0] = 3
	page(s.Bytes(), 6)[0] = 0
	dirtyIs(t, s)
	// Such a page may be private all the same: an image applied below it must show.
	other := newFreed(t, kind, 1<<20)
	page(other.Bytes(), 5)[0] = 3
	must(t, other.SetImage("a"))
	page(other.Bytes(), 5)[0] = 4
	page(other.Bytes(), 6)[9] = 5
	delta, err := other.Diff()
	must(t, err)
	applyImage(t, s, delta, "b")
	same(t, "applied below", s.Bytes(), other.Bytes())
	dirtyIs(t, s)
}

func testAdopt(t *testing.T, kind Kind) {
	old := newFreed(t, kind, 1<<20)
	noise(3, old.Bytes()[:300000])
	must(t, old.SetImage("entry"))
	want := bytes.Clone(old.Bytes())
	grow(t, old, 2<<20)
	noise(4, old.Bytes()[100000:1500000])
	changed := bytes.Clone(old.Bytes())
	isErr(t, old.Rollback(), ErrGrown)

	s := newFreed(t, kind, 1<<16)
	noise(5, s.Bytes()) // what instantiation writes
	grow(t, s, old.BaseSize())
	must(t, s.Adopt(old))
	same(t, "adopted", s.Bytes(), want)
	same(t, "the old", old.Bytes(), changed)
	if s.Image() != "entry" || s.BaseSize() != 1<<20 {
		t.Fatalf("image %q of %d bytes", s.Image(), s.BaseSize())
	}
	dirtyIs(t, s)
	if old.Reallocate(3<<20) != nil {
		t.Fatal("a memory without base grows")
	}
	old.Free()
	page(s.Bytes(), 7)[0]++
	grow(t, s, 2<<20)
	page(s.Bytes(), 300)[0]++
	dirtyIs(t, s, 7, 300)
	must(t, s.SetImage("next"))
	page(s.Bytes(), 300)[0]++
	must(t, s.Rollback())
	if page(s.Bytes(), 300)[0] != 1 {
		t.Fatal("rollback after adoption")
	}
}

func testAdoptRefusals(t *testing.T, kind Kind) {
	old := newFreed(t, kind, 1<<20)
	must(t, old.SetImage("a"))
	small, large := newFreed(t, kind, 1<<16), newFreed(t, kind, 2<<20)
	if err := small.Adopt(old); err == nil {
		t.Fatal("a smaller memory adopted")
	}
	isErr(t, large.Adopt(old), ErrGrown)
	if err := old.Adopt(old); err == nil {
		t.Fatal("a memory adopted itself")
	}
	other, err := New(Options{Kind: kind, Max: testMax / 2})
	must(t, err)
	t.Cleanup(other.Free)
	grow(t, other, 1<<20)
	if err := other.Adopt(old); err == nil {
		t.Fatal("adopted across maxima")
	}
	dirtyIs(t, old)
}

// pair returns two memories with one random image "a".
func pair(t *testing.T, kind Kind) (from, to *Space) {
	t.Helper()
	from, to = newFreed(t, kind, 1<<20), newFreed(t, kind, 1<<20)
	noise(1, from.Bytes()[:1<<19])
	copy(to.Bytes(), from.Bytes())
	must(t, from.SetImage("a"))
	must(t, to.SetImage("a"))
	return from, to
}

func testDelta(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	clear(page(from.Bytes(), 0))
	clear(page(from.Bytes(), 9))
	noise(4, page(from.Bytes(), 10))
	page(from.Bytes(), 200)[3] = 1
	grow(t, from, 3<<20)
	noise(5, from.Bytes()[1<<20+5000:1<<20+900000])
	delta, err := from.Diff()
	must(t, err)
	again, err := from.AppendDiff([]byte("head"))
	must(t, err)
	if !bytes.Equal(again[4:], delta) || string(again[:4]) != "head" {
		t.Fatal("the same state encodes differently")
	}
	ch, err := to.Prepare(delta, Limits{})
	must(t, err)
	if ch.NewSize() != 3<<20 || ch.Pages() < 220 {
		t.Fatalf("change to %d bytes of %d pages", ch.NewSize(), ch.Pages())
	}
	grow(t, to, ch.NewSize())
	must(t, ch.ApplyImage("b"))
	same(t, "applied", to.Bytes(), from.Bytes())
	dirtyIs(t, to)
}

func testCapture(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	for n := range 6 {
		page(from.Bytes(), uint32(n))[n]++
		page(from.Bytes(), 200)[n]++
		delta, err := from.Capture(nil, attempt(n, "entry"))
		must(t, err)
		dirtyIs(t, from)
		applyImage(t, to, delta, attempt(n, "entry"))
		same(t, "applied", to.Bytes(), from.Bytes())
	}
	if from.Image() != "5.entry" {
		t.Fatalf("image %q", from.Image())
	}
}

func testApply(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	clear(page(from.Bytes(), 3))
	noise(9, page(from.Bytes(), 250))
	delta, err := from.Diff()
	must(t, err)
	before := bytes.Clone(to.Bytes())
	ch, err := to.Prepare(delta, Limits{})
	must(t, err)
	same(t, "prepared only", to.Bytes(), before)
	must(t, ch.Apply())
	same(t, "applied", to.Bytes(), from.Bytes())
	dirtyIs(t, to, 3, 250)
	if to.Image() != "a" {
		t.Fatalf("image %q", to.Image())
	}
	must(t, to.Rollback())
	same(t, "rolled back", to.Bytes(), before)
	applyImage(t, to, delta, "b")
	same(t, "applied as image", to.Bytes(), from.Bytes())
	dirtyIs(t, to)
	must(t, to.Rollback())
	same(t, "rolled back to the new image", to.Bytes(), from.Bytes())
}

func testStale(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	page(from.Bytes(), 3)[0]++
	grow(t, from, 2<<20)
	delta, err := from.Diff()
	must(t, err)
	prepare := func() *Change {
		ch, err := to.Prepare(delta, Limits{})
		must(t, err)
		return ch
	}
	isErr(t, prepare().Apply(), ErrStale) // not grown
	first := prepare()
	second := prepare()
	grow(t, to, 2<<20)
	isErr(t, first.Apply(), ErrStale)
	isErr(t, first.ApplyImage("b"), ErrStale)
	must(t, second.Apply())
	isErr(t, second.Apply(), ErrStale)
	must(t, to.SetImage("b"))
	_, err = to.Prepare(delta, Limits{})
	isErr(t, err, ErrCorrupt) // another base
}

func testWantsClean(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	page(from.Bytes(), 3)[0]++
	delta, err := from.Diff()
	must(t, err)
	page(to.Bytes(), 77)[0]++
	_, err = to.Prepare(delta, Limits{})
	isErr(t, err, ErrDirty)
	must(t, to.Rollback())
	grow(t, to, 2<<20)
	_, err = to.Prepare(delta, Limits{})
	isErr(t, err, ErrGrown)
}

func testWhole(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	page(from.Bytes(), 3)[0]++
	clear(page(from.Bytes(), 4))
	grow(t, from, 2<<20)
	noise(6, page(from.Bytes(), 300))
	whole, err := from.Whole(nil, nil)
	must(t, err)
	noise(7, to.Bytes()[900000:]) // content that must go
	page(to.Bytes(), 90)[0]++
	for _, image := range []Name{"", "b"} {
		ch, err := to.Prepare(whole, Limits{})
		must(t, err)
		grow(t, to, ch.NewSize())
		if image == "" {
			must(t, ch.Apply())
		} else {
			must(t, ch.ApplyImage(image))
			dirtyIs(t, to)
		}
		same(t, "whole", to.Bytes(), from.Bytes())
	}
	must(t, to.Rollback())
	same(t, "whole, rolled back", to.Bytes(), from.Bytes())
	// From here deltas go on.
	must(t, from.SetImage("b"))
	page(from.Bytes(), 5)[0]++
	delta, err := from.Diff()
	must(t, err)
	applyImage(t, to, delta, "c")
	same(t, "delta after whole", to.Bytes(), from.Bytes())
}

func testMissing(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	noise(11, page(from.Bytes(), 130)) // new
	copy(page(from.Bytes(), 140), page(from.Bytes(), 130))
	copy(page(from.Bytes(), 150), page(from.Bytes(), 7)) // known, elsewhere
	page(to.Bytes(), 8)[0]++                             // known from the base alone
	noise(12, page(to.Bytes(), 9))
	copy(page(from.Bytes(), 160), page(to.Bytes(), 9)) // known from the content alone
	hashes, err := from.PageHashes()
	must(t, err)
	missing, err := to.Missing(hashes)
	must(t, err)
	if !slices.Equal(missing, []uint32{130}) {
		t.Fatalf("missing %v", missing)
	}
	whole, err := from.Whole(hashes, missing)
	must(t, err)
	if most := PageSize + 20*len(hashes) + 200; len(whole) > most {
		t.Fatalf("%d bytes for one page and %d hashes", len(whole), len(hashes))
	}
	third := newFreed(t, kind, 1<<16)
	_, err = third.Prepare(whole, Limits{})
	isErr(t, err, ErrCorrupt) // it has none of the pages
	ch, err := third.Prepare(whole, Limits{Sources: []*Space{to}})
	must(t, err)
	grow(t, third, ch.NewSize())
	must(t, ch.Apply())
	same(t, "from another", third.Bytes(), from.Bytes())
	applyImage(t, to, whole, "b")
	same(t, "from its own pages", to.Bytes(), from.Bytes())

	for _, bad := range [][]PageHash{{{Page: 5}, {Page: 5}}, {{Page: 6}, {Page: 5}}, {{Page: testMax / PageSize}}, {{Page: 1 << 31}}} {
		_, err := to.Missing(bad)
		isErr(t, err, ErrCorrupt)
	}
}

func testScattered(t *testing.T, kind Kind) {
	from, err := New(Options{Kind: kind, Max: 64 << 20})
	must(t, err)
	t.Cleanup(from.Free)
	to, err := New(Options{Kind: kind, Max: 64 << 20})
	must(t, err)
	t.Cleanup(to.Free)
	grow(t, from, 64<<20)
	grow(t, to, 64<<20)
	must(t, from.SetImage("a"))
	must(t, to.SetImage("a"))
	for round := range 3 {
		var want []uint32
		for p := uint32(round); p < 64<<20/PageSize; p += 3 {
			page(from.Bytes(), p)[p%PageSize]++
			want = append(want, p)
		}
		dirtyIs(t, from, want...)
		delta, err := from.Capture(nil, attempt(round, "entry"))
		must(t, err)
		dirtyIs(t, from)
		applyImage(t, to, delta, attempt(round, "entry"))
		same(t, "scattered", to.Bytes(), from.Bytes())
		dirtyIs(t, to)
		page(from.Bytes(), 9)[0]++
		dirtyIs(t, from, 9)
		must(t, from.Rollback())
	}
}

func testFreed(t *testing.T, kind Kind) {
	s := newSpace(t, kind, 1<<20)
	delta, err := s.Diff()
	must(t, err)
	s.Free()
	s.Free()
	if s.Reallocate(1<<20) != nil || s.Size() != 0 || s.Bytes() != nil {
		t.Fatal("freed memory is still there")
	}
	_, errs := s.Dirty()
	for _, err := range []error{errs, s.SetImage("x"), s.Rollback()} {
		isErr(t, err, errFreed)
	}
	_, err = s.Prepare(delta, Limits{})
	isErr(t, err, errFreed)
	_, err = s.PageHashes()
	isErr(t, err, errFreed)
	if err := newFreed(t, kind, 0).Adopt(s); err == nil {
		t.Fatal("adopted from freed memory")
	}
}

func testZeros(t *testing.T, kind Kind) {
	from, to := pair(t, kind)
	clear(from.Bytes()[:100*PageSize])
	delta, err := from.Diff()
	must(t, err)
	if len(delta) > 64 {
		t.Fatalf("%d bytes for 100 pages of zeros", len(delta))
	}
	applyImage(t, to, delta, "b")
	same(t, "cleared", to.Bytes(), from.Bytes())
}

// The promise: at most 1.05 times the compressed XOR of the pages that changed, and 1 KB.
func TestBytesStayNearThoseOfZstd(t *testing.T) {
	kind, _ := Choose()
	changes := map[string]func(p uint32, b []byte){
		"a counter in each page":   func(p uint32, b []byte) { b[p%PageSize]++ },
		"words that are the same":  func(_ uint32, b []byte) { copy(b[64:], "the same sixty-four bytes or so, over and over again") },
		"small noise":              func(p uint32, b []byte) { noise(uint64(p), b[100:200]) },
		"noise":                    func(p uint32, b []byte) { noise(uint64(p), b) },
		"noise in every other one": func(p uint32, b []byte) { noise(uint64(p), b[:PageSize*int(p%2)]); b[9]++ },
		"numbers":                  func(p uint32, b []byte) { fillNumbers(p, b) },
	}
	sets := map[string]func(p uint32) bool{
		"one page":    func(p uint32) bool { return p == 77 },
		"all":         func(uint32) bool { return true },
		"every third": func(p uint32) bool { return p%3 == 0 },
		"a tenth":     func(p uint32) bool { return p*2654435761>>24 < 26 },
	}
	for what, change := range changes {
		for which, in := range sets {
			s := newFreed(t, kind, testMax)
			noise(99, s.Bytes()[:testMax/2])
			must(t, s.SetImage("a"))
			var xor []byte
			n := 0
			for p := range uint32(testMax / PageSize) {
				if !in(p) {
					continue
				}
				b := page(s.Bytes(), p)
				change(p, b)
				x := make([]byte, PageSize)
				subtle.XORBytes(x, b, page(s.base, p))
				xor = append(xor, x...)
				n++
			}
			delta, err := s.Diff()
			must(t, err)
			most := len(squeeze(xor))*105/100 + 1024
			if len(delta) > most {
				t.Errorf("%s, %s (%d pages): %d bytes, want at most %d", what, which, n, len(delta), most)
			}
			s.Free()
		}
	}
}

func fillNumbers(p uint32, b []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint32(b[i:], p*1000+uint32(i))
	}
}
