package proc_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sort"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/runner/proc"
)

func TestMain(m *testing.M) {
	proc.MaybeChild(childProgram)
	os.Exit(m.Run())
}

// childProgram is what the children of these tests do; the first argument says
// which.
func childProgram(c *proc.Child) int {
	program, ok := programs[c.Args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "no program %q\n", c.Args[0])
		return 99
	}
	return program(c)
}

var programs = map[string]func(*proc.Child) int{
	"echo":    func(c *proc.Child) int { _, _ = io.Copy(c.Conn, c.Conn); return 0 },
	"exit":    func(c *proc.Child) int { return 7 },
	"spin":    spin,
	"facts":   tellFacts,
	"guest":   runGuest,
	"stdio":   useStdio,
	"collect": collect,
}

// spin says one byte and then computes for ever without a call that yields.
func spin(c *proc.Child) int {
	if _, err := c.Conn.Write([]byte{1}); err != nil {
		return 1
	}
	x := uint64(1)
	for {
		x = x*6364136223846793005 + 1
		if x == 0 {
			return int(x)
		}
	}
}

// facts are what a child can see of itself.
type facts struct {
	Env         []string
	Args        []string
	Files       map[string]string // descriptor to what it is
	Status      map[string]string // of /proc/self/status
	Refused     map[string]string // forbidden deed to its error
	Interfaces  []string
	OOMScore    string
	MaxProcs    int
	GCPercent   int
	MemoryLimit int64
	Ignored     bool // SIGINT is
	Confinement proc.Confinement
}

func tellFacts(c *proc.Child) int {
	f := facts{
		Env: os.Environ(), Args: c.Args, Confinement: c.Confinement,
		MaxProcs:  runtime.GOMAXPROCS(0),
		GCPercent: debug.SetGCPercent(-1), MemoryLimit: debug.SetMemoryLimit(-1),
		Ignored: signal.Ignored(os.Interrupt),
	}
	systemFacts(&f)
	if err := json.NewEncoder(c.Conn).Encode(f); err != nil {
		return 1
	}
	return 0
}

func useStdio(c *proc.Child) int {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Fprintf(os.Stdout, "out %q %v", line, err)
	fmt.Fprintf(os.Stderr, "err")
	return 0
}

// collect allocates garbage and reports how much memory the heap came to.
func collect(c *proc.Child) int {
	var col proc.Collector
	times := 0
	keep := make([][]byte, 4)
	for i := range 2000 { // 2000 MB in all
		keep[i%len(keep)] = make([]byte, 1<<20)
		if col.CollectIfGrown() {
			times++
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	col.Idle()
	runtime.ReadMemStats(&after)
	col.Collecting(func() {
		for i := range 500 {
			keep[i%len(keep)] = make([]byte, 1<<20)
		}
	})
	var end runtime.MemStats
	runtime.ReadMemStats(&end)
	runtime.KeepAlive(keep)
	fmt.Fprintln(c.Conn, times, before.HeapSys>>20, (after.HeapSys-after.HeapReleased)>>20, end.HeapSys>>20, debug.SetGCPercent(-1))
	return 0
}

// percentile sorts and picks.
func percentile(d []time.Duration, p float64) time.Duration {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return d[int(float64(len(d)-1)*p)]
}
