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

// Conv is a two-dimensional convolution, ready to run.
type Conv struct {
	Size    int // the window is Size by Size
	In, Out int // channels
	Stride  int
	Padding Padding

	depth   int // products per output value, rounded up to tileSteps
	filters Weights
	scale   []float32 // a factor per filter, padded to whole pairs
	bias    []float32 // one per filter, padded to whole pairs
}

// NewConv takes filters laid out [Size][Size][In][Out] as TensorFlow does, and
// for each filter a factor and a bias: the result is what the filter gives,
// times the factor, plus the bias. No factors means that all are one.
func NewConv(filters Weights, scale, bias []float32, size, in, out, stride int, padding Padding) (*Conv, error) {
	k := size * size * in
	if filters.Len() != k*out || len(bias) != out || (len(scale) != out && len(scale) != 0) {
		return nil, fmt.Errorf("convolution %dx%d %d->%d: %d weights, %d factors and %d biases",
			size, size, in, out, filters.Len(), len(scale), len(bias))
	}
	c := &Conv{Size: size, In: in, Out: out, Stride: stride, Padding: padding, filters: filters}
	c.depth = roundUp(k, tileSteps)
	c.bias = make([]float32, roundUp(out, tileFilters))
	copy(c.bias, bias)
	c.scale = make([]float32, len(c.bias))
	for i := range c.scale {
		c.scale[i] = 1
	}
	copy(c.scale, scale)
	return c, nil
}

// Apply runs the convolution on a tensor of c.In channels.
func (c *Conv) Apply(ws *Workspace, in *Tensor) *Tensor {
	h, _ := c.extent(in.H)
	w, _ := c.extent(in.W)
	out := ws.Tensor(h, w, c.Out)
	block := max(tilePixels, patchFloats/c.depth/tilePixels*tilePixels)
	block = min(block, roundUp(h*w, tilePixels))
	patches := room(&ws.patches, block*c.depth)
	pair := room(&ws.pair, c.depth*tileFilters)
	if c.filters.quantized {
		c.filters.tabulate(&ws.table)
	}
	for p := 0; p < h*w; p += block {
		count := min(block, h*w-p)
		c.gather(patches, in, w, p, count)
		for n := 0; n < c.Out; n += tileFilters {
			c.filters.pair(pair, &ws.table, c.Out, n, c.scale[n], c.scale[n+1])
			c.multiply(out.Data[p*c.Out:(p+count)*c.Out], patches, pair, n)
		}
	}
	return out
}

// multiply applies filters n and n+1 to patches, and stores the results in out,
// which begins at the first of the patches' pixels.
func (c *Conv) multiply(out, patches, pair []float32, n int) {
	size := c.depth * tilePixels
	b0, b1 := c.bias[n], c.bias[n+1]
	var sums [tilePixels * tileFilters]float32
	for len(out) > 0 {
		tile(&sums, patches[:size], pair, b0, b1)
		count := min(tilePixels, len(out)/c.Out)
		for q := range count {
			pixel := out[q*c.Out : (q+1)*c.Out]
			pixel[n] = sums[2*q]
			if n+1 < len(pixel) {
				pixel[n+1] = sums[2*q+1]
			}
		}
		out, patches = out[count*c.Out:], patches[size:]
	}
}

// gather copies the patches under count output pixels, from the p-th on, of
// an output of width w. The patches of four pixels are interleaved.
func (c *Conv) gather(patches []float32, in *Tensor, w, p, count int) {
	_, top := c.extent(in.H)
	_, left := c.extent(in.W)
	odd := c.depth - c.Size*c.Size*c.In
	for i := range count {
		four := patches[i/tilePixels*c.depth*tilePixels:][:c.depth*tilePixels]
		y, x := (p+i)/w, (p+i)%w
		c.patch(four[i%tilePixels:], in, y*c.Stride-top, x*c.Stride-left)
		clear(four[len(four)-odd*tilePixels:])
	}
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

// patch copies the patch whose corner is (y, x) into every fourth place of
// dst, with zeros where it lies outside the picture.
func (c *Conv) patch(dst []float32, in *Tensor, y, x int) {
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
