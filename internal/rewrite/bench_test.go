package rewrite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/clonecloud/clonecloud/internal/callgraph"
	"github.com/clonecloud/clonecloud/internal/measure"
	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// program is a WASI command whose idle cost is measured.
type program struct {
	name string
	bin  []byte
}

// programs gives the prebuilt C and C++ modules, and the Go ones built now.
func programs(tb testing.TB) []program {
	var out []program
	files, err := filepath.Glob("testdata/idle/c/*.wasm")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no prebuilt programs: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, program{filepath.Base(f), b})
	}
	for _, name := range []string{"mix", "numeric"} {
		out = append(out, program{"go-" + name, buildGo(tb, "./testdata/idle/go/"+name)})
	}
	return out
}

func buildGo(tb testing.TB, pkg string) []byte {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "x.wasm")
	cmd := exec.Command("go", "build", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, msg)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// runner runs a compiled form of a program again and again.
type runner struct {
	ctx context.Context // carries the allocator, if any
	r   wazero.Runtime
	mod wazero.CompiledModule
	out *rewrite.Output // nil for the original
	a   answerer
	arm bool
	// count, if set, counts the instructions of each run into counted.
	count   *counter
	counted uint64
}

func newRunner(tb testing.TB, bin []byte, out *rewrite.Output) *runner {
	tb.Helper()
	ctx := context.Background()
	x := &runner{ctx: ctx, out: out, a: answerer{answer: rewrite.Local}, r: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features))}
	tb.Cleanup(func() { x.r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, x.r)
	if out != nil {
		bin = out.Module
	}
	var err error
	if x.mod, err = x.r.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), bin); err != nil {
		tb.Fatal(err)
	}
	return x
}

// run gives the CPU time of one run and what the program wrote.
func (x *runner) run(tb testing.TB) (time.Duration, string) {
	tb.Helper()
	var stdout bytes.Buffer
	conf := wazero.NewModuleConfig().WithStdout(&stdout).WithArgs("program").WithRandSource(rand.Reader).WithStartFunctions().WithName("app")
	m, err := x.r.InstantiateModule(x.ctx, x.mod, conf)
	if err != nil {
		tb.Fatal(err)
	}
	defer m.Close(x.ctx)
	if x.out != nil {
		if err := link(x.ctx, x.r, m, x.out, &x.a, x.arm); err != nil {
			tb.Fatal(err)
		}
		defer x.r.Module(x.out.HostModule).Close(x.ctx)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	entry := m.ExportedFunction("_start")
	before := x.count.sofar()
	start := measure.ThreadTime()
	_, err = entry.Call(x.ctx)
	used := measure.ThreadTime() - start
	x.counted = x.count.sofar() - before
	if err != nil && !exitedWith0(err) {
		tb.Fatal(err)
	}
	return used, stdout.String()
}

func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("CLONECLOUD_ROUNDS")); err == nil {
		return n
	}
	return 5
}

// defaults rewrites a program with the default candidates.
func defaults(tb testing.TB, p program) (*wasmbin.Module, callgraph.Selection, *rewrite.Output) {
	tb.Helper()
	m, err := wasmbin.Parse(p.bin, wasmbin.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	sel, err := callgraph.Candidates(m, callgraph.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	out, err := rewrite.Rewrite(m, rewrite.Options{Candidates: sel.Indices(), Entries: sel.Entries()})
	if err != nil {
		tb.Fatal(err)
	}
	return m, sel, out
}

// TestDefaultCandidatesAreCalledRarely bounds how often stubs are passed, the
// part of the idle cost that does not depend on the machine: the programs run
// for tenths of a second, and a stub costs some 3 ns. It also shows that the
// programs write the same with every candidate offered and declined.
func TestDefaultCandidatesAreCalledRarely(t *testing.T) {
	if testing.Short() {
		t.Skip("runs programs")
	}
	for _, p := range programs(t) {
		if strings.Contains(p.name, "-stripped") && !nightly() {
			continue // the same program without names
		}
		t.Run(p.name, func(t *testing.T) {
			_, _, out := defaults(t, p)
			_, want := newRunner(t, p.bin, nil).run(t)
			x := newRunner(t, nil, out)
			x.arm, x.a.answer = true, rewrite.LocalWatch
			_, got := x.run(t)
			if got != want {
				t.Errorf("the original wrote %q, the rewritten %q", want, got)
			}
			if x.a.offered == 0 || x.a.offered > 1_100_000 {
				t.Errorf("%d calls of candidates", x.a.offered)
			}
			t.Logf("%d candidates, %d calls, %d exits", len(out.Candidates), x.a.offered, x.a.exits)
		})
	}
}
