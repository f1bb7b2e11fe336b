package runner

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/measure"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Goals of one entry of a candidate that stays here, in nanoseconds of CPU time.
const (
	armedGoal    = 2000
	disarmedGoal = 4
)

// BenchmarkEntry gives what a stub adds to a call that stays on the device, in
// CPU time: a loop of calls of a function that adds one, through the rewritten
// module, the engine's compiler and all of deviceRun, less the same loop of the
// original. "disarmed" asks nobody; "armed" asks a policy that answers "here" and
// does not watch; "auto" is armed under the policy of `--where auto` with a link,
// where one call in a thousand is watched. Every entry is measured in instances
// compiled anew, at addresses that code of random length before them changes.
func BenchmarkEntry(b *testing.B) {
	const instances = 12
	var table string
	for _, c := range []struct {
		name   string
		calls  int32
		goal   float64
		policy policy // nil: disarmed
	}{
		{"disarmed", 20_000_000, disarmedGoal, nil},
		{"armed", 200_000, armedGoal, newDecider(siteDevice)},
		{"auto", 200_000, armedGoal, newDecider("auto")},
	} {
		b.Run(c.name, func(b *testing.B) {
			var added []float64
			random := rand.New(rand.NewPCG(3, 5))
			for b.Loop() {
				for range instances {
					plain := newEntryLoop(b, random.IntN(300), false, nil)
					stubbed := newEntryLoop(b, random.IntN(300), true, c.policy)
					added = append(added, perCall(b, plain, stubbed, c.calls))
					plain.close()
					stubbed.close()
				}
			}
			ns := measure.Mean(added)
			b.ReportMetric(ns.Mid, "ns/entry")
			b.ReportMetric(ns.Low, "ns-low")
			b.ReportMetric(ns.High, "ns-high")
			b.ReportMetric(0, "ns/op")
			table += fmt.Sprintf("%-10s %8.2f [%.2f, %.2f] %8.0f  %s\n", c.name, ns.Mid, ns.Low, ns.High, c.goal, ns.Verdict(c.goal))
		})
	}
	fmt.Printf("\n%-10s %s\n%s\n", "entry", "ns of CPU time [95 %]   goal  verdict", table)
}

// perCall gives what a call costs more in one loop than in another, in ns of CPU
// time: the least of some rounds, in turns.
func perCall(b *testing.B, plain, stubbed *entryLoop, calls int32) float64 {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const rounds = 5
	t0, t1 := time.Hour, time.Hour
	for range rounds {
		t0 = min(t0, plain.run(b, calls))
		t1 = min(t1, stubbed.run(b, calls))
	}
	return float64(t1-t0) / float64(calls)
}

// entryLoop is an instance on the device that calls a small function in a loop.
type entryLoop struct {
	*deviceRun
	ends []*memConn
}

// newEntryLoop makes one with code of some length before the functions. A nil
// policy leaves the stub disarmed.
func newEntryLoop(b *testing.B, padding int, stub bool, p policy) *entryLoop {
	b.Helper()
	ctx := context.Background()
	const leaf = 1
	g, err := loadGuest(entryModule(padding), loading{choose: func(*callgraph.Graph) (all, entries []uint32, err error) {
		if stub {
			all = []uint32{leaf}
		}
		return all, nil, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	near, far := memPipe()
	id := wire.ID{1}
	r := &deviceRun{
		start: Start{Run: id}, g: g, epoch: time.Now(), decide: p,
		conf:    guestConfig{Kind: engine.Compiler, Tracker: trackers()[0], MaxPages: 16, Warn: func(err error) { b.Errorf("warning: %v", err) }},
		machine: offload.NewDevice(id, offload.DeviceConfig{}),
		local:   wasi.NewLocal(nil, io.Discard, io.Discard),
	}
	r.pipe = newPipe(near, wire.NewWriter(near), func() {})
	r.pipe.deliver(frame{head: wire.Header{Type: wire.TypeLinkState}, msg: &wire.LinkState{Up: true, RttSeconds: 0.01}})
	if stub {
		r.conf.Stubs = r.stubs()
	}
	if err := g.compile(ctx, r.conf); err != nil {
		b.Fatal(err)
	}
	if err := g.instantiate(ctx); err != nil {
		b.Fatal(err)
	}
	if p != nil {
		if err := r.arm(); err != nil {
			b.Fatal(err)
		}
	}
	return &entryLoop{r, []*memConn{near, far}}
}

// run gives the CPU time of so many calls.
func (l *entryLoop) run(b *testing.B, calls int32) time.Duration {
	stack := []uint64{uint64(calls)}
	began := measure.ThreadTime()
	err := l.invoke(context.Background(), "loop", stack)
	took := measure.ThreadTime() - began
	if err != nil {
		b.Fatal(err)
	}
	if stack[0] != uint64(calls) {
		b.Fatalf("%d calls gave %d", calls, stack[0])
	}
	return took
}

func (l *entryLoop) close() {
	for _, c := range l.ends {
		c.Close()
	}
	_ = l.g.room.eng.Close(context.Background())
}

// entryModule has three functions: one that is never called, of a length that
// padding sets; one that adds one; and "loop", which applies that to 0 as often
// as it is told.
func entryModule(padding int) []byte {
	var pad []byte
	for i := range padding {
		pad = wasmbin.AppendS64(append(pad, 0x41, 0, 0x41), int64(i)) // i32.const 0, i32.const i
		pad = append(pad, 0x36, 2, 0)                                 // i32.store
	}
	bodies := [][]byte{
		append(append([]byte{0}, pad...), 0x20, 0, 0x0b), // local.get 0
		{0, 0x20, 0, 0x41, 1, 0x6a, 0x0b},                // local.get 0, i32.const 1, i32.add
		{
			1, 1, 0x7f, // one local: the sum
			0x03, 0x40, // loop
			0x20, 1, 0x10, 1, 0x21, 1, // the sum = leaf(the sum)
			0x20, 0, 0x41, 1, 0x6b, 0x22, 0, // one less to go
			0x0d, 0, 0x0b, // br_if, end
			0x20, 1, 0x0b,
		},
	}
	code := []byte{byte(len(bodies))}
	for _, body := range bodies {
		code = append(wasmbin.AppendU32(code, uint32(len(body))), body...)
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id wasmbin.SectionID, payload []byte) {
		out = wasmbin.AppendU32(append(out, byte(id)), uint32(len(payload)))
		out = append(out, payload...)
	}
	section(wasmbin.SecType, []byte{1, 0x60, 1, 0x7f, 1, 0x7f})
	section(wasmbin.SecFunction, []byte{3, 0, 0, 0})
	section(wasmbin.SecMemory, []byte{1, 0, 1})
	section(wasmbin.SecExport, append(append([]byte{1}, wasmbin.AppendName(nil, "loop")...), 0, 2))
	section(wasmbin.SecCode, code)
	return out
}
