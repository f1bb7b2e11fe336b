package proc_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/runner/proc"
)

// emulated returns a command that runs this package's test binary, built for
// arm64, under an emulator.
func emulated(t *testing.T) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a test binary for arm64")
	}
	if runtime.GOARCH == "arm64" {
		t.Skip("arm64 needs no emulator here")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true and qemu-aarch64-static is not installed (Debian: qemu-user-static)")
		}
		t.Skip("qemu-aarch64-static is not installed (Debian: qemu-user-static)")
	}
	out := filepath.Join(t.TempDir(), "arm64.test")
	build := exec.Command("go", "test", "-c", "-o", out, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build for arm64: %v\n%s", err, text)
	}
	return []string{qemu, out}
}

func TestAnArm64ChildRunsUnderAnEmulator(t *testing.T) {
	command := emulated(t)
	t.Run("bytes travel", func(t *testing.T) {
		p := start(t, proc.Config{Command: command, Args: []string{"echo"}, Stderr: os.Stderr})
		want := bytes.Repeat([]byte("clone"), 40_000)
		go func() { _, _ = p.Conn().Write(want) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(p.Conn(), got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v, or the bytes differ", err)
		}
	})
	t.Run("what is in force is told truly", func(t *testing.T) {
		p := start(t, proc.Config{Command: command, Args: []string{"facts", "x"}, Stderr: os.Stderr})
		f, c := readFacts(t, p), p.Confinement()
		t.Logf("%+v", c)
		if len(f.Env) != 0 || strings.Join(f.Args, " ") != "facts x" || f.MaxProcs < 2 {
			t.Errorf("facts %+v", f)
		}
		host, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
		if err == nil && !strings.Contains(string(host), "NoNewPrivs:\t1") {
			t.Error("the emulator itself may gain privileges")
		}
		if refused := strings.Contains(f.Refused["tcp socket"], "not permitted"); refused != c.SystemCallFilter {
			t.Errorf("filter told %v, a socket gave %q", c.SystemCallFilter, f.Refused["tcp socket"])
		}
		if c.NetworkNamespace && strings.Contains(f.Refused["dial"], "nil") {
			t.Error("a connection was made without a network")
		}
	})
	t.Run("a kill ends it while it spins", func(t *testing.T) {
		p := start(t, proc.Config{Command: command, Args: []string{"spin"}})
		_, _ = io.ReadFull(p.Conn(), make([]byte, 1))
		within(t, "kill", func() { _ = p.Kill() })
	})
	t.Run("the end of the stream ends it while it spins", func(t *testing.T) {
		p := start(t, proc.Config{Command: command, Args: []string{"spin"}})
		_, _ = io.ReadFull(p.Conn(), make([]byte, 1))
		_ = p.Conn().Close()
		within(t, "the end", func() { p.Wait() })
	})
	t.Run("a guest runs in the compiler", func(t *testing.T) {
		p := start(t, proc.Config{Command: command, Args: []string{"guest"}, Stderr: os.Stderr, TimeLimit: 2 * time.Minute})
		var req [8]byte
		binary.BigEndian.PutUint64(req[:], 200)
		if _, err := p.Conn().Write(req[:]); err != nil {
			t.Fatal(err)
		}
		end := make([]byte, 9)
		if _, err := io.ReadFull(p.Conn(), end); err != nil || end[0] != 0xff {
			t.Errorf("end %v, %v", end, err)
		}
	})
}
