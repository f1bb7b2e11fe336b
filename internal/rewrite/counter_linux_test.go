package rewrite_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/measure"
)

// counter counts an event of the thread that opened it, in user mode. A virtual
// machine often has no counters of hardware events.
type counter struct{ fd int }

func openCounter(kind uint32, event uint64) (*counter, error) {
	attr := unix.PerfEventAttr{
		Type: kind, Config: event, Size: unix.PERF_ATTR_SIZE_VER5,
		Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open performance counter: %w", err)
	}
	return &counter{fd}, nil
}

// instructionCounter counts the instructions that the calling thread retires.
func instructionCounter() (*counter, error) {
	return openCounter(unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS)
}

// sofar gives the count, 0 where nothing counts.
func (c *counter) sofar() uint64 {
	if c == nil {
		return 0
	}
	n, err := c.read()
	if err != nil {
		return 0
	}
	return n
}

// read gives the count.
func (c *counter) read() (uint64, error) {
	var b [8]byte
	if n, err := unix.Read(c.fd, b[:]); err != nil || n != len(b) {
		return 0, fmt.Errorf("read performance counter: %d bytes: %w", n, err)
	}
	return binary.NativeEndian.Uint64(b[:]), nil
}

func (c *counter) close() {
	if c != nil {
		unix.Close(c.fd)
	}
}

// TestCounterRisesWithWork reads a software event through the same calls, which
// works where no hardware event does.
func TestCounterRisesWithWork(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := openCounter(unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK)
	if err != nil {
		t.Skip(err)
	}
	defer c.close()
	last := uint64(0)
	for range 3 {
		for began := measure.ThreadTime(); measure.ThreadTime()-began < 1_000_000; {
		}
		n, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if n <= last {
			t.Fatalf("%d after %d", n, last)
		}
		last = n
	}
}
