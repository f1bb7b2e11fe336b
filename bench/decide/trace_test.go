package decide

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/runner"
)

func TestMain(m *testing.M) {
	runner.MaybeChild()
	os.Exit(m.Run())
}

// trace is one application's recorded runs on one device.
type trace struct {
	App    string `json:"app"`
	Device string `json:"device"`
	Runs   []run  `json:"runs"`
}

type run struct {
	Input string `json:"input"`
	Calls []call `json:"calls"` // by entry; a call's caller comes before it
}

// call is one recorded call at both sites.
type call struct {
	Function uint32    `json:"function"`
	Name     string    `json:"name"`
	Parent   int       `json:"parent"` // index in Calls, or -1
	Args     []float64 `json:"args,omitempty"`
	Memory   int64     `json:"memory"`
	Files    int64     `json:"files,omitempty"`
	Dirty    int64     `json:"dirty"`
	Class    uint32    `json:"class,omitempty"`
	Whole    bool      `json:"whole,omitempty"`
	Seconds  float64   `json:"seconds"` // on the device
	Clone    *away     `json:"clone,omitempty"`
}

// away is the call at the clone; nil in a call that never came there.
type away struct {
	Compute   float64 `json:"compute"`
	Capture   float64 `json:"capture"` // on this machine, compiled
	Apply     float64 `json:"apply"`
	Up        int64   `json:"up"`
	Down      int64   `json:"down"`
	Failed    string  `json:"failed,omitempty"`
	LinkOnly  float64 `json:"link"` // seconds of the loopback link
	RoundTrip int     `json:"trips"`
}

func (t *trace) path() string {
	return filepath.Join("testdata", t.App+"-"+t.Device+".json.gz")
}

func (t *trace) save() error {
	f, err := os.Create(t.path())
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	if err := json.NewEncoder(z).Encode(t); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// traces reads the recordings.
func traces(tb testing.TB) (all []*trace) {
	tb.Helper()
	names, err := filepath.Glob("testdata/*.json.gz")
	if err != nil || len(names) == 0 {
		tb.Fatal("no recordings: ", err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			tb.Fatal(err)
		}
		t := new(trace)
		if err := json.NewDecoder(z).Decode(t); err != nil {
			tb.Fatal(err)
		}
		_ = f.Close()
		if !strings.HasSuffix(t.path(), filepath.Base(name)) {
			tb.Fatalf("%s is of %s", name, t.path())
		}
		all = append(all, t)
	}
	return all
}
