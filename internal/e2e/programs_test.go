package e2e

import (
	"bytes"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprogs"
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
	repeats := p.Deterministic || local.Repeatable
	if repeats && local.Stderr != remote.Stderr {
		t.Errorf("stderr differs:\nlocal:\n%s\noffloaded:\n%s", local.Stderr, remote.Stderr)
	}
	if !maps.Equal(local.Files, remote.Files) {
		t.Errorf("files differ:\nlocal: %q\noffloaded: %q", local.Files, remote.Files)
	}
	// Where a stack overflows depends on the stubs that are on it (PROTOCOL rule 5).
	overflow := strings.Contains(local.Exit.Error, "stack overflow")
	if repeats && !overflow && !bytes.Equal(local.Exit.Memory, remote.Exit.Memory) {
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
