// Package examples holds example applications as files in the program: the
// face recognition module with photos to run it on, and two small modules.
//
// The applications themselves are ordinary WASI programs that know nothing of
// CloneCloud; their sources are in the folders beside this file, and build.sh
// makes the modules from them. The package exists so that `clonecloud demo`
// works from the binary alone. It imports only the standard library, and what
// it returns must not be modified.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed prebuilt/facerecognition.wasm
var faceRecognition []byte

//go:embed prebuilt/mandelbrot.wasm
var mandelbrot []byte

//go:embed prebuilt/sudoku.wasm
var sudoku []byte

//go:embed sudoku/puzzles.txt
var puzzles []byte

//go:embed facerecognition/photos/*.jpg facerecognition/known/*.jpg facerecognition/photos/LICENSE
var pictures embed.FS

// FaceRecognition is the module built from facerecognition: it takes a folder
// of photos as its argument.
func FaceRecognition() []byte { return faceRecognition }

// Mandelbrot is the module built from mandelbrot, in C: it writes a picture to
// standard output.
func Mandelbrot() []byte { return mandelbrot }

// Sudoku is the module built from sudoku, in AssemblyScript: it reads puzzles
// such as Puzzles from standard input.
func Sudoku() []byte { return sudoku }

// Puzzles are sudoku puzzles, one a line.
func Puzzles() []byte { return puzzles }

// Photos holds six JPEG photos of one to five faces each, sample1.jpg and so
// on. They and the photos in Known are part of @vladmandic/face-api, under the
// MIT licence (the file LICENSE beside them).
func Photos() fs.FS { return sub("facerecognition/photos") }

// Known holds four JPEG photos of people who are also in Photos, one each,
// named by made-up names: the folder to give to --known.
func Known() fs.FS { return sub("facerecognition/known") }

func sub(folder string) fs.FS {
	f, err := fs.Sub(pictures, folder)
	if err != nil {
		panic(err) // the folder is a constant, and embedded
	}
	return f
}
