package device

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/profile/store"
	"github.com/clonecloud/clonecloud/internal/runner"
)

// Profiles returns the profiles of a home. Damage is told to warn.
func Profiles(home string, warn func(error)) *store.Store {
	return store.New(store.Config{
		Dir:   filepath.Join(home, "profiles"),
		Lock:  tryLock,
		Write: func(path string, data []byte) error { return identity.WriteFile(path, data, 0o600) },
		Warn:  warn,
	})
}

// ProfileKey names the profile of a module.
func ProfileKey(module [sha256.Size]byte) store.Key {
	return store.Key{Module: module, Rewriting: runner.RewritingVersion}
}

// Trace is what happened when in one run.
type Trace struct {
	Calls []runner.Call // that were decided on, as in the report
	Spans []runner.Span // that ran on the device
}

// observe gathers what the runner tells about calls.
func (r *Result) observe(e *runner.Event, log *slog.Logger) {
	if e.Profile != nil {
		part, err := profile.Decode(e.Profile)
		if err != nil {
			log.Error("runner's profile", "error", err)
			return
		}
		r.Profile.Merge(part)
	}
	r.Trace.Spans = append(r.Trace.Spans, e.Spans...)
	if e.Call != nil && len(r.Trace.Calls) < maxCalls {
		r.Trace.Calls = append(r.Trace.Calls, *e.Call)
	}
}

// notable is the least time of a run that is worth a write to the disk.
const notable = 20 * time.Millisecond

// keepProfile merges a run's profile into what is stored. Failing costs
// knowledge and nothing else.
func (m *manager) keepProfile(r *Result) {
	var spent uint64
	for _, n := range r.Profile.Root.Children {
		spent += n.Spent()
	}
	if m.o.Profile == "" || spent < uint64(notable) {
		return
	}
	warn := func(err error) { m.o.OnEvent(runner.Event{Warn: err.Error()}) }
	if err := Profiles(m.o.Home, warn).Merge(ProfileKey(m.sum), r.Profile); err != nil {
		warn(fmt.Errorf("what was learnt from this run is lost: %w", err))
	}
}
