// Facerecognition finds the faces in a folder of photos and says who is who.
//
//	facerecognition [flags] FOLDER
//
// It prints one line for every face: the photo, the box around the face (left,
// top, width, height in pixels), how sure the detector is, a name, and the
// distance to the nearest face it had seen of that person. Names come from the
// photos in --known, one person each, or are made up: "person 1" and so on,
// the same name whenever the same face comes back. Photos are read in the order
// of their names, so that the output depends on nothing but the files.
//
// EXIT STATUS: 0 if every photo was read, 1 if one could not be (the others are
// still treated), 2 for wrong usage.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/draw"
	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/faces"
)

// options are the flags of the command.
type options struct {
	known       string
	boxes       string
	descriptors bool
	max         int
	threshold   float64
	faces       faces.Options
	folder      string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command, and returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "facerecognition: %v\n", err)
		return 2
	}
	out := bufio.NewWriter(stdout)
	err = recognize(o, out, stderr)
	if err := errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintf(stderr, "facerecognition: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("facerecognition", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.known, "known", "", "folder of photos of people to recognize, one person each; `DIR`/anna.jpg is called anna")
	f.StringVar(&o.boxes, "boxes", "", "write every photo with its faces marked into `DIR`")
	f.BoolVar(&o.descriptors, "descriptors", false, "also print the 128 values that describe each face")
	f.IntVar(&o.max, "max", 0, "stop after `N` photos (0: all)")
	f.IntVar(&o.faces.MaxFaces, "faces", 0, "treat the `N` largest faces of a photo (0: all)")
	f.IntVar(&o.faces.DetectorSize, "detector-size", 416, "look for faces in the photo scaled to `PIXELS`, a multiple of 32; less is faster and misses small faces")
	f.Float64Var(&o.faces.MinScore, "min-score", 0.5, "ignore faces of which the detector is less sure, 0 to 1")
	f.Float64Var(&o.threshold, "threshold", 0.5, "the distance below which two faces are the same person's")
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: facerecognition [flags] FOLDER")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() != 1 {
		f.Usage()
		return o, fmt.Errorf("want one folder of photos, have %d arguments", f.NArg())
	}
	if o.max < 0 {
		return o, fmt.Errorf("number of photos %d: want 0 or more", o.max)
	}
	o.folder = f.Arg(0)
	return o, o.faces.Validate()
}

// recognize treats the folder, printing as it goes. It returns an error if a
// photo could not be treated.
func recognize(o options, out *bufio.Writer, stderr io.Writer) error {
	photos, err := listPhotos(o.folder)
	if err != nil {
		return err
	}
	if o.max > 0 && len(photos) > o.max {
		photos = photos[:o.max]
	}
	recognizer, err := faces.NewRecognizer(o.faces)
	if err != nil {
		return err
	}
	gallery := &faces.Gallery{Threshold: o.threshold}
	if o.known != "" {
		if err := learn(o.known, recognizer, gallery); err != nil {
			return err
		}
	}
	var failed, count int
	for _, name := range photos {
		n, err := treat(o, name, recognizer, gallery, out)
		if err != nil {
			failed++
			fmt.Fprintf(stderr, "facerecognition: %v\n", err)
		}
		count += n
		if err := out.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "photos %d  faces %d  people %d\n", len(photos)-failed, count, gallery.People())
	if failed > 0 {
		return fmt.Errorf("%d of %d photos could not be treated", failed, len(photos))
	}
	return nil
}

// treat finds, names and prints the faces of one photo, and returns how many
// there are.
func treat(o options, name string, r *faces.Recognizer, g *faces.Gallery, out io.Writer) (int, error) {
	photo, err := readPhoto(filepath.Join(o.folder, name))
	if err != nil {
		return 0, err
	}
	found := r.Faces(photo)
	labels := make([]draw.Label, len(found))
	for i, f := range found {
		m := g.Name(f.Descriptor)
		printFace(out, name, f, m, o.descriptors)
		b := f.Box
		labels[i] = draw.Label{X: int(b.X), Y: int(b.Y), W: int(b.W), H: int(b.H), Text: m.Name}
	}
	if o.boxes == "" {
		return len(found), nil
	}
	marked := draw.Boxes(photo.Image, labels)
	return len(found), draw.WriteJPEG(filepath.Join(o.boxes, name), marked)
}

func printFace(out io.Writer, photo string, f faces.Face, m faces.Match, descriptor bool) {
	b := f.Box
	fmt.Fprintf(out, "%s  box %.0f,%.0f,%.0f,%.0f  score %.3f  %s", photo, b.X, b.Y, b.W, b.H, f.Score, m.Name)
	if m.New {
		fmt.Fprint(out, "  (new)")
	}
	fmt.Fprintf(out, "  distance %.3f\n", m.Distance)
	if descriptor {
		for i, v := range f.Descriptor {
			if i > 0 {
				fmt.Fprint(out, " ")
			}
			fmt.Fprintf(out, "%.4f", v)
		}
		fmt.Fprintln(out)
	}
}

// learn adds the largest face of every photo in a folder to the gallery, under
// the name of the file.
func learn(folder string, r *faces.Recognizer, g *faces.Gallery) error {
	photos, err := listPhotos(folder)
	if err != nil {
		return err
	}
	for _, name := range photos {
		path := filepath.Join(folder, name)
		photo, err := readPhoto(path)
		if err != nil {
			return err
		}
		face, ok := r.Largest(photo)
		if !ok {
			return fmt.Errorf("%s: no face found; use a photo in which the face is larger, or a lower --min-score", path)
		}
		g.Add(strings.TrimSuffix(name, filepath.Ext(name)), face.Descriptor)
	}
	return nil
}

// listPhotos returns the names of the JPEG files in a folder, sorted.
func listPhotos(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".jpg", ".jpeg":
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no photos (files ending in .jpg or .jpeg)", folder)
	}
	return names, nil
}

// maxFile bounds the file of a photo, in bytes.
const maxFile = 64 << 20

func readPhoto(path string) (*faces.Photo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are too many for a photo (limit %d)", path, info.Size(), maxFile)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	photo, err := faces.DecodePhoto(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return photo, nil
}
