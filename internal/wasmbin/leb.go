package wasmbin

// AppendU32 appends v as unsigned LEB128, in the fewest bytes.
func AppendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// AppendS64 appends v as signed LEB128, in the fewest bytes. It serves for
// i32.const too, whose operand is a sign-extended 32-bit number.
func AppendS64(b []byte, v int64) []byte {
	for {
		c := byte(v) & 0x7f
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// AppendName appends a length and the bytes of s.
func AppendName(b []byte, s string) []byte {
	return append(AppendU32(b, uint32(len(s))), s...)
}

// readU32 reads an unsigned LEB128 of at most 32 bits at b[p:]. It returns the
// offset after it, or -1 when the bytes end and -2 when the number is too long.
func readU32(b []byte, p int) (uint32, int) {
	var v uint32
	for shift := uint(0); shift < 35; shift += 7 {
		if p >= len(b) {
			return 0, -1
		}
		c := b[p]
		p++
		if shift == 28 && c > 0x0f {
			return 0, -2
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v, p
		}
	}
	return 0, -2
}

// readS reads a signed LEB128 of at most bits bits, with the same returns.
func readS(b []byte, p int, bits uint) (int64, int) {
	var v int64
	for shift := uint(0); ; {
		if p >= len(b) {
			return 0, -1
		}
		c := b[p]
		p++
		v |= int64(c&0x7f) << shift
		shift += 7
		if c >= 0x80 {
			if shift >= bits {
				return 0, -2
			}
			continue
		}
		if shift < 64 && c&0x40 != 0 {
			v |= -1 << shift
		}
		// In the last possible byte the bits beyond the number must repeat its sign.
		if shift > bits {
			top := int8(c<<1) >> 1
			if rest := top >> (bits - (shift - 7) - 1); rest != 0 && rest != -1 {
				return 0, -2
			}
		}
		return v, p
	}
}
