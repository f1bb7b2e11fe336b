package rewrite_test

import (
	"os"
	"testing"
	"time"

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

// BenchmarkStubCall gives what one idle stub costs, in CPU time: the difference
// that a stub in the body of a small recursive function makes, per call. With
// BenchmarkIdle's stub-calls it bounds a program's idle cost on a busy machine,
// where ratios of times say little.
func BenchmarkStubCall(b *testing.B) {
	bin, err := os.ReadFile("testdata/idle/c/fib.wasm")
	if err != nil {
		b.Fatal(err)
	}
	m := parse(b, bin)
	g, err := callgraph.Analyze(m)
	if err != nil {
		b.Fatal(err)
	}
	i, err := g.Lookup("fib.command_export")
	if err != nil {
		b.Fatal(err)
	}
	code, err := m.Scan()
	if err != nil {
		b.Fatal(err)
	}
	for _, call := range code.Of(m, i).Calls {
		if m.Names()[call.Target] == "fib" {
			i = call.Target
		}
	}
	out, err := rewrite.Rewrite(m, rewrite.Options{Candidates: []uint32{i}})
	if err != nil {
		b.Fatal(err)
	}
	plain, stubbed := newRunner(b, bin, nil), newRunner(b, nil, out)
	t0, t1 := time.Hour, time.Hour
	for b.Loop() {
		for range rounds() {
			d0, _ := plain.run(b)
			d1, _ := stubbed.run(b)
			t0, t1 = min(t0, d0), min(t1, d1)
		}
	}
	const calls = 63_245_986 // for fib(38): the compiler made one of the two calls a loop
	b.ReportMetric(float64(t1-t0)/calls, "ns/stub")
	b.ReportMetric(float64(t0)/calls, "ns/call")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkInspectLarge judges every function of a module of 25 MB, and chooses
// candidates: what inspect does, from the bytes on.
func BenchmarkInspectLarge(b *testing.B) {
	bin := large(b, 25_000_000)
	b.SetBytes(int64(len(bin)))
	for b.Loop() {
		m, err := wasmbin.Parse(bin, wasmbin.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		g, err := callgraph.Analyze(m)
		if err != nil {
			b.Fatal(err)
		}
		v := g.Verdicts(func(string) bool { return true }) // WASI too: the most there is to search
		sel, err := g.Candidates(callgraph.Options{})
		if err != nil {
			b.Fatal(err)
		}
		g.Inside(sel)
		for i := m.ImportedFuncs; int(i) < len(m.Funcs); i++ {
			v.Of(i)
			g.ImportCount(i)
		}
	}
}
