package pagestate

import (
	"slices"
	"testing"
)

func TestAParkedMemoryIsLookedAtOnceAndEveryStepFindsTheSame(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s, clone := newSpace(t, kind, 4<<20), newSpace(t, kind, 4<<20)
		must(t, s.SetImage("a"))
		must(t, clone.SetImage("a"))
		for round := range 4 {
			// more than besidePages, so that compression runs beside
			noise(uint64(round), s.mem[8*PageSize:(8+besidePages+50)*PageSize])
			s.mem[uint32(round)*PageSize]++
			s.Park()
			delta, err := s.Diff()
			must(t, err)
			must(t, s.SetImage("b"))
			if dirty, err := s.Dirty(); err != nil || len(dirty) != 0 {
				t.Fatalf("%d pages differ from what was made the image: %v", len(dirty), err)
			}
			must(t, clone.Rollback())
			applyImage(t, clone, delta, "b")
			same(t, "clone", clone.mem, s.mem)
			// and back: what the other side did
			clone.mem[7*PageSize]++
			back, err := clone.Diff()
			must(t, err)
			must(t, clone.SetImage("a"))
			applyImage(t, s, back, "a")
			same(t, "device", s.mem, clone.mem)
			s.Unpark()
		}
	})
}

func TestAnUnparkedMemoryIsLookedAtAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := newSpace(t, kind, 1<<20)
		must(t, s.SetImage("a"))
		for _, page := range []uint32{3, 9} {
			s.Park()
			_, err := s.Dirty()
			must(t, err)
			s.Unpark()
			s.mem[page*PageSize]++
		}
		s.Park()
		if dirty, err := s.Dirty(); err != nil || !slices.Equal(dirty, []uint32{3, 9}) {
			t.Errorf("dirty %v, %v", dirty, err)
		}
		must(t, s.Rollback())
		if dirty, err := s.Dirty(); err != nil || len(dirty) != 0 {
			t.Errorf("dirty %v, %v", dirty, err)
		}
	})
}
