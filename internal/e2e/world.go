package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/node"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// World is a device and a clone that know each other.
type World struct {
	tb    testing.TB
	Home  string // of the device
	Data  string // of the node
	Peer  identity.Peer
	own   *identity.Identity
	store *identity.Store
	addr  string
	stop  func()
	// NodeRunner and DeviceRunner are commands that start runners; empty: the
	// test binary.
	NodeRunner, DeviceRunner []string
	// OnClone hears of every runner of the node, before Start.
	OnClone func(kill func())
	// Repeatable makes a program leave the same memory in every run, whatever
	// of it runs where: set by NewRepeatableWorld.
	Repeatable bool
}

// NewWorld starts a clone and pairs a device with it.
func NewWorld(tb testing.TB) *World {
	tb.Helper()
	return newWorld(tb, World{})
}

// NewRepeatableWorld is NewWorld with clocks that stand still but for waits, with
// the same random numbers in every run, and with files' times and inodes hidden.
func NewRepeatableWorld(tb testing.TB) *World {
	tb.Helper()
	return newWorld(tb, World{Repeatable: true})
}

func newWorld(tb testing.TB, like World) *World {
	tb.Helper()
	w := &like
	w.tb, w.addr = tb, "127.0.0.1:0"
	w.Home, w.Data = filepath.Join(tb.TempDir(), "device"), filepath.Join(tb.TempDir(), "node")
	var err error
	if w.own, err = identity.LoadOrCreate(w.Data); err != nil {
		tb.Fatal(err)
	}
	dev, err := identity.LoadOrCreate(w.Home)
	if err != nil {
		tb.Fatal(err)
	}
	if w.store, err = identity.OpenStore(w.Data); err != nil {
		tb.Fatal(err)
	}
	if err := w.store.Add(identity.Peer{ID: dev.ID(), Name: "device", Added: time.Now()}); err != nil {
		tb.Fatal(err)
	}
	w.Start()
	tb.Cleanup(w.Stop)
	w.publish(w.addr)
	return w
}

// publish tells the device where the clone is.
func (w *World) publish(addr string) {
	w.tb.Helper()
	devices, err := identity.OpenStore(w.Home)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.Peer = identity.Peer{ID: w.own.ID(), Name: "clone", Addresses: []string{addr}, Added: time.Now()}
	if err := devices.Add(w.Peer); err != nil {
		w.tb.Fatal(err)
	}
}

// Start starts the node, after Stop on the same port.
func (w *World) Start() {
	w.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := link.Listen(ctx, w.addr, link.ListenOptions{Identity: w.own, Listed: w.store.Listed})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.addr = l.Addr().String()
	n := node.New(node.Config{Listener: l, Data: w.Data, Software: "test", Runner: w.NodeRunner, OnClone: w.OnClone, Repeatable: w.Repeatable})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Serve(ctx); err != nil {
			w.tb.Error("node:", err)
		}
	}()
	w.stop = func() {
		cancel()
		<-done
	}
}

// Stop ends the node.
func (w *World) Stop() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// Outcome is what a run left behind.
type Outcome struct {
	Stdout, Stderr string
	Exit           runner.Exit
	Files          map[string]string // of the scratch folder, by path
	Report         device.Report
	Ready          *runner.Ready
	Repeatable     bool // World.Repeatable
	Profile        *profile.Tree
	Trace          device.Trace
}

// Setup changes a run's options.
type Setup func(*device.Options)

// OnClone has the outermost legal call run on the clone.
func OnClone(o *device.Options) { o.Where = device.WhereClone }

// Only has exactly these functions run on the clone, for a bounded number of
// calls: a comparator is called millions of times.
func Only(functions ...string) Setup {
	return func(o *device.Options) {
		o.Where, o.Only, o.MaxOffloads = device.WhereClone, functions, maxMoves
	}
}

// maxMoves is how many calls move in such a run.
const maxMoves = 50

// InTurn offers many functions and moves calls of one of them, spread over the
// run if it has so many calls. All such runs of a program share compiled code.
func InTurn(f uint32, offered []string, calls int) Setup {
	return func(o *device.Options) {
		Only(offered...)(o)
		o.Armed, o.OffloadEvery = []uint32{f}, calls/maxMoves
	}
}

// OnDevice keeps everything on the device.
func OnDevice(o *device.Options) { o.Where = device.WhereDevice }

// Over has the link shaped by a live control, so that a test can cut it.
func Over(p shape.Profile) Setup { return func(o *device.Options) { o.Shape = &p } }

// Run runs a program in a fresh scratch folder.
func (w *World) Run(p *testprogs.Program, setups ...Setup) *Outcome {
	w.tb.Helper()
	out, err := w.TryRun(context.Background(), p, setups...)
	if err != nil {
		w.tb.Fatalf("%s: %v", p.Name, err)
	}
	return out
}

// TryRun is Run for runs that may not begin.
func (w *World) TryRun(ctx context.Context, p *testprogs.Program, setups ...Setup) (*Outcome, error) {
	w.tb.Helper()
	scratch := w.tb.TempDir()
	if err := populate(scratch, p.Files); err != nil {
		return nil, err
	}
	io := w.streams(p.Stdin)
	defer io.close()
	o := device.Options{
		Home: w.Home, Software: "test", App: p.Module(), Module: p.Wasm,
		Args: append([]string{p.Module()}, p.Args...), Env: p.Env,
		Dirs:  []runner.Dir{{Host: scratch, Guest: "/"}},
		Stdin: io.in, Stdout: io.out, Stderr: io.err, HashMemory: true, Runner: w.DeviceRunner,
		TimeLimit: 2 * time.Minute, Repeatable: w.Repeatable,
	}
	for _, s := range setups {
		s(&o)
	}
	res, err := device.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Outcome{
		Stdout: io.text(io.out), Stderr: io.text(io.err), Exit: res.Exit, Files: tree(w.tb, scratch),
		Report: res.Report, Ready: res.Ready, Repeatable: w.Repeatable, Profile: res.Profile, Trace: res.Trace,
	}, nil
}

// populate makes a folder with files; a name that ends in a slash is a folder.
func populate(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// streams are a run's standard files.
type streams struct {
	tb           testing.TB
	in, out, err *os.File
}

func (w *World) streams(stdin string) *streams {
	w.tb.Helper()
	s := &streams{tb: w.tb}
	for _, f := range []struct {
		to   **os.File
		text string
	}{{&s.in, stdin}, {&s.out, ""}, {&s.err, ""}} {
		file, err := os.CreateTemp(w.tb.TempDir(), "stream")
		if err != nil {
			w.tb.Fatal(err)
		}
		if _, err := file.WriteString(f.text); err != nil {
			w.tb.Fatal(err)
		}
		if _, err := file.Seek(0, 0); err != nil {
			w.tb.Fatal(err)
		}
		*f.to = file
	}
	return s
}

func (s *streams) text(f *os.File) string {
	data, err := os.ReadFile(f.Name())
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(data)
}

func (s *streams) close() {
	_ = s.in.Close()
	_ = s.out.Close()
	_ = s.err.Close()
}

// tree reads a folder: content by path; links and folders are marked.
func tree(tb testing.TB, root string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir():
			all[rel] = "folder"
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			all[rel] = "link to " + target
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[rel] = "file " + string(data)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}
