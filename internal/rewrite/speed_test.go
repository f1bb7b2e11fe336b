package rewrite_test

import (
	"testing"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// large gives a module of at least size bytes: a Go program with its functions
// and data repeated.
func large(tb testing.TB, size int) []byte {
	tb.Helper()
	bin := buildGo(tb, "./testdata/idle/go/mix")
	m, err := wasmbin.Parse(bin, wasmbin.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	times := uint32((size + len(bin) - 1) / len(bin))
	out := append([]byte(nil), bin[:8]...)
	for _, s := range m.Sections {
		switch s.ID {
		case wasmbin.SecFunction, wasmbin.SecCode, wasmbin.SecData:
			payload := wasmbin.AppendU32(nil, s.EntryCount*times)
			for range times {
				payload = append(payload, bin[s.Entries:s.End]...)
			}
			out = wasmbin.AppendU32(append(out, byte(s.ID)), uint32(len(payload)))
			out = append(out, payload...)
		default:
			out = append(out, bin[s.Start:s.End]...)
		}
	}
	return out
}

// BenchmarkRewriteLarge rewrites a module of 25 MB: everything from its bytes to
// the device's form with the default candidates, and to the clone's. The goal is
// 0.5 s for either.
func BenchmarkRewriteLarge(b *testing.B) {
	bin := large(b, 25_000_000)
	b.Run("device", func(b *testing.B) {
		b.SetBytes(int64(len(bin)))
		for b.Loop() {
			m, err := wasmbin.Parse(bin, wasmbin.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			sel, err := callgraph.Candidates(m, callgraph.Options{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := rewrite.Rewrite(m, rewrite.Options{Candidates: sel.Indices(), Entries: sel.Entries()}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("clone", func(b *testing.B) {
		b.SetBytes(int64(len(bin)))
		for b.Loop() {
			m, err := wasmbin.Parse(bin, wasmbin.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := rewrite.Rewrite(m, rewrite.Options{Role: rewrite.Clone}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(bin)))
		for b.Loop() {
			if _, err := wasmbin.Parse(bin, wasmbin.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
