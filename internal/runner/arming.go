package runner

import (
	"fmt"

	"github.com/clonecloud/clonecloud/internal/engine"
)

// silencer is one that may disarm candidates: a candidate is armed as long as
// nobody disarms it, so each decides by what it knows alone.
type silencer uint8

// byProfile disarms what is too short to be looked at so often.
const byProfile silencer = 1 << iota

// arming keeps the arm masks: a candidate whose bit is clear runs without a call
// of the host. Candidates beyond the masks' bits share them; such a bit is clear
// when all of them are disarmed.
type arming struct {
	masks []engine.Global
	where []int // of each candidate: which bit of all masks
	off   []silencer
	armed []int // per bit: its candidates that are armed
}

// newArming arms every candidate.
func newArming(g *guest) (*arming, error) {
	a := &arming{armed: make([]int, 64*len(g.out.Masks))}
	for _, name := range g.out.Masks {
		m, ok := g.inst.Global(name)
		if !ok {
			return nil, fmt.Errorf("rewritten module does not export its arm mask %s", name)
		}
		if err := m.Set(^uint64(0)); err != nil {
			return nil, err
		}
		a.masks = append(a.masks, m)
	}
	for i := range g.out.Candidates {
		c := &g.out.Candidates[i]
		bit := 64*c.Mask + int(c.Bit)
		a.where = append(a.where, bit)
		a.armed[bit]++
	}
	a.off = make([]silencer, len(a.where))
	return a, nil
}

// set says that one is, or is no longer, interested in candidate k.
func (a *arming) set(k int, who silencer, on bool) {
	before := a.off[k]
	if on {
		a.off[k] &^= who
	} else {
		a.off[k] |= who
	}
	bit := a.where[k]
	switch {
	case before == 0 && a.off[k] != 0:
		a.armed[bit]--
	case before != 0 && a.off[k] == 0:
		a.armed[bit]++
	default:
		return
	}
	m, v := a.masks[bit/64], uint64(1)<<(bit%64)
	switch a.armed[bit] {
	case 0:
		v = m.Get() &^ v
	case 1:
		v |= m.Get()
	default:
		return
	}
	if err := m.Set(v); err != nil {
		engine.Throw(fmt.Errorf("arm candidate %d: %w", k, err))
	}
}
