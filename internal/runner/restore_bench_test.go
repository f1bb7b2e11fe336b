package runner

import (
	"context"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// bigModule is a module of 512 MB of memory with one function.
func bigModule() []byte {
	const pages = 8192
	section := func(id byte, body ...byte) []byte {
		return append(wasmbin.AppendU32([]byte{id}, uint32(len(body))), body...)
	}
	m := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	m = append(m, section(1, 1, 0x60, 0, 0)...)
	m = append(m, section(3, 1, 0)...)
	m = append(m, section(5, wasmbin.AppendU32([]byte{1, 0}, pages)...)...)
	m = append(m, section(7, append(append([]byte{1, 6}, "_start"...), 0, 0)...)...)
	return append(m, section(10, 1, 2, 0, 0x0b)...)
}

// BenchmarkRestoreInAClone gives how long a clone's runner takes to bring 512 MB
// of memory, all of it written, back to its base after a call that wrote a
// hundred pages, before anybody touches the memory again.
func BenchmarkRestoreInAClone(b *testing.B) {
	ctx := context.Background()
	near, far := memPipe()
	defer near.Close()
	defer far.Close()
	id := wire.ID{1}
	r := newClone(near, wire.NewWriter(near), Start{Run: id})
	conf := guestConfig{Kind: engine.Compiler, Tracker: trackers()[0], MaxPages: 8192, Warn: func(error) {}}
	if err := r.prepare(ctx, conf, bigModule()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.g.room.eng.Close(ctx) }()
	mem := r.g.space.Bytes()
	for at := 0; at < len(mem); at += 4096 {
		mem[at+8] = byte(at>>12) | 1
	}
	if err := r.g.space.SetImage(imageName(offload.Image{Kind: offload.EntryImage, Attempt: id})); err != nil {
		b.Fatal(err)
	}
	var spent time.Duration
	for b.Loop() {
		for p := range 100 {
			mem[p*1_000_003%len(mem)] ^= 0x55
		}
		r.g.space.Park()
		began := time.Now()
		r.rollback()
		spent += time.Since(began)
	}
	if mem[8] != 1 {
		b.Fatal("the memory is not the base's")
	}
	b.ReportMetric(float64(spent.Microseconds())/1e3/float64(b.N), "ms/restore")
	b.ReportMetric(0, "ns/op")
}
