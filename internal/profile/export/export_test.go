package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/profile"
)

func sample() *profile.Tree {
	t := profile.New()
	main := t.Root.Make(1)
	main.Device.Self = 250e6
	work := main.Make(2)
	work.Device.Self, work.Clone.Self, work.Up, work.Down, work.Dirtied = 750e6, 40e6, 1<<20, 2<<20, 4096
	t.Root.Make(3).Make(2).Device.Self = 1e9
	t.Root.Make(profile.Other).Device.Self = 500e6
	return t
}

func names(f uint32) string { return []string{"", "main", "work", "init"}[f] }

// TestGoToolPprofReadsTheProfile asks for the sums of each sample type.
func TestGoToolPprofReadsTheProfile(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command")
	}
	path := filepath.Join(t.TempDir(), "p.pb.gz")
	var b bytes.Buffer
	if err := Pprof(&b, sample(), names); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string][]string{
		// flat, cumulative, function
		"":        {`1.75s .* 1.75s .* work`, `0.25s .* 1s .* main`, `0 .* 1s .* init`, `0.50s .* 0.50s .* \(other\)`},
		"device":  {`1.75s .* 1.75s .* work`},
		"clone":   {`40ms .* 40ms .* work`, `0 .* 40ms .* main`},
		"up":      {`1MB .* 1MB .* work`, `0 .* 1MB .* main`},
		"down":    {`2MB .* 2MB .* work`},
		"dirtied": {`4kB .* 4kB .* work`},
	} {
		args := []string{"tool", "pprof", "-top", "-nodefraction=0"}
		if typ != "" {
			args = append(args, "-sample_index="+typ)
		}
		out, err := exec.Command(tool, append(args, path)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", typ, err, out)
		}
		for _, line := range want {
			if !regexp.MustCompile(`(?m)^ *` + line + `$`).Match(out) {
				t.Errorf("sample type %q: no line %q in\n%s", typ, line, out)
			}
		}
	}
}

func TestTheTracksOfATraceFollowEachOther(t *testing.T) {
	var b bytes.Buffer
	err := Trace(&b, &Timeline{
		App: "app.wasm", Dropped: 3,
		Spans: []Span{{"main", 0.5, 2}},
		Moved: []Moved{{
			Function: "work", Context: "main", Began: 1, Seconds: 0.75, Up: 10, Down: 20,
			Capture: 0.125, Upload: 0.125, Enter: 0.0625, Compute: 0.25, Download: 0.125, Apply: 0.0625,
		}, {Function: "work", Began: 2, Seconds: 0.25, Failed: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		TraceEvents []event
		OtherData   map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	tracks := map[int]string{}
	var spans []string
	for _, e := range got.TraceEvents {
		switch {
		case e.Phase == "M" && e.Name == "thread_name":
			tracks[e.TID] = e.Args["name"].(string)
		case e.Phase == "X":
			spans = append(spans, fmt.Sprintf("%s %s %v+%v", tracks[e.TID], e.Name, e.TS/1e6, e.Dur/1e6))
		}
	}
	want := []string{
		"device main 0.5+2", "device work 1+0.75", "device capture 1+0.125", "link upload 1.125+0.125", "clone enter 1.25+0.0625",
		"clone work 1.3125+0.25", "link download 1.5625+0.125", "device apply 1.6875+0.0625", "device work 2+0.25",
	}
	if strings.Join(spans, "\n") != strings.Join(want, "\n") {
		t.Errorf("spans:\n%s", strings.Join(spans, "\n"))
	}
	if got.OtherData["droppedCalls"] != 3.0 {
		t.Errorf("other data: %v", got.OtherData)
	}
}
