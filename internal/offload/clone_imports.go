package offload

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// Entry returns the number of the import that the guest is in, or that comes
// next, and the number of the next forwarded operation within it.
func (c *Clone) Entry() (entry, step uint32) { return c.next, c.step }

// NoteRead adds a file that the guest read, looked up or listed, in the
// encoding that the device checks (PROTOCOL rules 13 and 15).
func (c *Clone) NoteRead(read []byte) []CloneAction {
	c.reads = append(c.reads, read)
	if len(c.reads) > wire.MaxBatch {
		return c.abort("too many files read between two releases")
	}
	return nil
}

// NoteClocks tells the last clock values that the guest has seen.
func (c *Clone) NoteClocks(real, mono int64) {
	c.real, c.mono = max(c.real, real), max(c.mono, mono)
}

// Log adds the import that the guest is in to the log, now that its outcome
// is known: its class, its encoded entry and, for a deferrable effect, the
// effect. A Release may follow.
func (c *Clone) Log(now Time, class Class, encoded, effect []byte) []CloneAction {
	if c.phase != cloneRunning {
		return nil
	}
	entry := c.next
	c.next, c.step = c.next+1, 0
	c.queued += len(effect)
	c.changes = c.changes || class == FileChange
	if c.queued > maxQueued || len(effect) > wire.MaxPayload {
		return c.abort("more output and file changes than can be held back")
	}
	c.logBytes += uint64(len(encoded))
	if entry >= c.call.LogEntries || c.logBytes > c.call.LogBytes || len(encoded) > wire.MaxPayload {
		c.capped = true
	}
	if c.capped {
		return c.logBare(entry, class, effect)
	}
	c.tail = append(c.tail, &wire.Entry{Class: class, Encoded: encoded, Effect: effect})
	c.outputs = c.outputs || class == Output
	return c.Tick(now)
}

// logBare notes what alone counts past the cap of the log: the effects.
func (c *Clone) logBare(entry uint32, class Class, effect []byte) []CloneAction {
	switch class {
	case Immediate:
		return c.abort("an immediate effect past the cap of the import log")
	case Output, FileChange:
		if len(c.bare) >= wire.MaxBare {
			return c.abort("too many effects past the cap of the import log")
		}
		c.bare = append(c.bare, &wire.BareEffect{Entry: entry, Class: class, Effect: effect})
	}
	return nil
}

func (c *Clone) abort(reason string) []CloneAction {
	c.aborting = true
	return []CloneAction{Abort{Reason: reason}}
}

// mayRelease reports whether output may be released before the Return.
func (c *Clone) mayRelease() bool {
	return c.outputs && !c.changes && !c.capped && !c.aborting &&
		c.call != nil && c.call.ReleaseNanos != 0 && c.phase == cloneRunning
}

// Deadline returns when Tick is due, if ever: when held back output may go.
func (c *Clone) Deadline() (Time, bool) { return c.releaseAt, c.mayRelease() }

// Tick says that a deadline may have passed.
func (c *Clone) Tick(now Time) []CloneAction {
	if !c.mayRelease() || now < c.releaseAt {
		return nil
	}
	return c.travel(now)
}

// travel sends the log so far, in frames of bounded size; the reads go first,
// because all of them must hold before any of it is released.
func (c *Clone) travel(now Time) []CloneAction {
	var acts []CloneAction
	reads := c.reads
	for len(c.tail) > 0 || len(reads) > 0 {
		m := &wire.Release{First: c.first, RealNanos: c.real, MonoNanos: c.mono}
		size, n := 0, 0
		for n < len(reads) && (n == 0 || size+len(reads[n]) <= batchBytes) {
			size += len(reads[n]) + 8
			n++
		}
		m.Reads, reads = reads[:n:n], reads[n:]
		n = 0
		for len(reads) == 0 && n < len(c.tail) && (size == 0 || size+proto.Size(c.tail[n]) <= batchBytes) {
			size += proto.Size(c.tail[n]) + 8
			c.queued -= len(c.tail[n].Effect)
			n++
		}
		m.Entries = c.tail[:n:n]
		c.first, c.tail = c.first+uint32(n), c.tail[n:]
		acts = append(acts, c.send(wire.TypeRelease, m, Body{}))
	}
	c.tail, c.reads, c.outputs = nil, nil, false
	c.releaseAt = now + time.Duration(c.call.ReleaseNanos)
	return acts
}

// Forward has an operation of the present import performed on the device; the
// guest waits for Answer (PROTOCOL rules 10, 11, 13). An immediate effect has
// the log so far travel first, and ends the attempt where it is not allowed.
func (c *Clone) Forward(now Time, class Class, payload []byte) []CloneAction {
	if c.phase != cloneRunning || c.aborting {
		return nil
	}
	if len(payload) > wire.MaxPayload {
		return c.abort("a forwarded import with more than 1 MiB of arguments")
	}
	var acts []CloneAction
	if class == Immediate {
		c.logBytes += uint64(len(payload)) // the device logs it
		switch {
		case c.changes:
			return c.abort("an immediate effect after queued file changes")
		case c.capped || c.next >= c.call.LogEntries:
			return c.abort("an immediate effect past the cap of the import log")
		case c.call.ReleaseNanos == 0:
			return c.abort("an immediate effect where nothing may be released before the result")
		}
		acts = c.travel(now)
	}
	c.waitFor = request{any: true, entry: c.next, step: c.step, class: class}
	c.phase = cloneWaiting
	m := &wire.ImportRequest{Entry: c.next, Step: c.step, Class: class, Payload: payload}
	c.step++
	return append(acts, c.send(wire.TypeImportRequest, m, Body{}))
}
