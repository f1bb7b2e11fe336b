package faces

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// reference is what face-api itself finds; testdata/reference.js wrote it.
type reference struct {
	DetectorSize int
	MinScore     float64
	Photos       []struct {
		Photo string
		Faces []struct {
			Box        [4]float64
			Score      float64
			Landmarks  []float64
			Descriptor []float32
		}
	}
}

func TestFacesEqualThoseOfFaceAPI(t *testing.T) {
	data, err := os.ReadFile("../../testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	r, err := NewRecognizer(Options{DetectorSize: ref.DetectorSize, MinScore: ref.MinScore})
	if err != nil {
		t.Fatal(err)
	}
	for _, photo := range ref.Photos {
		t.Run(photo.Photo, func(t *testing.T) {
			p := loadPhoto(t, filepath.Join("../../photos", photo.Photo+".jpg"))
			found := r.Detect(p)
			if len(found) != len(photo.Faces) {
				t.Fatalf("found %d faces, face-api %d", len(found), len(photo.Faces))
			}
			for i, want := range photo.Faces {
				f := &found[i]
				if !r.Describe(p, f) {
					t.Fatalf("face %d lies outside the photo", i)
				}
				box := []float64{f.Box.X, f.Box.Y, f.Box.W, f.Box.H}
				requireNear(t, "box", box, want.Box[:], 0.01)
				requireNear(t, "score", []float64{f.Score}, []float64{want.Score}, 1e-4)
				requireNear(t, "landmark", flatten(f.Landmarks), want.Landmarks, 0.02)
				if d := Distance(f.Descriptor, want.Descriptor); d > 1e-3 {
					t.Errorf("face %d: descriptor is %.5f from face-api's", i, d)
				}
			}
		})
	}
}

func loadPhoto(t testing.TB, path string) *Photo {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := DecodePhoto(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func flatten(points []Point) []float64 {
	var out []float64
	for _, p := range points {
		out = append(out, p.X, p.Y)
	}
	return out
}

func requireNear(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tolerance) {
			t.Errorf("%s %d: %.5f, want %.5f", what, i, got[i], want[i])
		}
	}
}
