package draw

import (
	"image"
	"os"
	"path/filepath"
	"testing"
)

func TestBoxesAndTextStayInsideThePicture(t *testing.T) {
	img := image.NewRGBA(image.Rect(5, 5, 105, 85))
	out := Boxes(img, []Label{
		{X: 10, Y: 10, W: 30, H: 30, Text: "anna"},
		{X: -50, Y: -50, W: 500, H: 500, Text: "a very long name that nobody has \x00\xff"},
	})
	if out.Rect != image.Rect(0, 0, 100, 80) {
		t.Fatalf("the picture became %v", out.Rect)
	}
	if got := out.RGBAAt(10, 20); got != frame {
		t.Errorf("the left edge of the first box is %v", got)
	}
	// The first row of an A, on the plate below the box.
	if got := out.RGBAAt(10+2+2*2, 40+2); got != ink {
		t.Errorf("the top of the letter A is %v", got)
	}
	if got := out.RGBAAt(25, 25); got.G != 0 {
		t.Errorf("the face itself was painted over: %v", got)
	}
}

func TestAFileThatCannotBeEncodedIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wide.jpg")
	if err := WriteJPEG(path, image.NewGray(image.Rect(0, 0, 1<<16, 1))); err == nil {
		t.Fatal("wrote a JPEG wider than a JPEG can be")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatalf("the file is still there: %v", err)
	}
}
