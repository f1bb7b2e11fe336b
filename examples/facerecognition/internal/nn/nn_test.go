package nn

import (
	"fmt"
	"math"
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
		c, err := NewConv(filters, bias, size, in.C, out, stride, padding)
		if err != nil {
			t.Fatal(err)
		}
		requireEqual(t, c.Apply(in), naive(in, filters, bias, size, out, stride, padding))
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
		requireEqual(t, d.Apply(in), naive(in, full, make([]float32, in.C), 3, in.C, stride, Same))
	})
}

func TestPoolingEqualsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTensor(t, 3, 2)
		size := rapid.IntRange(1, 3).Draw(t, "size")
		stride := rapid.IntRange(1, 2).Draw(t, "stride")
		padding := rapid.SampledFrom([]Padding{Valid, Same}).Draw(t, "padding")
		requireEqual(t, MaxPool(in, size, stride, padding), pool(in, size, stride, padding, false))
		requireEqual(t, AveragePool(in, size, stride), pool(in, size, stride, Valid, true))
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
	if _, err := NewConv(make([]float32, 8), make([]float32, 1), 3, 1, 1, 1, Same); err == nil {
		t.Error("a convolution took 8 weights for 9")
	}
	if _, err := NewDepthwise(make([]float32, 8), 1, 1); err == nil {
		t.Error("a depthwise convolution took 8 weights for 9")
	}
	if _, err := NewSeparable(make([]float32, 9), make([]float32, 1), nil, 1, 1, 1); err == nil {
		t.Error("a separable convolution took no bias")
	}
	if _, err := NewDense(make([]float32, 3), nil, 2, 2); err == nil {
		t.Error("a dense layer took 3 weights for 4")
	}
}

func TestPadFillsWithZeros(t *testing.T) {
	in := NewTensor(1, 1, 1)
	in.Data[0] = 5
	out := in.Pad(2, 2, 2)
	want := []float32{5, 0, 0, 0, 0, 0, 0, 0}
	for i, v := range want {
		if out.Data[i] != v {
			t.Fatalf("got %v, want %v", out.Data, want)
		}
	}
	if in.Pad(1, 1, 1) != in {
		t.Fatal("a tensor of the right shape was copied")
	}
}

func BenchmarkConv(b *testing.B) {
	in := NewTensor(35, 35, 32)
	c, err := NewConv(make([]float32, 9*32*32), make([]float32, 32), 3, 32, 32, 1, Same)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.Apply(in)
	}
	b.ReportMetric(float64(b.N)*35*35*32*32*9/b.Elapsed().Seconds()/1e9, "Gmul/s")
}
