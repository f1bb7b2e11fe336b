package partition

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// Input is what can be told of a run's or a call's input before it runs.
type Input struct {
	// Args are the values of numeric arguments, or the lengths of others. Those
	// after MaxArgs are not looked at.
	Args   []float64
	Memory int64 // bytes of memory
	Files  int64 // bytes of the files that are opened, or named as arguments
}

// MaxArgs is how many arguments an input class distinguishes.
const MaxArgs = 4

// InputClass names inputs that are alike: each feature is known by its power of
// four, because cost rarely changes by less than a factor where a feature does
// not, and finer classes would never fill. It is text in a canonical form:
//
//	m12.f-.a3,-2,0    memory, files, then arguments
//
// where a number e stands for a magnitude from 4^e up to 4^(e+1), "-" for zero
// (or nothing known), and an argument below zero has a "!" before it.
type InputClass string

// AnyInput is the class of a profile that does not tell inputs apart.
const AnyInput InputClass = "any"

// maxInputClass bounds the text, in bytes.
const maxInputClass = 64

// Class gives the class of an input.
func (in Input) Class() InputClass {
	var b strings.Builder
	fmt.Fprintf(&b, "m%s.f%s.a", bucket(float64(in.Memory)), bucket(float64(in.Files)))
	for i, v := range in.Args[:min(len(in.Args), MaxArgs)] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(bucket(v))
	}
	return InputClass(b.String())
}

// bucket is the power of four of a magnitude, from -31 to 31.
func bucket(v float64) string {
	sign := ""
	if v < 0 {
		sign, v = "!", -v
	}
	if v == 0 || math.IsNaN(v) {
		return "-"
	}
	e := 31
	if !math.IsInf(v, 1) {
		_, two := math.Frexp(v) // v is in [2^(two-1), 2^two)
		e = min(max((two-1)>>1, -31), 31)
	}
	return fmt.Sprintf("%s%d", sign, e)
}

// Hash is the class in 64 bits: the first eight bytes of the SHA-256 of its
// text, big endian. It is the same on every machine and in every version.
func (c InputClass) Hash() uint64 {
	sum := sha256.Sum256([]byte(c))
	return binary.BigEndian.Uint64(sum[:])
}

// Valid says whether c is AnyInput or could come from Class.
func (c InputClass) Valid() bool {
	if c == AnyInput {
		return true
	}
	return len(c) > 0 && len(c) <= maxInputClass && c[0] == 'm' &&
		strings.Trim(string(c), "mfa.,-!0123456789") == ""
}
