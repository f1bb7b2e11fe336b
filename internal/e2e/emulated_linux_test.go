package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// emulator runs arm64 programs on another processor; the Debian package
// qemu-user-static has it.
const emulator = "qemu-aarch64-static"

// arm64Runner builds this repository's command for arm64 and returns a command
// that runs it here: the device of these tests is an arm64 machine, as a phone
// is, where userfaultfd is absent.
func arm64Runner(t *testing.T) []string {
	t.Helper()
	if runtime.GOARCH == "arm64" {
		t.Skip("this machine is an arm64 device itself")
	}
	qemu, err := exec.LookPath(emulator)
	if err == nil {
		qemu, err = filepath.Abs(qemu)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: %v", emulator, err)
		}
		t.Skipf("%s is missing (package qemu-user-static): %v", emulator, err)
	}
	binary := filepath.Join(t.TempDir(), "clonecloud")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/clonecloud")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build for arm64: %v\n%s", err, out)
	}
	return []string{qemu, binary}
}

// TestAnArm64DeviceAndAnotherArchitecturesCloneAgree offloads from an arm64
// device to a clone of this machine's architecture: what the program prints,
// leaves and ends with is what a run on the device alone gives, and what a run
// on this machine gives.
func TestAnArm64DeviceAndAnotherArchitecturesCloneAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and emulates another architecture")
	}
	command := arm64Runner(t)
	w, here := NewRepeatableWorld(t), NewRepeatableWorld(t)
	w.DeviceRunner = command
	// One program of each toolchain and kind; nightly takes all.
	some := map[string]bool{
		"c-files": true, "c-recursion": true, "c-exits/exit": true, "c-memory": true,
		"cpp-objects": true, "as-program/all": true, "c-traps/divide": true,
	}
	for _, p := range testprogs.All() {
		if !nightly && !some[p.Name] {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			w.tb, here.tb = t, t
			local := w.Run(&p, OnDevice)
			if local.Ready == nil || !strings.Contains(local.Ready.Engine, "compiler") {
				t.Errorf("the device's runner says %+v", local.Ready)
			}
			if local.Stdout != p.Stdout {
				t.Fatalf("the device alone prints\n%s\nwant\n%s\n%s", local.Stdout, p.Stdout, local.Exit.Error)
			}
			remote := w.Run(&p, OnClone)
			same(t, &p, local, remote)
			if remote.Report.Totals.CallsClone == 0 && !p.Traps {
				t.Errorf("nothing ran on the clone: %s", calls(remote.Report.Calls))
			}
			for _, f := range p.Heavy[:min(1, len(p.Heavy))] {
				same(t, &p, local, w.Run(&p, Only(f)))
			}
			native := here.Run(&p, OnDevice)
			if native.Stdout != local.Stdout || native.Exit.Code != local.Exit.Code {
				t.Errorf("here it prints\n%s\nand ends with %d; the arm64 device\n%s\nwith %d", native.Stdout, native.Exit.Code, local.Stdout, local.Exit.Code)
			}
		})
	}
	w.tb, here.tb = t, t
}
