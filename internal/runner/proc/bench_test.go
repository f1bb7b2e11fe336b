package proc_test

import (
	"io"
	"testing"

	"github.com/clonecloud/clonecloud/internal/runner/proc"
)

// From the start of a child to its report, and its end.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p, err := proc.Start(proc.Config{Args: []string{"echo"}})
		if err != nil {
			b.Fatal(err)
		}
		_ = p.Kill()
		_ = p.Conn().Close()
	}
}

// A byte there and back.
func BenchmarkRoundTrip(b *testing.B) {
	p, err := proc.Start(proc.Config{Args: []string{"pong"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Kill(); _ = p.Conn().Close() }()
	buf := make([]byte, 1)
	for b.Loop() {
		if _, err := p.Conn().Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p.Conn(), buf); err != nil {
			b.Fatal(err)
		}
	}
}

// What a host call pays to ask whether to collect.
func BenchmarkCollectIfGrown(b *testing.B) {
	var c proc.Collector
	for b.Loop() {
		c.CollectIfGrown()
	}
}
