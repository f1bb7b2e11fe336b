package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// Decisions are what `clonecloud why` shows of one run.
type Decisions struct {
	App       string    `json:"app"`
	Module    string    `json:"module"`
	Began     time.Time `json:"began"`
	Where     string    `json:"where"`
	Objective string    `json:"objective"`
	Link      string    `json:"link,omitempty"` // name of the shaped link
	// Calls are the longest of the run, in its order; Left is how many are left out.
	Calls  []CallReport `json:"calls"`
	Left   int          `json:"left,omitempty"`
	Totals Totals       `json:"totals"`
}

const (
	// maxKeptRuns bounds the runs whose decisions are kept, and maxKeptCalls the
	// calls of each.
	maxKeptRuns  = 50
	maxKeptCalls = 500
	maxKeptFile  = 4 << 20 // bytes
	keptSuffix   = ".run.json"
)

func decisionsDir(home string) string { return filepath.Join(home, "decisions") }

// keepDecisions stores what a run decided, and forgets the oldest runs. Names
// begin with the time, so that they sort.
func (m *manager) keepDecisions(r *Report) error {
	if len(r.Calls) == 0 {
		return nil
	}
	d := Decisions{
		App: r.App, Module: r.Module, Began: m.began.UTC(), Where: r.Where, Objective: r.Objective, Totals: r.Totals,
	}
	if m.o.Shape != nil {
		d.Link = m.o.Shape.Name
	}
	d.Calls = longest(r.Calls, maxKeptCalls)
	d.Left = len(r.Calls) - len(d.Calls)
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("keep decisions: %w", err)
	}
	dir := decisionsDir(m.o.Home)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep decisions: %w", err)
	}
	name := fmt.Sprintf("%020d-%x%s", m.began.UnixNano(), m.run[:4], keptSuffix)
	if err := identity.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		return fmt.Errorf("keep decisions: %w", err)
	}
	names, err := keptRuns(m.o.Home)
	if err != nil {
		return err
	}
	for _, old := range names[min(maxKeptRuns, len(names)):] {
		if err := os.Remove(filepath.Join(dir, old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget old decisions: %w", err)
		}
	}
	return nil
}

// longest keeps the n calls that took most, in their order.
func longest(calls []CallReport, n int) []CallReport {
	if len(calls) <= n {
		return calls
	}
	times := make([]float64, len(calls))
	for i := range calls {
		times[i] = calls[i].Seconds
	}
	slices.Sort(times)
	least := times[len(times)-n]
	out := make([]CallReport, 0, n)
	for i := range calls {
		if calls[i].Seconds >= least && len(out) < n {
			out = append(out, calls[i])
		}
	}
	return out
}

// keptRuns lists the files, the latest first.
func keptRuns(home string) ([]string, error) {
	names, err := namesIn(decisionsDir(home), keptSuffix)
	slices.Reverse(names)
	return names, err
}

// namesIn lists the files in a folder with that ending, sorted; a folder that is
// not there has none. Temporary files begin with a dot.
func namesIn(dir, suffix string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", filepath.Base(dir), err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// LastDecisions returns those of the last runs, the latest first: of the
// application with that name or module hash, or of all. What cannot be read is
// told to warn and left out.
func LastDecisions(home, app string, last int, warn func(error)) ([]Decisions, error) {
	names, err := keptRuns(home)
	if err != nil {
		return nil, err
	}
	var all []Decisions
	for _, name := range names {
		if len(all) == last {
			break
		}
		var d Decisions
		data, err := readAtMost(filepath.Join(decisionsDir(home), name), maxKeptFile)
		if err == nil {
			err = json.Unmarshal(data, &d)
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				warn(fmt.Errorf("decisions of a run, %s, cannot be read: %w", name, err))
			}
			continue
		}
		if app == "" || d.App == app || d.Module == app {
			all = append(all, d)
		}
	}
	return all, nil
}

// Regret is what the call cost beyond what the other site was expected to, in
// joules if the run was to save energy and in seconds otherwise; 0 where nothing
// was expected of the other site.
func (c *CallReport) Regret(objective string) float64 {
	other := WhereClone
	if c.Where == WhereClone {
		other = WhereDevice
	}
	p, ok := c.Predicted[other]
	switch {
	case !ok:
		return 0
	case objective == "energy":
		return max(0, c.Joules-p.Joules)
	}
	return max(0, c.Seconds-p.Seconds)
}
