package e2e

import (
	_ "embed"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wire"
)

//go:embed testdata/effects.wasm
var effects []byte

// effectsProgram does everything that an offload can meet; its function `work`
// is what moves.
func effectsProgram() *testprogs.Program {
	return &testprogs.Program{
		Name: "effects", Wasm: effects, Stdin: "hello\nagain\n",
		Files:         map[string]string{"old.txt": "old", "log.txt": "first\n"},
		Deterministic: true,
	}
}

// point is a moment of an offload, recognised by the frame that passes the
// device's manager.
type point struct {
	name    string
	toClone bool
	is      func(f *wire.Frame) bool
	after   time.Duration // the moment is that long after the frame
	drop    bool          // the frame itself is lost with the fault
}

func ofType(t wire.Type) func(*wire.Frame) bool {
	return func(f *wire.Frame) bool { return f.Type == t }
}

func immediate(f *wire.Frame) bool {
	if f.Type != wire.TypeImportRequest {
		return false
	}
	m, err := f.Message()
	return err == nil && m.(*wire.ImportRequest).Class == wire.Class_CLASS_IMMEDIATE
}

var points = []point{
	{name: "before the Call", toClone: true, is: ofType(wire.TypeCall), drop: true},
	{name: "mid upload", toClone: true, is: ofType(wire.TypeCall)}, // see uploadBytes
	{name: "applied", is: ofType(wire.TypeApplied)},
	{name: "running before a release", is: ofType(wire.TypeApplied), after: 80 * time.Millisecond},
	{name: "running after a release", is: ofType(wire.TypeRelease)},
	{name: "before an immediate effect", is: immediate, drop: true},
	{name: "after an immediate effect", is: immediate, after: 20 * time.Millisecond},
	{name: "Return ready", is: ofType(wire.TypeReturn), drop: true},
	{name: "mid download", is: ofType(wire.TypeRelease), after: 250 * time.Millisecond},
	{name: "Return delivered", is: ofType(wire.TypeReturn)}, // the points behind it: commit_test.go
}

// fault is what happens then.
type fault struct {
	name   string
	strike func(net *shape.Control, kill func())
	cuts   bool // so that a frame can be lost with it: a stream alone loses none
}

var faults = []fault{
	{"the clone is killed", func(_ *shape.Control, kill func()) { kill() }, false},
	{"the link is cut", func(net *shape.Control, _ func()) { net.Cut() }, true},
	{"the link is broken for a moment", func(net *shape.Control, _ func()) {
		net.Cut()
		time.AfterFunc(700*time.Millisecond, net.Restore)
	}, false},
	{"the link stalls for a moment", func(net *shape.Control, _ func()) {
		net.Stall()
		time.AfterFunc(900*time.Millisecond, net.Restore)
	}, false},
	{"frames are corrupted", func(net *shape.Control, _ func()) {
		net.Corrupt(shape.Up, 3)
		net.Corrupt(shape.Down, 3)
	}, false},
}

// TestWhateverFailsTheProgramEndsAsOnTheDevice strikes an offload at every
// point of the protocol with every fault: output appears once and in order,
// and files, exit code and final memory are those of a local run.
func TestWhateverFailsTheProgramEndsAsOnTheDevice(t *testing.T) {
	p := effectsProgram()
	local := NewWorld(t).Run(p, OnDevice)
	if local.Exit.Error != "" {
		t.Fatal(local.Exit.Error)
	}
	whole := NewWorld(t).Run(p, Only("work"))
	if same(t, p, local, whole); whole.Report.Totals.CallsClone != 1 {
		t.Fatalf("without a fault the call does not move: %s%s", calls(whole.Report.Calls), whole.Stdout)
	}
	for _, at := range points {
		for _, what := range faults {
			t.Run(at.name+"/"+what.name, func(t *testing.T) {
				t.Parallel()
				remote, struck := strike(t, p, at, what)
				same(t, p, local, remote)
				if !struck {
					t.Error("the offload never came to this point")
				}
				if t.Failed() {
					t.Log(calls(remote.Report.Calls))
				}
			})
		}
	}
}

// strike runs a program with one fault at one point, and says whether the
// offload came to it.
func strike(t *testing.T, p *testprogs.Program, at point, what fault) (out *Outcome, hit bool) {
	t.Helper()
	var mu sync.Mutex
	kill := func() {}
	w := newWorld(t, World{OnClone: func(k func()) {
		mu.Lock()
		kill = k
		mu.Unlock()
	}})
	net, err := shape.New(shape.Profile{Name: "test", OneWay: time.Millisecond, Up: 40_000_000, Down: 40_000_000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	struck := func() {
		mu.Lock()
		k := kill
		mu.Unlock()
		what.strike(net, k)
	}
	out = w.Run(p, Only("work"), func(o *device.Options) {
		o.Net = net
		o.Tap = func(toClone bool, f *wire.Frame) bool {
			mu.Lock()
			now := !hit && toClone == at.toClone && at.is(f)
			hit = hit || now
			mu.Unlock()
			switch {
			case !now:
				return true
			case at.name == "mid upload":
				net.CutAfter(shape.Up, int64(f.Size()/2))
				if what.name != "the link is cut" {
					time.AfterFunc(50*time.Millisecond, func() {
						net.Restore()
						struck()
					})
				}
			case at.after > 0:
				time.AfterFunc(at.after, struck)
			default:
				struck()
			}
			return !at.drop || !what.cuts
		}
	})
	mu.Lock()
	defer mu.Unlock()
	return out, hit
}
