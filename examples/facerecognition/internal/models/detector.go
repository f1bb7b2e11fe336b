package models

import (
	"fmt"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

// DetectorAnchors are the box shapes that the detector corrects, in cells of
// its output, as width and height.
var DetectorAnchors = [...][2]float64{
	{1.603231, 2.094468},
	{6.041143, 7.080126},
	{2.882459, 3.518061},
	{4.266906, 5.178857},
	{9.041765, 10.66308},
}

// DetectorValues is how many numbers the detector gives for one anchor in one
// cell: x, y, width, height and score, all before their activation.
const DetectorValues = 5

// Detector is the tiny face detector: a one-shot detector of the YOLO family
// made of separable convolutions.
type Detector struct {
	first *nn.Conv
	body  [5]*nn.Separable
	last  *nn.Conv
}

// NewDetector builds the network.
func NewDetector() (*Detector, error) {
	w := loadWeights("tiny_face_detector", detectorData)
	d := &Detector{first: w.conv("conv0", 3, 3, 16, 1, nn.Valid)}
	channels := 16
	for i := range d.body {
		d.body[i] = w.separable(fmt.Sprintf("conv%d", i+1), channels, 2*channels, 1)
		channels *= 2
	}
	d.last = w.conv("conv8", 1, channels, len(DetectorAnchors)*DetectorValues, 1, nn.Valid)
	if w.err != nil {
		return nil, fmt.Errorf("face detector: %w", w.err)
	}
	return d, nil
}

// Forward runs the detector on a square RGB picture (0 to 255, side a multiple
// of 32), which it normalizes in place and frees. The result has a cell for
// every 32 by 32 pixels and len(DetectorAnchors)*DetectorValues channels.
func (d *Detector) Forward(ws *nn.Workspace, picture *nn.Tensor) *nn.Tensor {
	picture.Normalize(detectorMean)
	x := ws.Next(picture, halve(ws, picture.H-2, 16, func(y0, y1 int) *nn.Tensor {
		return d.first.Apply(ws, picture.Rows(y0, y1+2))
	}))
	last := len(d.body) - 1
	for _, layer := range d.body[:last] {
		x = ws.Next(x, halve(ws, x.H, layer.Point.Out, func(y0, y1 int) *nn.Tensor {
			return layer.ApplyRows(ws, x, y0, y1)
		}))
	}
	x = ws.Next(x, d.body[last].Apply(ws, x).LeakyReLU(slope))
	x = ws.Next(x, nn.MaxPool(ws, x, 2, 1, nn.Same))
	return ws.Next(x, d.last.Apply(ws, x))
}

// slope is what the detector's activation does to negative values.
const slope = 0.10000000149011612

// halve runs a layer that gives side by side pixels, its activation, and the
// pooling that halves the picture, some rows at a time: what comes before the
// pooling is the largest by far, and is never there as a whole.
func halve(ws *nn.Workspace, side, channels int, layer func(y0, y1 int) *nn.Tensor) *nn.Tensor {
	const band = 16 // rows before pooling, an even number
	half := (side + 1) / 2
	out := ws.Tensor(half, half, channels)
	for y := 0; y < side; y += band {
		rows := layer(y, min(y+band, side)).LeakyReLU(slope)
		pooled := nn.MaxPool(ws, rows, 2, 2, nn.Same)
		copy(out.Rows(y/2, y/2+pooled.H).Data, pooled.Data)
		ws.Free(rows, pooled)
	}
	return out
}
