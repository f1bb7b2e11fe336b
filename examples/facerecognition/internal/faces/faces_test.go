package faces

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

func TestSquarePadsTheShorterSideWithBlack(t *testing.T) {
	img := image.NewRGBA(image.Rect(10, 10, 14, 12)) // 4 by 2, not at the origin
	for y := 10; y < 12; y++ {
		for x := 10; x < 14; x++ {
			img.Set(x, y, color.RGBA{R: uint8(10 * (x - 9)), G: uint8(y), B: 7, A: 255})
		}
	}
	p := NewPhoto(img)
	whole := image.Rect(0, 0, 4, 2)
	ws := new(nn.Workspace)
	after, middle := p.square(ws, whole, 4, false), p.square(ws, whole, 4, true)
	for x := range 4 {
		for y, want := range []float32{10, 11, 0, 0} {
			if got := after.At(y, x, 1); got != want {
				t.Errorf("padded after: green at %d,%d is %v, want %v", x, y, got, want)
			}
		}
		for y, want := range []float32{0, 10, 11, 0} {
			if got := middle.At(y, x, 1); got != want {
				t.Errorf("padded around: green at %d,%d is %v, want %v", x, y, got, want)
			}
		}
		if got := after.At(0, x, 0); got != float32(10*(x+1)) {
			t.Errorf("red at %d,0 is %v", x, got)
		}
	}
	// Twice the size: every other pixel lies half way between two.
	if got := p.square(ws, image.Rect(0, 0, 2, 2), 4, false).At(0, 1, 0); got != 15 {
		t.Errorf("red between 10 and 20 is %v, want 15", got)
	}
}

func TestPhotosThatAreTooLargeAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	// The header of a JPEG of 65535 by 65535 pixels, and nothing else.
	header := []byte{0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0xff, 0xff, 0xff, 0xff, 1, 1, 0x11, 0}
	if _, err := DecodePhoto(header); err == nil {
		t.Fatal("accepted")
	}
}

func TestSuppressKeepsTheBestOfOverlappingBoxes(t *testing.T) {
	kept := suppress([]Face{
		{Score: 0.6, Box: Box{0, 0, 10, 10}},
		{Score: 0.9, Box: Box{1, 1, 10, 10}},
		{Score: 0.7, Box: Box{50, 50, 10, 10}},
	})
	if len(kept) != 2 || kept[0].Score != 0.9 || kept[1].Score != 0.7 {
		t.Fatalf("kept %v", kept)
	}
}

func TestClipGivesWholePixelsInsideThePhoto(t *testing.T) {
	for _, c := range []struct {
		name string
		box  Box
		want image.Rectangle
	}{
		{"inside", Box{1.9, 2.9, 3.5, 4.5}, image.Rect(1, 2, 4, 6)},
		{"over every edge", Box{-5, -5, 100, 100}, image.Rect(0, 0, 20, 10)},
		{"outside", Box{30, 30, 5, 5}, image.Rectangle{}},
		{"empty", Box{3, 3, 0.5, 5}, image.Rectangle{}},
		{"not a number", Box{math.NaN(), 1, 5, 5}, image.Rectangle{}},
		{"infinite", Box{1, 1, math.Inf(1), 5}, image.Rect(1, 1, 20, 6)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := clip(c.box, 20, 10); got != c.want {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAFaceWithoutPixelsIsNotDescribed(t *testing.T) {
	r, err := NewRecognizer(Options{DetectorSize: 64, MinScore: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPhoto(image.NewRGBA(image.Rect(0, 0, 8, 8)))
	if r.Describe(p, &Face{Box: Box{100, 100, 5, 5}}) {
		t.Fatal("described")
	}
	if found := r.Faces(p); len(found) != 0 {
		t.Fatalf("found %d faces in a black square", len(found))
	}
}

func TestGalleryNamesWhoItKnowsAndLearnsWhoItDoesNot(t *testing.T) {
	g := &Gallery{Threshold: 0.5}
	g.Add("anna", []float32{0, 0})
	g.Add("anna", []float32{0, 0.2})
	for _, c := range []struct {
		name string
		face []float32
		want Match
	}{
		{"near anna's pictures", []float32{0, 0.1}, Match{Name: "anna", Distance: 0.1}},
		{"somebody new", []float32{3, 4.1}, Match{Name: "person 1", Distance: 5, New: true}},
		{"the same again", []float32{3, 4.1}, Match{Name: "person 1"}},
		{"exactly at the threshold", []float32{3, 4.6}, Match{Name: "person 2", Distance: 0.5, New: true}},
	} {
		got := g.Name(c.face)
		if got.Name != c.want.Name || got.New != c.want.New || math.Abs(got.Distance-c.want.Distance) > 1e-3 {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	if g.People() != 3 {
		t.Errorf("%d people, want 3", g.People())
	}
	if m := new(Gallery).Name([]float32{1}); m.Distance != 0 || !m.New {
		t.Errorf("the first face ever: %+v", m)
	}
}
