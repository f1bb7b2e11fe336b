package nn

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naive computes a convolution from its definition.
func naive(in *Tensor, filters, bias []float32, size, out, stride int, padding Padding) *Tensor {
	h, top := extent(in.H, size, stride, padding)
	w, left := extent(in.W, size, stride, padding)
	t := NewTensor(h, w, out)
	for y := range h {
		for x := range w {
			for n := range out {
				sum := float64(bias[n])
				for i := range size {
					for j := range size {
						r, c := y*stride-top+i, x*stride-left+j
						if r < 0 || c < 0 || r >= in.H || c >= in.W {
							continue
						}
						for k := range in.C {
							sum += float64(in.At(r, c, k)) * float64(filters[((i*size+j)*in.C+k)*out+n])
						}
					}
				}
				t.Data[(y*w+x)*out+n] = float32(sum)
			}
		}
	}
	return t
}

func values(t *rapid.T, n int, label string) []float32 {
	// Small whole numbers: their products and sums are exact in any order.
	ints := rapid.SliceOfN(rapid.IntRange(-8, 8), n, n).Draw(t, label)
	out := make([]float32, n)
	for i, v := range ints {
		out[i] = float32(v)
	}
	return out
}

func drawTensor(t *rapid.T, minSide, channels int) *Tensor {
	h := rapid.IntRange(minSide, 9).Draw(t, "height")
	w := rapid.IntRange(minSide, 9).Draw(t, "width")
	in := NewTensor(h, w, channels)
	copy(in.Data, values(t, len(in.Data), "input"))
	return in
}

// stored gives values in the form of plain weights.
func stored(values []float32) Weights {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return FloatWeights(data)
}

// quantized gives values, whole numbers from -8 on, in the form of bytes.
func quantized(values []float32) Weights {
	var data []byte
	for _, v := range values {
		data = append(data, byte(2*(v+8)))
	}
	return QuantizedWeights(data, 0.5, -8)
}

// dirty returns a workspace in which every tensor begins as nonsense.
func dirty() *Workspace {
	ws := new(Workspace)
	for range 8 {
		t := NewTensor(100, 10, 10)
		for i := range t.Data {
			t.Data[i] = float32(math.NaN())
		}
		ws.Free(t)
	}
	ws.patches = slices.Repeat([]float32{float32(math.NaN())}, patchFloats)
	ws.pair = slices.Clone(ws.patches)
	return ws
}

func requireEqual(t *rapid.T, got, want *Tensor) {
	t.Helper()
	if got.H != want.H || got.W != want.W || got.C != want.C {
		t.Fatalf("shape %v, want %v", got, want)
	}
	for i, v := range want.Data {
		if got.Data[i] != v {
			t.Fatalf("value %d is %v, want %v", i, got.Data[i], v)
		}
	}
}

func TestConvEqualsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 3, 7}).Draw(t, "size")
		in := drawTensor(t, size, rapid.IntRange(1, 5).Draw(t, "in"))
		out := rapid.IntRange(1, 7).Draw(t, "out")
		stride := rapid.IntRange(1, 2).Draw(t, "stride")
		padding := rapid.SampledFrom([]Padding{Valid, Same}).Draw(t, "padding")
		filters := values(t, size*size*in.C*out, "filters")
		bias := values(t, out, "bias")
		scale := values(t, out, "scale")
		c, err := NewConv(stored(filters), scale, bias, size, in.C, out, stride, padding)
		if err != nil {
			t.Fatal(err)
		}
		scaled := slices.Clone(filters)
		for i := range scaled {
			scaled[i] *= scale[i%out]
		}
		want := naive(in, scaled, bias, size, out, stride, padding)
		requireEqual(t, c.Apply(dirty(), in), want)
		c.filters = quantized(filters)
		requireEqual(t, c.Apply(dirty(), in), want)
	})
}

func TestDepthwiseEqualsAConvolutionThatKeepsChannelsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTensor(t, 1, rapid.IntRange(1, 5).Draw(t, "channels"))
		stride := rapid.IntRange(1, 2).Draw(t, "stride")
		weights := values(t, 9*in.C, "weights")
		d, err := NewDepthwise(weights, in.C, stride)
		if err != nil {
			t.Fatal(err)
		}
		full := make([]float32, 9*in.C*in.C)
		for tap := range 9 {
			for c := range in.C {
				full[(tap*in.C+c)*in.C+c] = weights[tap*in.C+c]
			}
		}
		want := naive(in, full, make([]float32, in.C), 3, in.C, stride, Same)
		requireEqual(t, d.Apply(dirty(), in), want)
		y := rapid.IntRange(0, want.H).Draw(t, "first row")
		requireEqual(t, d.ApplyRows(dirty(), in, y, want.H), want.Rows(y, want.H))
	})
}

func TestPoolingEqualsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTensor(t, 3, 2)
		size := rapid.IntRange(1, 3).Draw(t, "size")
		stride := rapid.IntRange(1, 2).Draw(t, "stride")
		padding := rapid.SampledFrom([]Padding{Valid, Same}).Draw(t, "padding")
		requireEqual(t, MaxPool(dirty(), in, size, stride, padding), pool(in, size, stride, padding, false))
		requireEqual(t, AveragePool(dirty(), in, size, stride), pool(in, size, stride, Valid, true))
	})
}

func pool(in *Tensor, size, stride int, padding Padding, mean bool) *Tensor {
	h, top := extent(in.H, size, stride, padding)
	w, left := extent(in.W, size, stride, padding)
	out := NewTensor(h, w, in.C)
	for y := range h {
		for x := range w {
			for c := range in.C {
				largest, sum := math.Inf(-1), float32(0)
				for i := range size * size {
					r, k := y*stride-top+i/size, x*stride-left+i%size
					if r < 0 || k < 0 || r >= in.H || k >= in.W {
						continue
					}
					largest = max(largest, float64(in.At(r, k, c)))
					sum += in.At(r, k, c)
				}
				v := float32(largest)
				if mean {
					v = sum / float32(size*size)
				}
				out.Data[(y*w+x)*in.C+c] = v
			}
		}
	}
	return out
}

func TestDenseIsAProductWithAMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, out := rapid.IntRange(1, 6).Draw(t, "in"), rapid.IntRange(1, 6).Draw(t, "out")
		weights, bias, x := values(t, in*out, "weights"), values(t, out, "bias"), values(t, in, "x")
		for _, w := range []Weights{stored(weights), quantized(weights)} {
			d, err := NewDense(w, bias, in, out)
			if err != nil {
				t.Fatal(err)
			}
			got := d.Apply(dirty(), x)
			for j := range out {
				want := bias[j]
				for i := range in {
					want += x[i] * weights[i*out+j]
				}
				if got[j] != want {
					t.Fatalf("value %d is %v, want %v", j, got[j], want)
				}
			}
		}
	})
}

func TestAWorkspaceGivesTheSmallestBufferThatFits(t *testing.T) {
	ws := new(Workspace)
	large, small := ws.Tensor(10, 10, 1), ws.Tensor(5, 5, 1)
	wasLarge, wasSmall := &large.Data[0], &small.Data[0]
	ws.Free(large, small)
	if got := ws.Tensor(2, 2, 2); &got.Data[0] != wasSmall {
		t.Error("eight values did not go where there is room for 25")
	}
	if got := ws.Zeros(3, 3, 3); &got.Data[0] != wasLarge {
		t.Error("27 values did not go where there is room for 100")
	}
	if got := ws.Tensor(1, 1, 1); len(got.Data) != 1 {
		t.Error("an empty workspace gave no room")
	}
}

func TestExtentFollowsTensorFlow(t *testing.T) {
	for _, c := range []struct {
		n, size, stride int
		padding         Padding
		out, before     int
	}{
		{416, 3, 1, Valid, 414, 0},
		{207, 2, 2, Same, 104, 0},
		{13, 2, 1, Same, 13, 0},
		{112, 3, 2, Same, 56, 0},
		{7, 3, 2, Same, 4, 1},
		{150, 7, 2, Valid, 72, 0},
	} {
		t.Run(fmt.Sprintf("%d by %d/%d", c.n, c.size, c.stride), func(t *testing.T) {
			out, before := extent(c.n, c.size, c.stride, c.padding)
			if out != c.out || before != c.before {
				t.Fatalf("got %d after %d, want %d after %d", out, before, c.out, c.before)
			}
		})
	}
}

func TestLayersRefuseWeightsOfAnotherLength(t *testing.T) {
	if _, err := NewConv(stored(make([]float32, 8)), nil, make([]float32, 1), 3, 1, 1, 1, Same); err == nil {
		t.Error("a convolution took 8 weights for 9")
	}
	if _, err := NewDepthwise(make([]float32, 8), 1, 1); err == nil {
		t.Error("a depthwise convolution took 8 weights for 9")
	}
	if _, err := NewSeparable(make([]float32, 9), stored(make([]float32, 1)), nil, 1, 1, 1); err == nil {
		t.Error("a separable convolution took no bias")
	}
	if _, err := NewDense(stored(make([]float32, 3)), nil, 2, 2); err == nil {
		t.Error("a dense layer took 3 weights for 4")
	}
}

func TestPadFillsWithZeros(t *testing.T) {
	in := NewTensor(1, 1, 1)
	in.Data[0] = 5
	out := in.Pad(dirty(), 2, 2, 2)
	want := []float32{5, 0, 0, 0, 0, 0, 0, 0}
	for i, v := range want {
		if out.Data[i] != v {
			t.Fatalf("got %v, want %v", out.Data, want)
		}
	}
}

func BenchmarkConv(b *testing.B) {
	in := NewTensor(35, 35, 32)
	c, err := NewConv(QuantizedWeights(make([]byte, 9*32*32), 1, 0), nil, make([]float32, 32), 3, 32, 32, 1, Same)
	if err != nil {
		b.Fatal(err)
	}
	ws := new(Workspace)
	for b.Loop() {
		ws.Free(c.Apply(ws, in))
	}
	b.ReportMetric(float64(b.N)*35*35*32*32*9/b.Elapsed().Seconds()/1e9, "Gmul/s")
}
