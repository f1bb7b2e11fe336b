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

// NewDetector decodes the weights.
func NewDetector() (*Detector, error) {
	w := loadWeights("tiny_face_detector")
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
// of 32), which it normalizes in place. The result has a cell for every 32 by
// 32 pixels and len(DetectorAnchors)*DetectorValues channels.
func (d *Detector) Forward(picture *nn.Tensor) *nn.Tensor {
	const slope = 0.10000000149011612
	x := d.first.Apply(picture.Normalize(detectorMean)).LeakyReLU(slope)
	x = nn.MaxPool(x, 2, 2, nn.Same)
	for i, layer := range d.body {
		x = layer.Apply(x).LeakyReLU(slope)
		stride := 2
		if i == len(d.body)-1 {
			stride = 1
		}
		x = nn.MaxPool(x, 2, stride, nn.Same)
	}
	return d.last.Apply(x)
}
