package main

import (
	"bytes"
	"flag"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/expected.txt")

// command runs the program and returns what it printed.
func command(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestPeopleInTheSamplePhotosAreNamed(t *testing.T) {
	status, out, errs := command("--known", "known", "photos")
	if status != 0 || errs != "" {
		t.Fatalf("status %d: %s", status, errs)
	}
	for _, name := range []string{"anna", "bea", "clara", "dora"} {
		if strings.Count(out, "  "+name+"  ") != 1 {
			t.Errorf("%s is not named exactly once in:\n%s", name, out)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/expected.txt", []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "wasm" {
		t.Skip("this processor may round differently; WebAssembly and amd64 do not")
	}
	want, err := os.ReadFile("testdata/expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
}

func TestBoxesAreDrawnIntoTheFolder(t *testing.T) {
	dir := t.TempDir()
	status, out, errs := command("--boxes", dir, "--max", "1", "--faces", "1", "--descriptors", "photos")
	if status != 0 {
		t.Fatalf("status %d: %s", status, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || len(strings.Fields(lines[1])) != 128 {
		t.Errorf("want a face, its 128 values and a summary, got:\n%s", out)
	}
	f, err := os.Open(filepath.Join(dir, "sample1.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := jpeg.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	r, g, b, _ := img.At(949+100, 142+1).RGBA()
	if !(g > 2*r && g > b) {
		t.Errorf("the upper edge of the box has the colour %x %x %x, want green", r, g, b)
	}
}

func TestBadInputGivesAClearErrorAndStatus(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(broken, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile("known/anna.jpg")
	if err != nil {
		t.Fatal(err)
	}
	write("1-text.jpg", []byte("not a picture"))
	write("2-cut.jpg", good[:len(good)/2])
	write("3-good.JPEG", good)
	for _, c := range []struct {
		name   string
		args   []string
		status int
		errs   string
	}{
		{"no folder", nil, 2, "want one folder"},
		{"two folders", []string{"a", "b"}, 2, "want one folder"},
		{"an unknown flag", []string{"--colour", "photos"}, 2, "flag provided but not defined"},
		{"a negative limit", []string{"--max", "-1", "photos"}, 2, "want 0 or more"},
		{"an odd detector size", []string{"--detector-size", "100", "photos"}, 2, "multiple of 32"},
		{"a score above one", []string{"--min-score", "2", "photos"}, 2, "between 0 and 1"},
		{"a folder that is not there", []string{"nowhere"}, 1, "nowhere"},
		{"a folder without photos", []string{empty}, 1, "no photos"},
		{"known people without photos", []string{"--known", empty, "photos"}, 1, "no photos"},
		{"broken photos among good ones", []string{broken}, 1, "2 of 3 photos could not be treated"},
		{"boxes into a folder that is not there", []string{"--boxes", "nowhere", "--max", "1", "--faces", "1", "photos"}, 1, "nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out, errs := command(c.args...)
			if status != c.status || !strings.Contains(errs, c.errs) {
				t.Errorf("status %d, want %d; printed:\n%s%s", status, c.status, out, errs)
			}
		})
	}
}

func TestAskingForHelpIsNotAnError(t *testing.T) {
	status, _, errs := command("--help")
	if status != 0 || !strings.Contains(errs, "usage: facerecognition") {
		t.Errorf("status %d: %s", status, errs)
	}
}
