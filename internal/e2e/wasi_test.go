package e2e

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wasi/wasitest"
)

// suiteFailures lists the modules of the public WASI suite that fail with
// everything offloaded, and why. It may only shrink.
var suiteFailures = map[string]string{}

func TestThePublicWASISuitePassesOffloaded(t *testing.T) {
	root := os.Getenv(wasitest.SuiteEnv)
	if root == "" {
		t.Skipf("%s is not set; it names a checkout of WebAssembly/wasi-testsuite, branch prod/testsuite-base", wasitest.SuiteEnv)
	}
	cases, err := wasitest.Suite(root)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorld(t)
	passed := 0
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			w.tb = t
			p := suiteProgram(t, &c)
			out := w.Run(p, OnClone, func(o *device.Options) {
				if c.Root == "" {
					o.Dirs = nil
				}
			})
			good := out.Exit.Code == c.ExitCode && (c.Stdout == nil || out.Stdout == *c.Stdout)
			moved := out.Report.Totals.CallsClone > 0 && out.Report.Totals.Fallbacks == 0
			reason, known := suiteFailures[c.Name]
			switch {
			case good && moved && known:
				t.Errorf("passes: take it off the list (%s)", reason)
			case good && moved:
				passed++
			case known:
				t.Logf("known (%s): exit %d, calls:%s", reason, out.Exit.Code, calls(out.Report.Calls))
			default:
				t.Errorf("exit %d (want %d), stdout %q, stderr %q, error %q, calls:%s",
					out.Exit.Code, c.ExitCode, out.Stdout, out.Stderr, out.Exit.Error, calls(out.Report.Calls))
			}
		})
	}
	w.tb = t
	t.Logf("%d of %d modules pass with everything offloaded", passed, len(cases))
}

// suiteProgram makes a program of a case: its folder becomes the scratch one.
func suiteProgram(t *testing.T, c *wasitest.Case) *testprogs.Program {
	t.Helper()
	wasm, err := os.ReadFile(c.Module)
	if err != nil {
		t.Fatal(err)
	}
	p := &testprogs.Program{Name: filepath.Base(c.Module), Wasm: wasm, Args: c.Args, Files: map[string]string{}}
	for k, v := range c.Env {
		p.Env = append(p.Env, k+"="+v)
	}
	sort.Strings(p.Env)
	if c.Root != "" {
		for name, content := range tree(t, filepath.Join(filepath.Dir(c.Module), c.Root)) {
			if text, ok := strings.CutPrefix(content, "file "); ok {
				p.Files[name] = text
			} else if content == "folder" {
				p.Files[name+"/"] = ""
			}
		}
	}
	return p
}
