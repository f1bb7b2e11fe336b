//go:build unix

package bench

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// application is a program whose processor time is measured.
type application struct {
	name   string
	module []byte
	args   []string
}

// applications are the C and C++ programs of package rewrite's idle figures, an
// example, and two Go programs.
func applications(tb testing.TB) []application {
	tb.Helper()
	files, err := filepath.Glob("../internal/rewrite/testdata/idle/c/*.wasm")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no programs: %v", err)
	}
	var all []application
	for _, path := range append(files, "../examples/prebuilt/mandelbrot.wasm") {
		name := strings.TrimSuffix(filepath.Base(path), ".wasm")
		if strings.HasSuffix(name, "-stripped") {
			continue
		}
		code, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, application{name: name, module: code})
	}
	for _, name := range []string{"goprog/stack", "goprog/gc"} {
		p := testprogs.Named(name)
		all = append(all, application{name: name, module: p.Wasm, args: p.Args})
	}
	return all
}

// cpu runs a program and gives the processor time of its runner, start and end
// included.
func (a *application) cpu(tb testing.TB, home, where, profile string) time.Duration {
	tb.Helper()
	children := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
			tb.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := children()
	res, err := device.Run(context.Background(), device.Options{
		Home: home, Software: "bench", App: a.name, Module: a.module, Args: append([]string{a.name}, a.args...),
		Where: where, Profile: profile, TimeLimit: time.Minute,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if res.Exit.Error != "" || res.Exit.Code != 0 {
		tb.Fatalf("%s: %+v", a.name, res.Exit)
	}
	if profiled := !res.Profile.Empty(); profiled != (profile != "") {
		tb.Fatalf("%s: profiled: %v, asked for %q", a.name, profiled, profile)
	}
	return children() - before
}

// interval is a mean with the half width of its 95 % confidence interval.
type interval struct{ mean, half float64 }

// sample gathers measurements of one thing.
type sample struct{ n, sum, squares float64 }

func (s *sample) add(v float64) { s.n, s.sum, s.squares = s.n+1, s.sum+v, s.squares+v*v }

func (s *sample) mean() float64 { return s.sum / s.n }

// errorSquared is the variance of the mean.
func (s *sample) errorSquared() float64 {
	if s.n < 2 {
		return math.Inf(1)
	}
	return max(s.squares-s.sum*s.sum/s.n, 0) / (s.n - 1) / s.n
}

// geometric is the geometric mean, over programs, of ratios whose logarithms are
// given, in percent above 1.
func geometric(programs []sample) interval {
	mean, variance := 0.0, 0.0
	for i := range programs {
		mean += programs[i].mean()
		variance += programs[i].errorSquared()
	}
	n := float64(len(programs))
	return interval{100 * math.Expm1(mean/n), 100 * 1.96 * math.Sqrt(variance) / n}
}

func (i interval) String() string { return fmt.Sprintf("%+.2f %% +- %.2f", i.mean, i.half) }

// BenchmarkProfileOverhead gives what the profile that every run gathers costs in
// processor time of the runner: against the same run without it (profile), and
// against one with no candidate armed at all (all). No clone is there. Every
// iteration runs each program in the order none, off, on, on, off, none, so that
// a machine that drifts favours nobody; ratios are of neighbours in time, and
// what is printed is their geometric mean over the programs with its 95 %
// confidence interval. null is the second run with nothing armed against the
// first: the machine's noise.
func BenchmarkProfileOverhead(b *testing.B) {
	home, apps := b.TempDir(), applications(b)
	for i := range apps {
		apps[i].cpu(b, home, device.WhereDevice, "") // compiled code is cached
	}
	profile, all, null := make([]sample, len(apps)), make([]sample, len(apps)), make([]sample, len(apps))
	ratio := func(a, b time.Duration) float64 { return math.Log(a.Seconds() / b.Seconds()) }
	for b.Loop() {
		for i := range apps {
			none := func() time.Duration { return apps[i].cpu(b, home, device.WhereDevice, "") }
			off := func() time.Duration { return apps[i].cpu(b, home, device.WhereAuto, "") }
			on := func() time.Duration { return apps[i].cpu(b, home, device.WhereAuto, runner.ProfileOnline) }
			none1, off1, on1, on2, off2, none2 := none(), off(), on(), on(), off(), none()
			profile[i].add(ratio(on1, off1))
			profile[i].add(ratio(on2, off2))
			all[i].add(ratio(on1, none1))
			all[i].add(ratio(on2, none2))
			null[i].add(ratio(none2, none1))
		}
	}
	for i := range apps {
		b.Logf("%-14s profile %v, all %v", apps[i].name, geometric(profile[i:i+1]), geometric(all[i:i+1]))
	}
	p, a := geometric(profile), geometric(all)
	b.Logf("%d programs, %v pairs each: profile %v, all %v, null %v", len(apps), profile[0].n, p, a, geometric(null))
	b.ReportMetric(p.mean, "%profile")
	b.ReportMetric(p.half, "%+-profile")
	b.ReportMetric(a.mean, "%all")
	b.ReportMetric(a.half, "%+-all")
	b.ReportMetric(0, "ns/op")
}
