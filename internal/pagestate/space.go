package pagestate

import (
	"errors"
	"fmt"
)

const (
	// PageSize is the unit of every page number and list, in bytes.
	PageSize = 4096

	// MaxSize is the largest linear memory there is, in bytes.
	MaxSize = 4 << 30

	// SizeUnit is what every size of a memory is a multiple of, in bytes: a page of
	// WebAssembly, which no kernel's page exceeds.
	SizeUnit = 64 << 10
)

// Errors that a caller branches on. All others are failures of the system.
var (
	// ErrGrown says that memory grew since the base and so cannot go back to it:
	// discard the instance, make a new one, and let its Space adopt this one.
	ErrGrown = errors.New("memory grew since its base image and cannot shrink: discard the instance and adopt its base in a new one")

	// ErrDirty says that a delta was to be applied to a memory that is not at its
	// base: name its content (SetImage) or drop it (Rollback) first.
	ErrDirty = errors.New("memory is not at its base image: set a new image or roll back first")

	// ErrCorrupt says that an encoded delta, or a list of hashes, is not one that
	// this package made for this base. Nothing was changed.
	ErrCorrupt = errors.New("delta is malformed or does not belong to this base image")

	// ErrLimit says that a delta asks for more than the limits given. Nothing was changed.
	ErrLimit = errors.New("delta exceeds a limit")

	// ErrStale says that a Change was prepared for a state that is no longer, or
	// that memory was not grown to the size the Change needs.
	ErrStale = errors.New("prepared change no longer fits the memory")

	errFreed = errors.New("memory was freed")
)

// Name names an image. The empty name stands for the empty image: no bytes at all.
type Name string

// Kind is a way to find dirty pages.
type Kind int

// The kinds, best first.
const (
	// Userfault: private memfd mapping; userfaultfd write protection in its
	// asynchronous mode, read by the PAGEMAP_SCAN ioctl. Linux 6.7.
	Userfault Kind = iota
	// Scan: private memfd mapping; PAGEMAP_SCAN alone tells which pages are
	// private. For kernels or sandboxes that refuse userfaultfd. Linux 6.7.
	Scan
	// Pagemap: private memfd mapping; the entries of /proc/self/pagemap tell.
	Pagemap
	// Compare: a copy of the base, compared byte by byte. Works everywhere.
	// (A hash per page would read half as much memory, but was measured to cost
	// the same time, needs the copy for XOR anyway, and can collide.)
	Compare
)

var kindNames = [...]string{"userfault", "scan", "pagemap", "compare"}

// Kinds returns every kind, best first.
func Kinds() []Kind { return []Kind{Userfault, Scan, Pagemap, Compare} }

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kindNames[k]
}

// Options say what a Space may become.
type Options struct {
	Kind Kind
	// Max is the address space to reserve, in bytes; 0 means MaxSize. Two spaces
	// of which one shall adopt the other need the same Max.
	Max uint64
	// Limit is the size in bytes that Reallocate and Prepare refuse to pass, so
	// that a memory bomb sees memory.grow fail; 0 means Max.
	Limit uint64
}

// Space is one linear memory with its base image.
type Space struct {
	kind  Kind
	max   uint64
	limit uint64
	back  backend

	mem  []byte // the content; its length is the present size
	base []byte // the base image; readable up to len(mem), zero beyond baseSize

	baseSize uint64
	image    Name
	epoch    uint64 // counts whatever makes a prepared Change stale

	parked bool  // nothing but this package writes the memory
	known  bool  // found holds what candidates would find
	found  []run // while parked

	stage []byte    // content of the one live Change
	codec codecTemp // buffers of Diff and Prepare
}

// backend is what differs between kinds. Runs are ascending, disjoint and in
// pages; they may cover more than they were asked for, never less.
type backend interface {
	// grow makes size bytes accessible and returns content and base of that length.
	grow(size uint64) (mem, base []byte, err error)
	// candidates returns the pages that may differ from the base.
	candidates() ([]run, error)
	// rebase makes the base equal to the content; the candidates are given.
	rebase(dirty []run) error
	// rollback makes the content equal to the base; the candidates are given.
	rollback(dirty []run) error
	// writing is called before the caller writes pages of the base itself.
	writing(pages []run)
	// written is called after that: afterwards the content shows the base there.
	// The content was equal to the base before, or pages is all of it.
	written(pages []run)
	// populated returns the pages of content or base that may hold other than zeros.
	populated() ([]run, error)
	// adopt takes over the base of old, a backend of the same type and maximum,
	// and shows it as content.
	adopt(old backend, size uint64) (mem, base []byte, err error)
	free()
}

// New reserves a Space. It holds no memory until Reallocate.
func New(opts Options) (*Space, error) {
	if opts.Max == 0 {
		opts.Max = MaxSize
	}
	if opts.Max > MaxSize {
		return nil, fmt.Errorf("reserve memory: maximum of %d bytes is above %d", opts.Max, uint64(MaxSize))
	}
	opts.Max = (opts.Max + SizeUnit - 1) &^ (SizeUnit - 1)
	if opts.Limit == 0 || opts.Limit > opts.Max {
		opts.Limit = opts.Max
	}
	back, err := newBackend(opts.Kind, opts.Max)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of memory (%v): %w", opts.Max, opts.Kind, err)
	}
	s := &Space{kind: opts.Kind, max: opts.Max, limit: opts.Limit, back: back}
	if s.mem, s.base, err = back.grow(0); err != nil {
		back.free()
		return nil, fmt.Errorf("reserve memory (%v): %w", opts.Kind, err)
	}
	return s, nil
}

// Reallocate grows the memory to size bytes and returns it, or nil where that is
// refused: above the limit, a size that is no multiple of SizeUnit, a shrink, or
// a system that has no more. Content that was there stays, on 64-bit systems also
// in place.
//
// An engine may panic when the very first Reallocate, to the module's minimum, is
// refused: compare the minimum with the limit before instantiation.
func (s *Space) Reallocate(size uint64) []byte {
	if s.back == nil || size > s.limit || size < s.Size() || size%SizeUnit != 0 {
		return nil
	}
	if size > s.Size() || s.mem == nil {
		mem, base, err := s.back.grow(size)
		if err != nil {
			return nil
		}
		s.mem, s.base, s.known = mem, base, false
	}
	return s.mem[:size:size]
}

// Free gives everything back. The Space is of no use afterwards.
// Calling it again does nothing.
func (s *Space) Free() {
	if s.back != nil {
		s.back.free()
	}
	s.back, s.mem, s.base, s.stage = nil, nil, nil, nil
	s.epoch++
}

// Park says that until Unpark nobody but this Space writes the memory, so that
// looking for dirty pages once is enough for all that an offload does with them.
func (s *Space) Park() { s.parked, s.known = true, false }

// Unpark says that the guest goes on, or that the memory is written otherwise.
func (s *Space) Unpark() { s.parked, s.known = false, false }

// clean notes that the content is the base.
func (s *Space) clean() { s.known, s.found = s.parked, s.found[:0] }

// Trim gives back the buffers that encoding and decoding keep for next time, as large
// as the largest of late. For a guest that idles.
func (s *Space) Trim() {
	s.stage, s.codec = nil, codecTemp{}
	s.epoch++
}

// Kind returns the kind the Space was made with.
func (s *Space) Kind() Kind { return s.kind }

// Bytes returns the content. The slice is good until the next growth or Free.
func (s *Space) Bytes() []byte { return s.mem }

// Size returns the present size in bytes.
func (s *Space) Size() uint64 { return uint64(len(s.mem)) }

// BaseSize returns the size of the base image in bytes.
func (s *Space) BaseSize() uint64 { return s.baseSize }

// Limit returns the size in bytes that the memory may not pass.
func (s *Space) Limit() uint64 { return s.limit }

// Image returns the name of the base image, "" when there is none yet.
func (s *Space) Image() Name { return s.image }

// Rename gives the base image another name, for two names of one content.
func (s *Space) Rename(name Name) { s.image = name }

// SetImage makes the present content the base image, under the given name. It
// costs time by the number of dirty pages, not by size. The former base is gone.
//
// An error leaves the content as it was, but the base in an unknown state:
// discard the Space.
func (s *Space) SetImage(name Name) error {
	dirty, err := s.candidates()
	if err != nil {
		return fmt.Errorf("set image %q: %w", name, err)
	}
	return s.setImage(name, dirty)
}

func (s *Space) setImage(name Name, dirty []run) error {
	s.epoch++
	s.known = false
	if err := s.back.rebase(dirty); err != nil {
		return fmt.Errorf("set image %q: %w", name, err)
	}
	s.image, s.baseSize = name, s.Size()
	s.clean()
	return nil
}

// Rollback drops every change since the base image. It returns ErrGrown, and
// changes nothing, when the memory has grown since.
func (s *Space) Rollback() error {
	if s.back == nil {
		return fmt.Errorf("roll back: %w", errFreed)
	}
	if s.Size() != s.baseSize {
		return fmt.Errorf("roll back from %d to %d bytes: %w", s.Size(), s.baseSize, ErrGrown)
	}
	dirty, err := s.candidates()
	if err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	s.epoch++
	s.known = false
	if err := s.back.rollback(dirty); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	s.clean()
	return nil
}

// Adopt takes over the base image of old, with its name, and shows it as content:
// the way back from ErrGrown. The order is: instantiate the module anew on this
// Space, grow it to old.BaseSize through the engine, Adopt, then free old, whose
// content stays readable until then. Nothing of what old wrote since its base is
// kept. Both must be of one Kind and Max.
//
// After an error this Space is to be freed; old is as it was.
func (s *Space) Adopt(old *Space) error {
	switch {
	case s.back == nil || old.back == nil:
		return fmt.Errorf("adopt image %q: %w", old.image, errFreed)
	case s == old || s.kind != old.kind || s.max != old.max:
		return fmt.Errorf("adopt image %q: the two memories differ in kind or maximum (%v, %d; %v, %d)", old.image, s.kind, s.max, old.kind, old.max)
	case s.Size() > old.baseSize:
		return fmt.Errorf("adopt image %q of %d bytes in a memory of %d: %w", old.image, old.baseSize, s.Size(), ErrGrown)
	case s.Size() < old.baseSize:
		return fmt.Errorf("adopt image %q: grow the memory from %d to %d bytes first", old.image, s.Size(), old.baseSize)
	}
	mem, base, err := s.back.adopt(old.back, old.baseSize)
	if err != nil {
		return fmt.Errorf("adopt image %q: %w", old.image, err)
	}
	s.mem, s.base = mem, base
	s.image, s.baseSize = old.image, old.baseSize
	s.known = false
	s.epoch++
	old.base, old.baseSize, old.image = nil, 0, ""
	old.limit = 0 // no more growth: it would show the base of another
	old.epoch++
	return nil
}

// Dirty returns the pages that differ from the base image, ascending; a page
// beyond the base counts when it is not zero.
func (s *Space) Dirty() ([]uint32, error) {
	cand, err := s.candidates()
	if err != nil {
		return nil, fmt.Errorf("find dirty pages: %w", err)
	}
	var pages []uint32
	for _, r := range cand {
		for p := r.start; p < r.end; p++ {
			if s.changed(p) {
				pages = append(pages, p)
			}
		}
	}
	return pages, nil
}

// candidates returns the runs of pages that may differ from the base, cut to the size.
func (s *Space) candidates() ([]run, error) {
	if s.back == nil || s.base == nil {
		return nil, errFreed
	}
	if s.known {
		return s.found, nil
	}
	runs, err := s.back.candidates()
	if err == nil && s.parked {
		s.known, s.found = true, append(s.found[:0], runs...)
		return s.found, nil
	}
	return runs, err
}
