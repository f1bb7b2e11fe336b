package spectest_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/clonecloud/clonecloud/internal/spectest"
)

// TestTheEngineMeetsTheSpecification runs the scripts as they are with the
// features of their version: the driver must find everything as expected, or
// comparisons made with it mean nothing.
func TestTheEngineMeetsTheSpecification(t *testing.T) {
	dir, err := spectest.WazeroDir()
	if err != nil {
		spectest.Missing(t, err)
	}
	ctx := context.Background()
	for version, suite := range map[string]struct {
		features   api.CoreFeatures
		assertions int
	}{
		"v1": {api.CoreFeaturesV1, 18_000},
		"v2": {api.CoreFeaturesV2, 50_000},
	} {
		t.Run(version, func(t *testing.T) {
			scripts, err := spectest.LoadAll(spectest.Suite(dir, version))
			if err != nil {
				t.Fatal(err)
			}
			config := wazero.NewRuntimeConfigCompiler().WithCoreFeatures(suite.features)
			total, assertions := 0, 0
			for _, s := range scripts {
				h, err := spectest.NewWazero(ctx, dir, config)
				if err != nil {
					t.Fatal(err)
				}
				out, err := spectest.Run(s, h)
				if err != nil {
					t.Fatal(err)
				}
				h.Close()
				for _, o := range out {
					total++
					if o.Type != "module" && o.Type != "action" {
						assertions++
					}
					// wazero keeps going where an active element segment does not
					// fit, because functions that are in the table already stay.
					if !o.Expected && o.Text != "out of bounds table access" {
						t.Errorf("%s line %d (%s, %s): %s", s.Name, o.Line, o.Type, o.File, o.Got)
					}
				}
			}
			t.Logf("%d commands, %d assertions", total, assertions)
			if assertions < suite.assertions {
				t.Errorf("only %d assertions", assertions)
			}
		})
	}
}
