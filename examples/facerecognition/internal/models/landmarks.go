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

// NewLandmarks builds the network.
func NewLandmarks() (*Landmarks, error) {
	w := loadWeights("face_landmark_68", landmarksData)
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
// LandmarkSize by LandmarkSize), which it normalizes in place and frees. It
// returns x and y of every point in turn, as parts of the picture's side.
func (l *Landmarks) Forward(ws *nn.Workspace, picture *nn.Tensor) []float32 {
	x := picture.Normalize(faceMean)
	for b := range l.blocks {
		x = ws.Next(x, l.block(ws, b, x))
	}
	x = ws.Next(x, nn.AveragePool(ws, x, x.H, 2))
	out := l.dense.Apply(ws, x.Data)
	ws.Free(x)
	return out
}

// block halves the picture and then adds what each of three more convolutions
// finds in the sum so far.
func (l *Landmarks) block(ws *nn.Workspace, b int, x *nn.Tensor) *nn.Tensor {
	layers := l.blocks[b]
	var out1 *nn.Tensor
	if b == 0 {
		out1 = l.first.Apply(ws, x).ReLU()
	} else {
		out1 = layers[0].Apply(ws, x).ReLU()
	}
	out2 := layers[1].Apply(ws, out1)
	sum := nn.Sum(ws, out1, out2).ReLU()
	out3 := ws.Next(sum, layers[2].Apply(ws, sum))
	sum = nn.Sum(ws, out1, out2, out3).ReLU()
	out4 := ws.Next(sum, layers[3].Apply(ws, sum))
	sum = nn.Sum(ws, out1, out2, out3, out4).ReLU()
	ws.Free(out1, out2, out3, out4)
	return sum
}
