package wasmbin

// This file estimates how often an instruction happens in one call of its
// function, the way static profilers do: a loop turns ten times, a condition
// holds every other time, the cases of a switch are equally likely. Nothing is
// known of the data, so the figures order functions and measure nothing.

// block is an open block of the body being scanned.
type block struct {
	loop   bool
	before float64 // the weight where it began
	after  float64 // the weight after its end
}

// powers[n] is the weight of an instruction in n loops; deeper counts no more,
// so that Work stays far from what a float64 can hold.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

const (
	opIf   = 0x04
	opLoop = 0x03
)

// begin opens a block, a loop or an if.
func (s *scanner) begin(op byte) {
	s.blockType()
	if len(s.open) >= s.m.limits.Nesting {
		s.fail(ErrLimit, "", "blocks nested more than %d deep", s.m.limits.Nesting)
		return
	}
	s.open = append(s.open, block{loop: op == opLoop, before: s.weight, after: s.weight})
	switch op {
	case opLoop:
		s.f.Loops++
		s.depth++
		s.f.LoopDepth = max(s.f.LoopDepth, uint8(min(s.depth, 255)))
		if s.depth < len(powers) {
			s.weight *= 10
		}
	case opIf:
		s.weight /= 2
	}
}

// otherwise passes from an if to its else.
func (s *scanner) otherwise() {
	if n := len(s.open); n > 0 {
		s.weight = s.open[n-1].before / 2
	}
}

// close ends the innermost block.
func (s *scanner) close() {
	last := len(s.open) - 1
	if s.open[last].loop {
		s.depth--
	}
	s.weight = s.open[last].after
	s.open = s.open[:last]
	if s.d.on {
		s.d.closed(s, last)
	}
}

// branch passes a branch out of label blocks, conditional or not. The jump back
// of a loop says nothing about what follows it.
func (s *scanner) branch(label uint32, conditional bool) {
	switch {
	case !conditional:
		s.weight = 0
	case int64(label) >= int64(len(s.open)) || !s.open[len(s.open)-1-int(label)].loop:
		s.weight /= 2
	}
}

// choose passes a br_table: what follows the end of each block that it names is
// one case of many. All cases meet after the outermost.
func (s *scanner) choose(labels []uint32) {
	outermost := uint32(0)
	for _, l := range labels {
		outermost = max(outermost, l)
	}
	if !s.d.on {
		for _, l := range labels {
			if at := len(s.open) - 1 - int(l); at >= 0 && l != outermost {
				s.open[at].after = min(s.open[at].after, s.weight/float64(len(labels)))
			}
		}
	}
	if !s.d.on {
		s.weight = 0
	}
}
