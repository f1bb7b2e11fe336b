package rewrite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/clonecloud/clonecloud/internal/callgraph"
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
	ctx context.Context
	r   wazero.Runtime
	mod wazero.CompiledModule
	out *rewrite.Output // nil for the original
	a   answerer
	arm bool
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
	if x.mod, err = x.r.CompileModule(ctx, bin); err != nil {
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
	start := cpuTime()
	_, err = m.ExportedFunction("_start").Call(x.ctx)
	used := cpuTime() - start
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

// BenchmarkIdle gives, for every program, the CPU time of the default candidate
// set with nothing armed as a ratio of the original's, side by side. The goal is
// 1.03. Each round runs the original, the rewritten, and a second compilation of
// the original, whose ratio ("null") shows the machine's noise. Ratios are of the
// least times. stub-calls is how often a stub is passed in one run, which does
// not depend on the machine.
func BenchmarkIdle(b *testing.B) {
	for _, p := range programs(b) {
		b.Run(p.name, func(b *testing.B) {
			m, sel, out := defaults(b, p)
			plain, again, stubbed := newRunner(b, p.bin, nil), newRunner(b, p.bin, nil), newRunner(b, nil, out)
			var t0, t1, t2 []time.Duration
			for b.Loop() {
				for range rounds() {
					d0, want := plain.run(b)
					d1, got := stubbed.run(b)
					d2, _ := again.run(b)
					if want != got {
						b.Fatalf("the original wrote %q, the rewritten %q", want, got)
					}
					t0, t1, t2 = append(t0, d0), append(t1, d1), append(t2, d2)
				}
			}
			stubbed.arm = true
			stubbed.run(b)
			b.ReportMetric(slices.Min(t0).Seconds(), "s-original")
			b.ReportMetric(float64(slices.Min(t1))/float64(slices.Min(t0)), "ratio")
			b.ReportMetric(float64(slices.Min(t2))/float64(slices.Min(t0)), "null")
			b.ReportMetric(float64(stubbed.a.offered), "stub-calls")
			b.ReportMetric(float64(len(sel)), "candidates")
			b.ReportMetric(100*(float64(len(out.Module))/float64(len(p.bin))-1), "%larger")
			b.ReportMetric(0, "ns/op")
			if testing.Verbose() {
				for _, c := range sel {
					fmt.Printf("  %s %d %s: entry=%v %s\n", p.name, c.Index, m.Name(c.Index), c.Entry, c.Why)
				}
			}
		})
	}
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
