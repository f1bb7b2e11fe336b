package device

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/runner"
)

// What decisions rest on is kept by module and engine, whose speeds differ by a
// factor of 50, in decisions/MODULE-ENGINE.learnt, with a lock beside it: two runs
// that end at once both count. A file that is damaged is replaced: what it held is
// learnt anew.

func (m *manager) learntPath() string {
	kind := cmp.Or(m.o.Engine, "best")
	return filepath.Join(decisionsDir(m.o.Home), fmt.Sprintf("%x-%s.learnt", m.sum, kind))
}

// maxLearnt bounds the file.
const maxLearnt = 8 << 20

// learnt reads what earlier runs of the module have learnt; nothing if there is
// none, or it cannot be read.
func (m *manager) learnt() []byte {
	data, err := readAtMost(m.learntPath(), maxLearnt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.o.OnEvent(runner.Event{Warn: "stored predictions: " + err.Error()})
	}
	return data
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), limit)
	}
	return data, nil
}

// lockTime is how long a run waits for another's lock at its end.
const lockTime = time.Second

// keepLearnt merges what a run has learnt into what is stored.
func (m *manager) keepLearnt(data []byte) error {
	run, err := decide.DecodeState(data)
	if err != nil {
		return fmt.Errorf("keep what was learnt: %w", err)
	}
	path := m.learntPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep what was learnt: %w", err)
	}
	free, ok := tryLock(path + ".lock")
	for began := time.Now(); !ok; free, ok = tryLock(path + ".lock") {
		if time.Since(began) > lockTime {
			return errors.New("keep what was learnt: another run holds its lock")
		}
		time.Sleep(10 * time.Millisecond)
	}
	defer free()
	if old, err := readAtMost(path, maxLearnt); err == nil {
		if stored, err := decide.DecodeState(old); err == nil {
			run = decide.Merge(stored, run)
		}
	}
	return identity.WriteFile(path, run.Encode(), 0o600)
}

// radio says what kind of network the link is, as far as that is known: by
// Options.Network, or a shaped link by its name.
func (m *manager) radio() energy.Radio {
	if m.o.Network != energy.UnknownRadio {
		return m.o.Network
	}
	if m.o.Shape == nil {
		return energy.UnknownRadio
	}
	switch name := m.o.Shape.Name; {
	case strings.HasPrefix(name, "wifi"):
		return energy.WiFi
	case strings.HasPrefix(name, "3g"):
		return energy.ThreeG
	case strings.HasPrefix(name, "lte"):
		return energy.LTE
	case strings.HasPrefix(name, "5g"):
		return energy.NR
	}
	return energy.UnknownRadio
}

// powerName names the power profile that joules are of.
func (m *manager) powerName() string {
	switch {
	case m.o.Where != WhereAuto:
		return ""
	case m.o.Power == nil:
		return energy.Default().Name
	}
	return m.o.Power.Name
}

// decide is what the runner decides by; expect says that there may be a clone soon.
func (m *manager) decide(expect bool) runner.Decide {
	if m.o.Where != WhereAuto {
		return runner.Decide{}
	}
	return runner.Decide{
		Objective: m.o.Objective, MaxSlowdown: m.o.MaxSlowdown, Radio: m.radio(), Power: m.o.Power,
		Record: m.o.Record, Expect: expect, Learnt: m.learnt(), Partition: m.o.Partition,
	}
}
