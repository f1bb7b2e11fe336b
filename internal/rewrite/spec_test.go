package rewrite_test

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/clonecloud/clonecloud/internal/rewrite"
	"github.com/clonecloud/clonecloud/internal/spectest"
)

var modes = []mode{
	{name: "nothing armed", role: rewrite.Device},
	{name: "all armed and declined", role: rewrite.Device, arm: true, answer: rewrite.Local},
	{name: "all armed and watched", role: rewrite.Device, arm: true, answer: rewrite.LocalWatch},
	{name: "exports stubbed and watched", role: rewrite.Device, arm: true, answer: rewrite.LocalWatch, entries: true},
	{name: "clone", role: rewrite.Clone},
}

// nightly says whether to run what takes minutes.
func nightly() bool { return os.Getenv("CLONECLOUD_NIGHTLY") != "" }

// TestSpecSuitesBehaveAsUnrewritten runs the specification's scripts side by
// side, as they are and rewritten, and compares every outcome.
func TestSpecSuitesBehaveAsUnrewritten(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	engines := map[string]wazero.RuntimeConfig{"compiler": wazero.NewRuntimeConfigCompiler()}
	if nightly() {
		engines["interpreter"] = wazero.NewRuntimeConfigInterpreter()
	}
	for engine, config := range engines {
		for _, version := range []string{"v1", "v2", "tail-call"} {
			t.Run(engine+"/"+version, func(t *testing.T) {
				runSuite(t, dir, version, config.WithCoreFeatures(features))
			})
		}
	}
}

func runSuite(t *testing.T, dir, version string, config wazero.RuntimeConfig) {
	ctx := context.Background()
	scripts, err := spectest.LoadAll(spectest.Suite(dir, version))
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	config = config.WithCompilationCache(wazero.NewCompilationCache())
	total, expected, offered, exits := 0, 0, 0, 0
	for _, s := range scripts {
		plain, err := spectest.NewWazero(ctx, dir, config)
		if err != nil {
			t.Fatal(err)
		}
		want := run(t, s, plain)
		total += len(want)
		for _, o := range want {
			if o.Expected {
				expected++
			}
		}
		for _, mode := range modes {
			w, err := spectest.NewWazero(ctx, dir, config)
			if err != nil {
				t.Fatal(err)
			}
			h := &specHost{Wazero: w, mode: mode, a: answerer{answer: mode.answer}}
			got := run(t, s, h)
			compare(t, s, mode, want, got)
			offered, exits = offered+h.a.offered, exits+h.a.exits
		}
	}
	t.Logf("%d commands, %d as the specification expects; %d calls offered to the host, %d exits reported", total, expected, offered, exits)
}

func run(t *testing.T, s *spectest.Script, h spectest.Host) []spectest.Outcome {
	t.Helper()
	defer h.Close()
	out, err := spectest.Run(s, h)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compare(t *testing.T, s *spectest.Script, mode mode, want, got []spectest.Outcome) {
	t.Helper()
	wrong := 0
	for i := range want {
		if want[i].Got != got[i].Got {
			if wrong++; wrong <= 3 {
				t.Errorf("%s line %d (%s, %s), %s:\n original  %s\n rewritten %s",
					s.Name, want[i].Line, want[i].Type, want[i].File, mode.name, want[i].Got, got[i].Got)
			}
		}
	}
	if wrong > 3 {
		t.Errorf("%s, %s: %d more differences", s.Name, mode.name, wrong-3)
	}
}
