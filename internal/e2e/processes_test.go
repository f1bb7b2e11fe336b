package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/node"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprocs"
	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// patience bounds every wait for a process; it measures nothing.
const patience = 60 * time.Second

// managerEnv tells the test binary to be a manager: a device's, for one run, or
// a node's. A test that kills managers needs them to be processes.
const managerEnv = "CLONECLOUD_E2E_MANAGER"

// order is what a manager that is a process of its own is to do.
type order struct {
	Node bool
	Data string // of the node
	Addr string // of the node; it is printed once it is known
	// Linger is the node's Config.Linger.
	Linger time.Duration

	Home, Scratch, Module string
	Where                 string
	Only                  []string
	Hold                  *runner.Hold
	Result                string // file for the device.Result
}

// maybeManager makes this process a manager if a test started it as one, and
// then never returns.
func maybeManager() {
	text := os.Getenv(managerEnv)
	if text == "" {
		return
	}
	_ = os.Unsetenv(managerEnv)
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil && o.Node {
		err = o.serve()
	} else if err == nil {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (o *order) serve() error {
	own, err := identity.LoadOrCreate(o.Data)
	if err != nil {
		return err
	}
	store, err := identity.OpenStore(o.Data)
	if err != nil {
		return err
	}
	l, err := link.Listen(context.Background(), o.Addr, link.ListenOptions{Identity: own, Listed: store.Listed})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return node.New(node.Config{Listener: l, Data: o.Data, Software: "test", Linger: o.Linger}).Serve(context.Background())
}

func (o *order) run() error {
	module, err := os.ReadFile(o.Module)
	if err != nil {
		return err
	}
	name := filepath.Base(o.Module)
	res, err := device.Run(context.Background(), device.Options{
		Home: o.Home, Software: "test", App: name, Module: module, Args: []string{name},
		Dirs: []runner.Dir{{Host: o.Scratch, Guest: "/"}}, Where: o.Where, Only: o.Only, MaxOffloads: 50, HashMemory: true, Hold: o.Hold,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, TimeLimit: 2 * time.Minute,
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(res)
	if err != nil {
		return err
	}
	return os.WriteFile(o.Result, data, 0o600)
}

// start starts this test binary as a manager.
func (o *order) start(tb testing.TB, in, out, errs *os.File) *exec.Cmd {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("looks at processes by /proc")
	}
	text, err := json.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), managerEnv+"="+string(text))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd
}

// kill ends a process as SIGKILL does.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// deviceProcess is one run whose manager is a process.
type deviceProcess struct {
	w       *World
	cmd     *exec.Cmd
	order   order
	streams *streams
	done    chan struct{}
}

// spawn starts a run with a manager of its own.
func (w *World) spawn(p *testprogs.Program, o order) *deviceProcess {
	w.tb.Helper()
	dir := w.tb.TempDir()
	o.Home, o.Scratch, o.Module, o.Result = w.Home, filepath.Join(dir, "scratch"), filepath.Join(dir, p.Module()), filepath.Join(dir, "result")
	if err := populate(o.Scratch, p.Files); err != nil {
		w.tb.Fatal(err)
	}
	if err := os.WriteFile(o.Module, p.Wasm, 0o600); err != nil {
		w.tb.Fatal(err)
	}
	d := &deviceProcess{w: w, order: o, streams: w.streams(p.Stdin), done: make(chan struct{})}
	d.cmd = o.start(w.tb, d.streams.in, d.streams.out, d.streams.err)
	go func() {
		_ = d.cmd.Wait()
		close(d.done)
	}()
	w.tb.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.done
		d.streams.close()
	})
	return d
}

// runner waits for the runner and returns its process.
func (d *deviceProcess) runner() int {
	d.w.tb.Helper()
	var all []int
	testprocs.Eventually(d.w.tb, patience, "the device's runner is there", func() bool {
		all = testprocs.Children(d.cmd.Process.Pid)
		return len(all) == 1
	})
	return all[0]
}

// outcome waits for the end. Without a result, because the manager was killed,
// it has no exit and no report.
func (d *deviceProcess) outcome() *Outcome {
	d.w.tb.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.w.tb.Fatal("the run does not end")
	}
	out := &Outcome{Stdout: d.streams.text(d.streams.out), Stderr: d.streams.text(d.streams.err), Files: tree(d.w.tb, d.order.Scratch)}
	data, err := os.ReadFile(d.order.Result)
	if err != nil {
		return out
	}
	var res device.Result
	if err := json.Unmarshal(data, &res); err != nil {
		d.w.tb.Fatal(err)
	}
	out.Exit, out.Report, out.Ready = res.Exit, res.Report, res.Ready
	return out
}

// next is the next start of the device: it finishes or undoes what a run left
// that was killed. It returns what is then in the run's folder.
func (d *deviceProcess) next() map[string]string {
	d.w.tb.Helper()
	d.w.Run(&testprogs.Program{Name: "rounds", Wasm: exits}, OnDevice)
	left, err := filepath.Glob(filepath.Join(d.order.Home, "commits", "*.commit"))
	if err != nil || len(left) > 0 {
		d.w.tb.Errorf("commit records are left: %v, %v", left, err)
	}
	files := tree(d.w.tb, d.order.Scratch)
	for name := range files {
		if strings.Contains(filepath.Base(name), ".clonecloud-") {
			d.w.tb.Errorf("%s is left in the program's folder", name)
		}
	}
	return files
}

// exits is a module that ends at once.
var exits = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b")
