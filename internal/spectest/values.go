package spectest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// words gives the value as an engine takes it: one word, or two for a v128.
func (v Value) words() ([]uint64, error) {
	if v.Type == "v128" {
		var lanes []string
		if err := json.Unmarshal(v.Value, &lanes); err != nil {
			return nil, fmt.Errorf("v128 lanes: %w", err)
		}
		bits := laneBits(v.Lane)
		if bits*len(lanes) != 128 {
			return nil, fmt.Errorf("%d lanes of %s", len(lanes), v.Lane)
		}
		var w [2]uint64
		for i, lane := range lanes {
			n, err := number(lane, bits)
			if err != nil {
				return nil, err
			}
			w[i*bits/64] |= n << (i * bits % 64)
		}
		return w[:], nil
	}
	s := ""
	if len(v.Value) > 0 {
		if err := json.Unmarshal(v.Value, &s); err != nil {
			return nil, fmt.Errorf("value: %w", err)
		}
	}
	switch {
	case s == "" || s == "null":
		return []uint64{0}, nil
	case v.Type == "externref":
		// An engine's null reference is 0, so that reference n is n+1.
		n, err := number(s, 64)
		return []uint64{n + 1}, err
	case strings.HasSuffix(v.Type, "32"):
		n, err := number(s, 32)
		return []uint64{n}, err
	}
	n, err := number(s, 64)
	return []uint64{n}, err
}

func laneBits(lane string) int {
	n, _ := strconv.Atoi(strings.TrimLeft(lane, "if"))
	return n
}

// number reads a decimal, signed or not; the NaN patterns of expectations give
// their lowest member.
func number(s string, bits int) (uint64, error) {
	if strings.HasPrefix(s, "nan:") {
		if bits == 32 {
			return 0x7fc00000, nil
		}
		return 0x7ff8000000000000, nil
	}
	if strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 10, bits)
		return uint64(n) & (1<<bits - 1), err
	}
	return strconv.ParseUint(s, 10, bits)
}

// matches judges results by the specification's expectations.
func matches(got []uint64, want []Value) bool {
	for _, v := range want {
		w, err := v.words()
		if err != nil || len(got) < len(w) {
			return false
		}
		if !v.matches(got[:len(w)], w) {
			return false
		}
		got = got[len(w):]
	}
	return len(got) == 0
}

func (v Value) matches(got, want []uint64) bool {
	switch v.Type {
	case "funcref", "externref":
		return len(v.Value) == 0 || got[0] == want[0]
	case "v128":
		var lanes []string
		if json.Unmarshal(v.Value, &lanes) != nil {
			return false
		}
		bits := laneBits(v.Lane)
		for i, lane := range lanes {
			word, shift := i*bits/64, i*bits%64
			if !laneMatches(lane, bits, got[word]>>shift, want[word]>>shift) {
				return false
			}
		}
		return true
	}
	var s string
	if json.Unmarshal(v.Value, &s) != nil {
		return false
	}
	bits := 64
	if strings.HasSuffix(v.Type, "32") {
		bits = 32
	}
	return laneMatches(s, bits, got[0], want[0])
}

func laneMatches(want string, bits int, got, bitsWanted uint64) bool {
	mask := uint64(1)<<bits - 1
	got, bitsWanted = got&mask, bitsWanted&mask
	switch want {
	case "nan:canonical": // either sign
		return got&^(1<<(bits-1)) == bitsWanted
	case "nan:arithmetic": // any payload with the quiet bit
		return got&bitsWanted == bitsWanted
	}
	return got == bitsWanted
}
