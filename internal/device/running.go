package device

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/runner"
)

// Running is what `clonecloud ps` shows of an application that runs: a file
// under run/ of the home, beside a lock that its manager holds for as long as it
// lives. A file whose lock is free belongs to a manager that was killed, and is
// removed by whoever finds it.
type Running struct {
	Pid   int       `json:"pid"`
	App   string    `json:"app"`
	Began time.Time `json:"began"`
	Where string    `json:"where"` // as asked for
	// DeviceSeconds and CloneSeconds are where its time has been spent so far.
	DeviceSeconds float64 `json:"deviceSeconds"`
	CloneSeconds  float64 `json:"cloneSeconds"`
	// Saved is what calls that moved were expected to cost here, less what they did.
	SavedSeconds float64 `json:"savedSeconds"`
	SavedJoules  float64 `json:"savedJoules"`
	CallsClone   int     `json:"callsClone"`
	Fallbacks    int     `json:"fallbacks"`
	// Function and Reason are of the last decision that was told.
	Function  string `json:"function,omitempty"`
	Site      string `json:"site,omitempty"`
	Reason    string `json:"reason,omitempty"`
	JoulesAre string `json:"joulesAre"`
	// Blocked is why the policy forbids the link now; empty: it does not.
	Blocked string `json:"blocked,omitempty"`
}

const (
	runningSuffix = ".json"
	// publishEvery bounds how often the file is written.
	publishEvery = 500 * time.Millisecond
	maxRunning   = 64 << 10 // bytes
)

func runningDir(home string) string { return filepath.Join(home, "run") }

// presence publishes one run. A nil one publishes nothing: a home that cannot be
// written is no reason not to run.
type presence struct {
	path string
	free func()

	mu   sync.Mutex
	now  Running
	dirt bool
	stop func()
}

// appear begins to publish a run.
func appear(home string, name [16]byte, r Running) (*presence, error) {
	dir := runningDir(home)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("show the run: %w", err)
	}
	base := filepath.Join(dir, fmt.Sprintf("%x", name[:]))
	free, ok := tryLock(base + ".lock")
	if !ok {
		return nil, fmt.Errorf("show the run: lock %s: not possible", base)
	}
	r.Pid, r.JoulesAre = os.Getpid(), "model"
	p := &presence{path: base + runningSuffix, now: r, free: func() {
		_ = os.Remove(base + runningSuffix)
		_ = os.Remove(base + ".lock")
		free()
	}}
	if err := p.write(); err != nil {
		p.free()
		return nil, err
	}
	p.stop = every(publishEvery, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dirt {
			_ = p.write() // the next one may succeed
		}
		return true
	})
	return p, nil
}

// leave ends it.
func (p *presence) leave() {
	if p != nil {
		p.stop()
		p.free()
	}
}

// write replaces the file; it need not survive a crash, so nothing is synced.
func (p *presence) write() error {
	p.dirt = false
	data, err := json.Marshal(p.now)
	if err != nil {
		return fmt.Errorf("show the run: %w", err)
	}
	tmp := p.path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("show the run: %w", err)
	}
	if err := os.Rename(tmp, p.path); err != nil {
		return fmt.Errorf("show the run: %w", err)
	}
	return nil
}

// call notes a call that was told.
func (p *presence) call(c *runner.Call) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.now
	if c.Where == WhereClone {
		r.CallsClone++
		r.CloneSeconds += c.Seconds
		if here, ok := c.Predicted[WhereDevice]; ok {
			r.SavedSeconds += here.Seconds - c.Seconds
			r.SavedJoules += here.Joules - c.Joules
		}
	}
	if c.Fallback {
		r.Fallbacks++
	}
	r.Function, r.Site, r.Reason = c.Function, c.Where, c.Reason
	p.dirt = true
}

// blocked notes why the policy forbids the link, or that it does not any more.
func (p *presence) blocked(why string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now.Blocked != why {
		p.now.Blocked, p.dirt = why, true
	}
}

// RunningNow lists the applications that run, the oldest first, and clears away
// what killed managers have left.
func RunningNow(home string, now time.Time) ([]Running, error) {
	names, err := namesIn(runningDir(home), runningSuffix)
	if err != nil {
		return nil, err
	}
	var all []Running
	for _, name := range names {
		base := strings.TrimSuffix(name, runningSuffix)
		r, ok := readRunning(filepath.Join(runningDir(home), base))
		if ok {
			r.DeviceSeconds = max(now.Sub(r.Began).Seconds()-r.CloneSeconds, 0)
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Running) int { return a.Began.Compare(b.Began) })
	return all, nil
}

// readRunning reads one file, unless its manager is gone.
func readRunning(base string) (r Running, ok bool) {
	if free, gone := tryLock(base + ".lock"); gone {
		_ = os.Remove(base + runningSuffix)
		_ = os.Remove(base + ".lock")
		free()
		return r, false
	}
	data, err := readAtMost(base+runningSuffix, maxRunning)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return r, false
	}
	return r, true
}
