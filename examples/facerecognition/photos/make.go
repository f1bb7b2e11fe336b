//go:build ignore

// Make prepares the sample photos. With the npm package @vladmandic/face-api
// 1.7.15 unpacked in the folder package:
//
//	go run make.go package/demo/sample*.jpg   scale them to 1280 pixels in width
//	go run make.go -known                     cut ../known out of the scaled ones
//	go run make.go -raw sample*.jpg           write their pixels as PPM files
//
// Nothing but the pixels is kept of a file. The raw pixels are for the script
// that computes reference values, ../testdata/reference.js.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log"
	"os"
	"path/filepath"
	"strings"
)

const width = 1280

// people are the faces that become photos of known people: the names are made
// up, and the box is the face's in the scaled photo.
var people = []struct {
	name, photo string
	x, y, side  int
}{
	{"anna", "sample1.jpg", 949, 142, 200},
	{"bea", "sample3.jpg", 668, 167, 210},
	{"clara", "sample5.jpg", 898, 279, 200},
	{"dora", "sample6.jpg", 125, 346, 210},
}

func main() {
	raw := flag.Bool("raw", false, "write the pixels of already scaled photos as PPM")
	known := flag.Bool("known", false, "cut the known people out of the scaled photos")
	flag.Parse()
	if *known {
		if err := cutKnown(); err != nil {
			log.Fatal(err)
		}
	}
	for _, name := range flag.Args() {
		convert := scaled
		if *raw {
			convert = ppm
		}
		if err := convert(name); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

// cutKnown writes ../known/NAME.jpg: the face and as much again around it,
// mirrored and smaller, so that it is not the same picture as the photo's.
func cutKnown() error {
	const side = 400
	for _, p := range people {
		img, err := read(p.photo)
		if err != nil {
			return err
		}
		out := image.NewRGBA(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				sx := p.x - p.side*3/4 + (side-1-x)*p.side*5/2/side
				sy := p.y - p.side*3/4 + y*p.side*5/2/side
				out.Set(x, y, img.At(sx, sy))
			}
		}
		if err := write(filepath.Join("..", "known", p.name+".jpg"), out); err != nil {
			return err
		}
	}
	return nil
}

func write(name string, img image.Image) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := jpeg.Encode(f, img, &jpeg.Options{Quality: 85}); err != nil {
		return err
	}
	return f.Close()
}

func read(name string) (image.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jpeg.Decode(bufio.NewReader(f))
}

func scaled(name string) error {
	img, err := read(name)
	if err != nil {
		return err
	}
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, width, b.Dy()*width/b.Dx()))
	for y := range out.Rect.Dy() {
		for x := range width {
			out.Set(x, y, mean(img, b, x, y))
		}
	}
	return write(filepath.Base(name), out)
}

// mean averages a source pixel's area with four samples per axis.
func mean(img image.Image, b image.Rectangle, x, y int) color.Color {
	const n = 4
	var r, g, bl uint32
	for i := range n {
		for j := range n {
			sx := (n*x + i) * b.Dx() / (n * width)
			sy := (n*y + j) * b.Dx() / (n * width)
			cr, cg, cb, _ := img.At(b.Min.X+sx, b.Min.Y+min(sy, b.Dy()-1)).RGBA()
			r, g, bl = r+cr, g+cg, bl+cb
		}
	}
	return color.RGBA64{R: uint16(r / n / n), G: uint16(g / n / n), B: uint16(bl / n / n), A: 0xffff}
}

func ppm(name string) error {
	img, err := read(name)
	if err != nil {
		return err
	}
	f, err := os.Create(strings.TrimSuffix(filepath.Base(name), ".jpg") + ".ppm")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	b := img.Bounds()
	fmt.Fprintf(w, "P6\n%d %d\n255\n", b.Dx(), b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			w.Write([]byte{c.R, c.G, c.B})
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
