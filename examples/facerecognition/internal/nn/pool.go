package nn

import "fmt"

// MaxPool takes the largest value of every size by size window. With Same
// padding a window that reaches past the edge uses what lies inside.
func MaxPool(ws *Workspace, in *Tensor, size, stride int, padding Padding) *Tensor {
	h, top := extent(in.H, size, stride, padding)
	w, left := extent(in.W, size, stride, padding)
	out := ws.Tensor(h, w, in.C)
	for y := range h {
		y0, y1 := max(0, y*stride-top), min(in.H, y*stride-top+size)
		for x := range w {
			x0, x1 := max(0, x*stride-left), min(in.W, x*stride-left+size)
			dst := out.Data[(y*w+x)*in.C:][:in.C]
			copy(dst, in.Data[(y0*in.W+x0)*in.C:])
			for r := y0; r < y1; r++ {
				for c := x0; c < x1; c++ {
					maxInto(dst, in.Data[(r*in.W+c)*in.C:])
				}
			}
		}
	}
	return out
}

func maxInto(dst, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		if v > dst[i] {
			dst[i] = v
		}
	}
}

// AveragePool takes the mean of every size by size window that lies inside.
func AveragePool(ws *Workspace, in *Tensor, size, stride int) *Tensor {
	h, _ := extent(in.H, size, stride, Valid)
	w, _ := extent(in.W, size, stride, Valid)
	out := ws.Zeros(h, w, in.C)
	for y := range h {
		for x := range w {
			dst := out.Data[(y*w+x)*in.C:][:in.C]
			for r := range size {
				for c := range size {
					addInto(dst, in.Data[((y*stride+r)*in.W+x*stride+c)*in.C:])
				}
			}
			for i := range dst {
				dst[i] /= float32(size * size)
			}
		}
	}
	return out
}

// Mean averages every channel over the whole picture.
func Mean(in *Tensor) []float32 {
	out := make([]float32, in.C)
	for p := range in.H * in.W {
		addInto(out, in.Data[p*in.C:])
	}
	for i := range out {
		out[i] /= float32(in.H * in.W)
	}
	return out
}

func addInto(dst, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] += v
	}
}

// Dense is a fully connected layer.
type Dense struct {
	In, Out int
	weights Weights   // [In][Out]
	bias    []float32 // Out values, or none
}

// NewDense takes weights laid out [in][out] and a bias per output, or none.
func NewDense(weights Weights, bias []float32, in, out int) (*Dense, error) {
	if weights.Len() != in*out || (len(bias) != out && len(bias) != 0) {
		return nil, fmt.Errorf("dense layer %d->%d: %d weights and %d biases", in, out, weights.Len(), len(bias))
	}
	return &Dense{In: in, Out: out, weights: weights, bias: bias}, nil
}

// Apply multiplies a vector of d.In values by the weights.
func (d *Dense) Apply(ws *Workspace, in []float32) []float32 {
	if d.weights.quantized {
		d.weights.tabulate(&ws.table)
	}
	column := room(&ws.pair, 2*d.In)
	out := make([]float32, d.Out)
	copy(out, d.bias)
	for n := 0; n < d.Out; n += 2 {
		d.weights.pair(column, &ws.table, d.Out, n, 1, 1)
		for i, v := range in[:d.In] {
			out[n] += v * column[2*i]
			if n+1 < d.Out {
				out[n+1] += v * column[2*i+1]
			}
		}
	}
	return out
}
