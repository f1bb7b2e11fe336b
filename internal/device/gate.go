package device

import (
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/policy"
)

// gate says whether the owner's policy allows the link now, and counts what
// travels over metered links. A nil gate allows everything and counts nothing.
//
// What it knows: the power supply from /sys (Linux and Android; elsewhere it is
// not known), the kind of network from Options.Network or the name of a shaped
// link (otherwise not known). What is not known fails the words that ask for it.
type gate struct {
	words   policy.Policy
	sys     fs.FS
	network energy.Radio
	now     func() time.Time
	counter *policy.Counter // nil: the network is not metered, or the counter cannot be had
	broken  error           // why not

	mu     sync.Mutex
	spells []spell // while the link was forbidden, in order
	failed error   // of counting, told once
	closed bool
}

// spell is a time in which the link was forbidden; a zero end: it still is.
type spell struct {
	from, to time.Time
	why      string
}

const (
	// policyEvery is how often the policy is asked while a link is held or wanted.
	policyEvery = time.Second
	// maxSpells bounds what is remembered: the oldest go first.
	maxSpells = 256
)

// meteredDir holds the month's counter.
func meteredDir(home string) string { return filepath.Join(home, "metered") }

// newGate reads what the policy needs. There is none where there is nothing to
// forbid and nothing to count.
func newGate(words policy.Policy, network energy.Radio, home string, sys fs.FS, now func() time.Time) *gate {
	g := &gate{words: words, sys: sys, network: network, now: now}
	metered := policy.State{Network: network}.CountsBytes()
	if !metered && words.String() == "" {
		return nil
	}
	if metered {
		g.counter, g.broken = policy.OpenCounter(meteredDir(home))
	}
	return g
}

// state is what is known now.
func (g *gate) state() (policy.State, error) {
	s := policy.State{Network: g.network, Now: g.now()}
	if supply := energy.ReadSupply(g.sys); supply.Known {
		s.Powered, s.HasBattery, s.Battery = policy.IsIt(supply.Charging), policy.IsIt(supply.HasBattery), supply.Charge
	} else if supply.HasBattery {
		s.HasBattery, s.Battery = policy.Yes, supply.Charge
	}
	if g.counter == nil {
		return s, g.broken
	}
	var err error
	s.MeteredBytes, err = g.counter.Used(s.Now)
	return s, err
}

// check asks the policy: why the link may not be used now, or nothing. A month
// whose bytes cannot be counted has no limit that can be kept: where a word asks
// for one, that forbids the link too.
func (g *gate) check() string {
	if g == nil {
		return ""
	}
	s, err := g.state()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		err = g.failed
	}
	if err != nil {
		s.MeteredBytes = 0
	}
	blocks := g.words.Blocked(s)
	var whys []string
	for _, b := range blocks {
		whys = append(whys, b.String())
	}
	if s.MeteredBytes = math.MaxInt64; err != nil && len(g.words.Blocked(s)) > len(blocks) {
		whys = append(whys, err.Error())
	}
	why := strings.Join(whys, "; ")
	g.note(why, s.Now)
	return why
}

// note remembers since when, and until when, the link was forbidden. mu is held.
func (g *gate) note(why string, now time.Time) {
	n := len(g.spells)
	if n > 0 && g.spells[n-1].to.IsZero() {
		if g.spells[n-1].why == why {
			return
		}
		g.spells[n-1].to = now
	}
	if why == "" {
		return
	}
	if n == maxSpells {
		g.spells = g.spells[1:]
	}
	g.spells = append(g.spells, spell{from: now, why: why})
}

// at is why the link was forbidden at a time, or nothing.
func (g *gate) at(t time.Time) string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.spells) - 1; i >= 0; i-- {
		s := &g.spells[i]
		if !t.Before(s.from) && (s.to.IsZero() || t.Before(s.to)) {
			return s.why
		}
	}
	return ""
}

// current is why the link is forbidden now, or nothing.
func (g *gate) current() string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.spells); n > 0 && g.spells[n-1].to.IsZero() {
		return g.spells[n-1].why
	}
	return ""
}

// last is the last reason for which the link was forbidden.
func (g *gate) last() string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.spells); n > 0 {
		return g.spells[n-1].why
	}
	return ""
}

// add counts bytes that have travelled.
func (g *gate) add(n int64) {
	if g == nil || g.counter == nil || n <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	if err := g.counter.Add(g.now(), n); err != nil {
		g.failed = err
	}
}

// close gives back what was counted beforehand.
func (g *gate) close() error {
	if g == nil || g.counter == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if err := g.counter.Close(); err != nil {
		return fmt.Errorf("count the run's bytes: %w", err)
	}
	return nil
}

// PolicyReport is what a report says of the owner's policy.
type PolicyReport struct {
	When string `json:"when"`
	// Blocked is the last reason for which the link was not used, beginning with
	// the word of the policy; empty if it never was.
	Blocked string `json:"blocked,omitempty"`
	Network string `json:"network"` // kind, as far as it is known
}

// report is nil for a run without a policy.
func (g *gate) report() *PolicyReport {
	if g == nil || g.words.String() == "" {
		return nil
	}
	return &PolicyReport{When: g.words.String(), Blocked: g.last(), Network: g.network.String()}
}
