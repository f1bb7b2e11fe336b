package faces

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

// maxPixels bounds a photo: 64 megapixels, which decodes to 192 MB at most.
const maxPixels = 64 << 20

// Photo is a decoded picture. Colours are looked up where they are needed: a
// network sees a few thousand pixels of a photo that has millions.
type Photo struct {
	Image         image.Image
	Width, Height int
}

// DecodePhoto decodes a JPEG file.
func DecodePhoto(file []byte) (*Photo, error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if config.Width*config.Height > maxPixels {
		return nil, fmt.Errorf("%dx%d pixels are too many (limit %d)", config.Width, config.Height, maxPixels)
	}
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return NewPhoto(img), nil
}

// NewPhoto wraps a picture.
func NewPhoto(img image.Image) *Photo {
	b := img.Bounds()
	return &Photo{Image: img, Width: b.Dx(), Height: b.Dy()}
}

// rgb returns the colour of a pixel; x and y count from the top left corner.
func (p *Photo) rgb(x, y int) (r, g, b uint8) {
	if img, ok := p.Image.(*image.YCbCr); ok {
		x, y = x+img.Rect.Min.X, y+img.Rect.Min.Y
		i, j := img.YOffset(x, y), img.COffset(x, y)
		return color.YCbCrToRGB(img.Y[i], img.Cb[j], img.Cr[j])
	}
	at := p.Image.Bounds().Min
	c := color.RGBAModel.Convert(p.Image.At(x+at.X, y+at.Y)).(color.RGBA)
	return c.R, c.G, c.B
}

// square cuts a region of the photo, pads its shorter side with black until it
// is square, and scales it to size by size RGB values from 0 to 255. The
// region must lie inside the photo. If center is set the black goes on both
// sides, else after the picture.
func (p *Photo) square(ws *nn.Workspace, region image.Rectangle, size int, center bool) *nn.Tensor {
	w, h := region.Dx(), region.Dy()
	side := max(w, h)
	// The offset of the picture in the square.
	var dx, dy int
	if center {
		dx, dy = (side-w)/2, (side-h)/2
	}
	out := ws.Tensor(size, size, 3)
	ratio := float64(side) / float64(size)
	for y := range size {
		top, bottom, fy := neighbours(y, ratio, side)
		row := out.Data[y*size*3 : (y+1)*size*3]
		p.sampleRow(row, region, top-dy, bottom-dy, fy, ratio, side, dx)
	}
	return out
}

// sampleRow interpolates one row of square between the rows top and bottom of
// the region.
func (p *Photo) sampleRow(dst []float32, region image.Rectangle, top, bottom int, fy float32, ratio float64, side, dx int) {
	for x := 0; len(dst) >= 3; x++ {
		left, right, fx := neighbours(x, ratio, side)
		a := p.inside(region, left-dx, top)
		b := p.inside(region, right-dx, top)
		c := p.inside(region, left-dx, bottom)
		d := p.inside(region, right-dx, bottom)
		for i := range 3 {
			up := a[i] + (b[i]-a[i])*fx
			down := c[i] + (d[i]-c[i])*fx
			dst[i] = up + (down-up)*fy
		}
		dst = dst[3:]
	}
}

// neighbours gives the two source lines around line i of a scaled picture and
// the weight of the second.
func neighbours(i int, ratio float64, side int) (lo, hi int, weight float32) {
	at := ratio * float64(i)
	floor := math.Floor(at)
	return int(floor), min(side-1, int(math.Ceil(at))), float32(at - floor)
}

// inside returns a pixel of the region, or black outside it.
func (p *Photo) inside(region image.Rectangle, x, y int) [3]float32 {
	if x < 0 || y < 0 || x >= region.Dx() || y >= region.Dy() {
		return [3]float32{}
	}
	r, g, b := p.rgb(region.Min.X+x, region.Min.Y+y)
	return [3]float32{float32(r), float32(g), float32(b)}
}
