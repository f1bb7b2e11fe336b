package models

import (
	"fmt"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

const (
	// DescriptorSize is the side of the square picture that Descriptor takes.
	DescriptorSize = 150
	// DescriptorLen is how many values describe a face.
	DescriptorLen = 128
)

// Descriptor maps a face to a point such that pictures of one person lie close
// together: a residual network of 29 convolutions.
type Descriptor struct {
	first  *nn.Conv
	layers []residual
	dense  *nn.Dense
}

// residual is two convolutions beside a short cut. If down is set, both the
// convolutions and the short cut halve the picture.
type residual struct {
	conv1, conv2 *nn.Conv
	down         bool
}

// NewDescriptor builds the network.
func NewDescriptor() (*Descriptor, error) {
	w := loadWeights("face_recognition", descriptorData)
	d := &Descriptor{first: w.scaledConv("conv32_down", 7, 3, 32, 2, nn.Valid)}
	in := 32
	for _, stage := range []struct {
		channels, repeats int
		down, last        bool
	}{
		{channels: 32, repeats: 3},
		{channels: 64, repeats: 3, down: true},
		{channels: 128, repeats: 2, down: true},
		{channels: 256, repeats: 2, down: true, last: true},
	} {
		c := stage.channels
		if stage.down {
			d.layers = append(d.layers, newResidual(w, fmt.Sprintf("conv%d_down", c), in, c, true))
		}
		for i := range stage.repeats {
			d.layers = append(d.layers, newResidual(w, fmt.Sprintf("conv%d_%d", c, i+1), c, c, false))
		}
		if stage.last {
			d.layers = append(d.layers, newResidual(w, fmt.Sprintf("conv%d_down_out", c), c, c, true))
		}
		in = c
	}
	d.dense = w.dense("fc", "", in, DescriptorLen)
	if w.err != nil {
		return nil, fmt.Errorf("face descriptor: %w", w.err)
	}
	return d, nil
}

func newResidual(w *weights, name string, in, out int, down bool) residual {
	stride, padding := 1, nn.Same
	if down {
		stride, padding = 2, nn.Valid
	}
	return residual{
		conv1: w.scaledConv(name+"/conv1", 3, in, out, stride, padding),
		conv2: w.scaledConv(name+"/conv2", 3, out, out, 1, nn.Same),
		down:  down,
	}
}

// Forward runs the network on a square RGB picture of an aligned face (0 to
// 255, DescriptorSize by DescriptorSize), which it normalizes in place and
// frees. It returns DescriptorLen values.
func (d *Descriptor) Forward(ws *nn.Workspace, picture *nn.Tensor) []float32 {
	x := ws.Next(picture, d.first.Apply(ws, picture.Normalize(faceMean)).ReLU())
	x = ws.Next(x, nn.MaxPool(ws, x, 3, 2, nn.Valid))
	for _, layer := range d.layers {
		x = ws.Next(x, layer.apply(ws, x))
	}
	mean := nn.Mean(x)
	ws.Free(x)
	return d.dense.Apply(ws, mean)
}

// apply runs one residual layer. A short cut has no weights: where channels
// double it is filled up with zeros, and so is the last row and column of the
// convolutions where their window did not reach the edge.
func (r residual) apply(ws *nn.Workspace, x *nn.Tensor) *nn.Tensor {
	out := r.conv1.Apply(ws, x).ReLU()
	out = ws.Next(out, r.conv2.Apply(ws, out))
	if !r.down {
		return out.AddReLU(x)
	}
	short := nn.AveragePool(ws, x, 2, 2)
	short = ws.Next(short, short.Pad(ws, short.H, short.W, out.C))
	out = ws.Next(out, out.Pad(ws, short.H, short.W, out.C))
	out.AddReLU(short)
	ws.Free(short)
	return out
}
