package runner

import (
	"fmt"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// rerun is a local run of a call whose lost attempt has had effects: its import
// log says what the world has already seen (PROTOCOL rules 17 and 18). It is
// the guest's tap while it lasts, and the Host of its immediate imports.
type rerun struct {
	*wasi.Replayer
	r      *deviceRun
	log    *offload.Replay
	host   *replayHost
	redo   *offload.Entry // what Replayer is to be given next
	number uint32
	direct bool // the present import is an immediate one, answered by the host
}

var _ wasi.Tracker = (*rerun)(nil)

// beginRerun binds the guest to a log until it is used up.
func (r *deviceRun) beginRerun(local offload.RunLocal) *rerun {
	x := &rerun{r: r, log: offload.NewReplay(local.Log), host: &replayHost{Host: r.local}}
	x.Replayer = wasi.NewReplayer(x.nextEntry)
	r.rerun = x
	r.local.Seed(local.Seed)
	r.g.sys.SetHost(x.host)
	r.g.sys.SetTap(x)
	return x
}

// endRerun frees the guest from its log, in a host call.
func (r *deviceRun) endRerun() {
	if err := r.leaveRerun("the local run returned before it"); err != nil {
		engine.Throw(err)
	}
}

// leaveRerun frees the guest from its log. The error says that the log was not
// used up when the guest did what detail says.
func (r *deviceRun) leaveRerun(detail string) error {
	x := r.rerun
	if x == nil {
		return nil
	}
	r.rerun = nil
	r.g.sys.SetTap(nil)
	r.g.sys.SetHost(r.local)
	r.local.Unseed()
	r.machine.ReplayDone()
	if x.log.Done() {
		return nil
	}
	n, e, _ := x.log.Next()
	name := "an import"
	if w, err := decodeEntry(e.Encoded); err == nil {
		name = w.Fn.String()
	}
	return &diverged{(&offload.Divergence{Entry: n, Import: name, Detail: detail}).Error()}
}

// complete delivers the reply of an effect that was in progress when the
// attempt ended.
func (x *rerun) complete(c offload.CompleteLog) { _ = x.log.Complete(c) }

// Enter implements wasi.Tap.
func (x *rerun) Enter(c wasi.Call) *wasi.Outcome {
	x.host.ops, x.direct = nil, false
	n, e, mode := x.log.Next()
	x.number = n
	switch mode {
	case offload.Free:
		x.r.endRerun()
		return nil
	case offload.AnswerOps, offload.Wait:
		if e.Open {
			// Its record never came: what is known is that it was not one of
			// those that have no effect.
			if c.Class != wasi.Immediate {
				x.diverge(c.Fn.String(), "the remote run did something on the device here, the local one does not")
			}
		} else {
			x.match(c, e)
		}
		x.host.ops, x.host.import_, x.direct = e.Ops, c.Fn.String(), true
		x.host.number = n
		return nil
	case offload.AnswerIt, offload.Redo:
		x.redo = e
		return x.Replayer.Enter(c)
	}
	return nil
}

// Leave implements wasi.Tap.
func (x *rerun) Leave(c wasi.Call, out wasi.Outcome) *wasi.Outcome {
	if x.direct {
		// Its operations were answered, so its outcome is the logged one.
		if n := len(x.host.ops); n > 0 {
			x.diverge(c.Fn.String(), fmt.Sprintf("%d operations of the remote run were not asked for again", n))
		}
		return nil
	}
	return x.Replayer.Leave(c, out)
}

// nextEntry gives the Replayer the entry that Enter has met.
func (x *rerun) nextEntry() (wasi.Entry, bool) {
	e, err := decodeEntry(x.redo.Encoded)
	if err != nil {
		x.diverge("", fmt.Sprintf("its record is malformed: %v", err))
	}
	if x.redo.Real != nil {
		real, err := decodeEntry(x.redo.Real.Outcome)
		if err != nil {
			x.diverge(e.Fn.String(), err.Error())
		}
		e.Errno, e.Outputs = real.Errno, real.Outputs
	}
	return e, true
}

// match compares an import with its record.
func (x *rerun) match(c wasi.Call, e *offload.Entry) {
	w, err := decodeEntry(e.Encoded)
	switch {
	case err != nil:
		x.diverge(c.Fn.String(), err.Error())
	case w.Fn != c.Fn:
		x.diverge(c.Fn.String(), "the remote run called "+w.Fn.String())
	case w.Args != wasi.HashArgs(c):
		x.diverge(c.Fn.String(), "other arguments")
	}
}

func (x *rerun) diverge(name, detail string) {
	panic(&offload.Divergence{Entry: x.number, Import: name, Detail: detail})
}

// decodeEntry reads one encoded log entry.
func decodeEntry(b []byte) (wasi.Entry, error) {
	entries, err := wasi.DecodeEntries(b)
	if err != nil {
		return wasi.Entry{}, err
	}
	if len(entries) != 1 {
		return wasi.Entry{}, fmt.Errorf("%d log entries where one belongs", len(entries))
	}
	return entries[0], nil
}

// encodeEntry is the inverse of decodeEntry.
func encodeEntry(e wasi.Entry) []byte { return wasi.EncodeEntries([]wasi.Entry{e}) }

// replayHost answers the operations of an immediate import from the log: they
// have happened, and happen once. When they are used up the device is asked.
type replayHost struct {
	wasi.Host
	ops     []offload.Op
	import_ string
	number  uint32
}

// take returns the logged reply to a request, if there is one left.
func (h *replayHost) take(want site.Request) (site.Reply, bool) {
	if len(h.ops) == 0 {
		return site.Reply{}, false
	}
	op := h.ops[0]
	h.ops = h.ops[1:]
	asked, err := site.DecodeRequest(op.Request)
	if err == nil && (asked.Op != want.Op || asked.Handle != want.Handle || string(asked.Data) != string(want.Data)) {
		err = fmt.Errorf("it asked for something else")
	}
	var reply site.Reply
	if err == nil {
		reply, err = site.DecodeReply(op.Reply)
	}
	if err != nil {
		panic(&offload.Divergence{Entry: h.number, Import: h.import_, Detail: err.Error()})
	}
	return reply, true
}

func (h *replayHost) Read(s wasi.Handle, buf []byte) (int, wasi.Errno) {
	if p, ok := h.take(site.Request{Op: site.OpStreamRead, Handle: s}); ok {
		return copy(buf, p.Data), p.Errno
	}
	return h.Host.Read(s, buf)
}

func (h *replayHost) Write(s wasi.Handle, data []byte) (int, wasi.Errno) {
	if p, ok := h.take(site.Request{Op: site.OpStreamWrite, Handle: s, Data: data[:min(len(data), site.MaxBlock)]}); ok {
		return int(min(p.N, uint64(len(data)))), p.Errno
	}
	return h.Host.Write(s, data)
}

func (h *replayHost) Ready(s wasi.Handle, write bool) (uint64, bool, wasi.Errno) {
	if p, ok := h.take(site.Request{Op: site.OpReady, Handle: s}); ok {
		return p.N, p.Hangup, p.Errno
	}
	return h.Host.Ready(s, write)
}

func (h *replayHost) Wait(read, write []wasi.Handle, deadline int64) wasi.Errno {
	if p, ok := h.take(site.Request{Op: site.OpWait}); ok {
		return p.Errno
	}
	return h.Host.Wait(read, write, deadline)
}

func (h *replayHost) Accept(s wasi.Handle, f wasi.Fdflags) (wasi.Handle, wasi.Stat, wasi.Errno) {
	if p, ok := h.take(site.Request{Op: site.OpAccept, Handle: s}); ok {
		return p.Handle, p.Stat, p.Errno
	}
	return h.Host.Accept(s, f)
}

func (h *replayHost) Recv(s wasi.Handle, buf []byte, flags uint16) (int, uint16, wasi.Errno) {
	if p, ok := h.take(site.Request{Op: site.OpRecv, Handle: s}); ok {
		return copy(buf, p.Data), p.Flags, p.Errno
	}
	return h.Host.Recv(s, buf, flags)
}

func (h *replayHost) Send(s wasi.Handle, data []byte, flags uint16) (int, wasi.Errno) {
	if p, ok := h.take(site.Request{Op: site.OpSend, Handle: s, Data: data[:min(len(data), site.MaxBlock)]}); ok {
		return int(min(p.N, uint64(len(data)))), p.Errno
	}
	return h.Host.Send(s, data, flags)
}

func (h *replayHost) Shutdown(s wasi.Handle, how uint8) wasi.Errno {
	if p, ok := h.take(site.Request{Op: site.OpShutdown, Handle: s}); ok {
		return p.Errno
	}
	return h.Host.Shutdown(s, how)
}

func (h *replayHost) SetFlags(s wasi.Handle, f wasi.Fdflags) wasi.Errno {
	if p, ok := h.take(site.Request{Op: site.OpSetFlags, Handle: s}); ok {
		return p.Errno
	}
	return h.Host.SetFlags(s, f)
}
