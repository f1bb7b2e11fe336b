package wasmbin

// This file reads the operands of instructions. After the first error every read
// gives zero.

func (s *scanner) memArg() {
	if align := s.u32(); s.err == nil && align >= 64 {
		if align < 128 {
			s.fail(ErrUnsupported, FeatureMultiMemory, "a memory index in a load or store")
		} else {
			s.fail(ErrInvalid, "", "alignment %d", align)
		}
		return
	}
	s.u32()
}

func (s *scanner) memoryIndex() {
	if i := s.byte(); s.err == nil && i != 0 {
		s.fail(ErrUnsupported, FeatureMultiMemory, "an instruction on memory %d", i)
	}
}

func (s *scanner) index(what string, space int) uint32 {
	i := s.u32()
	if s.err == nil && int64(i) >= int64(space) {
		s.fail(ErrInvalid, "", "%s %d does not exist", what, i)
	}
	return i
}

func (s *scanner) u32() uint32 {
	if s.p < len(s.b) && s.b[s.p] < 0x80 && s.err == nil {
		s.p++
		return uint32(s.b[s.p-1])
	}
	return s.longU32()
}

func (s *scanner) longU32() uint32 {
	if s.err != nil {
		return 0
	}
	v, p := readU32(s.b, s.p)
	return uint32(s.advance(int64(v), p))
}

func (s *scanner) signed(bits uint) int64 {
	if s.err != nil {
		return 0
	}
	v, p := readS(s.b, s.p, bits)
	return s.advance(v, p)
}

func (s *scanner) advance(v int64, p int) int64 {
	switch p {
	case -1:
		s.fail(ErrTruncated, "", "an operand")
		return 0
	case -2:
		s.fail(ErrInvalid, "", "an operand is too long")
		return 0
	}
	s.p = p
	return v
}

func (s *scanner) byte() byte {
	if s.err == nil && s.p >= len(s.b) {
		s.fail(ErrTruncated, "", "an operand")
	}
	if s.err != nil {
		return 0
	}
	s.p++
	return s.b[s.p-1]
}

func (s *scanner) skip(n int) {
	if s.err != nil {
		return
	}
	if n > len(s.b)-s.p {
		s.fail(ErrTruncated, "", "an operand")
		return
	}
	s.p += n
}
