package models

import (
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

const pairManifest = `[{"weights":[
	{"name":"a","shape":[2],"dtype":"float32","quantization":{"dtype":"uint8","scale":0.5,"min":-1}},
	{"name":"b","shape":[1,1],"dtype":"float32"}],"paths":["x.bin"]}]`

func TestWeightsAreBytesWithAScaleOrFloats(t *testing.T) {
	w, err := parseWeights([]byte(pairManifest), []byte{0, 4, 0, 0, 0x80, 0x3f})
	if err != nil {
		t.Fatal(err)
	}
	if a := w.floats("a", 2); a[0] != -1 || a[1] != 1 {
		t.Errorf("a is %v, want [-1 1]", a)
	}
	if b := w.floats("b", 1); b[0] != 1 {
		t.Errorf("b is %v, want [1]", b)
	}
	if w.tensor("a", 3); w.err == nil {
		t.Error("a tensor of two values was given for three")
	}
	w.err = nil
	if w.tensor("c", 1); w.err == nil {
		t.Error("a tensor that is not there was given")
	}
}

func TestBadWeightsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, manifest, data, err string }{
		{"a manifest that is not JSON", "x", "", "manifest"},
		{"a file that ends early", pairManifest, "abc", "file ends early"},
		{"a file that goes on", pairManifest, "abcdefg", "after the last tensor"},
		{"a negative shape", `[{"weights":[{"name":"a","shape":[-1],"dtype":"float32"}]}]`, "abcd", "larger than the file"},
		{"a huge shape", `[{"weights":[{"name":"a","shape":[4,4611686018427387904],"dtype":"float32"}]}]`, "abcd", "larger than the file"},
		{"another type", `[{"weights":[{"name":"a","shape":[1],"dtype":"int32"}]}]`, "abcd", "not supported"},
		{"another quantization", `[{"weights":[{"name":"a","shape":[1],"dtype":"float32","quantization":{"dtype":"uint16"}}]}]`, "abcd", "not supported"},
		{"half a float", `[{"weights":[{"name":"a","shape":[1],"dtype":"float32"}]}]`, "ab", "ends early"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseWeights([]byte(c.manifest), []byte(c.data))
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want one about %q", err, c.err)
			}
		})
	}
}

func FuzzParseWeights(f *testing.F) {
	f.Add([]byte(pairManifest), []byte{0, 4, 0, 0, 0x80, 0x3f})
	f.Fuzz(func(t *testing.T, manifest, data []byte) {
		w, err := parseWeights(manifest, data)
		if err != nil {
			return
		}
		total := 0
		for _, values := range w.tensors {
			total += values.Len()
		}
		if total > len(data) {
			t.Fatalf("%d values from %d bytes", total, len(data))
		}
	})
}

func TestTheNetworksTakeAndGiveTheShapesTheyPromise(t *testing.T) {
	ws := new(nn.Workspace)
	d, err := NewDetector()
	if err != nil {
		t.Fatal(err)
	}
	if out := d.Forward(ws, nn.NewTensor(96, 96, 3)); out.H != 3 || out.W != 3 || out.C != 25 {
		t.Errorf("the detector gives %v for 96x96, want 3x3x25", out)
	}
	l, err := NewLandmarks()
	if err != nil {
		t.Fatal(err)
	}
	if out := l.Forward(ws, nn.NewTensor(LandmarkSize, LandmarkSize, 3)); len(out) != 2*LandmarkCount {
		t.Errorf("%d landmark values", len(out))
	}
	r, err := NewDescriptor()
	if err != nil {
		t.Fatal(err)
	}
	if out := r.Forward(ws, nn.NewTensor(DescriptorSize, DescriptorSize, 3)); len(out) != DescriptorLen {
		t.Errorf("%d descriptor values", len(out))
	}
}
