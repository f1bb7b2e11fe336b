package main

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

var update = flag.Bool("update", false, "write golden files again")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(file))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is otherwise now (-update writes it):\n%s\nwant\n%s", file, got, want)
	}
}

// inProcess runs a command line in this process.
func inProcess(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	s := stdio{file("in"), file("out"), file("err")}
	code = run(args, s)
	text := func(f *os.File) string {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	stdout, stderr = text(s.out), text(s.err)
	return stdout, stderr, code
}

// profileOfRecursion stores a profile of c-recursion.wasm as runs would have
// left it: queens is heavy and moves little, tak is called often for little,
// and deep dirties much.
func profileOfRecursion(t *testing.T, home string) (app string) {
	t.Helper()
	app = filepath.Join("..", "..", "internal", "testprogs", "wasm", "c-recursion.wasm")
	data, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasmbin.Parse(data, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := callgraph.Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	add := func(to *profile.Node, name string, s profile.Stats) *profile.Node {
		i, err := g.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		n := to.Make(i)
		n.Stats = s
		return n
	}
	ms := uint64(time.Millisecond)
	tree := profile.New()
	tree.Runs = 2
	start := add(tree.Root, "_start", profile.Stats{Calls: 2, Device: profile.Cost{Calls: 2, Nanos: 84_000 * ms, Self: 2_000 * ms}})
	start.Imports[profile.ImportImmediate] = 100
	add(start, "queens", profile.Stats{
		Calls: 3, Device: profile.Cost{Calls: 2, Nanos: 40_000 * ms, Self: 40_000 * ms},
		Clone: profile.Cost{Calls: 1, Nanos: 2_000 * ms, Self: 2_000 * ms}, Up: 300_000, Down: 50_000,
	})
	add(start, "tak", profile.Stats{Calls: 4_000, Device: profile.Cost{Calls: 4_000, Nanos: 2_000 * ms, Self: 2_000 * ms}})
	add(start, "deep", profile.Stats{
		Calls: 2, Device: profile.Cost{Calls: 2, Nanos: 20_000 * ms, Self: 20_000 * ms}, DirtyCalls: 2, Dirtied: 40 << 20,
	})
	if err := device.Profiles(home, nil).Merge(device.ProfileKey(sha256.Sum256(data)), tree); err != nil {
		t.Fatal(err)
	}
	return app
}

var varies = regexp.MustCompile(`(?m)^(joules are a model's, from|  "power":|      "made":).*$`)

func TestAPartitionIsATableForPeople(t *testing.T) {
	home := t.TempDir()
	app := profileOfRecursion(t, home)
	stdout, stderr, code := inProcess(t, "--home", home, "partition", app)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	golden(t, "partition/table.txt", varies.ReplaceAllString(stdout, "$1 ..."))
}

func TestAPartitionHasAStableJSONForm(t *testing.T) {
	home := t.TempDir()
	app := profileOfRecursion(t, home)
	stdout, stderr, code := inProcess(t, "--home", home, "partition", "--json", "--network", "lte", "--objective", "time", app)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var p partitioning
	if err := json.Unmarshal([]byte(stdout), &p); err != nil {
		t.Fatal(err)
	}
	golden(t, "partition/lte-time.json", varies.ReplaceAllString(stdout, "$1 ..."))
}

func TestADamagedPartitionDatabaseIsRebuilt(t *testing.T) {
	home := t.TempDir()
	app := profileOfRecursion(t, home)
	first, _, code := inProcess(t, "--home", home, "partition", app)
	files, err := filepath.Glob(filepath.Join(home, "partitions", "*.partitions"))
	if err != nil || code != 0 || len(files) != 1 {
		t.Fatalf("exit code %d, files %v, %v", code, files, err)
	}
	for what, data := range map[string]string{"damaged": "nonsense", "newer version": "clonecloud partitions 9 x\n"} {
		if err := os.WriteFile(files[0], []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		again, stderr, code := inProcess(t, "--home", home, "partition", app)
		if code != 0 || again != first || !strings.Contains(stderr, what) || !strings.Contains(stderr, "computed anew") {
			t.Errorf("%s: exit code %d, stderr %q", what, code, stderr)
		}
		if _, stderr, _ := inProcess(t, "--home", home, "partition", app); stderr != "" {
			t.Errorf("%s: not rebuilt: %q", what, stderr)
		}
	}
	// A folder that cannot be written costs the memory, not the answer.
	if err := os.RemoveAll(filepath.Join(home, "partitions")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "partitions"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, stderr, code := inProcess(t, "--home", home, "partition", app)
	if code != 0 || again != first || !strings.Contains(stderr, "shown but not kept") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// TestNetworkClassesAreTheLinkProfiles holds the classes' centres to the link
// profiles that they are named after; package partition may not import those.
func TestNetworkClassesAreTheLinkProfiles(t *testing.T) {
	for _, class := range partition.Networks() {
		p, ok := shape.Named(string(class))
		if !ok {
			t.Errorf("no link profile %s", class)
			continue
		}
		n, ok := class.Centre()
		if ok == p.Cut || (ok && (n.RTT != p.RTT() || n.Up != float64(p.Up) || n.Down != float64(p.Down))) {
			t.Errorf("class %s is %+v, the link profile %v", class, n, p)
		}
	}
}
