package offload

import (
	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// Frame delivers a frame that arrived for this run: its header, its checked
// message, its body. Frames of other attempts than the live one, and frames
// already seen, change nothing.
func (d *Device) Frame(now Time, h wire.Header, msg proto.Message, body []byte) []DeviceAction {
	if d.a.phase == idle || h.Run != d.run || (h.Attempt != d.a.id && !(h.Type == wire.TypeRefuse && h.Attempt.IsZero())) {
		d.fenced++
		return nil
	}
	switch m := msg.(type) {
	case *wire.Resumed:
		return d.resumed(m.Received)
	case *wire.Unknown:
		if d.a.returned {
			return nil
		}
		return d.abandon(Reason{WhyUnknown, m.Reason})
	case *wire.Refuse:
		if d.a.returned {
			return nil
		}
		return d.abandon(because(WhyRefused, "%v: %s", m.Code, m.Text))
	}
	if !h.Type.Sequenced() || !h.Type.FromClone() {
		return d.broken("%v from the clone", h.Type)
	}
	if h.Seq <= d.a.received || d.a.returned {
		d.fenced++
		return nil
	}
	if h.Seq != d.a.received+1 {
		return d.broken("frame %d after %d", h.Seq, d.a.received)
	}
	if h.Ack > d.a.sent {
		return d.broken("frame %d acknowledged of %d", h.Ack, d.a.sent)
	}
	d.a.received = h.Seq
	var acts []DeviceAction
	switch msg.(type) {
	case *wire.Return:
		d.a.returned = true
		acts = d.control(wire.TypeAck, &wire.Ack{})
	case *wire.Release:
		acts = d.control(wire.TypeAck, &wire.Ack{})
	}
	f := inFrame{msg: msg, body: body}
	if !d.a.returned {
		f.size = proto.Size(msg)
	}
	d.a.inboxBytes += f.size
	d.a.inbox = append(d.a.inbox, f)
	if len(d.a.inbox) > maxInboxFrames || d.a.inboxBytes > maxInboxBytes {
		return append(acts, d.broken("more frames than may wait")...)
	}
	return append(acts, d.work()...)
}

func (d *Device) broken(format string, args ...any) []DeviceAction {
	return d.abandon(because(WhyProtocol, format, args...))
}

// resumed goes on after a redial: the node has received so many frames.
func (d *Device) resumed(received uint32) []DeviceAction {
	if d.link != linkResuming || d.a.returned {
		return nil
	}
	if received > d.a.sent || received+1 < d.a.sent {
		return d.broken("the node has %d of %d frames", received, d.a.sent)
	}
	d.link = linkUp
	if received == d.a.sent {
		return nil
	}
	again := d.a.last
	again.Header.Ack = d.a.received
	return []DeviceAction{again}
}

// work takes frames from the inbox until one needs an answer.
func (d *Device) work() []DeviceAction {
	var acts []DeviceAction
	for d.a.phase != idle && d.a.pending == nothing && len(d.a.inbox) > 0 {
		f := d.a.inbox[0]
		d.a.inbox = d.a.inbox[1:]
		d.a.inboxBytes -= f.size
		acts = append(acts, d.take(f)...)
	}
	return acts
}

// take acts on one numbered frame, in order.
func (d *Device) take(f inFrame) []DeviceAction {
	a := &d.a
	switch m := f.msg.(type) {
	case *wire.NeedBase:
		if a.phase != calling || a.hashed {
			return d.broken("NeedBase where none is due")
		}
		return d.sendHashes()
	case *wire.NeedPages:
		if a.phase != hashing {
			return d.broken("NeedPages where none is due")
		}
		a.phase = paging
		return d.sendCall(Image{Kind: HashedImage}, Body{Kind: PagesBody, Runs: m.Runs})
	case *wire.Applied:
		if a.phase != calling && a.phase != paging {
			return d.broken("Applied where none is due")
		}
		a.phase, a.applied = running, true
		d.know(a.spec.Site, a.id)
		return nil
	case *wire.ImportRequest:
		if a.phase != running {
			return d.broken("an import before Applied")
		}
		return d.request(m)
	case *wire.Release:
		if a.phase != running {
			return d.broken("a Release before Applied")
		}
		return d.release(m)
	case *wire.Return:
		return d.takeReturn(m, f)
	}
	return d.broken("a frame that does not belong here")
}

// know remembers which images a site holds.
func (d *Device) know(site string, id ID) {
	if _, ok := d.sites[site]; !ok && len(d.sites) >= maxSites {
		clear(d.sites)
	}
	d.sites[site] = id
}

// request serves a forwarded import (PROTOCOL rule 11).
func (d *Device) request(m *wire.ImportRequest) []DeviceAction {
	a := &d.a
	last := &a.served
	if last.any && (m.Entry < last.entry || (m.Entry == last.entry && m.Step <= last.step)) {
		if m.Entry != last.entry || m.Step != last.step || a.reply == nil {
			return d.broken("import %d.%d after %d.%d", m.Entry, m.Step, last.entry, last.step)
		}
		// Asked again: answered again, not done again.
		return d.send(wire.TypeImportReply, a.reply, Body{})
	}
	if m.Class == Immediate {
		if acts, ok := d.openImmediate(m); !ok {
			return acts
		}
	}
	a.served = request{any: true, entry: m.Entry, step: m.Step, class: m.Class, payload: m.Payload}
	a.reply = nil
	return []DeviceAction{Serve{
		Op: d.ask(serving), Attempt: a.id, Entry: m.Entry, Step: m.Step, Class: m.Class, Payload: m.Payload,
	}}
}

// openImmediate makes the log ready for an immediate effect: everything
// before it has travelled, and from its start on it binds (rules 13, 14).
func (d *Device) openImmediate(m *wire.ImportRequest) ([]DeviceAction, bool) {
	a := &d.a
	if n := len(a.log); n > 0 && a.log[n-1].Open {
		if m.Entry != uint32(n-1) {
			return d.broken("an immediate effect %d before entry %d was complete", m.Entry, n-1), false
		}
		return nil, true
	}
	if m.Entry != uint32(len(a.log)) {
		return d.broken("an immediate effect %d when the log has %d entries", m.Entry, len(a.log)), false
	}
	if len(a.log) >= int(d.conf.LogEntries) {
		return d.abandon(because(WhyLimit, "an import log of more than %d entries", d.conf.LogEntries)), false
	}
	a.log = append(a.log, Entry{Class: Immediate, Open: true})
	a.bound = len(a.log)
	return nil, true
}

// Served answers Serve with the reply.
func (d *Device) Served(now Time, op uint64, reply []byte) []DeviceAction {
	if d.late != nil && d.late.op == op {
		return d.servedLate(CompleteLog{Op: Op{Reply: reply}})
	}
	if _, ok := d.answered(op, serving); !ok {
		return nil
	}
	a := &d.a
	if a.served.class == Immediate {
		e := &a.log[len(a.log)-1]
		e.Ops = append(e.Ops, Op{Request: a.served.payload, Reply: reply})
		d.a.logBytes += uint64(len(reply) + len(a.served.payload))
		if a.logBytes > d.conf.LogBytes {
			return d.abandon(because(WhyLimit, "import log of %d bytes", a.logBytes))
		}
	}
	if len(reply) > wire.MaxPayload {
		return d.abandon(because(WhyLimit, "a reply of %d bytes", len(reply)))
	}
	a.reply = &wire.ImportReply{Entry: a.served.entry, Step: a.served.step, Payload: reply}
	return append(d.send(wire.TypeImportReply, a.reply, Body{}), d.work()...)
}

// ServedPrivate answers Serve when it met something private: no byte of it
// leaves the device, and the run is tainted (PROTOCOL rule 10). Nothing has
// been done to the world.
func (d *Device) ServedPrivate(now Time, op uint64, why string) []DeviceAction {
	if d.tainted == "" {
		d.tainted = why
	}
	if d.late != nil && d.late.op == op {
		return d.servedLate(CompleteLog{Private: true})
	}
	return d.notServed(op, Reason{WhyPrivate, why})
}

// ServedNot answers Serve when the request makes no sense, or is beyond a
// limit: no guest of ours asks so, and nothing has been done to the world.
func (d *Device) ServedNot(now Time, op uint64, why string) []DeviceAction {
	return d.notServed(op, Reason{WhyProtocol, why})
}

// notServed abandons the attempt at a request that was not performed.
func (d *Device) notServed(op uint64, r Reason) []DeviceAction {
	if _, ok := d.answered(op, serving); !ok {
		return nil
	}
	a := &d.a
	if n := len(a.log); a.served.class == Immediate && len(a.log[n-1].Ops) == 0 {
		// It was opened for this operation alone: nothing happened, nothing binds.
		a.log = a.log[:n-1]
		a.rebind()
	}
	return d.abandon(r)
}

func (d *Device) servedLate(c CompleteLog) []DeviceAction {
	c.Attempt, c.Entry, c.Op.Request = d.late.attempt, d.late.entry, d.late.request
	d.late = nil
	return []DeviceAction{c}
}

// rebind finds what of the log binds: up to the last released or immediate
// effect. Entries in the log are released if they are output at all.
func (a *attempt) rebind() {
	for a.bound = len(a.log); a.bound > 0; a.bound-- {
		if c := a.log[a.bound-1].Class; c == Output || c == Immediate {
			return
		}
	}
}
