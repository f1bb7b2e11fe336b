//go:build ignore

// Make scales the sample photos of @vladmandic/face-api down to 1280 pixels in
// width, with everything but the picture itself left out of the files:
//
//	npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
//	go run make.go package/demo/sample*.jpg
//
// With -raw it writes the pixels of the scaled photos as PPM files instead,
// for the script that computes reference values (../testdata/reference.js).
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

func main() {
	raw := flag.Bool("raw", false, "write the pixels of already scaled photos as PPM")
	flag.Parse()
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
	f, err := os.Create(filepath.Base(name))
	if err != nil {
		return err
	}
	if err := jpeg.Encode(f, out, &jpeg.Options{Quality: 85}); err != nil {
		return err
	}
	return f.Close()
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
