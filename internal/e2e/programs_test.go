package e2e

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

func TestMain(m *testing.M) {
	runner.MaybeChild()
	maybeManager()
	os.Exit(m.Run())
}

var nightly = os.Getenv("CLONECLOUD_NIGHTLY") != ""

// same fails unless an offloaded run left what the local one left.
func same(t *testing.T, p *testprogs.Program, local, remote *Outcome) {
	t.Helper()
	if local.Stdout != remote.Stdout {
		t.Errorf("stdout differs:\nlocal:\n%s\noffloaded:\n%s", local.Stdout, remote.Stdout)
	}
	if local.Exit.Code != remote.Exit.Code || local.Exit.Error != remote.Exit.Error {
		t.Errorf("exit differs: local %d %q, offloaded %d %q", local.Exit.Code, local.Exit.Error, remote.Exit.Code, remote.Exit.Error)
	}
	if p.Deterministic && local.Stderr != remote.Stderr {
		t.Errorf("stderr differs:\nlocal:\n%s\noffloaded:\n%s", local.Stderr, remote.Stderr)
	}
	if !maps.Equal(local.Files, remote.Files) {
		t.Errorf("files differ:\nlocal: %q\noffloaded: %q", local.Files, remote.Files)
	}
	// Where a stack overflows depends on the stubs that are on it (PROTOCOL rule 5).
	overflow := strings.Contains(local.Exit.Error, "stack overflow")
	if p.Deterministic && !overflow && !bytes.Equal(local.Exit.Memory, remote.Exit.Memory) {
		t.Errorf("final memory differs")
	}
}

func TestProgramsMovedWholeEndAsTheyDoOnTheDevice(t *testing.T) {
	w := NewWorld(t)
	for _, p := range testprogs.All() {
		t.Run(p.Name, func(t *testing.T) {
			w.tb = t
			local := w.Run(&p, OnDevice)
			if local.Stdout != p.Stdout {
				t.Fatalf("the local run prints\n%s\nwant\n%s\n%s", local.Stdout, p.Stdout, local.Exit.Error)
			}
			remote := w.Run(&p, OnClone)
			same(t, &p, local, remote)
			if remote.Report.Totals.CallsClone == 0 && !p.Traps {
				t.Errorf("nothing ran on the clone: %+v", remote.Report)
			}
			if n := remote.Report.Totals.Fallbacks; n > 0 && !p.Traps {
				t.Errorf("%d calls fell back: %+v", n, remote.Report.Calls)
			}
		})
	}
	w.tb = t
}

// functions lists what may be offloaded of a program, by index.
func functions(t *testing.T, p *testprogs.Program) []string {
	t.Helper()
	m, err := wasmbin.Parse(p.Wasm, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range uint32(len(m.Funcs)) {
		if g.Legality(i).Movable {
			all = append(all, strconv.Itoa(int(i)))
		}
	}
	return all
}

// TestEachFunctionOffloadedInTurn runs every program with one function offered
// at a time. By default a sample of functions is taken, those that are worth
// offloading always; nightly all.
func TestEachFunctionOffloadedInTurn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs hundreds of processes")
	}
	w := NewWorld(t)
	offered, moved := 0, 0
	for _, p := range testprogs.All() {
		t.Run(p.Name, func(t *testing.T) {
			w.tb = t
			all := functions(t, &p)
			chosen := append([]string(nil), p.Heavy...)
			step := 1
			if !nightly {
				// One of those that are worth it and two others, not the same in
				// every program of a module.
				chosen = chosen[:min(1, len(chosen))]
				step = len(all)/2 + 1
			}
			for i := len(p.Name) % step; i < len(all); i += step {
				chosen = append(chosen, all[i])
			}
			local := w.Run(&p, OnDevice)
			for _, f := range chosen {
				remote := w.Run(&p, Only(f))
				if same(t, &p, local, remote); t.Failed() {
					t.Fatalf("with function %s offloaded; calls: %s", f, calls(remote.Report.Calls))
				}
				offered++
				if remote.Report.Totals.CallsClone > 0 {
					moved++
				} else if slices.Contains(p.Heavy, f) && !p.Traps {
					t.Errorf("%s is the program's work and did not move: calls:%s", f, calls(remote.Report.Calls))
				}
			}
		})
	}
	w.tb = t
	// A function that its program does not call cannot move.
	t.Logf("%d functions were offered alone, %d of them moved", offered, moved)
}

func calls(all []device.CallReport) string {
	s := ""
	for i, c := range all {
		if i == 8 {
			return s + " ..."
		}
		s += " " + c.Where + "(" + c.Reason + ")"
	}
	return s
}
