package bench

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/clonecloud/clonecloud/internal/link"
)

// bulk is a bare link to another process: the same transport and TLS, and
// nothing of an offload.
type bulk struct {
	tb testing.TB
	c  link.Conn
}

func (w *world) bulk(tb testing.TB, p link.Preference) *bulk {
	tb.Helper()
	peer := start(tb, "bulk", w.own)
	r, err := link.NewRedialer(link.Options{Identity: w.own, Peer: peer.ID, Addrs: peer.Addresses, Prefer: p})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	c, err := r.Dial(context.Background(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return &bulk{tb, c}
}

// send returns the seconds until the other side has all of it and said so.
func (l *bulk) send(data []byte) float64 {
	l.tb.Helper()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(data)))
	began := time.Now()
	for _, part := range [][]byte{n[:], data} {
		if _, err := l.c.Write(part); err != nil {
			l.tb.Fatal(err)
		}
	}
	if _, err := io.ReadFull(l.c, n[:1]); err != nil {
		l.tb.Fatal(err)
	}
	return time.Since(began).Seconds()
}

// Benchmark64MBDirty offloads a call before which 64 MB were dirtied with
// noise, and sends as many bytes over the same transport and TLS without
// offload code, in turns. The figure is the rate of the first in terms of the
// second.
func Benchmark64MBDirty(b *testing.B) {
	const size = 64 << 20
	for _, p := range []link.Preference{link.PreferTCP, link.PreferQUIC} {
		b.Run(string(p), func(b *testing.B) {
			w := newWorld(b)
			bare, g := w.bulk(b, p), w.guest(b, p, nil)
			data := make([]byte, size)
			r := rand.NewChaCha8([32]byte{1})
			_, _ = r.Read(data)
			for range 2 {
				bare.send(data)
				g.call(1, size/4096, 0, full)
			}
			var bareTimes, times []float64
			b.ResetTimer()
			for b.Loop() {
				bareTimes = append(bareTimes, bare.send(data))
				times = append(times, g.call(1, size/4096, 0, full)[0].Seconds)
			}
			b.StopTimer()
			var ratios []float64
			for i := range times {
				ratios = append(ratios, bareTimes[i]/times[i])
			}
			b.Logf("rate in terms of the bare link's, by round: %.2f", ratios)
			b.ReportMetric(size/1e6/quantile(bareTimes, 0.5), "bare-MB/s")
			b.ReportMetric(size/1e6/quantile(times, 0.5), "offload-MB/s")
			b.ReportMetric(quantile(bareTimes, 0.5)/quantile(times, 0.5), "offload/bare")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// noise is the guest's $noise: what it writes is known here too.
type noise struct {
	x   uint64
	mem map[int][]byte // by page
}

// next returns the XOR of what n pages become and what they were.
func (m *noise) next(pages int, mask uint32) []byte {
	var xor []byte
	for p := range pages {
		was, is := m.mem[p], make([]byte, 4096)
		for i := 0; i < len(is); i += 8 {
			m.x ^= m.x << 13
			m.x ^= m.x >> 7
			m.x ^= m.x << 17
			binary.LittleEndian.PutUint64(is[i:], m.x&(uint64(mask)<<32|uint64(mask)))
		}
		m.mem[p] = is
		for i := range is {
			if was != nil {
				xor = append(xor, is[i]^was[i])
			} else {
				xor = append(xor, is[i])
			}
		}
	}
	return xor
}

// BenchmarkWireBytes is what a call sends when the device has dirtied n pages,
// headers and all, in terms of the compressed XOR of those pages and 1 KB.
// Bytes are the same on every machine. The compressor is the one that is used,
// at its level, given all pages as one.
func BenchmarkWireBytes(b *testing.B) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w := newWorld(b)
		g := w.guest(b, link.PreferTCP, nil)
		model := noise{x: 0x9E3779B97F4A7C15, mem: map[int][]byte{}}
		worst := 0.0
		for _, mask := range []uint32{full, 0x0000ffff, 0x00000007} {
			for _, n := range []int{1, 4, 16, 64, 256, 1024} {
				xor := model.next(n, mask)
				c := g.call(1, n, 0, mask)[0]
				ideal := len(enc.EncodeAll(xor, nil)) + 1024
				ratio := float64(c.BytesUp) / float64(ideal)
				worst = max(worst, ratio)
				b.Logf("%4d pages, mask %08x: %8d bytes, ideal %8d, ratio %.3f", n, mask, c.BytesUp, ideal, ratio)
			}
		}
		b.ReportMetric(worst, "worst-bytes/ideal")
	}
	b.ReportMetric(0, "ns/op")
}
