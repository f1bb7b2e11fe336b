// Package draw marks faces in a picture: a box around each and a name beneath
// it, in letters of its own, since the standard library has none.
package draw

import (
	"bufio"
	"errors"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/jpeg"
	"os"
	"strings"
)

// Label is a box with a text, in pixels of the picture.
type Label struct {
	X, Y, W, H int
	Text       string
}

var (
	frame = color.RGBA{R: 0x2e, G: 0xcc, B: 0x71, A: 0xff}
	ink   = color.RGBA{R: 0x10, G: 0x24, B: 0x18, A: 0xff}
)

// Boxes returns a copy of a picture with every label drawn.
func Boxes(img image.Image, labels []Label) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	stddraw.Draw(out, out.Rect, img, b.Min, stddraw.Src)
	thick := max(2, b.Dx()/320)
	for _, l := range labels {
		box := image.Rect(l.X, l.Y, l.X+l.W, l.Y+l.H)
		outline(out, box, thick)
		caption(out, image.Pt(box.Min.X, box.Max.Y), l.Text, thick)
	}
	return out
}

func fill(out *image.RGBA, r image.Rectangle, c color.Color) {
	stddraw.Draw(out, r.Intersect(out.Rect), image.NewUniform(c), image.Point{}, stddraw.Src)
}

func outline(out *image.RGBA, box image.Rectangle, thick int) {
	fill(out, image.Rect(box.Min.X, box.Min.Y, box.Max.X, box.Min.Y+thick), frame)
	fill(out, image.Rect(box.Min.X, box.Max.Y-thick, box.Max.X, box.Max.Y), frame)
	fill(out, image.Rect(box.Min.X, box.Min.Y, box.Min.X+thick, box.Max.Y), frame)
	fill(out, image.Rect(box.Max.X-thick, box.Min.Y, box.Max.X, box.Max.Y), frame)
}

// caption writes a text on a plate whose top left corner is at, moved up if it
// would fall below the picture. A dot of a letter is scale by scale pixels.
func caption(out *image.RGBA, at image.Point, text string, scale int) {
	text = strings.ToUpper(text)
	height := (glyphHeight + 2) * scale
	at.Y = min(at.Y, out.Rect.Max.Y-height)
	fill(out, image.Rect(at.X, at.Y, at.X+((glyphWidth+1)*len(text)+1)*scale, at.Y+height), frame)
	for i := range len(text) {
		glyph(out, at.X+scale+i*(glyphWidth+1)*scale, at.Y+scale, text[i], scale)
	}
}

func glyph(out *image.RGBA, x, y int, letter byte, scale int) {
	rows, ok := font[letter]
	if !ok {
		rows = font['?']
	}
	for r, bits := range rows {
		for c := range glyphWidth {
			if bits>>(glyphWidth-1-c)&1 != 0 {
				fill(out, image.Rect(x+c*scale, y+r*scale, x+(c+1)*scale, y+(r+1)*scale), ink)
			}
		}
	}
}

// WriteJPEG writes a picture to a file, and removes the file if it cannot.
func WriteJPEG(path string, img image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = jpeg.Encode(w, img, &jpeg.Options{Quality: 85})
	err = errors.Join(err, w.Flush(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
