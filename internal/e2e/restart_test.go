package e2e

import (
	_ "embed"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wire"
)

//go:embed testdata/rounds.wasm
var rounds []byte

// TestACloneThatRestartsCostsAResendByHash takes the node down between two
// calls and brings it back: calls run on the device meanwhile, and then move
// again, by the hashes of their pages, since the clone has lost its images.
func TestACloneThatRestartsCostsAResendByHash(t *testing.T) {
	w := NewWorld(t)
	p := &testprogs.Program{Name: "rounds", Wasm: rounds, Deterministic: true}
	local := w.Run(p, OnDevice)
	var mu sync.Mutex
	returns, hashes := 0, 0
	var restarted sync.WaitGroup
	remote := w.Run(p, Only("step"), func(o *device.Options) {
		o.Tap = func(_ bool, f *wire.Frame) bool {
			mu.Lock()
			defer mu.Unlock()
			switch f.Type {
			case wire.TypePageHashes:
				hashes++
			case wire.TypeReturn:
				if returns++; returns == 2 {
					restarted.Go(func() {
						w.Stop()
						w.Start()
					})
				}
			}
			return true
		}
	})
	restarted.Wait()
	same(t, p, local, remote)
	if c := remote.Report.Totals.CallsClone; c < 3 {
		t.Errorf("%d calls moved; some should have after the restart: calls:%s", c, calls(remote.Report.Calls))
	}
	if hashes == 0 {
		t.Error("no page hashes travelled: the restarted clone cannot have had the image")
	}
}

// TestAfterAKilledCloneLaterCallsMoveAgain kills the clone's process once,
// between two calls or in the middle of one: no more than that call runs on the
// device.
func TestAfterAKilledCloneLaterCallsMoveAgain(t *testing.T) {
	for _, at := range []wire.Type{wire.TypeReturn, wire.TypeApplied} {
		t.Run(at.String(), func(t *testing.T) {
			var mu sync.Mutex
			kill, seen := func() {}, 0
			w := newWorld(t, World{OnClone: func(k func()) {
				mu.Lock()
				kill = k
				mu.Unlock()
			}})
			p := &testprogs.Program{Name: "rounds", Wasm: rounds, Deterministic: true}
			local := w.Run(p, OnDevice)
			remote := w.Run(p, Only("step"), func(o *device.Options) {
				o.Tap = func(_ bool, f *wire.Frame) bool {
					mu.Lock()
					defer mu.Unlock()
					if f.Type == at {
						if seen++; seen == 3 {
							kill()
						}
					}
					return true
				}
			})
			same(t, p, local, remote)
			if c := remote.Report.Totals; c.CallsClone < 10 || c.Fallbacks > 2 {
				t.Errorf("%d calls moved, %d fell back: calls:%s", c.CallsClone, c.Fallbacks, calls(remote.Report.Calls))
			}
		})
	}
}

// TestAClonesRunnerKilledBeforeItsFirstCallHoldsNobodyUp kills the clone's
// process as soon as it has said that it is ready, before the device's runner may
// have: the program runs, and its calls move, on another one.
func TestAClonesRunnerKilledBeforeItsFirstCallHoldsNobodyUp(t *testing.T) {
	p := &testprogs.Program{Name: "rounds", Wasm: rounds, Deterministic: true}
	local := NewWorld(t).Run(p, OnDevice)
	for _, after := range []time.Duration{0, 20, 50, 80, 110, 140, 170, 200, 250, 300} {
		t.Run((after * time.Millisecond).String(), func(t *testing.T) {
			t.Parallel()
			var once sync.Once
			w := newWorld(t, World{OnClone: func(kill func()) {
				once.Do(func() { time.AfterFunc(after*time.Millisecond, kill) })
			}})
			remote := w.Run(p, Only("step"), func(o *device.Options) { o.TimeLimit = 50 * time.Second })
			same(t, p, local, remote)
			if c := remote.Report.Totals; c.CallsClone < 8 {
				t.Errorf("%d calls moved: calls:%s", c.CallsClone, calls(remote.Report.Calls))
			}
		})
	}
}
