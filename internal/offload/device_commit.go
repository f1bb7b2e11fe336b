package offload

import (
	"github.com/clonecloud/clonecloud/internal/wire"
)

// batch is a Release, or the log part of a Return, on its way into the log.
type batch struct {
	entries    []Entry // as they go into the log, entries[0] may complete an open one
	first      int     // index of entries[0]
	effects    []Effect
	reads      [][]byte
	real, mono int64
}

// openBatch checks a batch against the log: it must begin where the log ends, an
// immediate entry can only be the open one, and the open one must be first.
func (d *Device) openBatch(first uint32, entries []*wire.Entry, reads [][]byte, real, mono int64) (b batch, wrong string) {
	log := d.a.log
	b = batch{first: len(log), reads: reads, real: real, mono: mono}
	open := len(log) > 0 && log[len(log)-1].Open
	if open {
		b.first--
	}
	if int64(first) != int64(b.first) {
		return b, "a batch that does not begin where the log ends"
	}
	for i, m := range entries {
		if (m.Class == Immediate) != (open && i == 0) {
			return b, "an immediate effect in the log that the device did not perform"
		}
		e := Entry{Class: m.Class, Encoded: m.Encoded}
		if e.Class == Output || e.Class == FileChange {
			e.Effect = m.Effect
			b.effects = append(b.effects, Effect{Entry: uint32(b.first + i), Class: m.Class, Payload: m.Effect})
		}
		b.entries = append(b.entries, e)
	}
	if !d.fits(&b) {
		return b, "an import log beyond its cap"
	}
	return b, ""
}

// fits reports whether the batch stays within the caps of the log. It is
// asked before anything is released, because what the world has seen must be
// logged.
func (d *Device) fits(b *batch) bool {
	bytes := d.a.logBytes
	for i := range b.entries {
		bytes += uint64(len(b.entries[i].Encoded))
	}
	return b.first+len(b.entries) <= int(d.conf.LogEntries) && bytes <= d.conf.LogBytes
}

// logBatch adds the first n entries of the batch to the import log.
func (d *Device) logBatch(b *batch, n int) {
	a := &d.a
	for i, e := range b.entries[:n] {
		a.logBytes += uint64(len(e.Encoded))
		if at := b.first + i; at < len(a.log) {
			// The device's own record of what it answered stays.
			a.log[at].Encoded, a.log[at].Open = e.Encoded, false
			continue
		}
		e.Effect = nil // performed; the log needs its answer alone
		a.log = append(a.log, e)
	}
	d.floor(b.real, b.mono)
}

// floor raises the least values that the device's clocks may answer.
func (d *Device) floor(real, mono int64) {
	d.real, d.mono = max(d.real, real), max(d.mono, mono)
}

// release takes a Release: structure, reads, then output (PROTOCOL rule 13).
func (d *Device) release(m *wire.Release) []DeviceAction {
	b, wrong := d.openBatch(m.First, m.Entries, m.Reads, m.RealNanos, m.MonoNanos)
	if wrong != "" {
		return d.broken("%s", wrong)
	}
	d.a.batch = b
	if len(b.reads) > 0 {
		return []DeviceAction{CheckReads{Op: d.ask(checkingBatch), Reads: b.reads}}
	}
	return d.releaseOutput()
}

// ReadsChecked answers CheckReads; changed names what is no longer what it
// was when it was read, and is empty when all is well.
func (d *Device) ReadsChecked(now Time, op uint64, changed string) []DeviceAction {
	k, ok := d.answered(op, checkingBatch, checkingReturn)
	if !ok {
		return nil
	}
	if changed != "" {
		return d.abandon(Reason{WhyChanged, changed})
	}
	if k == checkingReturn {
		return d.prepare()
	}
	return append(d.releaseOutput(), d.work()...)
}

func (d *Device) releaseOutput() []DeviceAction {
	b := &d.a.batch
	if len(b.effects) > 0 {
		return []DeviceAction{ReleaseOutput{Op: d.ask(releasing), Effects: b.effects}}
	}
	// Nothing but the log so far, ahead of an immediate effect.
	d.logBatch(b, len(b.entries))
	return nil
}

// Released answers ReleaseOutput: done effects went as assumed. When done is
// not all of them, effect number done had another result: real, or nil if it
// did nothing at all.
func (d *Device) Released(now Time, op uint64, done int, real *Real) []DeviceAction {
	if _, ok := d.answered(op, releasing); !ok {
		return nil
	}
	a := &d.a
	b := &a.batch
	if done >= len(b.effects) {
		d.logBatch(b, len(b.entries))
		a.rebind()
		if a.dying != nil {
			return d.runLocal(*a.dying)
		}
		return d.work()
	}
	d.logBatch(b, d.cut(b, done, real))
	a.rebind()
	return d.runLocal(because(WhyOutput, "entry %d gave another result than assumed", b.effects[done].Entry))
}

// cut returns how many entries of b stand when effect number done was the
// first not to go as assumed, and notes its real result.
func (d *Device) cut(b *batch, done int, real *Real) int {
	at := int(b.effects[done].Entry) - b.first
	if real == nil {
		return at
	}
	b.entries[at].Real = real
	return at + 1
}

// takeReturn takes a Return: what this package can check of rule 15, then the
// reads, then the caller's checks in Prepare.
func (d *Device) takeReturn(m *wire.Return, f inFrame) []DeviceAction {
	a := &d.a
	switch m.Outcome {
	case wire.Outcome_OUTCOME_TRAPPED:
		return d.runLocal(Reason{WhyTrap, m.Reason})
	case wire.Outcome_OUTCOME_ABORTED:
		return d.runLocal(Reason{WhyAborted, m.Reason})
	}
	if a.phase != running {
		return d.broken("a Return before Applied")
	}
	b, wrong := d.openBatch(m.First, m.Entries, m.Reads, m.RealNanos, m.MonoNanos)
	if wrong != "" {
		return d.broken("%s", wrong)
	}
	open := len(a.log) > 0 && a.log[len(a.log)-1].Open
	if open && len(b.entries) == 0 {
		return d.broken("a Return without the record of the last immediate effect")
	}
	a.batch, a.ret = b, f
	a.effects = b.effects
	for _, e := range m.Bare {
		a.effects = append(a.effects, Effect{Entry: e.Entry, Class: e.Class, Payload: e.Effect})
	}
	if len(b.reads) > 0 {
		return []DeviceAction{CheckReads{Op: d.ask(checkingReturn), Reads: b.reads}}
	}
	return d.prepare()
}

func (d *Device) prepare() []DeviceAction {
	a := &d.a
	return []DeviceAction{Prepare{
		Op: d.ask(preparing), Attempt: a.id, Return: a.ret.msg.(*wire.Return), Body: a.ret.body, Effects: a.effects,
	}}
}

// Prepared answers Prepare: whether the Return passed and all that can fail
// is done. With a failure nothing is staged any more.
func (d *Device) Prepared(now Time, op uint64, failure *Reason) []DeviceAction {
	if _, ok := d.answered(op, preparing); !ok {
		return nil
	}
	a := &d.a
	switch {
	case failure != nil:
		return d.runLocal(*failure)
	case a.dying != nil:
		return d.undo(0, nil)
	case a.changesFiles():
		return []DeviceAction{WriteRecord{Op: d.ask(recording), Attempt: a.id}}
	}
	return d.apply()
}

func (a *attempt) changesFiles() bool {
	for i := range a.effects {
		if a.effects[i].Class == FileChange {
			return true
		}
	}
	return false
}

// Recorded answers WriteRecord.
func (d *Device) Recorded(now Time, op uint64, failure string) []DeviceAction {
	if _, ok := d.answered(op, recording); !ok {
		return nil
	}
	if failure != "" {
		d.a.dying = &Reason{WhyPrepare, failure}
		return d.undo(0, nil)
	}
	return d.apply()
}

func (d *Device) apply() []DeviceAction {
	a := &d.a
	if len(a.effects) == 0 {
		return d.install()
	}
	return []DeviceAction{ApplyEffects{Op: d.ask(applying), Attempt: a.id, Effects: a.effects}}
}

// EffectsApplied answers ApplyEffects: done effects went as assumed. When done
// is not all of them, number done did not: real is its other result if it is
// output of which anything happened, failure says what went wrong.
func (d *Device) EffectsApplied(now Time, op uint64, done int, real *Real, failure string) []DeviceAction {
	if _, ok := d.answered(op, applying); !ok {
		return nil
	}
	if done >= len(d.a.effects) {
		return d.install()
	}
	why := WhyApply
	if d.a.effects[done].Class == Output {
		why = WhyOutput
	}
	d.a.dying = &Reason{why, failure}
	return d.undo(done, real)
}

// undo takes the file changes back and makes the log say what output stands.
func (d *Device) undo(done int, real *Real) []DeviceAction {
	a := &d.a
	b := &a.batch
	if done < len(a.effects) && a.effects[done].Class != Output {
		real = nil
	}
	if text, lost := a.unlogged(done, real); lost {
		a.dying = &Reason{WhyOutput, text}
		a.batch.first = -1
		return []DeviceAction{Undo{Op: d.ask(undoing), Attempt: a.id}}
	}
	n := 0
	switch {
	case done < len(b.effects):
		n = d.cut(b, done, real)
	case done > 0:
		n = len(b.entries)
	}
	if done > 0 || real != nil {
		d.logBatch(b, n)
		a.rebind()
	}
	return []DeviceAction{Undo{Op: d.ask(undoing), Attempt: a.id}}
}

// unlogged reports output past the cap of the log that stands although the
// attempt does not: nothing could answer a re-run.
func (a *attempt) unlogged(done int, real *Real) (string, bool) {
	for i := len(a.batch.effects); i < len(a.effects) && i <= done; i++ {
		if a.effects[i].Class == Output && (i < done || real != nil) {
			return "output stopped behind the end of the import log", true
		}
	}
	return "", false
}

// Undone answers Undo. A failure leaves the record for the next start.
func (d *Device) Undone(now Time, op uint64, failure string) []DeviceAction {
	if _, ok := d.answered(op, undoing); !ok {
		return nil
	}
	a := &d.a
	text := ""
	switch {
	case failure != "":
		text = "could not take back the file changes of an attempt (" + a.dying.String() + "): " + failure
	case a.batch.first < 0:
		text = a.dying.Text
	default:
		return d.runLocal(*a.dying)
	}
	d.a, d.ended = attempt{}, true
	return []DeviceAction{Fail{Text: text}}
}

// install commits the result to the guest (rule 16 d).
func (d *Device) install() []DeviceAction {
	a := &d.a
	m := a.ret.msg.(*wire.Return)
	d.floor(m.RealNanos, m.MonoNanos)
	d.image = Image{Kind: ResultImage, Attempt: a.id}
	in := Install{
		Attempt: a.id, Return: m, Body: a.ret.body, Image: d.image,
		Exited: m.Outcome == wire.Outcome_OUTCOME_EXITED, ExitCode: m.ExitCode,
	}
	if d.link == linkResuming {
		d.link = linkUp
	}
	d.a = attempt{}
	return []DeviceAction{in}
}
