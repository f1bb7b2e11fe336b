package e2e

import (
	"io/fs"
	"testing"

	"github.com/clonecloud/clonecloud/examples"
	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// applications are the example programs with small inputs, and functions of
// theirs that are worth moving.
func applications(t *testing.T) []testprogs.Program {
	t.Helper()
	photo, err := fs.ReadFile(examples.Photos(), "sample1.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return []testprogs.Program{
		{
			Name: "facerecognition", Wasm: examples.FaceRecognition(),
			Args:  []string{"--faces", "1", "--detector-size", "224", "--descriptors", "--boxes", "/boxes", "/photos"},
			Files: map[string]string{"photos/sample1.jpg": string(photo), "boxes/": ""},
			Heavy: []string{"main.treat", "main.recognize"},
		},
		{
			Name: "mandelbrot", Wasm: examples.Mandelbrot(), Args: []string{"-s", "160x100", "-o", "/picture.ppm"},
			Heavy: []string{"main"}, Deterministic: true,
		},
		{Name: "sudoku", Wasm: examples.Sudoku(), Stdin: firstLines(string(examples.Puzzles()), 3), Deterministic: true},
	}
}

func firstLines(s string, n int) string {
	for i := range s {
		if s[i] == '\n' {
			if n--; n == 0 {
				return s[:i+1]
			}
		}
	}
	return s
}

func TestTheExamplesEndAsTheyDoOnTheDevice(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles and runs face recognition several times")
	}
	w := NewWorld(t)
	for _, p := range applications(t) {
		t.Run(p.Name, func(t *testing.T) {
			w.tb = t
			local := w.Run(&p, OnDevice)
			if local.Exit.Error != "" || local.Exit.Code != 0 {
				t.Fatalf("the local run fails: %+v %s", local.Exit, local.Stderr)
			}
			remote := w.Run(&p, OnClone)
			same(t, &p, local, remote)
			if c := remote.Report.Totals; c.CallsClone == 0 || c.Fallbacks > 0 {
				t.Errorf("moved whole: calls:%s", calls(remote.Report.Calls))
			}
			for _, f := range p.Heavy {
				remote := w.Run(&p, Only(f))
				if same(t, &p, local, remote); t.Failed() {
					t.Fatalf("with function %s offloaded; calls:%s", f, calls(remote.Report.Calls))
				}
			}
		})
	}
	w.tb = t
}
