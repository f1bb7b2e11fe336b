package models

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

// The manifests are read as files. The weights themselves are variables, since
// reading a file copies it and these need not be.
var (
	//go:embed weights/*.json
	manifests embed.FS

	//go:embed weights/tiny_face_detector_model.bin
	detectorData []byte

	//go:embed weights/face_landmark_68_model.bin
	landmarksData []byte

	//go:embed weights/face_recognition_model.bin
	descriptorData []byte
)

// entry is one tensor of a manifest.
type entry struct {
	Name         string `json:"name"`
	Shape        []int  `json:"shape"`
	DType        string `json:"dtype"`
	Quantization *struct {
		DType string  `json:"dtype"`
		Scale float64 `json:"scale"`
		Min   float64 `json:"min"`
	} `json:"quantization"`
}

// weights holds the tensors of one network by name, and the first thing that
// was wrong with them: the accessors below return nothing once err is set, so
// that a network is built without a check per layer.
type weights struct {
	tensors map[string]nn.Weights
	err     error
}

// loadWeights finds the tensors of the network called name in data.
func loadWeights(name string, data []byte) *weights {
	manifest, err := manifests.ReadFile("weights/" + name + "_model-weights_manifest.json")
	if err != nil {
		return &weights{err: fmt.Errorf("read weights of %s: %w", name, err)}
	}
	w, err := parseWeights(manifest, data)
	if err != nil {
		return &weights{err: fmt.Errorf("read weights of %s: %w", name, err)}
	}
	return w
}

// parseWeights reads a TensorFlow.js manifest of one group and finds its
// tensors in data, which it keeps. Tensors are float32, or bytes that scale and
// min turn into float32.
func parseWeights(manifest, data []byte) (*weights, error) {
	var groups []struct {
		Weights []entry `json:"weights"`
	}
	if err := json.Unmarshal(manifest, &groups); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	w := &weights{tensors: map[string]nn.Weights{}}
	for _, g := range groups {
		for _, e := range g.Weights {
			values, rest, err := cut(e, data)
			if err != nil {
				return nil, fmt.Errorf("tensor %s: %w", e.Name, err)
			}
			w.tensors[e.Name], data = values, rest
		}
	}
	if len(data) != 0 {
		return nil, fmt.Errorf("%d bytes after the last tensor", len(data))
	}
	return w, nil
}

// cut takes one tensor from the front of data and returns the rest.
func cut(e entry, data []byte) (values nn.Weights, rest []byte, err error) {
	count := 1
	for _, n := range e.Shape {
		if n <= 0 || n > len(data) || count > len(data)/n {
			return nn.Weights{}, nil, fmt.Errorf("shape %v is larger than the file", e.Shape)
		}
		count *= n
	}
	switch {
	case e.DType != "float32":
		return nn.Weights{}, nil, fmt.Errorf("type %q is not supported", e.DType)
	case e.Quantization == nil:
		if len(data) < 4*count {
			return nn.Weights{}, nil, errors.New("file ends early")
		}
		return nn.FloatWeights(data[:4*count]), data[4*count:], nil
	case e.Quantization.DType != "uint8":
		return nn.Weights{}, nil, fmt.Errorf("quantization %q is not supported", e.Quantization.DType)
	case len(data) < count:
		return nn.Weights{}, nil, errors.New("file ends early")
	}
	return nn.QuantizedWeights(data[:count], e.Quantization.Scale, e.Quantization.Min), data[count:], nil
}

// tensor returns the tensor called name, which must hold count values.
func (w *weights) tensor(name string, count int) nn.Weights {
	if w.err != nil {
		return nn.Weights{}
	}
	t, ok := w.tensors[name]
	if !ok {
		w.err = fmt.Errorf("no tensor %s", name)
		return nn.Weights{}
	}
	if t.Len() != count {
		w.err = fmt.Errorf("tensor %s has %d values, want %d", name, t.Len(), count)
		return nn.Weights{}
	}
	return t
}

// floats returns the values of a small tensor.
func (w *weights) floats(name string, count int) []float32 { return w.tensor(name, count).Floats() }

// conv builds a convolution from NAME/filters and NAME/bias.
func (w *weights) conv(name string, size, in, out, stride int, padding nn.Padding) *nn.Conv {
	f := w.tensor(name+"/filters", size*size*in*out)
	b := w.floats(name+"/bias", out)
	if w.err != nil {
		return nil
	}
	c, err := nn.NewConv(f, nil, b, size, in, out, stride, padding)
	w.err = err
	return c
}

// scaledConv builds a convolution from NAME/conv, followed by the scale and
// shift per channel of NAME/scale.
func (w *weights) scaledConv(name string, size, in, out, stride int, padding nn.Padding) *nn.Conv {
	f := w.tensor(name+"/conv/filters", size*size*in*out)
	b := w.floats(name+"/conv/bias", out)
	scale := w.floats(name+"/scale/weights", out)
	shift := w.floats(name+"/scale/biases", out)
	if w.err != nil {
		return nil
	}
	for j, s := range scale {
		b[j] = b[j]*s + shift[j]
	}
	c, err := nn.NewConv(f, scale, b, size, in, out, stride, padding)
	w.err = err
	return c
}

// separable builds a separable convolution from NAME/depthwise_filter,
// NAME/pointwise_filter and NAME/bias.
func (w *weights) separable(name string, in, out, stride int) *nn.Separable {
	d := w.floats(name+"/depthwise_filter", 9*in)
	p := w.tensor(name+"/pointwise_filter", in*out)
	b := w.floats(name+"/bias", out)
	if w.err != nil {
		return nil
	}
	s, err := nn.NewSeparable(d, p, b, in, out, stride)
	w.err = err
	return s
}

// dense builds a fully connected layer from the tensors weights and, if it is
// not empty, bias.
func (w *weights) dense(weights, bias string, in, out int) *nn.Dense {
	m := w.tensor(weights, in*out)
	var b []float32
	if bias != "" {
		b = w.floats(bias, out)
	}
	if w.err != nil {
		return nil
	}
	d, err := nn.NewDense(m, b, in, out)
	w.err = err
	return d
}
