package e2e

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// tamperer is a node that has turned against its device, and that knows its
// business: it has a call run by an honest node and changes what comes back. So
// everything in a forged Return is right but for the one thing that a test is
// about.
type tamperer struct {
	tb   testing.TB
	w    *World
	to   *wire.Writer // to the device
	call *wire.Call
	head wire.Header // of the frame in hand

	// What the honest Return says, taken apart.
	ret     *wire.Return
	body    []byte
	effects site.Effects // objects and open handles; the effects are in ret
	state   wasi.State

	replies chan *wire.ImportReply // to requests of our own
	gone    chan struct{}          // closed when the device has left
	asking  bool
	mu      sync.Mutex
	shift   uint32 // frames that we have put in
}

// tamperWith puts a hostile node between the device and its honest one: forge is
// called with every Return and sends what it likes.
func tamperWith(tb testing.TB, w *World, forge func(*tamperer)) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := link.Listen(ctx, "127.0.0.1:0", link.ListenOptions{Identity: w.own, Listed: func(identity.ID) bool { return true }})
	if err != nil {
		tb.Fatal(err)
	}
	w.publish(ln.Addr().String())
	var pumps sync.WaitGroup
	pumps.Go(func() {
		for {
			c, err := ln.Accept(ctx)
			if err != nil {
				return
			}
			pumps.Go(func() { between(ctx, tb, w, c, forge) })
		}
	})
	tb.Cleanup(func() {
		cancel()
		_ = ln.Close()
		pumps.Wait()
	})
}

// between passes frames from a device to the honest node and back.
func between(ctx context.Context, tb testing.TB, w *World, c link.Conn, forge func(*tamperer)) {
	defer c.Close()
	own, err := identity.LoadOrCreate(w.Home)
	if err != nil {
		tb.Error(err)
		return
	}
	honest, err := link.Dial(ctx, link.Options{Identity: own, Peer: w.own.ID(), Addrs: []string{w.addr}})
	if err != nil {
		return
	}
	defer honest.Close()
	t := &tamperer{tb: tb, w: w, to: wire.NewWriter(c), replies: make(chan *wire.ImportReply, 1), gone: make(chan struct{})}
	up, down := wire.NewWriter(honest), wire.NewReader(honest, wire.ReaderConfig{})
	go func() {
		defer close(t.gone)
		defer honest.Close()
		for r := wire.NewReader(c, wire.ReaderConfig{}); ; {
			f, err := r.ReadFrame()
			if err != nil || t.up(f) && up.WriteFrame(f) != nil {
				return
			}
		}
	}()
	go func() { _, _ = io.Copy(honest.Control(), c.Control()) }()
	for {
		f, err := down.ReadFrame()
		if err != nil {
			return
		}
		if f.Type != wire.TypeReturn {
			if f.Type.Sequenced() {
				t.head = f.Header
			}
			if t.to.WriteFrame(f) != nil {
				return
			}
			continue
		}
		t.head = f.Header
		t.dissect(f)
		forge(t)
	}
}

// up sees a frame of the device, and reports whether the honest node may.
func (t *tamperer) up(f *wire.Frame) bool {
	m, err := f.Message()
	if err != nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch m := m.(type) {
	case *wire.Call:
		t.call = m
		t.ret = nil
	case *wire.ImportReply:
		if t.asking {
			t.asking = false
			t.replies <- m
			return false
		}
	}
	return true
}

// dissect takes an honest Return apart.
func (t *tamperer) dissect(f *wire.Frame) {
	m, err := f.Message()
	if err != nil {
		t.tb.Error(err)
		return
	}
	t.ret, t.body = m.(*wire.Return), f.Body
	if len(t.ret.Wasi) == 0 {
		return
	}
	n, k := binary.Uvarint(t.ret.Wasi)
	if t.effects, err = site.DecodeEffects(t.ret.Wasi[k : k+int(n)]); err == nil {
		t.state, err = wasi.DecodeState(t.ret.Wasi[k+int(n):])
	}
	if err != nil {
		t.tb.Errorf("an honest Return cannot be read: %v", err)
	}
}

// put sends a numbered frame of our own.
func (t *tamperer) put(typ wire.Type, m proto.Message, body []byte) {
	h := wire.Header{Type: typ, Run: t.head.Run, Attempt: t.head.Attempt, Seq: t.head.Seq + t.shift, Ack: t.head.Ack}
	t.shift++
	f := &wire.Frame{Header: h, Body: body}
	var err error
	if f.Meta, err = proto.Marshal(m); err == nil {
		err = t.to.WriteFrame(f)
	}
	if err != nil {
		t.tb.Logf("send a forged %v: %v", typ, err)
	}
}

// send puts the Return together again and sends it.
func (t *tamperer) send() {
	t.ret.Wasi = t.wasi()
	t.put(wire.TypeReturn, t.ret, t.body)
}

func (t *tamperer) wasi() []byte {
	head := t.effects.Encode(nil)
	return t.state.AppendTo(append(binary.AppendUvarint(nil, uint64(len(head))), head...))
}

// ask sends a request of our own and returns the device's reply; nil: there was
// none, the device ended the attempt.
func (t *tamperer) ask(class wire.Class, q site.Request) *wire.ImportReply {
	t.mu.Lock()
	t.asking = true
	t.mu.Unlock()
	entry := t.ret.First + uint32(len(t.ret.Entries))
	t.put(wire.TypeImportRequest, &wire.ImportRequest{Entry: entry, Class: class, Payload: q.Encode(nil)}, nil)
	select {
	case r := <-t.replies:
		return r
	case <-t.gone:
	}
	return nil
}

// object adds an object that effects may be about.
func (t *tamperer) object(o site.Object) int {
	t.effects.Objects = append(t.effects.Objects, o)
	return len(t.effects.Objects) - 1
}

// do adds an import with file changes to the log.
func (t *tamperer) do(list ...site.Effect) {
	e := wasi.Entry{Fn: wasi.FnPathUnlinkFile}
	t.ret.Entries = append(t.ret.Entries, &wire.Entry{
		Class: wire.Class_CLASS_FILE_CHANGE, Encoded: wasi.EncodeEntries([]wasi.Entry{e}), Effect: site.EncodeList(list),
	})
}

// folder is the handle of the guest's folder by that name.
func (t *tamperer) folder(guest string) wasi.Handle {
	for _, d := range t.state.Descs {
		if d.Preopen && d.Name == guest {
			return d.Handle
		}
	}
	t.tb.Errorf("the guest has no folder %s", guest)
	return 0
}

// memory returns a delta that takes a memory as big as the call's to size, in
// bytes, with nothing else changed.
func (t *tamperer) memory(size uint64) []byte {
	b := t.body[2:] // version and form; then base and size in pages
	base, _ := binary.Uvarint(b)
	base *= pagestate.PageSize
	s, err := pagestate.New(pagestate.Options{Kind: pagestate.Compare})
	if err != nil {
		t.tb.Error(err)
		return nil
	}
	defer s.Free()
	if s.Reallocate(base) == nil || s.SetImage("x") != nil || s.Reallocate(base+size) == nil {
		t.tb.Error("the forger has no memory")
		return nil
	}
	d, err := s.AppendDiff(nil)
	if err != nil {
		t.tb.Error(err)
	}
	return d
}
