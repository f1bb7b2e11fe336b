package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// maxIdle is the memory that a device's manager may hold while its program
// waits and the link is up, in KB.
const maxIdle = 40 << 10

// cli builds the program itself: what a manager holds depends on all of it.
func cli(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "clonecloud")
	cmd := exec.Command("go", "build", "-o", path, "../cmd/clonecloud")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// statusKB reads a figure of /proc/PID/status, in KB.
func statusKB(tb testing.TB, pid int, name string) int {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		var kb int
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return kb
			}
		}
	}
	tb.Fatalf("no %s of process %d", name, pid)
	return 0
}

// TestAnIdleDeviceManagerIsSmall runs a program that was moved to a clone and
// there waits for input that the device does not have: the link is up, and
// nothing happens on it.
func TestAnIdleDeviceManagerIsSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	if testing.Short() {
		t.Skip("builds the program")
	}
	bin, dir := cli(t), t.TempDir()
	module := filepath.Join(dir, "guest.wasm")
	if err := os.WriteFile(module, guestModule, 0o600); err != nil {
		t.Fatal(err)
	}
	serve := exec.Command(bin, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "node"))
	serve.Env = append(os.Environ(), "CLONECLOUD_HOME="+filepath.Join(dir, "node-home"))
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, serve)
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("serve does not come up:", err)
	}
	run := exec.Command(bin, "run", "--where=clone", "--clone", strings.TrimSpace(url), "--report", filepath.Join(dir, "report"), module)
	run.Env = append(os.Environ(), "CLONECLOUD_HOME="+filepath.Join(dir, "device"))
	in, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, run)
	defer in.Close()
	// _start moves whole: it reads this, fills 8 MB of memory there, and waits.
	var b [16]byte
	binary.LittleEndian.PutUint32(b[4:], 2048)
	binary.LittleEndian.PutUint32(b[12:], full)
	if _, err := in.Write(b[:]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	rss, anon := statusKB(t, run.Process.Pid, "VmRSS"), statusKB(t, run.Process.Pid, "RssAnon")
	t.Logf("resident %d KB, of which %d KB are its own and the rest is the program's file", rss, anon)
	if rss > maxIdle {
		t.Errorf("an idle device manager holds %d KB, at most %d are promised", rss, maxIdle)
	}
	_ = in.Close()
	if err := run.Wait(); err != nil {
		t.Error("the run:", err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "report")); err != nil || !strings.Contains(string(data), `"callsClone":1`) && !strings.Contains(string(data), `"callsClone": 1`) {
		t.Errorf("nothing was offloaded, so there was no link: %v\n%.400s", err, data)
	}
}

// begin starts a command that ends with the test.
func begin(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
