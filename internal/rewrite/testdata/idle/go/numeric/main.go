// A convolution over an image, a small network's layers, and a board search.
package main

import "fmt"

type image struct {
	w, h int
	px   []float32
}

func (m *image) at(x, y int) float32 {
	if x < 0 || y < 0 || x >= m.w || y >= m.h {
		return 0
	}
	return m.px[y*m.w+x]
}

func convolve(m *image, k *[9]float32) *image {
	out := &image{m.w, m.h, make([]float32, len(m.px))}
	for y := range m.h {
		for x := range m.w {
			s := float32(0)
			for j := range 3 {
				for i := range 3 {
					s += k[j*3+i] * m.at(x+i-1, y+j-1)
				}
			}
			out.px[y*m.w+x] = s
		}
	}
	return out
}

func dense(in, weights []float32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		s := float32(0)
		for j, v := range in {
			s += v * weights[(i*31+j)%len(weights)]
		}
		out[i] = max(s, 0)
	}
	return out
}

type board struct {
	n    int
	cols [16]int
}

func (b *board) safe(r, c int) bool {
	for i := range r {
		if d := b.cols[i] - c; d == 0 || d == i-r || d == r-i {
			return false
		}
	}
	return true
}

func (b *board) place(r int) int {
	if r == b.n {
		return 1
	}
	n := 0
	for c := range b.n {
		if b.safe(r, c) {
			b.cols[r] = c
			n += b.place(r + 1)
		}
	}
	return n
}

func main() {
	m := &image{320, 240, make([]float32, 320*240)}
	for i := range m.px {
		m.px[i] = float32(i%251) / 251
	}
	k := &[9]float32{.1, .1, .1, .1, .2, .1, .1, .1, .1}
	for range 8 {
		m = convolve(m, k)
	}
	v := dense(m.px[:4096], m.px, 512)
	for range 2000 {
		v = dense(v[:64], m.px, 64)
	}
	b := &board{n: 9}
	fmt.Println(m.px[1000], v[3], b.place(0))
}
