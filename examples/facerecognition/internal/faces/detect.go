package faces

import (
	"cmp"
	"image"
	"math"
	"slices"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/models"
	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

// maxOverlap is how much of their union two boxes may share before the one
// with the lower score is dropped.
const maxOverlap = 0.4

// maxCandidates bounds the boxes that compete for a photo.
const maxCandidates = 10000

// Detect finds faces, the highest score first. Only Box and Score are set.
func (r *Recognizer) Detect(p *Photo) []Face {
	size := r.options.DetectorSize
	whole := image.Rect(0, 0, p.Width, p.Height)
	cells := r.detector.Forward(&r.work, p.square(&r.work, whole, size, false))
	defer r.work.Free(cells)
	// The photo fills the square along its longer side only.
	scale := float64(size) / float64(max(p.Width, p.Height))
	stretchX := float64(size) / round(float64(p.Width)*scale) * float64(p.Width)
	stretchY := float64(size) / round(float64(p.Height)*scale) * float64(p.Height)
	return suppress(boxes(cells, stretchX, stretchY, r.options.MinScore))
}

// boxes reads the detector's answer: one box for every cell and anchor whose
// score is high enough. The stretches turn parts of the square into pixels.
func boxes(cells *nn.Tensor, stretchX, stretchY, minScore float64) []Face {
	var found []Face
	n := float64(cells.H)
	for y := range cells.H {
		for x := range cells.W {
			for a, anchor := range models.DetectorAnchors {
				v := cells.Data[(y*cells.W+x)*cells.C+a*models.DetectorValues:][:models.DetectorValues]
				score := sigmoid(v[4])
				if score <= minScore || len(found) == maxCandidates {
					continue
				}
				w := math.Exp(float64(v[2])) * anchor[0] / n
				h := math.Exp(float64(v[3])) * anchor[1] / n
				found = append(found, Face{Score: score, Box: Box{
					X: ((float64(x)+sigmoid(v[0]))/n - w/2) * stretchX,
					Y: ((float64(y)+sigmoid(v[1]))/n - h/2) * stretchY,
					W: w * stretchX,
					H: h * stretchY,
				}})
			}
		}
	}
	return found
}

// suppress keeps the best of boxes that overlap, the highest score first.
func suppress(found []Face) []Face {
	slices.SortStableFunc(found, func(a, b Face) int { return cmp.Compare(b.Score, a.Score) })
	var kept []Face
	for _, f := range found {
		if !slices.ContainsFunc(kept, func(k Face) bool { return overlap(k.Box, f.Box) > maxOverlap }) {
			kept = append(kept, f)
		}
	}
	return kept
}

// overlap is the area that two boxes share, as a part of the area they cover.
func overlap(a, b Box) float64 {
	w := max(0, min(a.X+a.W, b.X+b.W)-max(a.X, b.X))
	h := max(0, min(a.Y+a.H, b.Y+b.H)-max(a.Y, b.Y))
	shared := w * h
	return shared / (a.W*a.H + b.W*b.H - shared)
}

func sigmoid(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }

func round(v float64) float64 { return math.Floor(v + 0.5) }
