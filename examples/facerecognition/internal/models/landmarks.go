package models

import (
	"fmt"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

const (
	// LandmarkSize is the side of the square picture that Landmarks takes.
	LandmarkSize = 112
	// LandmarkCount is how many points it gives.
	LandmarkCount = 68
)

// Landmarks predicts where the chin, brows, nose, eyes and mouth of a face lie.
type Landmarks struct {
	first  *nn.Conv
	blocks [4][4]*nn.Separable // blocks[0][0] is unused: first stands there
	dense  *nn.Dense
}

// NewLandmarks decodes the weights.
func NewLandmarks() (*Landmarks, error) {
	w := loadWeights("face_landmark_68")
	l := &Landmarks{first: w.conv("dense0/conv0", 3, 3, 32, 2, nn.Same)}
	in, out := 3, 32
	for b := range l.blocks {
		for i := range l.blocks[b] {
			stride := 1
			if i == 0 {
				stride = 2
			}
			if b > 0 || i > 0 {
				l.blocks[b][i] = w.separable(fmt.Sprintf("dense%d/conv%d", b, i), in, out, stride)
			}
			in = out
		}
		out *= 2
	}
	l.dense = w.dense("fc/weights", "fc/bias", in, 2*LandmarkCount)
	if w.err != nil {
		return nil, fmt.Errorf("face landmarks: %w", w.err)
	}
	return l, nil
}

// Forward runs the predictor on a square RGB picture of a face (0 to 255,
// LandmarkSize by LandmarkSize), which it normalizes in place. It returns x
// and y of every point in turn, as parts of the picture's side.
func (l *Landmarks) Forward(picture *nn.Tensor) []float32 {
	x := picture.Normalize(faceMean)
	for b := range l.blocks {
		x = l.block(b, x)
	}
	return l.dense.Apply(nn.AveragePool(x, x.H, 2).Data)
}

// block halves the picture and then adds what each of three more convolutions
// finds in the sum so far.
func (l *Landmarks) block(b int, x *nn.Tensor) *nn.Tensor {
	layers := l.blocks[b]
	var out1 *nn.Tensor
	if b == 0 {
		out1 = l.first.Apply(x).ReLU()
	} else {
		out1 = layers[0].Apply(x).ReLU()
	}
	out2 := layers[1].Apply(out1)
	out3 := layers[2].Apply(nn.Sum(out1, out2).ReLU())
	out4 := layers[3].Apply(nn.Sum(out1, out2, out3).ReLU())
	return nn.Sum(out1, out2, out3, out4).ReLU()
}
