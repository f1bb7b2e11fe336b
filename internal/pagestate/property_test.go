package pagestate

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// world is a device, a clone, and what each must hold.
type world struct {
	device *Space
	clone  site
	kind   Kind // of the device

	content []byte // the device's
	base    []byte // the device's base image
	image0  []byte
	n       int
}

func newWorld(t *rapid.T, kinds []Kind) *world {
	w := &world{kind: rapid.SampledFrom(kinds).Draw(t, "device kind")}
	w.clone.kind = rapid.SampledFrom(kinds).Draw(t, "clone kind")
	// The larger one has enough pages for a scan to protect those that were read.
	w.image0 = make([]byte, rapid.SampledFrom([]int{32, 32, 640}).Draw(t, "pages")*PageSize)
	noise(7, w.image0[3*PageSize:9*PageSize])
	w.device = w.fresh(t, w.kind)
	w.clone.s = w.fresh(t, w.clone.kind)
	w.content, w.base = bytes.Clone(w.image0), bytes.Clone(w.image0)
	return w
}

func (w *world) fresh(t *rapid.T, kind Kind) *Space {
	s := newSpace(t, kind, uint64(len(w.image0)))
	copy(s.Bytes(), w.image0)
	must(t, s.SetImage("image0"))
	return s
}

func (w *world) free() {
	w.device.Free()
	w.clone.s.Free()
}

// scribble changes a memory at random, and now and then grows it.
func scribble(t *rapid.T, s *Space) {
	if rapid.IntRange(0, 5).Draw(t, "grow") == 0 {
		if size := s.Size() + 16*PageSize*uint64(rapid.IntRange(0, 3).Draw(t, "by")); size <= testMax {
			grow(t, s, size)
		}
	}
	pages := int(s.Size() / PageSize)
	for range rapid.IntRange(0, 6).Draw(t, "writes") {
		p := rapid.IntRange(0, pages-1).Draw(t, "page")
		n := min(rapid.SampledFrom([]int{1, 1, 2, 40}).Draw(t, "run"), pages-p)
		b := s.Bytes()[p*PageSize : (p+n)*PageSize]
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			b[rapid.IntRange(0, PageSize-1).Draw(t, "offset")]++
		case 1:
			noise(uint64(rapid.Uint16().Draw(t, "seed")), b)
		case 2:
			clear(b)
		case 3: // written, but as it was
			copy(b, bytes.Clone(b))
		case 4:
			copy(b, s.Bytes()[:len(b)])
		}
	}
}

func (w *world) check(t *rapid.T) {
	same(t, "device", w.device.Bytes(), w.content)
	for _, s := range []*Space{w.device, w.clone.s} {
		if uint64(len(s.base)) < s.baseSize {
			t.Fatalf("base is shorter than its size")
		}
	}
	same(t, "device base", w.device.base[:w.device.baseSize], w.base)
	dirty, err := w.device.Dirty()
	must(t, err)
	var want []uint32
	for p := range uint32(len(w.content) / PageSize) {
		b := zeroPage[:]
		if int(p) < len(w.base)/PageSize {
			b = page(w.base, p)
		}
		if !bytes.Equal(page(w.content, p), b) {
			want = append(want, p)
		}
	}
	if !slices.Equal(dirty, want) {
		t.Fatalf("dirty pages %v, want %v", dirty, want)
	}
}

// offload is one attempt, and what becomes of it.
func (w *world) offload(t *rapid.T) {
	w.n++
	base, entry, result := w.device.Image(), attempt(w.n, "entry"), attempt(w.n, "result")
	call, err := w.device.Capture(nil, entry)
	must(t, err)
	w.base = bytes.Clone(w.content)
	if rapid.IntRange(0, 4).Draw(t, "call lost") == 0 {
		return // the clone still has the images of before; the device names entry next
	}
	w.corrupt(t, w.clone.s, call)
	w.clone.take(t, w.device, base, entry, call)
	same(t, "clone at entry", w.clone.s.Bytes(), w.content)
	scribble(t, w.clone.s)
	ret, err := w.clone.s.Diff()
	must(t, err)
	w.clone.result = result
	if rapid.IntRange(0, 2).Draw(t, "return lost") == 0 {
		return // the device runs the call itself, from the entry
	}
	w.corrupt(t, w.device, ret)
	if rapid.IntRange(0, 3).Draw(t, "slow way") == 0 {
		ch, err := w.device.Prepare(ret, Limits{})
		must(t, err)
		grow(t, w.device, ch.NewSize())
		must(t, ch.Apply())
		must(t, w.device.SetImage(result))
	} else {
		applyImage(t, w.device, ret, result)
	}
	w.content = bytes.Clone(w.clone.s.Bytes())
	w.base = bytes.Clone(w.content)
}

// corrupt offers a delta with one byte changed, which must change nothing.
func (w *world) corrupt(t *rapid.T, s *Space, encoded []byte) {
	if rapid.IntRange(0, 3).Draw(t, "damage") != 0 {
		return
	}
	bad := bytes.Clone(encoded)
	bad[rapid.IntRange(0, len(bad)-1).Draw(t, "where")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
	before, image := bytes.Clone(s.Bytes()), s.Image()
	if _, err := s.Prepare(bad, Limits{}); err == nil {
		// Damage may lie where two encodings mean one thing (a longer varint). What
		// is yielded has the hash that was promised, so it is the same.
		t.Logf("damaged delta was accepted")
	} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrDirty) && !errors.Is(err, ErrGrown) {
		t.Fatalf("damaged delta: %v", err)
	}
	same(t, "after a damaged delta", s.Bytes(), before)
	if s.Image() != image {
		t.Fatalf("image is %q after a damaged delta", s.Image())
	}
}

func (w *world) rollback(t *rapid.T) {
	err := w.device.Rollback()
	if len(w.content) != len(w.base) {
		if !errors.Is(err, ErrGrown) {
			t.Fatalf("rollback of a grown memory: %v", err)
		}
		old := w.device
		w.device = newSpace(t, w.kind, 16*PageSize)
		grow(t, w.device, old.BaseSize())
		must(t, w.device.Adopt(old))
		same(t, "content of the adopted", old.Bytes(), w.content)
		old.Free()
	} else {
		must(t, err)
	}
	w.content = bytes.Clone(w.base)
}

// TestBothSidesStayEqual runs random writes, growths, offloads with their losses,
// rollbacks and takeovers: after each step both sides hold what they must.
// CLONECLOUD_NIGHTLY_STEPS sets how many sequences of some 30 steps are run.
func TestBothSidesStayEqual(t *testing.T) {
	kinds := working()
	step := func(t *rapid.T) {
		w := newWorld(t, kinds)
		defer w.free()
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3:
				scribble(t, w.device)
				w.content = bytes.Clone(w.device.Bytes())
			case 4, 5, 6:
				w.offload(t)
			case 7:
				w.rollback(t)
			case 8: // the clone restarts
				w.clone.s.Free()
				w.clone.s, w.clone.result = w.fresh(t, w.clone.kind), ""
			case 9:
				must(t, w.device.SetImage("local"))
				w.base = bytes.Clone(w.content)
			}
			w.check(t)
		}
	}
	n, _ := strconv.Atoi(os.Getenv("CLONECLOUD_NIGHTLY_STEPS"))
	if n == 0 {
		rapid.Check(t, step)
		return
	}
	for range n / 3000 { // rapid runs 100 sequences of about 30 steps
		rapid.Check(t, step)
	}
}
