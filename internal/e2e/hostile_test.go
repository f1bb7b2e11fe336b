package e2e

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// liar is a node that is paired and has turned against its device: it answers
// every Call with what a test wants.
type liar struct {
	tb   testing.TB
	head wire.Header
	call *wire.Call
	w    *wire.Writer
	seq  uint32
	// replies are the device's answers to imports.
	replies chan *wire.ImportReply
}

// send sends the next numbered frame of the attempt.
func (l *liar) send(t wire.Type, m proto.Message, body []byte) {
	l.seq++
	h := wire.Header{Type: t, Run: l.head.Run, Attempt: l.head.Attempt, Seq: l.seq, Ack: l.head.Seq}
	if err := l.w.Send(h, m, body); err != nil {
		l.tb.Logf("the liar sends %v: %v", t, err)
	}
}

func (l *liar) applied() { l.send(wire.TypeApplied, &wire.Applied{}, nil) }

// serveLies runs a node that answers each Call with script.
func serveLies(tb testing.TB, w *World, script func(*liar)) {
	tb.Helper()
	w.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := link.Listen(ctx, "127.0.0.1:0", link.ListenOptions{Identity: w.own, Listed: func(identity.ID) bool { return true }})
	if err != nil {
		tb.Fatal(err)
	}
	w.publish(ln.Addr().String())
	done := make(chan struct{})
	tb.Cleanup(func() {
		cancel()
		_ = ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept(ctx)
			if err != nil {
				return
			}
			go lie(tb, c, script)
		}
	}()
}

func lie(tb testing.TB, c link.Conn, script func(*liar)) {
	defer c.Close()
	r, w := wire.NewReader(c, wire.ReaderConfig{}), wire.NewWriter(c)
	if _, err := wire.Accept(r, w, &wire.Welcome{Software: "liar", Limits: &wire.Limits{}}); err != nil {
		return
	}
	replies := make(chan *wire.ImportReply, 16)
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return
		}
		m, err := f.Message()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *wire.RunOpen:
			err = w.Send(wire.Header{Type: wire.TypeRunReady, Run: f.Run}, &wire.RunReady{}, nil)
		case *wire.Call:
			go script(&liar{tb: tb, head: f.Header, call: m, w: w, replies: replies})
		case *wire.ImportReply:
			replies <- m
		}
		if err != nil && !errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

// echo is a Return that claims that nothing happened: the state of the Call.
func (l *liar) echo() *wire.Return {
	return &wire.Return{
		Outcome: wire.Outcome_OUTCOME_RETURNED, Results: []uint64{0}, Globals: l.call.Globals,
		RealNanos: l.call.RealNanos, MonoNanos: l.call.MonoNanos,
	}
}

var lies = []struct {
	name string
	tell func(l *liar)
}{
	{"a Return of no known outcome", func(l *liar) {
		l.applied()
		ret := l.echo()
		ret.Outcome = 99
		l.send(wire.TypeReturn, ret, nil)
	}},
	{"bytes that are no message", func(l *liar) {
		l.applied()
		l.seq++
		_ = l.w.WriteFrame(&wire.Frame{
			Header: wire.Header{Type: wire.TypeReturn, Run: l.head.Run, Attempt: l.head.Attempt, Seq: l.seq},
			Meta:   []byte{0xff, 0xff, 0xff},
		})
	}},
	{"a Return before Applied", func(l *liar) { l.send(wire.TypeReturn, l.echo(), nil) }},
	{"a Return without memory and state", func(l *liar) {
		l.applied()
		l.send(wire.TypeReturn, l.echo(), nil)
	}},
	{"a Return with a delta of noise", func(l *liar) {
		l.applied()
		l.send(wire.TypeReturn, l.echo(), []byte("noise, noise, noise, noise, noise, noise, noise"))
	}},
	{"a Return for another attempt, then Unknown", func(l *liar) {
		l.applied()
		other := *l
		other.head.Attempt[0] ^= 1
		other.send(wire.TypeReturn, l.echo(), nil)
		h := wire.Header{Type: wire.TypeUnknown, Run: l.head.Run, Attempt: l.head.Attempt}
		_ = l.w.Send(h, &wire.Unknown{Reason: "gone"}, nil)
	}},
	{"a gap in the numbers", func(l *liar) {
		l.applied()
		l.seq += 5
		l.send(wire.TypeReturn, l.echo(), nil)
	}},
	{"NeedBase again and again", func(l *liar) {
		l.send(wire.TypeNeedBase, &wire.NeedBase{}, nil)
		l.send(wire.TypeNeedBase, &wire.NeedBase{}, nil)
	}},
	{"output that is none", func(l *liar) {
		l.applied()
		l.send(wire.TypeRelease, &wire.Release{Entries: []*wire.Entry{{Class: wire.Class_CLASS_OUTPUT, Encoded: []byte{1}, Effect: []byte{9, 9, 9}}}}, nil)
	}},
	{"a request of no known operation", func(l *liar) {
		l.applied()
		l.send(wire.TypeImportRequest, &wire.ImportRequest{Class: wire.Class_CLASS_READ, Payload: []byte{250, 1, 2, 3}}, nil)
		l.send(wire.TypeReturn, l.echo(), nil)
	}},
	{"an immediate effect of no known operation", func(l *liar) {
		l.applied()
		l.send(wire.TypeImportRequest, &wire.ImportRequest{Class: wire.Class_CLASS_IMMEDIATE, Payload: []byte{250, 1, 2, 3}}, nil)
		l.send(wire.TypeReturn, l.echo(), nil)
	}},
	{"a Refuse", func(l *liar) {
		h := wire.Header{Type: wire.TypeRefuse, Run: l.head.Run, Attempt: l.head.Attempt}
		_ = l.w.Send(h, &wire.Refuse{Code: wire.RefuseCode_REFUSE_INTERNAL, Text: "no"}, nil)
	}},
}

// TestANodeThatLiesChangesNothing has every Call answered by a hostile node.
func TestANodeThatLiesChangesNothing(t *testing.T) {
	p := effectsProgram()
	local := NewWorld(t).Run(p, OnDevice)
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			t.Parallel()
			w := NewWorld(t)
			serveLies(t, w, lie.tell)
			remote := w.Run(p, Only("work"), func(o *device.Options) { o.TimeLimit = 30 * time.Second })
			if same(t, p, local, remote); t.Failed() {
				t.Log(calls(remote.Report.Calls))
			}
			if remote.Report.Totals.Fallbacks != 1 {
				t.Errorf("%d calls fell back, want 1: %s", remote.Report.Totals.Fallbacks, calls(remote.Report.Calls))
			}
		})
	}
}
