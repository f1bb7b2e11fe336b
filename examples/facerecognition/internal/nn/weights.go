package nn

import (
	"encoding/binary"
	"math"
)

// Weights is a list of numbers in the form in which it was stored: bytes that
// a scale and an offset turn into numbers, or plain float32. It stays in that
// form, and layers decode what they need while they run; decoded, the weights
// of a network would take four times the memory.
type Weights struct {
	data      []byte
	quantized bool
	scale     float64
	low       float64
}

// QuantizedWeights says that each byte b of data means b*scale + low. The
// slice is kept.
func QuantizedWeights(data []byte, scale, low float64) Weights {
	return Weights{data: data, quantized: true, scale: scale, low: low}
}

// FloatWeights says that data holds little-endian float32. The slice is kept.
func FloatWeights(data []byte) Weights { return Weights{data: data} }

// Len is how many numbers there are.
func (w Weights) Len() int {
	if w.quantized {
		return len(w.data)
	}
	return len(w.data) / 4
}

// Floats decodes all numbers.
func (w Weights) Floats() []float32 {
	out := make([]float32, w.Len())
	if !w.quantized {
		for i := range out {
			out[i] = w.float(i)
		}
		return out
	}
	var table [256]float32
	w.tabulate(&table)
	for i, b := range w.data {
		out[i] = table[b]
	}
	return out
}

func (w Weights) float(i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(w.data[4*i:]))
}

// tabulate computes what each byte means.
func (w Weights) tabulate(table *[256]float32) {
	for i := range table {
		product := float64(i) * w.scale
		table[i] = float32(product + w.low)
	}
}

// pair decodes two neighbouring columns, n and n+1, of a matrix with the given
// number of columns, and interleaves them: column n times s0, column n+1 times
// s1. If there is no column n+1 its places become zero. table must be w's if w
// is quantized.
func (w Weights) pair(dst []float32, table *[256]float32, columns, n int, s0, s1 float32) {
	second := n+1 < columns
	at := n
	if w.quantized && second {
		for len(dst) >= 2 && at+1 < len(w.data) {
			dst[0], dst[1] = table[w.data[at]]*s0, table[w.data[at+1]]*s1
			dst, at = dst[2:], at+columns
		}
	}
	for len(dst) >= 2 && at < w.Len() {
		dst[0], dst[1] = w.at(at, table)*s0, 0
		if second {
			dst[1] = w.at(at+1, table) * s1
		}
		dst, at = dst[2:], at+columns
	}
	clear(dst)
}

func (w Weights) at(i int, table *[256]float32) float32 {
	if w.quantized {
		return table[w.data[i]]
	}
	return w.float(i)
}
