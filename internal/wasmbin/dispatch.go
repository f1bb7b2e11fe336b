package wasmbin

import (
	"cmp"
	"slices"
)

// Go's compiler for WebAssembly has no structured loops. A function is a list
// of basic blocks inside one loop, which a br_table enters by a block's number;
// to jump, a block sets local 0 to a number and branches to the loop:
//
//	loop  block ... block  local.get 0  br_table 0 1 2 ...  end
//	  block 1 ...  end  block 2 ...  i32.const 1  local.set 0  br $loop
//
// Read naively, everything would be in one loop and nothing in two. This file
// finds the jumps back instead: one from block b to a block a before it makes
// the blocks a to b a loop.

// dispatch is what is known of the dispatch loop of the function being scanned.
type dispatch struct {
	on    bool
	level int      // of the loop among the open blocks
	base  int      // open blocks that belong to it, the loop's outside included
	block int      // the number of the block being read, from 1
	table []uint32 // the br_table: block numbers less one, by the numbers in jumps

	from  float64   // FuncCode.Work where the block began
	work  []float64 // of the blocks before it
	calls []int     // of each of scanner.calls from first on, the block
	first int
	back  []backEdge
	jumps int
	loops uint32

	constant    int64
	constantEnd int // where the last i32.const ended
	jumpEnd     int // where a local.set 0 after it ended
}

type backEdge struct {
	number   int64 // what was put into local 0; blocks can have several
	to, from int
}

// enter looks at a br_table whose labels are table, and takes the enclosing
// loop for a dispatch loop if it can be one.
func (d *dispatch) enter(s *scanner, table []uint32, afterGet0 bool) {
	t := s.m.FuncType(s.fn)
	if d.on || !afterGet0 || s.f.Loops != 1 || s.depth != 1 || len(t.Params) != 1 || t.Params[0] != I32 ||
		len(t.Results) != 1 || t.Results[0] != I32 {
		return
	}
	d.level = slices.IndexFunc(s.open, func(b block) bool { return b.loop })
	d.on, d.base, d.block, d.jumps, d.loops = true, len(s.open), 0, 0, 0
	d.table = append(d.table[:0], table...)
	d.work, d.calls, d.back = d.work[:0], d.calls[:0], d.back[:0]
	d.first = len(s.calls)
	// From here on the loop does not count as one.
	for i := range s.open {
		s.open[i] = block{before: 1, after: 1}
	}
	s.depth, s.weight = 0, 1
	s.f.Loops, s.f.LoopDepth = 0, 0
	d.from = s.f.Work
}

// closed notes that blocks were closed down to open ones.
func (d *dispatch) closed(s *scanner, open int) {
	if open >= d.base || open <= d.level {
		return
	}
	d.base = open
	d.block++
	d.work = append(d.work, s.f.Work-d.from)
	d.from = s.f.Work
}

// jump notes a branch to the loop with the number that was set last.
func (d *dispatch) jump(s *scanner, label uint32) {
	if len(s.open)-1-int(label) != d.level || d.constant < 0 || d.constant >= int64(len(d.table)) {
		return
	}
	d.jumps++
	if to := int(d.table[d.constant]) + 1; to <= d.block {
		d.back = append(d.back, backEdge{number: d.constant, to: to, from: d.block})
	}
}

// finish puts the loops that were found into the function's figures.
func (d *dispatch) finish(s *scanner) {
	d.work = append(d.work, s.f.Work-d.from)
	depth := d.depths()
	f := s.f
	deepest := uint8(0)
	for b, w := range d.work {
		n := min(int(depth[b]), len(powers)-1)
		f.Work += w * (powers[n] - 1)
		deepest = max(deepest, depth[b])
	}
	for i, b := range d.calls {
		c := &s.calls[d.first+i]
		c.Depth = uint8(min(int(c.Depth)+int(depth[b]), 255))
		c.Weight *= powers[min(int(depth[b]), len(powers)-1)]
	}
	f.Loops += d.loops
	f.LoopDepth = uint8(min(int(f.LoopDepth)+int(deepest), 255))
	d.on = false
}

// depths gives for every block the number of loops around it. Loops that begin
// at one number are one loop.
func (d *dispatch) depths() []uint8 {
	depth := make([]uint8, len(d.work))
	if d.jumps == 0 { // no dispatch loop after all, but an ordinary one
		for b := range depth {
			depth[b] = 1
		}
		d.loops = 1
		return depth
	}
	slices.SortFunc(d.back, func(a, b backEdge) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.from, a.from))
	})
	delta := make([]int, len(d.work)+1)
	for i, e := range d.back {
		if i > 0 && d.back[i-1].number == e.number {
			continue
		}
		d.loops++
		delta[min(e.to, len(d.work))]++
		delta[min(e.from+1, len(d.work))]--
	}
	n := 0
	for b := range depth {
		n += delta[b]
		depth[b] = uint8(min(max(n, 0), 255))
	}
	return depth
}
