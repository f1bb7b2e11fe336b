package node

import (
	"errors"
	"io"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/relay"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// connection is one device's link.
type connection struct {
	n   *Node
	c   link.Conn
	out *relay.Outbox
	log *slog.Logger

	runs    map[wire.ID]*session
	uploads map[wire.ID]*upload
}

// serve handles a connection until it ends.
func (n *Node) serve(c link.Conn) {
	x := &connection{
		n: n, c: c, log: n.conf.Log.With("device", c.Peer().Short(), "transport", c.Transport()),
		runs: map[wire.ID]*session{}, uploads: map[wire.ID]*upload{},
	}
	x.out = relay.NewOutbox(c, relay.Config{OnFail: func(error) { go func() { _ = c.Close() }() }})
	err := x.run()
	_ = c.Close()
	for _, s := range x.runs {
		s.detach(x)
	}
	for _, u := range x.uploads {
		u.discard()
	}
	if !errors.Is(err, io.EOF) {
		x.log.Info("link ended", "error", err)
	}
}

// run serves until something ends the connection: io.EOF is a goodbye.
func (x *connection) run() error {
	r := wire.NewReader(x.c, wire.ReaderConfig{})
	welcome := &wire.Welcome{
		Software: x.n.conf.Software, Engine: x.n.conf.Engine,
		Limits: &wire.Limits{MaxBody: wire.MaxBody, MaxModule: wire.MaxModule, MaxMemoryPages: x.n.conf.MaxPages},
	}
	hello, err := wire.Accept(r, wire.NewWriter(x.c), welcome)
	if err != nil {
		return err
	}
	x.log.Debug("device connected", "software", hello.Software)
	control := wire.NewReader(x.c.Control(), wire.ReaderConfig{})
	go x.readControl(control)
	frame := func(f *wire.Frame, r *wire.Reader) error {
		if err := r.ReadBody(f); err != nil {
			return err
		}
		return x.frame(f)
	}
	return relay.ServeReader(x.n.loop(x.c.Peer()), x.c, r, relay.Handler{
		Frame: frame, Quick: frame,
		Hasty: func(h wire.Header) bool { return !h.Attempt.IsZero() }, // others may read and write files
	})
}

// readControl takes what must not wait behind bulk: Cancel. It is in no order
// with the data stream and needs none: an attempt id is used once.
func (x *connection) readControl(r *wire.Reader) {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return
		}
		if f.Type != wire.TypeCancel {
			continue
		}
		x.n.mu.Lock()
		s := x.n.sessions[sessionKey{x.c.Peer(), f.Run}]
		x.n.mu.Unlock()
		if s != nil {
			s.fromDevice(x, f)
		}
	}
}

// frame handles one frame. An error ends the connection.
func (x *connection) frame(f *wire.Frame) error {
	switch f.Type {
	case wire.TypePing:
		m, err := f.Message()
		if err != nil {
			return err
		}
		return x.reply(wire.Header{Type: wire.TypePong}, &wire.Pong{Nonce: m.(*wire.Ping).Nonce})
	case wire.TypeBye:
		return io.EOF
	case wire.TypeRunOpen, wire.TypeModuleChunk, wire.TypeRunClose:
		m, err := f.Message()
		if err != nil {
			return err
		}
		return x.runFrame(f, m)
	}
	if f.Attempt.IsZero() {
		return nil // nothing that a node acts on
	}
	s := x.runs[f.Run]
	if s == nil {
		x.refuse(f.Run, refusal(wire.RefuseCode_REFUSE_RUN_UNKNOWN, "the node does not know this run"))
		return nil
	}
	s.fromDevice(x, f)
	return nil
}

func (x *connection) reply(h wire.Header, m proto.Message) error {
	f, err := wire.NewFrame(h, m, nil)
	if err != nil {
		return err
	}
	x.out.Put(f)
	return nil
}

// refuse tells the device why a run does not go on.
func (x *connection) refuse(run wire.ID, r *refused) {
	m := &wire.Refuse{Code: r.code, Text: r.text, Hint: r.hint}
	if err := x.reply(wire.Header{Type: wire.TypeRefuse, Run: run}, m); err != nil {
		x.log.Error("refuse", "error", err)
	}
}

// runFrame opens and closes runs.
func (x *connection) runFrame(f *wire.Frame, m proto.Message) error {
	switch m := m.(type) {
	case *wire.RunOpen:
		return x.open(f.Run, m)
	case *wire.ModuleChunk:
		u := x.uploads[f.Run]
		if u == nil {
			return nil
		}
		done, err := u.chunk(m, f.Body)
		if err != nil {
			delete(x.uploads, f.Run)
			u.discard()
			x.refuse(f.Run, x.badUpload(err))
			return nil
		}
		if done {
			delete(x.uploads, f.Run)
			x.enter(f.Run, u.open)
		}
	case *wire.RunClose:
		if s := x.runs[f.Run]; s != nil {
			delete(x.runs, f.Run)
			s.close("the run has ended")
		}
	}
	return nil
}

// badUpload says why a module was not taken.
func (x *connection) badUpload(err error) *refused {
	var own *storeError
	if !errors.As(err, &own) {
		return refusal(wire.RefuseCode_REFUSE_HASH, err.Error())
	}
	x.log.Error("keep a device's module", "error", err, "hint", "make room in the folder that --data names")
	return &refused{
		code: wire.RefuseCode_REFUSE_INTERNAL, text: "the node could not store the module",
		hint: "its disk may be full: the node's log says more",
	}
}

// open starts a run whose module is here, or asks for the module.
func (x *connection) open(run wire.ID, m *wire.RunOpen) error {
	if m.ModuleSize > wire.MaxModule {
		x.refuse(run, refusal(wire.RefuseCode_REFUSE_LIMIT, "the module is too large for this node"))
		return nil
	}
	if x.n.modules(x.c.Peer()).has(m.ModuleSha256) {
		x.enter(run, m)
		return nil
	}
	end, ok := func() {}, len(x.uploads) < maxUploads
	if ok {
		end, ok = x.n.uploads.begin(x.c.Peer())
	}
	if !ok {
		x.refuse(run, refusal(wire.RefuseCode_REFUSE_BUSY, "too many modules are being uploaded"))
		return nil
	}
	if u := x.uploads[run]; u != nil {
		u.discard()
	}
	u, err := x.n.modules(x.c.Peer()).receive(m, end)
	if err != nil {
		end()
		x.refuse(run, refusal(wire.RefuseCode_REFUSE_INTERNAL, err.Error()))
		return nil
	}
	x.uploads[run] = u
	return x.reply(wire.Header{Type: wire.TypeModuleWant, Run: run}, &wire.ModuleWant{Chunks: u.missing()})
}

// enter gives a run this connection and a runner.
func (x *connection) enter(run wire.ID, m *wire.RunOpen) {
	s, err := x.n.session(x.c.Peer(), run, m)
	if err != nil {
		var r *refused
		if !errors.As(err, &r) {
			r = refusal(wire.RefuseCode_REFUSE_INTERNAL, err.Error())
		}
		x.refuse(run, r)
		return
	}
	x.runs[run] = s
	s.attach(x)
	s.warm()
}
