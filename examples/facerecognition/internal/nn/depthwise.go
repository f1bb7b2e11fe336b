package nn

import "fmt"

// Depthwise is a 3 by 3 convolution that keeps channels apart, with Same
// padding and no bias: the first half of a separable convolution.
type Depthwise struct {
	Channels int
	Stride   int
	weights  []float32 // [3][3][Channels]
}

// NewDepthwise takes weights laid out [3][3][channels].
func NewDepthwise(weights []float32, channels, stride int) (*Depthwise, error) {
	if len(weights) != 9*channels {
		return nil, fmt.Errorf("depthwise convolution of %d channels: %d weights", channels, len(weights))
	}
	return &Depthwise{Channels: channels, Stride: stride, weights: weights}, nil
}

// Apply runs the convolution on a tensor of d.Channels channels.
func (d *Depthwise) Apply(ws *Workspace, in *Tensor) *Tensor {
	h, _ := extent(in.H, 3, d.Stride, Same)
	return d.ApplyRows(ws, in, 0, h)
}

// ApplyRows computes the rows from y0 up to y1 of the output.
func (d *Depthwise) ApplyRows(ws *Workspace, in *Tensor, y0, y1 int) *Tensor {
	_, top := extent(in.H, 3, d.Stride, Same)
	w, left := extent(in.W, 3, d.Stride, Same)
	c := d.Channels
	out := ws.Zeros(y1-y0, w, c)
	for y := y0; y < y1; y++ {
		for ky := range 3 {
			r := y*d.Stride - top + ky
			if r < 0 || r >= in.H {
				continue
			}
			row := in.Data[r*in.W*c : (r+1)*in.W*c]
			taps := d.weights[ky*3*c : (ky+1)*3*c]
			d.row(out.Rows(y-y0, y-y0+1).Data, row, taps, left)
		}
	}
	return out
}

// row adds one row of the window, its three taps, to a row of the output.
func (d *Depthwise) row(out, in, taps []float32, left int) {
	c := d.Channels
	width := len(in) / c
	for x := 0; len(out) >= c; x++ {
		dst := out[:c]
		out = out[c:]
		at := x*d.Stride - left
		if at >= 0 && at+3 <= width {
			addTaps(dst, in[at*c:(at+3)*c], taps)
			continue
		}
		for kx := range 3 {
			if at+kx >= 0 && at+kx < width {
				addTap(dst, in[(at+kx)*c:], taps[kx*c:])
			}
		}
	}
}

// addTaps adds to dst the products of three neighbouring pixels with the three
// taps of a row, channel by channel.
func addTaps(dst, in, taps []float32) {
	c := len(dst)
	i0, i1, i2 := in[:c], in[c:][:c], in[2*c:][:c]
	w0, w1, w2 := taps[:c], taps[c:][:c], taps[2*c:][:c]
	for k := range dst {
		dst[k] += i0[k]*w0[k] + i1[k]*w1[k] + i2[k]*w2[k]
	}
}

func addTap(dst, in, tap []float32) {
	in, tap = in[:len(dst)], tap[:len(dst)]
	for k := range dst {
		dst[k] += in[k] * tap[k]
	}
}

// Separable is a depthwise convolution followed by a 1 by 1 convolution.
type Separable struct {
	Depth *Depthwise
	Point *Conv
}

// NewSeparable builds a separable convolution from weights laid out as
// TensorFlow does: depth [3][3][in], point [in][out].
func NewSeparable(depth []float32, point Weights, bias []float32, in, out, stride int) (*Separable, error) {
	d, err := NewDepthwise(depth, in, stride)
	if err != nil {
		return nil, err
	}
	p, err := NewConv(point, nil, bias, 1, in, out, 1, Valid)
	if err != nil {
		return nil, err
	}
	return &Separable{Depth: d, Point: p}, nil
}

// Apply runs both halves.
func (s *Separable) Apply(ws *Workspace, in *Tensor) *Tensor {
	h, _ := extent(in.H, 3, s.Depth.Stride, Same)
	return s.ApplyRows(ws, in, 0, h)
}

// ApplyRows computes the rows from y0 up to y1 of the output.
func (s *Separable) ApplyRows(ws *Workspace, in *Tensor, y0, y1 int) *Tensor {
	x := s.Depth.ApplyRows(ws, in, y0, y1)
	return ws.Next(x, s.Point.Apply(ws, x))
}
