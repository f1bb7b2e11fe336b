package pagestate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

const testMax = 4 << 20

// fatal is what testing.TB and *rapid.T have in common.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// eachKind runs a test for every kind that works here.
func eachKind(t *testing.T, f func(t *testing.T, kind Kind)) {
	for _, kind := range Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			if err := SelfTest(kind); err != nil {
				t.Skipf("not on this system: %v", err)
			}
			f(t, kind)
		})
	}
}

func working() []Kind {
	var kinds []Kind
	for _, kind := range Kinds() {
		if SelfTest(kind) == nil {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func must(t fatal, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func newSpace(t fatal, kind Kind, size uint64) *Space {
	t.Helper()
	s, err := New(Options{Kind: kind, Max: testMax})
	must(t, err)
	grow(t, s, size)
	return s
}

func grow(t fatal, s *Space, size uint64) {
	t.Helper()
	if b := s.Reallocate(size); uint64(len(b)) != size {
		t.Fatalf("memory does not grow to %d bytes", size)
	}
}

func same(t fatal, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d bytes, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: byte %d (page %d) is %d, want %d", what, i, i/PageSize, got[i], want[i])
		}
	}
}

// noise fills b with bytes that do not compress.
func noise(seed uint64, b []byte) {
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = src.Read(b)
}

// site is a clone: a memory whose content, beside its base, may have a name too.
type site struct {
	kind   Kind
	s      *Space
	result Name // of the content, "" when it has none
}

// take brings an encoded Call into the clone, the way a runner does.
func (c *site) take(t fatal, device *Space, base, entry Name, call []byte) {
	t.Helper()
	switch {
	case c.result != "" && c.result == base:
		must(t, c.s.SetImage(base))
	case c.s.Image() == base:
		c.back(t)
	default:
		call = c.needBase(t, device)
	}
	c.result = ""
	applyImage(t, c.s, call, entry)
}

// back returns the clone to its base, through a new Space where it must.
func (c *site) back(t fatal) {
	t.Helper()
	if c.s.Size() == c.s.BaseSize() {
		must(t, c.s.Rollback())
		return
	}
	fresh := newSpace(t, c.kind, PageSize*16)
	noise(1, fresh.Bytes()[:PageSize*5]) // what instantiation would have written
	grow(t, fresh, c.s.BaseSize())
	must(t, fresh.Adopt(c.s))
	c.s.Free()
	c.s = fresh
}

// needBase replaces a delta by the whole state, of which only what the clone lacks travels.
func (c *site) needBase(t fatal, device *Space) []byte {
	t.Helper()
	hashes, err := device.PageHashes()
	must(t, err)
	missing, err := c.s.Missing(hashes)
	must(t, err)
	whole, err := device.Whole(hashes, missing)
	must(t, err)
	if c.s.Size() > device.Size() {
		old := c.s
		c.s = newSpace(t, c.kind, PageSize*16)
		defer old.Free()
		ch, err := c.s.Prepare(whole, Limits{Sources: []*Space{old}})
		must(t, err)
		grow(t, c.s, ch.NewSize())
		must(t, ch.ApplyImage("moved"))
	}
	return whole
}

func applyImage(t fatal, s *Space, encoded []byte, name Name) {
	t.Helper()
	ch, err := s.Prepare(encoded, Limits{})
	must(t, err)
	grow(t, s, ch.NewSize())
	must(t, ch.ApplyImage(name))
	if s.Image() != name {
		t.Fatalf("image is %q, want %q", s.Image(), name)
	}
}

func attempt(n int, what string) Name { return Name(fmt.Sprintf("%d.%s", n, what)) }
