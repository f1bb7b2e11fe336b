package runner

import (
	"os"
	"path/filepath"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

// Hold stops a device's runner inside a commit, so that a test can strike there
// and know that it did: no timing approximates the few microseconds between two
// steps. A user cannot reach it.
//
// The runner makes the file HeldFile in Dir when it comes to Point for the first
// time, and goes on when there is a file GoFile.
type Hold struct {
	Point stage.Point
	Dir   string
}

// The files of a Hold.
const (
	HeldFile = "held"
	GoFile   = "go"
)

// reached is stage.Config.Reached.
func (h *Hold) reached(p stage.Point) {
	held := filepath.Join(h.Dir, HeldFile)
	if _, err := os.Stat(held); p != h.Point || err == nil {
		return
	}
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		return
	}
	for {
		if _, err := os.Stat(filepath.Join(h.Dir, GoFile)); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
