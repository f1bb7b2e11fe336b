//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/testprocs"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// wellBehaved fails for an end that no user should see.
func wellBehaved(t *testing.T, what, stderr string, code int) {
	t.Helper()
	for _, bad := range []string{"panic", "goroutine ", "runtime error", "ended unexpectedly", "runtime."} {
		if strings.Contains(stderr, bad) {
			t.Errorf("%s: exit code %d, stderr %q", what, code, stderr)
		}
	}
	if code == exitUnsupported && (!strings.HasPrefix(stderr, "clonecloud: ") || !strings.Contains(stderr, "\nhint: ")) {
		t.Errorf("%s: refused without reason or hint: %q", what, stderr)
	}
}

func TestDamagedModulesAreRefusedOrRunAndNothingElse(t *testing.T) {
	b := newBench(t, false)
	good, err := os.ReadFile(filepath.Join(b.dir, "as-program.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	var bad [][]byte
	for i := range 8 {
		bad = append(bad, good[:len(good)*i/8+i])
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		m := append([]byte(nil), good...)
		for range 1 + r.IntN(4) {
			m[8+r.IntN(len(m)-8)] = byte(r.Uint32())
		}
		bad = append(bad, m)
	}
	head := []byte("\x00asm\x01\x00\x00\x00")
	huge := binary.AppendUvarint(nil, 1<<32-1)
	for section := byte(1); section <= 12; section++ { // counts that no file holds
		m := append(append([]byte(nil), head...), section, byte(len(huge)))
		bad = append(bad, append(m, huge...))
	}
	bad = append(bad,
		append(append([]byte(nil), head...), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // a size too long
		append(append([]byte(nil), head...), 0x7f, 0),                               // no such section
		append(append([]byte(nil), head...), 5, 4, 1, 1, 2, 1),                      // minimum above maximum
	)
	for i, m := range bad {
		path := filepath.Join(b.dir, "bad.wasm")
		if err := os.WriteFile(path, m, 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := exitOf(t, b.command("inspect", "bad.wasm"))
		wellBehaved(t, fmt.Sprintf("inspect of module %d", i), stderr, code)
		_, stderr, code = exitOf(t, b.command("run", "--time-limit", "5s", "--max-memory", "64M", "bad.wasm"))
		wellBehaved(t, fmt.Sprintf("run of module %d", i), stderr, code)
	}
}

func TestAModuleThatIsTooLargeIsNotEvenRead(t *testing.T) {
	b := newBench(t, false)
	path := filepath.Join(b.dir, "large.wasm")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, wire.MaxModule+1); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"run", "inspect"} {
		_, stderr, code := exitOf(t, b.command(verb, "large.wasm"))
		if code != exitUnsupported || !strings.Contains(stderr, "larger than 256 MB") || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%s: exit code %d, stderr %q", verb, code, stderr)
		}
	}
}

func TestARewrittenModuleIsRecognised(t *testing.T) {
	b := newBench(t, false)
	data, err := os.ReadFile(filepath.Join(b.dir, "c-exits.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasmbin.Parse(data, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := rewrite.Rewrite(m, rewrite.Options{Role: rewrite.Clone})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "again.wasm"), out.Module, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"run", "inspect"} {
		_, stderr, code := exitOf(t, b.command(verb, "again.wasm"))
		if code != exitUnsupported || !strings.Contains(stderr, "rewritten") || !strings.Contains(stderr, "hint: give the original module") {
			t.Errorf("%s: exit code %d, stderr %q", verb, code, stderr)
		}
	}
}

// futureNode is a node that speaks only versions that do not exist yet.
func futureNode(t *testing.T) identity.Peer {
	t.Helper()
	own, err := identity.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := link.Listen(ctx, "127.0.0.1:0", link.ListenOptions{Identity: own, Listed: func(link.ID) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := wire.NewReader(c, wire.ReaderConfig{}).ReadFrame(); err != nil {
					return
				}
				m := &wire.Refuse{Code: wire.RefuseCode_REFUSE_VERSION, Text: "too old", MinVersion: 7, MaxVersion: 9}
				_ = wire.NewWriter(c).Send(wire.Header{Type: wire.TypeRefuse}, m, nil)
				time.Sleep(time.Second) // let it be read
			}()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		<-done
	})
	return identity.Peer{ID: own.ID(), Name: "future", Addresses: []string{l.Addr().String()}, Added: time.Now()}
}

func TestACloneOfAnotherVersionIsNamedAndTheProgramRunsHere(t *testing.T) {
	b := newBench(t, false)
	if _, err := identity.LoadOrCreate(b.home); err != nil {
		t.Fatal(err)
	}
	store, err := identity.OpenStore(b.home)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Add(futureNode(t)); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := exitOf(t, b.command("run", "--where", "clone", "c-exits.wasm", "return", "3"))
	if code != exitNoClone || stdout != "" || !strings.Contains(stderr, "versions 7 to 9") || !strings.Contains(stderr, "hint: update the older") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	stdout, stderr, code = exitOf(t, b.command("run", "c-exits.wasm", "return", "3"))
	if code != 3 || !strings.Contains(stdout, "main return 3") || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// smallDisk mounts a disk of size bytes.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI=true and no disk can be mounted: %v", err)
		}
		t.Skipf("a disk that is full needs the right to mount one (root): %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// fill leaves no byte free on the disk of dir.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; _, err = f.Write(block) {
	}
}

func TestAFullHomeDoesNotKeepAProgramFromRunning(t *testing.T) {
	b := newBench(t, true)
	want := b.local("steps.wasm", "2", "1")
	full := filepath.Join(b.dir, "fullhome")
	smallDisk(t, full, 256<<10)
	if out, err := b.command("--home", full, "pair", secondURL(t, b)).CombinedOutput(); err != nil {
		t.Fatalf("pair: %v\n%s", err, out)
	}
	fill(t, full)
	for _, where := range []string{"auto", "device", "clone"} {
		stdout, stderr, code := exitOf(t, b.command("--home", full, "run", "--where", where, "steps.wasm", "2", "1"))
		wellBehaved(t, where, stderr, code)
		switch {
		case code == 0 && stdout == want && stderr == "":
		case where == "clone" && code != 0 && stdout == "" && strings.Contains(stderr, "hint: "):
		default:
			t.Errorf("--where=%s: exit code %d, stdout %q, stderr %q", where, code, stdout, stderr)
		}
	}
	_, stderr, code := exitOf(t, b.command("--home", full, "off"))
	if code == 0 {
		t.Error("a switch that could not be stored was reported as done")
	}
	wellBehaved(t, "off", stderr, code)
}

func TestAReadOnlyHomeDoesNotKeepAProgramFromRunning(t *testing.T) {
	b := newBench(t, false)
	smallDisk(t, b.home, 1<<20)
	b.serve()
	if out, err := b.command("pair", b.node.url).CombinedOutput(); err != nil {
		t.Fatalf("pair: %v\n%s", err, out)
	}
	if err := unix.Mount("", b.home, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]int{"auto": 3, "device": 3, "clone": exitError} {
		_, stderr, code := exitOf(t, b.command("run", "--where", where, "c-exits.wasm", "return", "3"))
		wellBehaved(t, where, stderr, code)
		if code != want || (code == 3) != (stderr == "") || code != 3 && !strings.Contains(stderr, "hint: ") {
			t.Errorf("--where=%s: exit code %d, stderr %q", where, code, stderr)
		}
	}
	for _, verb := range []string{"on", "unpair"} {
		_, stderr, code := exitOf(t, b.command(verb))
		if code != exitError || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%s: exit code %d, stderr %q", verb, code, stderr)
		}
	}
}

// secondURL restarts the bench's clone for one more pairing.
func secondURL(t *testing.T, b *bench) string {
	t.Helper()
	if err := b.node.stop(); err != nil {
		t.Fatal(err)
	}
	b.serve()
	return b.node.url
}

func TestAFullDiskAtTheNodeEndsInALocalRun(t *testing.T) {
	b := newBench(t, false)
	want := b.local("steps.wasm", "2", "1")
	smallDisk(t, filepath.Join(b.dir, "node"), 256<<10)
	b.serve()
	if out, err := b.command("pair", b.node.url).CombinedOutput(); err != nil {
		t.Fatalf("pair: %v\n%s", err, out)
	}
	fill(t, filepath.Join(b.dir, "node"))
	stdout, stderr, code := exitOf(t, b.command("run", "--offload", "work", "steps.wasm", "2", "1"))
	if code != 0 || stdout != want || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	stdout, stderr, code = exitOf(t, b.command("run", "--where", "clone", "steps.wasm", "2", "1"))
	if code != exitNoClone || stdout != "" || !strings.Contains(stderr, "its disk may be full") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestAFullFolderOfTheGuestIsToldToItAsOnTheDevice(t *testing.T) {
	b := newBench(t, true)
	run := func(where string) string {
		dir := filepath.Join(b.dir, where)
		smallDisk(t, dir, 256<<10)
		stdout, stderr, code := exitOf(t, b.command("run", "--where", where, "--dir", dir+"::/d", "steps.wasm", "2", "1", "/d/big.txt", "20000"))
		wellBehaved(t, where, stderr, code)
		return fmt.Sprintf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	local, remote := run("device"), run("clone")
	if local != remote || !strings.Contains(local, "No space left") {
		t.Errorf("on the device: %s\nwith a clone: %s", local, remote)
	}
	for _, where := range []string{"device", "clone"} {
		entries, err := os.ReadDir(filepath.Join(b.dir, where))
		if err != nil || len(entries) != 1 || entries[0].Name() != "big.txt" {
			t.Errorf("%s: the folder holds %v, %v", where, entries, err)
		}
	}
}

// TestACommitThatWasCutIsFinishedOrUndoneByTheNextStart kills a device while it
// changes files. Which step that strikes is chance; all steps are struck in
// package stage. Here the whole program is: kill, start again, look.
func TestACommitThatWasCutIsFinishedOrUndoneByTheNextStart(t *testing.T) {
	b := newBench(t, true)
	const files = 150
	cut := 0
	for try := 0; try < 12 && cut < 2; try++ {
		dir := filepath.Join(b.dir, fmt.Sprintf("d%d", try))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("first"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := b.start("run", "--where", "clone", "--dir", dir+"::/d", "many.wasm", "/d", fmt.Sprint(files))
		if !killAtCommit(b, r) {
			continue
		}
		cut++
		stdout, stderr, code := exitOf(t, b.command("run", "c-exits.wasm", "return", "3"))
		if code != 3 || stderr != "" || !strings.Contains(stdout, "main return 3") {
			t.Fatalf("the next start: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
		wholeCommit(t, dir, files)
		if left, _ := filepath.Glob(filepath.Join(b.home, "commits", "*.commit")); len(left) > 0 {
			t.Errorf("records left: %v", left)
		}
	}
	if cut == 0 {
		t.Log("no commit was caught in the middle")
	}
}

// killAtCommit kills a run as soon as its commit record appears, and reports
// whether the record is still there.
func killAtCommit(b *bench, r *running) bool {
	b.t.Helper()
	var pids []int
	for {
		if len(pids) == 0 {
			pids = testprocs.Children(r.cmd.Process.Pid)
		}
		if records, _ := filepath.Glob(filepath.Join(b.home, "commits", "*.commit")); len(records) > 0 {
			break
		}
		select {
		case <-r.done:
			return false
		default:
		}
	}
	for _, pid := range append(pids, r.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-r.done
	for _, pid := range pids {
		b.eventually("the runner ends", func() bool { return !testprocs.Alive(pid) })
	}
	records, _ := filepath.Glob(filepath.Join(b.home, "commits", "*.commit"))
	return len(records) > 0
}

// wholeCommit checks that a folder holds all changes of `many` or none.
func wholeCommit(t *testing.T, dir string, files int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	first, second := 0, 0
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if string(data) == "first" {
			first++
		} else if strings.Count(string(data), "\n") == 200 && strings.HasPrefix(string(data), "second ") {
			second++
		} else {
			t.Errorf("%s is neither old nor new: %.40q", e.Name(), data)
		}
	}
	if !(first == files && second == 0 || first == 0 && second == 2*files) {
		t.Errorf("%d old and %d new files of %d and %d; %d entries", first, second, files, 2*files, len(entries))
	}
}

// TestNothingMovesForAStreamThatRefusesOutput: each small call inside the one
// that fell back would move, print, be refused, and run here.
func TestNothingMovesForAStreamThatRefusesOutput(t *testing.T) {
	b := newBench(t, true)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	defer full.Close()
	file := filepath.Join(b.dir, "report.json")
	cmd := b.command("run", "--where", "clone", "--report", file, "steps.wasm", "300", "0")
	cmd.Stdout = full
	_ = cmd.Run()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r device.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if n := r.Totals; n.Fallbacks < 1 || n.CallsClone+n.CallsDevice > 3 {
		t.Errorf("%d calls moved, %d ran here, %d of them after an attempt: %.500s", n.CallsClone, n.CallsDevice, n.Fallbacks, data)
	}
}
