package decide

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/examples"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/node"
	"github.com/clonecloud/clonecloud/internal/runner"
)

var record = flag.String("record", "", "record these again, by application-device, separated by commas, or all")

// input is one run of an application.
type input struct {
	name  string
	args  []string
	stdin string
	photo []int // to be in the folder
}

// application is what is recorded.
type application struct {
	name   string
	module []byte
	inputs map[string][]input // by device
}

func applications() []application {
	mandel := func(sizes ...string) (all []input) {
		for _, s := range sizes {
			size, iterations, _ := strings.Cut(s, "@")
			all = append(all, input{name: s, args: []string{"-s", size, "-i", iterations}})
		}
		return all
	}
	lines := strings.Split(strings.TrimSpace(string(examples.Puzzles())), "\n")
	puzzles := slices.DeleteFunc(lines, func(l string) bool { return l == "" || l[0] == '#' })
	sudoku := func(counts ...int) (all []input) {
		at := 0
		for _, n := range counts {
			var b strings.Builder
			for range n {
				fmt.Fprintln(&b, puzzles[at%len(puzzles)])
				at++
			}
			all = append(all, input{name: fmt.Sprint(n), stdin: b.String()})
		}
		return all
	}
	faces := func(sets ...[]int) (all []input) {
		for _, s := range sets {
			all = append(all, input{name: fmt.Sprint(s), args: []string{"--faces", "1", "--detector-size", "224", "/photos"}, photo: s})
		}
		return all
	}
	return []application{
		{"mandelbrot", examples.Mandelbrot(), map[string][]input{
			"interpreter": mandel("60x40@100", "120x80@100", "200x150@100", "100x100@300", "300x200@100", "160x120@200", "300x200@100", "400x300@100",
				"80x60@100", "400x300@200", "200x200@400", "60x40@100", "240x180@300", "400x300@100", "300x300@300"),
			"arm64": mandel("200x150@200", "640x480@300", "320x240@500", "800x600@400", "160x120@100", "640x480@300", "1024x768@500", "400x300@1000",
				"800x600@400", "200x150@200", "1280x960@300", "640x480@1000", "320x240@500", "1024x768@500", "640x480@300"),
		}},
		{"sudoku", examples.Sudoku(), map[string][]input{
			"interpreter": sudoku(1, 2, 5, 3, 1, 8, 4, 10, 2, 6, 12, 3, 5, 8, 10),
			"arm64":       sudoku(20, 50, 100, 30, 10, 80, 40, 150, 20, 60, 200, 30, 50, 80, 100),
		}},
		{"facerecognition", examples.FaceRecognition(), map[string][]input{
			"arm64": faces([]int{1}, []int{2}, []int{3}, []int{4}, []int{5}, []int{6}, []int{1, 4}),
		}},
	}
}

// TestRecord records the sites; it takes minutes and is asked for by -record.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("records sites: go test ./bench/decide -run Record -record all")
	}
	r := &recorder{t: t, home: t.TempDir()}
	r.photos()
	r.node()
	for _, a := range applications() {
		for _, on := range []string{"interpreter", "arm64"} {
			name := a.name + "-" + on
			if a.inputs[on] == nil || (*record != "all" && !slices.Contains(strings.Split(*record, ","), name)) {
				continue
			}
			tr := &trace{App: a.name, Device: on}
			for _, in := range a.inputs[on] {
				began := time.Now()
				tr.Runs = append(tr.Runs, r.record(&a, on, &in))
				t.Logf("%s %s: %d calls, %.1f s", name, in.name, len(tr.Runs[len(tr.Runs)-1].Calls), time.Since(began).Seconds())
				if err := tr.save(); err != nil { // what there is, if it is cut short
					t.Fatal(err)
				}
			}
		}
	}
}

type recorder struct {
	t    *testing.T
	home string
	peer identity.Peer
	arm  []string
	all  []string // photos
}

func (r *recorder) photos() {
	photos := examples.Photos()
	err := fs.WalkDir(photos, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".jpg") && strings.HasPrefix(filepath.Base(name), "sample") {
			data, err := fs.ReadFile(photos, name)
			if err != nil {
				return err
			}
			to := filepath.Join(r.home, filepath.Base(name))
			r.all = append(r.all, to)
			return os.WriteFile(to, data, 0o644)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// node starts a clone in this process; its runner is another.
func (r *recorder) node() {
	t := r.t
	own, err := identity.LoadOrCreate(filepath.Join(r.home, "node"))
	if err != nil {
		t.Fatal(err)
	}
	dev, err := identity.LoadOrCreate(filepath.Join(r.home, "device"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := link.Listen(ctx, "127.0.0.1:0", link.ListenOptions{Identity: own, Listed: func(id identity.ID) bool { return id == dev.ID() }})
	if err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Config{Listener: l, Data: filepath.Join(r.home, "node"), Software: "bench"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Serve(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	r.peer = identity.Peer{ID: own.ID(), Name: "clone", Addresses: []string{l.Addr().String()}, Added: time.Now()}
}

// arm64 builds the runner of an arm64 device.
func (r *recorder) arm64() []string {
	if r.arm == nil {
		// go test builds it once; a binary that is there already saves that time.
		binary := os.Getenv("CLONECLOUD_ARM64")
		if binary != "" {
			r.arm = []string{"qemu-aarch64-static", binary}
			return r.arm
		}
		binary = filepath.Join(r.home, "clonecloud-arm64")
		build := exec.Command("go", "build", "-o", binary, "../../cmd/clonecloud")
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			r.t.Fatalf("build for arm64: %v\n%s", err, out)
		}
		qemu, err := exec.LookPath("qemu-aarch64-static")
		if err != nil {
			r.t.Fatal(err)
		}
		r.arm = []string{qemu, binary}
	}
	return r.arm
}

// run runs one input and returns what was told about calls.
func (r *recorder) run(a *application, in *input, setup func(*device.Options)) (calls []runner.Call) {
	r.t.Helper()
	dir := r.t.TempDir()
	for _, p := range in.photo {
		data, err := os.ReadFile(r.all[p-1])
		if err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(r.all[p-1])), data, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	stdin := filepath.Join(r.t.TempDir(), "stdin")
	if err := os.WriteFile(stdin, []byte(in.stdin), 0o644); err != nil {
		r.t.Fatal(err)
	}
	f, err := os.Open(stdin)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	o := device.Options{
		Home: filepath.Join(r.home, "device"), Software: "bench", App: a.name, Module: a.module, Args: append([]string{a.name}, in.args...),
		Dirs: []runner.Dir{{Host: dir, Guest: "/photos", ReadOnly: true}}, Clone: &r.peer, Stdin: f, TimeLimit: 5 * time.Minute,
		OnEvent: func(e runner.Event) {
			if e.Call != nil {
				calls = append(calls, *e.Call)
			}
		},
	}
	setup(&o)
	res, err := device.Run(context.Background(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.Exit.Error != "" {
		r.t.Fatal(res.Exit.Error)
	}
	return calls
}

const (
	least = 0.002 // seconds of a call that is kept
	most  = 8     // functions that are moved
)

// record gives one run at both sites.
func (r *recorder) record(a *application, on string, in *input) run {
	local := r.run(a, in, func(o *device.Options) {
		o.Where, o.Record = device.WhereAuto, true
		if on == "interpreter" {
			o.Engine = "interpreter"
		} else {
			o.Runner = r.arm64()
		}
	})
	callers := map[int]int{}
	for i := range local {
		if f := local[i].Features; f != nil {
			callers[f.Serial] = f.Parent
		}
	}
	local = slices.DeleteFunc(local, func(c runner.Call) bool { return c.Features == nil || c.Seconds < least })
	slices.SortFunc(local, func(a, b runner.Call) int { return cmp.Compare(a.Features.Serial, b.Features.Serial) })
	total := map[uint32]float64{}
	for i := range local {
		total[local[i].Index] += local[i].Seconds
	}
	var order []uint32
	for f := range total {
		order = append(order, f)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Or(cmp.Compare(total[b], total[a]), cmp.Compare(a, b)) })
	order = order[:min(most, len(order))]
	local = slices.DeleteFunc(local, func(c runner.Call) bool { return !slices.Contains(order, c.Index) })
	there := map[uint32][]runner.Call{}
	for _, f := range order {
		there[f] = slices.DeleteFunc(r.run(a, in, func(o *device.Options) {
			o.Where, o.Only = device.WhereClone, []string{fmt.Sprint(f)}
		}), func(c runner.Call) bool { return c.Index != f })
	}
	return join(in.name, local, there, callers)
}

// join pairs the calls of both sites by their number. callers gives the serial
// number of each call's caller, of those too that are not kept.
func join(name string, local []runner.Call, there map[uint32][]runner.Call, callers map[int]int) run {
	out := run{Input: name}
	at := map[int]int{} // serial to index
	for i := range local {
		c, f := &local[i], local[i].Features
		k := call{
			Function: c.Index, Name: c.Function, Parent: -1, Args: f.Args, Memory: f.Memory, Files: f.Files, Dirty: f.Dirty,
			Class: f.Class, Whole: f.Whole, Seconds: c.Seconds,
		}
		for p := f.Parent; p >= 0; p = callers[p] {
			if i, ok := at[p]; ok {
				k.Parent = i
				break
			}
		}
		if list := there[c.Index]; f.Number < len(list) {
			m := &list[f.Number]
			k.Clone = &away{Compute: m.Remote, Up: m.BytesUp, Down: m.BytesDown, RoundTrip: 1 + m.Served}
			if m.Where != "clone" {
				k.Clone.Failed = m.Reason
			}
			if p := m.Phases; p != nil {
				k.Clone.Capture, k.Clone.Apply, k.Clone.LinkOnly = p.Capture+p.Enter, p.Apply, p.Upload+p.Download
			}
		}
		at[f.Serial] = len(out.Calls)
		out.Calls = append(out.Calls, k)
	}
	return out
}
