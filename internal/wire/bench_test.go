package wire

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// BenchmarkSmallCall is the cost of framing alone: a Call with one page, made,
// written, read and decoded.
func BenchmarkSmallCall(b *testing.B) {
	var buf bytes.Buffer
	w := NewWriter(&buf)
	body := make([]byte, 4096)
	m := aCall()
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		if err := w.Send(header(TypeCall), m, body); err != nil {
			b.Fatal(err)
		}
		f, err := NewReader(&buf, ReaderConfig{Buffer: 8192}).ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Message(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLargeBody compares 64 MiB in one frame over a local TCP connection
// with the same bytes written and read plainly.
func BenchmarkLargeBody(b *testing.B) {
	const size = 64 << 20
	body := make([]byte, size)
	b.Run("frame", func(b *testing.B) {
		near, far := connect(b)
		w, r := NewWriter(near), NewReader(far, ReaderConfig{})
		b.SetBytes(size)
		for b.Loop() {
			done := make(chan error, 1)
			go func() { done <- w.Send(header(TypeCall), aCall(), body) }()
			if _, err := r.ReadFrame(); err != nil {
				b.Fatal(err)
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		near, far := connect(b)
		b.SetBytes(size)
		for b.Loop() {
			done := make(chan error, 1)
			go func() { _, err := near.Write(body); done <- err }()
			if _, err := io.ReadFull(far, make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	})
}

func connect(b *testing.B) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Skip(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			b.Error(err)
		}
		accepted <- c
	}()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	far = <-accepted
	b.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}
