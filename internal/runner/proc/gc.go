package proc

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Init applies the run-time settings of a child; MaybeChild calls it.
//
// GOMAXPROCS is set although the value may be the default: an explicit setting
// ends the runtime's own re-reading of the processor count, which stops the
// world. It is never 1, or the guest would be all that runs.
func Init() {
	runtime.GOMAXPROCS(max(2, runtime.NumCPU()))
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(math.MaxInt64) // whatever the environment says
}

const (
	// minGrowth is the allocation below which collecting is not worth its time.
	minGrowth = 32 << 20
	// idleGrowth is the allocation after which an idle child gives memory back.
	idleGrowth = 8 << 20
)

// Collector collects garbage at the moments when it harms no one. It belongs to
// the guest's goroutine. The zero value is ready.
type Collector struct {
	base, live uint64 // allocated in all, and alive, at the last collection
	idleBase   uint64 // allocated in all when Idle last gave memory back
	sample     [1]metrics.Sample
}

// allocated returns the bytes allocated on the Go heap since the start.
func (c *Collector) allocated() uint64 { return c.read("/gc/heap/allocs:bytes") }

func (c *Collector) read(name string) uint64 {
	c.sample[0].Name = name
	metrics.Read(c.sample[:])
	if c.sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return c.sample[0].Value.Uint64()
}

// CollectIfGrown collects if as much was allocated since the last collection as
// was alive then, and at least 32 MB. It is called in host functions, where the
// guest waits anyway; a guest that calls none allocates nothing on the Go heap.
// It takes well under a microsecond where it does not collect, and some
// milliseconds where it does. It returns whether it did.
func (c *Collector) CollectIfGrown() bool {
	if c.allocated()-c.base < max(minGrowth, c.live) {
		return false
	}
	c.collect()
	return true
}

func (c *Collector) collect() {
	runtime.GC()
	c.base = c.allocated()
	c.live = c.read("/gc/heap/live:bytes")
}

// Idle gives memory back to the system, if there is some to give. It is called
// before a wait for work that may be long.
func (c *Collector) Idle() {
	if c.allocated()-c.idleBase < idleGrowth {
		return
	}
	debug.FreeOSMemory()
	c.base = c.allocated()
	c.live = c.read("/gc/heap/live:bytes")
	c.idleBase = c.base
}

// Collecting runs f with the collector on: for work that allocates without
// bound, such as compiling a module, in a process whose guest is not running
// (the guest's goroutine itself calls this). No collection is left unfinished
// when it returns, for its end would wait for the guest.
func (c *Collector) Collecting(f func()) {
	old := debug.SetGCPercent(100)
	defer func() {
		debug.SetGCPercent(old)
		c.collect()
	}()
	f()
}
