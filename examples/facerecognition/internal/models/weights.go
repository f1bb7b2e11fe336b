package models

import (
	"embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/clonecloud/clonecloud/examples/facerecognition/internal/nn"
)

//go:embed weights
var files embed.FS

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
	tensors map[string][]float32
	err     error
}

// loadWeights reads the network called name from the embedded files.
func loadWeights(name string) *weights {
	manifest, err := files.ReadFile("weights/" + name + "_model-weights_manifest.json")
	if err != nil {
		return &weights{err: fmt.Errorf("read weights of %s: %w", name, err)}
	}
	data, err := files.ReadFile("weights/" + name + "_model.bin")
	if err != nil {
		return &weights{err: fmt.Errorf("read weights of %s: %w", name, err)}
	}
	w, err := parseWeights(manifest, data)
	if err != nil {
		return &weights{err: fmt.Errorf("read weights of %s: %w", name, err)}
	}
	return w
}

// parseWeights decodes a TensorFlow.js manifest of one group and the file that
// it describes. Tensors are float32, or bytes that scale and min turn into
// float32.
func parseWeights(manifest, data []byte) (*weights, error) {
	var groups []struct {
		Weights []entry `json:"weights"`
	}
	if err := json.Unmarshal(manifest, &groups); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	w := &weights{tensors: map[string][]float32{}}
	for _, g := range groups {
		for _, e := range g.Weights {
			values, rest, err := decode(e, data)
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

// decode reads one tensor from the front of data and returns the rest.
func decode(e entry, data []byte) (values []float32, rest []byte, err error) {
	count := 1
	for _, n := range e.Shape {
		if n <= 0 || n > len(data) || count > len(data)/n {
			return nil, nil, fmt.Errorf("shape %v is larger than the file", e.Shape)
		}
		count *= n
	}
	switch {
	case e.DType != "float32":
		return nil, nil, fmt.Errorf("type %q is not supported", e.DType)
	case e.Quantization == nil:
		if len(data) < 4*count {
			return nil, nil, fmt.Errorf("file ends early")
		}
		return floats(data[:4*count]), data[4*count:], nil
	case e.Quantization.DType == "uint8":
		return dequantize(data[:count], e.Quantization.Scale, e.Quantization.Min), data[count:], nil
	}
	return nil, nil, fmt.Errorf("quantization %q is not supported", e.Quantization.DType)
}

func floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

// dequantize maps every byte b to b*scale + min.
func dequantize(data []byte, scale, low float64) []float32 {
	var table [256]float32
	for i := range table {
		product := float64(i) * scale
		table[i] = float32(product + low)
	}
	out := make([]float32, len(data))
	for i, b := range data {
		out[i] = table[b]
	}
	return out
}

// tensor returns the tensor called name, which must hold count values.
func (w *weights) tensor(name string, count int) []float32 {
	if w.err != nil {
		return nil
	}
	t, ok := w.tensors[name]
	if !ok {
		w.err = fmt.Errorf("no tensor %s", name)
		return nil
	}
	if len(t) != count {
		w.err = fmt.Errorf("tensor %s has %d values, want %d", name, len(t), count)
		return nil
	}
	return t
}

// conv builds a convolution from NAME/filters and NAME/bias.
func (w *weights) conv(name string, size, in, out, stride int, padding nn.Padding) *nn.Conv {
	f := w.tensor(name+"/filters", size*size*in*out)
	b := w.tensor(name+"/bias", out)
	if w.err != nil {
		return nil
	}
	c, err := nn.NewConv(f, b, size, in, out, stride, padding)
	w.err = err
	return c
}

// scaledConv builds a convolution from NAME/conv with the scale and shift per
// channel of NAME/scale folded into its weights.
func (w *weights) scaledConv(name string, size, in, out, stride int, padding nn.Padding) *nn.Conv {
	filters := w.tensor(name+"/conv/filters", size*size*in*out)
	bias := w.tensor(name+"/conv/bias", out)
	scale := w.tensor(name+"/scale/weights", out)
	shift := w.tensor(name+"/scale/biases", out)
	if w.err != nil {
		return nil
	}
	folded := make([]float32, len(filters))
	for i := 0; i < len(filters); i += out {
		row, dst := filters[i:i+out], folded[i:i+out]
		for j, s := range scale {
			dst[j] = row[j] * s
		}
	}
	moved := make([]float32, out)
	for j, s := range scale {
		moved[j] = bias[j]*s + shift[j]
	}
	c, err := nn.NewConv(folded, moved, size, in, out, stride, padding)
	w.err = err
	return c
}

// separable builds a separable convolution from NAME/depthwise_filter,
// NAME/pointwise_filter and NAME/bias.
func (w *weights) separable(name string, in, out, stride int) *nn.Separable {
	d := w.tensor(name+"/depthwise_filter", 9*in)
	p := w.tensor(name+"/pointwise_filter", in*out)
	b := w.tensor(name+"/bias", out)
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
		b = w.tensor(bias, out)
	}
	if w.err != nil {
		return nil
	}
	d, err := nn.NewDense(m, b, in, out)
	w.err = err
	return d
}
