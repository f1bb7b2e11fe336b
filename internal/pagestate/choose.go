package pagestate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Report says why kinds better than the one chosen were not taken.
type Report []Refusal

// Refusal is a kind and what its self-test found.
type Refusal struct {
	Kind Kind
	Err  error
}

// String is one line for a person, "" when the best kind was taken.
func (r Report) String() string {
	parts := make([]string, len(r))
	for i, ref := range r {
		parts[i] = fmt.Sprintf("%v: %v", ref.Kind, ref.Err)
	}
	return strings.Join(parts, "; ")
}

// Choose returns the best kind that passes its self-test here, and why better
// ones did not. It takes about a millisecond. A process that will be sandboxed
// calls it before.
func Choose() (Kind, Report) {
	var report Report
	for _, kind := range Kinds() {
		err := SelfTest(kind)
		if err == nil {
			return kind, report
		}
		report = append(report, Refusal{kind, err})
	}
	// Compare asks nothing of the system but memory; let its first use say what is wrong.
	return Compare, report
}

// SelfTest tries a kind on a small memory: it must see exactly the pages that
// were written, by this process and by the kernel for it, before and after growth,
// and no others, and go back and forth between images. It returns what is wrong.
//
// It is more than politeness: a kernel built without some option answers the same
// calls with success and reports no page dirty.
func SelfTest(kind Kind) error {
	s, err := New(Options{Kind: kind, Max: 4 << 20})
	if err != nil {
		return err
	}
	defer s.Free()
	if s.Reallocate(1<<20) == nil {
		return errors.New("self-test: memory does not grow")
	}
	t := selfTest{s: s}
	t.write(0, 7, 255)
	t.expect("first image", 0, 7, 255)
	t.check("set image", s.SetImage("first"))
	for p := range uint32(256) {
		t.sum += int(page(s.mem, p)[100]) // reading must not count
	}
	t.expect("read only")
	t.write(3, 7)
	t.kernelWrite(9)
	t.expect("written", 3, 7, 9)
	t.check("roll back", s.Rollback())
	t.expect("rolled back")
	if page(s.mem, 7)[100] != 1 || page(s.mem, 3)[100] != 0 {
		t.check("roll back", errors.New("content is not the base"))
	}
	if t.err == nil && s.Reallocate(2<<20) == nil {
		t.check("grow", errors.New("refused"))
	}
	t.write(1, 256, 511)
	t.expect("grown", 1, 256, 511)
	t.check("set image", s.SetImage("second"))
	t.expect("second image")
	t.write(1, 300)
	t.expect("written again", 1, 300)
	return t.err
}

type selfTest struct {
	s   *Space
	err error
	sum int // of what was read, so that it is
}

func (t *selfTest) check(what string, err error) {
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("self-test, %s: %w", what, err)
	}
}

// write adds one to a byte of each page.
func (t *selfTest) write(pages ...uint32) {
	if t.err != nil {
		return
	}
	for _, p := range pages {
		page(t.s.mem, p)[100]++
	}
}

// kernelWrite lets the kernel write a page, as read(2) into guest memory does.
func (t *selfTest) kernelWrite(p uint32) {
	r, w, err := os.Pipe()
	if err != nil {
		t.check("pipe", err)
		return
	}
	defer func() { _ = r.Close() }()
	_, err = w.Write(bytes.Repeat([]byte{0xa5}, 64))
	_ = w.Close()
	t.check("write pipe", err)
	if t.err == nil {
		_, err = r.Read(page(t.s.mem, p))
		t.check("read pipe", err)
	}
}

func (t *selfTest) expect(what string, want ...uint32) {
	if t.err != nil {
		return
	}
	got, err := t.s.Dirty()
	if err != nil {
		t.check(what, err)
		return
	}
	if !slices.Equal(got, want) {
		t.check(what, fmt.Errorf("pages %v are reported dirty, not %v", got, want))
		return
	}
	// More than was written may be looked at, but a method that points at
	// everything is no better than comparing.
	cand, err := t.s.candidates()
	t.check(what, err)
	if n := countPages(cand); t.err == nil && n > (len(want)+1)*selfTestSlack {
		t.check(what, fmt.Errorf("%d pages are suspected where %d are dirty", n, len(want)))
	}
}
