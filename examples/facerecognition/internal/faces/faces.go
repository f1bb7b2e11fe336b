// Package faces finds and describes the faces in a photo.
//
// It joins the three networks of package models: the detector gives boxes, the
// landmarks of each box say how to cut the face out so that eyes and mouth come
// to lie in a known place, and the descriptor turns that cut into a vector.
// Gallery then puts names to vectors. All coordinates are pixels of the photo,
// from its top left corner.
//
// The arithmetic follows the JavaScript package face-api step by step, down to
// where it rounds, because the networks were trained on pictures cut this way;
// the tests hold both against each other.
package faces

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/models"
	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

// Options say what counts as a face.
type Options struct {
	// DetectorSize is the side in pixels to which a photo is scaled before
	// detection, a multiple of 32. Smaller is faster and misses small faces.
	DetectorSize int
	// MinScore is the score, from 0 to 1, from which a box counts as a face.
	MinScore float64
	// MaxFaces is how many faces of a photo are described, the largest first.
	// Zero means all.
	MaxFaces int
}

// Box is a rectangle that may reach outside the photo.
type Box struct{ X, Y, W, H float64 }

// Point is a place in the photo.
type Point struct{ X, Y float64 }

// Face is one face of a photo.
type Face struct {
	Box        Box
	Score      float64
	Landmarks  []Point   // models.LandmarkCount points
	Descriptor []float32 // models.DescriptorLen values
}

// Recognizer holds the networks. It may not be used by two goroutines at once.
type Recognizer struct {
	options    Options
	detector   *models.Detector
	landmarks  *models.Landmarks
	descriptor *models.Descriptor
	work       nn.Workspace
}

// Validate says what is wrong with the options, if anything.
func (o Options) Validate() error {
	if o.DetectorSize < 64 || o.DetectorSize > 1024 || o.DetectorSize%32 != 0 {
		return fmt.Errorf("detector size %d: want a multiple of 32 from 64 to 1024", o.DetectorSize)
	}
	if !(o.MinScore > 0 && o.MinScore < 1) {
		return fmt.Errorf("minimum score %v: want a number between 0 and 1", o.MinScore)
	}
	if o.MaxFaces < 0 {
		return fmt.Errorf("number of faces %d: want 0 or more", o.MaxFaces)
	}
	return nil
}

// NewRecognizer builds the networks.
func NewRecognizer(o Options) (*Recognizer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &Recognizer{options: o}
	var err error
	if r.detector, err = models.NewDetector(); err != nil {
		return nil, err
	}
	if r.landmarks, err = models.NewLandmarks(); err != nil {
		return nil, err
	}
	if r.descriptor, err = models.NewDescriptor(); err != nil {
		return nil, err
	}
	return r, nil
}

// Faces finds and describes the faces of a photo, ordered from left to right.
func (r *Recognizer) Faces(p *Photo) []Face { return r.largest(p, r.options.MaxFaces) }

// Largest finds and describes the largest face of a photo.
func (r *Recognizer) Largest(p *Photo) (Face, bool) {
	found := r.largest(p, 1)
	if len(found) == 0 {
		return Face{}, false
	}
	return found[0], true
}

// largest finds and describes the n largest faces, or all if n is zero,
// ordered from left to right.
func (r *Recognizer) largest(p *Photo, n int) []Face {
	found := r.Detect(p)
	if n > 0 && len(found) > n {
		slices.SortStableFunc(found, func(a, b Face) int { return cmp.Compare(b.Box.W*b.Box.H, a.Box.W*a.Box.H) })
		found = found[:n]
	}
	slices.SortStableFunc(found, func(a, b Face) int { return cmp.Compare(a.Box.X, b.Box.X) })
	described := found[:0]
	for _, f := range found {
		if r.Describe(p, &f) {
			described = append(described, f)
		}
	}
	return described
}

// Describe fills in the landmarks and the descriptor of a face of which the
// box is known. It reports false if the box lies outside the photo.
func (r *Recognizer) Describe(p *Photo, f *Face) bool {
	cut := clip(f.Box, p.Width, p.Height)
	if cut.Empty() {
		return false
	}
	f.Landmarks = r.findLandmarks(p, f.Box, cut)
	aligned := clip(align(f.Landmarks, cut), p.Width, p.Height)
	if aligned.Empty() {
		return false
	}
	f.Descriptor = r.descriptor.Forward(&r.work, p.square(&r.work, aligned, models.DescriptorSize, true))
	return true
}

// findLandmarks runs the predictor on the cut of a box.
func (r *Recognizer) findLandmarks(p *Photo, box Box, cut image.Rectangle) []Point {
	out := r.landmarks.Forward(&r.work, p.square(&r.work, cut, models.LandmarkSize, true))
	w, h := float64(cut.Dx()), float64(cut.Dy())
	// The predictor saw the cut in the middle of a black square.
	side := max(w, h)
	padX, padY := (side-w)/2, (side-h)/2
	points := make([]Point, models.LandmarkCount)
	for i := range points {
		points[i] = Point{
			X: box.X + float64(out[2*i])*side - padX,
			Y: box.Y + float64(out[2*i+1])*side - padY,
		}
	}
	return points
}

// align gives the square in which eyes and mouth lie where the descriptor
// expects them.
func align(landmarks []Point, cut image.Rectangle) Box {
	const (
		relX, relY = 0.5, 0.43 // the middle of eyes and mouth, as parts of the square
		relScale   = 0.45      // the way from eye to mouth, as a part of its side
	)
	leftEye, rightEye, mouth := center(landmarks[36:42]), center(landmarks[42:48]), center(landmarks[48:68])
	dist := (distance(leftEye, mouth) + distance(rightEye, mouth)) / 2
	size := math.Floor(dist / relScale)
	middle := center([]Point{leftEye, rightEye, mouth})
	x := math.Floor(max(0, middle.X-relX*size))
	y := math.Floor(max(0, middle.Y-relY*size))
	return Box{X: x, Y: y, W: min(size, float64(cut.Dx())+x), H: min(size, float64(cut.Dy())+y)}
}

func center(points []Point) Point {
	var sum Point
	for _, p := range points {
		sum.X += p.X
		sum.Y += p.Y
	}
	return Point{X: sum.X / float64(len(points)), Y: sum.Y / float64(len(points))}
}

func distance(a, b Point) float64 { return math.Sqrt((a.X-b.X)*(a.X-b.X) + (a.Y-b.Y)*(a.Y-b.Y)) }

// clip cuts a box to whole pixels of the photo.
func clip(b Box, width, height int) image.Rectangle {
	x, y := max(b.X, 0), max(b.Y, 0)
	w := min(b.X+b.W-x, float64(width)-x)
	h := min(b.Y+b.H-y, float64(height)-y)
	if !(w >= 1 && h >= 1) {
		return image.Rectangle{}
	}
	x0, y0 := int(x), int(y)
	return image.Rect(x0, y0, x0+int(w), y0+int(h))
}
