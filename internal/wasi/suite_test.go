package wasi_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi/wasitest"
)

// suiteFailures lists the modules of the public suite that fail on a Local,
// and why. It may only shrink.
var suiteFailures = map[string]string{}

func TestThePublicSuitePassesLocally(t *testing.T) {
	runSuite(t, suiteFailures, nil)
}

// runSuite runs every preview 1 module of the suite and holds the failures
// to a list: what is not on it must pass, what passes must not be on it.
func runSuite(t *testing.T, failures map[string]string, adjust func(*wasitest.Program)) {
	root := os.Getenv(wasitest.SuiteEnv)
	if root == "" {
		t.Skipf("%s is not set; it names a checkout of WebAssembly/wasi-testsuite, branch prod/testsuite-base", wasitest.SuiteEnv)
	}
	cases, err := wasitest.Suite(root)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			err := c.Run(ctx, t.TempDir(), adjust)
			reason, known := failures[c.Name]
			switch {
			case err == nil && known:
				t.Errorf("passes: take it off the list (%s)", reason)
			case err == nil:
				passed++
			case known:
				t.Logf("known failure (%s): %v", reason, err)
			default:
				t.Error(err)
			}
		})
	}
	t.Logf("%d of %d modules pass", passed, len(cases))
}
