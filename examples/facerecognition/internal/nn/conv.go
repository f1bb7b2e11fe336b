package nn

import "fmt"

// Padding says where a convolution's window may reach past the picture.
type Padding int

const (
	// Valid keeps the window inside the picture.
	Valid Padding = iota
	// Same adds zeros so that the output has ceil(input/stride) rows and
	// columns; an odd zero goes to the bottom and the right.
	Same
)

const (
	tilePixels  = 4 // output pixels that tile computes at a time
	tileFilters = 2 // filters that tile applies at a time
	tileSteps   = 2 // products that tile sums per loop
)

// Conv is a two-dimensional convolution with a bias, ready to run.
type Conv struct {
	Size    int // the window is Size by Size
	In, Out int // channels
	Stride  int
	Padding Padding

	depth int         // products per output value, rounded up to tileSteps
	pairs [][]float32 // per pair of filters: depth times two weights
	bias  []float32   // one per filter, padded to whole pairs
}

// NewConv packs filters, laid out [Size][Size][In][Out] as TensorFlow does,
// and one bias per filter. It refuses slices of another length.
func NewConv(filters, bias []float32, size, in, out, stride int, padding Padding) (*Conv, error) {
	k := size * size * in
	if len(filters) != k*out || len(bias) != out {
		return nil, fmt.Errorf("convolution %dx%d %d->%d: %d weights and %d biases", size, size, in, out, len(filters), len(bias))
	}
	c := &Conv{Size: size, In: in, Out: out, Stride: stride, Padding: padding}
	c.depth = roundUp(k, tileSteps)
	c.bias = make([]float32, roundUp(out, tileFilters))
	copy(c.bias, bias)
	for n := 0; n < out; n += tileFilters {
		pair := make([]float32, c.depth*tileFilters)
		for f := 0; f < tileFilters && n+f < out; f++ {
			for i := range k {
				pair[i*tileFilters+f] = filters[i*out+n+f]
			}
		}
		c.pairs = append(c.pairs, pair)
	}
	return c, nil
}

// Apply runs the convolution on a tensor of c.In channels.
func (c *Conv) Apply(in *Tensor) *Tensor {
	h, top := c.extent(in.H)
	w, left := c.extent(in.W)
	out := NewTensor(h, w, c.Out)
	patches := make([]float32, c.depth*tilePixels)
	var sums [tilePixels * tileFilters]float32
	for p := 0; p < h*w; p += tilePixels {
		count := min(tilePixels, h*w-p)
		for q := range count {
			y, x := (p+q)/w, (p+q)%w
			c.gather(patches[q:], in, y*c.Stride-top, x*c.Stride-left)
		}
		for n, pair := range c.pairs {
			tile(&sums, patches, pair, c.bias[n*tileFilters], c.bias[n*tileFilters+1])
			c.store(out.Data[p*c.Out:], &sums, n*tileFilters, count)
		}
	}
	return out
}

// extent gives the size of the output along one axis and the zeros before it.
func (c *Conv) extent(n int) (out, before int) {
	return extent(n, c.Size, c.Stride, c.Padding)
}

// extent gives the size of a window's output along an axis of n, and how far
// the first window begins before it.
func extent(n, size, stride int, padding Padding) (out, before int) {
	if padding == Valid {
		return (n-size)/stride + 1, 0
	}
	out = (n + stride - 1) / stride
	return out, max(0, (out-1)*stride+size-n) / 2
}

// gather copies the patch whose corner is (y, x) into every fourth place of
// dst, with zeros where it lies outside the picture.
func (c *Conv) gather(dst []float32, in *Tensor, y, x int) {
	row := c.Size * c.In
	at := 0
	for r := y; r < y+c.Size; r++ {
		if r < 0 || r >= in.H {
			scatterZeros(dst[at:], row)
			at += row * tilePixels
			continue
		}
		lo, hi := max(x, 0), min(x+c.Size, in.W)
		scatterZeros(dst[at:], (lo-x)*c.In)
		at += (lo - x) * c.In * tilePixels
		scatter(dst[at:], in.Data[(r*in.W+lo)*c.In:(r*in.W+hi)*c.In])
		at += (hi - lo) * c.In * tilePixels
		if right := (x + c.Size - hi) * c.In; right > 0 {
			scatterZeros(dst[at:], right)
			at += right * tilePixels
		}
	}
}

// scatter writes src into every fourth place of dst.
func scatter(dst, src []float32) {
	for i, v := range src {
		dst[i*tilePixels] = v
	}
}

func scatterZeros(dst []float32, n int) {
	for i := range n {
		dst[i*tilePixels] = 0
	}
}

// store writes the sums of count pixels, filters n and n+1, where out begins
// at the first of those pixels.
func (c *Conv) store(out []float32, sums *[tilePixels * tileFilters]float32, n, count int) {
	if n+1 < c.Out {
		for q := range count {
			o := out[q*c.Out+n:][:2]
			o[0], o[1] = sums[2*q], sums[2*q+1]
		}
		return
	}
	for q := range count {
		out[q*c.Out+n] = sums[2*q]
	}
}

// tile computes the sums of four pixels (interleaved in a) with two filters
// (interleaved in w), each beginning at the filter's bias. sums is laid out
// pixel by pixel.
func tile(sums *[tilePixels * tileFilters]float32, a, w []float32, bias0, bias1 float32) {
	s00, s10, s20, s30 := bias0, bias0, bias0, bias0
	s01, s11, s21, s31 := bias1, bias1, bias1, bias1
	for len(a) >= 8 && len(w) >= 4 {
		a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
		w0, w1 := w[0], w[1]
		s00 += a0 * w0
		s01 += a0 * w1
		s10 += a1 * w0
		s11 += a1 * w1
		s20 += a2 * w0
		s21 += a2 * w1
		s30 += a3 * w0
		s31 += a3 * w1
		a0, a1, a2, a3 = a[4], a[5], a[6], a[7]
		w0, w1 = w[2], w[3]
		s00 += a0 * w0
		s01 += a0 * w1
		s10 += a1 * w0
		s11 += a1 * w1
		s20 += a2 * w0
		s21 += a2 * w1
		s30 += a3 * w0
		s31 += a3 * w1
		a, w = a[8:], w[4:]
	}
	*sums = [...]float32{s00, s01, s10, s11, s20, s21, s30, s31}
}

func roundUp(n, step int) int { return (n + step - 1) / step * step }
