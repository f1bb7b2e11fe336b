// Package nn is a small interpreter for convolutional networks: the handful of
// layers that face detection and recognition need, in plain Go on float32.
//
// An activation is a Tensor, height by width by channels with the channel
// fastest, which is the layout that the weights of TensorFlow.js expect. There
// is no batch dimension and no training. Every layer takes its input and
// returns a new tensor from a Workspace, which keeps the memory of tensors that
// are done with; nothing is modified in place except by the methods that say so
// (AddReLU, ReLU, LeakyReLU, Normalize). Weights stay as compact as they were
// stored, and are decoded a few filters at a time.
//
// Nearly all the time goes into one function, tile, which multiplies four
// pixels by two filters. Convolutions are brought into that shape: the patches
// under four output pixels are interleaved, so are the weights of two filters,
// and the inner loop reads both as two straight streams. That keeps eight sums in registers and leaves one bounds check for
// sixteen multiplications, on a CPU and in WebAssembly alike.
//
// The package imports only the standard library and knows nothing of faces.
package nn

import "fmt"

// Tensor is one activation: H rows of W pixels of C channels, channel fastest.
type Tensor struct {
	H, W, C int
	Data    []float32 // len == H*W*C
}

// NewTensor returns a tensor of zeros.
func NewTensor(h, w, c int) *Tensor {
	return &Tensor{H: h, W: w, C: c, Data: make([]float32, h*w*c)}
}

// At returns the value of channel c at row y and column x.
func (t *Tensor) At(y, x, c int) float32 { return t.Data[(y*t.W+x)*t.C+c] }

// String gives the shape, for messages.
func (t *Tensor) String() string { return fmt.Sprintf("%dx%dx%d", t.H, t.W, t.C) }

// ReLU replaces every negative value by zero, in place.
func (t *Tensor) ReLU() *Tensor {
	for i, v := range t.Data {
		if v < 0 {
			t.Data[i] = 0
		}
	}
	return t
}

// LeakyReLU scales every negative value by slope, in place.
func (t *Tensor) LeakyReLU(slope float32) *Tensor {
	for i, v := range t.Data {
		if v < 0 {
			t.Data[i] = v * slope
		}
	}
	return t
}

// AddReLU adds o to t and replaces negative sums by zero, in place. The two
// must have the same shape.
func (t *Tensor) AddReLU(o *Tensor) *Tensor {
	d, s := t.Data, o.Data[:len(t.Data)]
	for i := range d {
		v := d[i] + s[i]
		if v < 0 {
			v = 0
		}
		d[i] = v
	}
	return t
}

// Sum returns a new tensor, the sum of tensors of one shape.
func Sum(ws *Workspace, first *Tensor, rest ...*Tensor) *Tensor {
	out := ws.Tensor(first.H, first.W, first.C)
	copy(out.Data, first.Data)
	d := out.Data
	for _, t := range rest {
		s := t.Data[:len(d)]
		for i := range d {
			d[i] += s[i]
		}
	}
	return out
}

// Rows returns the rows from y0 up to y1 of t, which share t's memory.
func (t *Tensor) Rows(y0, y1 int) *Tensor {
	row := t.W * t.C
	return &Tensor{H: y1 - y0, W: t.W, C: t.C, Data: t.Data[y0*row : y1*row]}
}

// Pad returns a copy of t enlarged to h by w by c with zeros after the last
// row, column and channel. None of the three may be smaller than t's.
func (t *Tensor) Pad(ws *Workspace, h, w, c int) *Tensor {
	out := ws.Zeros(h, w, c)
	for y := range t.H {
		for x := range t.W {
			copy(out.Data[(y*w+x)*c:], t.Data[(y*t.W+x)*t.C:][:t.C])
		}
	}
	return out
}

// Normalize subtracts a mean per channel and divides by 255, in place: the
// preparation all three networks ask of an RGB picture. t must have three
// channels.
func (t *Tensor) Normalize(mean [3]float32) *Tensor {
	d := t.Data
	for len(d) >= 3 {
		d[0] = (d[0] - mean[0]) / 255
		d[1] = (d[1] - mean[1]) / 255
		d[2] = (d[2] - mean[2]) / 255
		d = d[3:]
	}
	return t
}
