package device

import (
	"errors"
	"time"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// rulePolicy is the rule of a call that runs here because the owner's policy
// forbids the link.
const rulePolicy = "policy"

func forbidden(why string) string { return "everything runs on this device: " + why }

// permitted waits until the policy allows the link; false: the run is over.
func (k *linkKeeper) permitted() bool {
	for k.ctx.Err() == nil {
		why := k.m.gate.check()
		if why == "" {
			return true
		}
		k.note(func() { k.lastErr = errors.New("the policy forbids the link: " + why) })
		select {
		case <-time.After(policyEvery):
		case <-k.ctx.Done():
		}
	}
	return false
}

// watchPolicy ends offloads when the policy forbids the link, tells of it, and
// counts what travels. A run without either is not watched.
func watchPolicy(k *linkKeeper) (stop func()) {
	g := k.m.gate
	if g == nil {
		return func() {}
	}
	told := g.last()
	return every(policyEvery, func() bool {
		k.countNow()
		why := g.check()
		if why != "" {
			k.forbid("the policy forbids the link: " + why)
		}
		if why != told && k.m.tellPolicy(why) {
			told = why
		}
		return true
	})
}

// tellPolicy tells that the policy forbids the link, or does not any more. It does
// not wait for whoever listens: false says that it is to be told again.
func (m *manager) tellPolicy(why string) bool {
	text := "the policy allows the link again"
	if why != "" {
		text = forbidden(why)
	}
	select {
	case m.events <- runner.Event{Warn: text}:
		return true
	default:
		return false
	}
}

// forbid ends the attempt that lives and the connection.
func (k *linkKeeper) forbid(reason string) {
	k.mu.Lock()
	c, attempt := k.conn, k.attempt
	k.mu.Unlock()
	if c == nil {
		return
	}
	k.abandon(reason)
	if !attempt.IsZero() {
		h := wire.Header{Type: wire.TypeCancel, Run: k.m.run, Attempt: attempt}
		_ = wire.NewWriter(c.Control()).Send(h, &wire.Cancel{Reason: reason}, nil)
	}
	_ = c.Close()
}

// countNow counts what the present connection has carried.
func (k *linkKeeper) countNow() {
	k.mu.Lock()
	c := k.conn
	k.mu.Unlock()
	if c != nil {
		k.count(c)
	}
}

// count adds to the month what a connection has carried since it was last asked.
// Frames are counted, with their heads; handshakes and the network's own heads
// are not.
func (k *linkKeeper) count(c link.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := c.Stats()
	if n := st.BytesUp + st.BytesDown - k.counted; n > 0 {
		k.counted += n
		k.m.gate.add(n)
	}
}

// blame gives a call that had no clone the reason, where that was the policy: the
// runner knows only that there was no link.
func (m *manager) blame(c *runner.Call) {
	if c == nil || c.Where != WhereDevice || c.Rule != "no clone" {
		return
	}
	if why := m.gate.at(time.Now().Add(-time.Duration(c.Seconds * float64(time.Second)))); why != "" {
		c.Rule, c.Reason = rulePolicy, "the policy forbids the link: "+why
	}
}

// closeGate ends the counting.
func (m *manager) closeGate() {
	if err := m.gate.close(); err != nil {
		m.o.OnEvent(runner.Event{Warn: err.Error()})
	}
}
