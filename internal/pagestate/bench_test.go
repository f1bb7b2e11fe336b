package pagestate

import (
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func benchSpace(b *testing.B, kind Kind, size uint64) *Space {
	b.Helper()
	if err := SelfTest(kind); err != nil {
		b.Skip(err)
	}
	s, err := New(Options{Kind: kind, Max: 1 << 30})
	must(b, err)
	b.Cleanup(s.Free)
	if s.Reallocate(size) == nil {
		b.Fatal("refused")
	}
	return s
}

var sink int

func touch(s *Space) {
	for p := range uint32(s.Size() / PageSize) {
		sink += int(page(s.mem, p)[0])
	}
}

func eachKindBench(b *testing.B, f func(b *testing.B, kind Kind)) {
	for _, kind := range Kinds() {
		b.Run(kind.String(), func(b *testing.B) { f(b, kind) })
	}
}

// One dirty page of 16 MB, everything present: the scan, the whole Diff, and what a
// device does at a call (Capture).
func BenchmarkOnePageOf16MB(b *testing.B) {
	eachKindBench(b, func(b *testing.B, kind Kind) {
		s := benchSpace(b, kind, 16<<20)
		noise(1, s.mem)
		must(b, s.SetImage("a"))
		touch(s)
		var out []byte
		b.Run("scan", func(b *testing.B) {
			page(s.mem, 1000)[5]++
			for b.Loop() {
				if _, err := s.candidates(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("diff", func(b *testing.B) {
			page(s.mem, 1000)[5]++
			for b.Loop() {
				out, _ = s.AppendDiff(out[:0])
			}
			b.ReportMetric(float64(len(out)), "bytes")
		})
		b.Run("write+capture", func(b *testing.B) {
			for b.Loop() {
				page(s.mem, 1000)[5]++
				out, _ = s.Capture(out[:0], "b")
			}
		})
		b.Run("prepare+apply", func(b *testing.B) {
			page(s.mem, 1000)[5]++
			out, _ = s.AppendDiff(out[:0])
			must(b, s.Rollback())
			for b.Loop() {
				ch, err := s.Prepare(out, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				// the same delta again and again needs the same base again
				must(b, ch.Apply())
				must(b, s.Rollback())
				b.StartTimer()
			}
		})
	})
}

func dirty64(s *Space, kind string) {
	for p := range uint32(s.Size() / PageSize) {
		b := page(s.mem, p)
		switch kind {
		case "noise":
			noise(uint64(p)+7, b)
		case "text":
			for i := 0; i+16 <= len(b); i += 16 {
				copy(b[i:], fmt.Sprintf("%08x-%06d-", p*uint32(i), i))
			}
		case "words":
			for i := 0; i+4 <= len(b); i += 4 {
				b[i], b[i+1] = byte(i), byte(p)
			}
		}
	}
}

// 64 MB, all dirty: encode, prepare, apply as image; bytes against one zstd of it all.
func Benchmark64MBDirty(b *testing.B) {
	for _, what := range []string{"noise", "text", "words"} {
		b.Run(what, func(b *testing.B) {
			kind, _ := Choose()
			s, clone := benchSpace(b, kind, 64<<20), benchSpace(b, kind, 64<<20)
			must(b, s.SetImage("a"))
			must(b, clone.SetImage("a"))
			dirty64(s, what)
			out, err := s.AppendDiff(nil)
			must(b, err)
			enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
			one := enc.EncodeAll(s.mem, nil)
			b.Run("scan", func(b *testing.B) {
				for b.Loop() {
					_, _ = s.candidates()
				}
			})
			b.Run("diff", func(b *testing.B) {
				b.SetBytes(64 << 20)
				for b.Loop() {
					out, _ = s.AppendDiff(out[:0])
				}
				b.ReportMetric(float64(len(out)), "bytes")
				b.ReportMetric(float64(len(out))/float64(len(one)), "bytes/zstd")
			})
			b.Run("diff-new-buffer", func(b *testing.B) {
				b.SetBytes(64 << 20)
				for b.Loop() {
					_, _ = s.Diff()
				}
			})
			b.Run("zstd-alone", func(b *testing.B) {
				b.SetBytes(64 << 20)
				for b.Loop() {
					one = enc.EncodeAll(s.mem, one[:0])
				}
			})
			b.Run("prepare", func(b *testing.B) {
				b.SetBytes(64 << 20)
				for b.Loop() {
					_, err := clone.Prepare(out, Limits{})
					must(b, err)
				}
			})
			b.Run("apply-image", func(b *testing.B) {
				b.SetBytes(64 << 20)
				for b.Loop() {
					b.StopTimer()
					clone, err := New(Options{Kind: kind, Max: 1 << 30})
					must(b, err)
					clone.Reallocate(64 << 20)
					must(b, clone.SetImage("a"))
					ch, err := clone.Prepare(out, Limits{})
					must(b, err)
					b.StartTimer()
					must(b, ch.ApplyImage("b"))
					b.StopTimer()
					clone.Free()
					b.StartTimer()
				}
			})
			b.Run("set-image", func(b *testing.B) {
				b.SetBytes(64 << 20)
				for b.Loop() {
					must(b, s.SetImage("b"))
					b.StopTimer()
					dirty64(s, what)
					b.StartTimer()
				}
			})
		})
	}
}

// A base of 512 MB in a new instance: until the guest can run.
func BenchmarkRestore512MB(b *testing.B) {
	eachKindBench(b, func(b *testing.B, kind Kind) {
		if kind == Compare {
			b.Skip("copies")
		}
		s := benchSpace(b, kind, 512<<20)
		for p := range uint32(s.Size() / PageSize) {
			page(s.mem, p)[0] = 1
		}
		must(b, s.SetImage("a"))
		for b.Loop() {
			fresh, err := New(Options{Kind: kind, Max: 1 << 30})
			must(b, err)
			fresh.Reallocate(512 << 20)
			must(b, fresh.Adopt(s))
			b.StopTimer()
			s.Free()
			s = fresh
			b.StartTimer()
		}
	})
}
