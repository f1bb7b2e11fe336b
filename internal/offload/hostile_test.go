package offload

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// bytesOf deals out a fuzzer's bytes.
type bytesOf struct{ b []byte }

func (b *bytesOf) next() byte {
	if len(b.b) == 0 {
		return 0
	}
	x := b.b[0]
	b.b = b.b[1:]
	return x
}

func (b *bytesOf) small() uint32 { return uint32(b.next() % 6) }

func (b *bytesOf) entries() []*wire.Entry {
	var es []*wire.Entry
	for range b.next() % 4 {
		es = append(es, &wire.Entry{Class: Class(b.next() % 5), Encoded: []byte{b.next()}})
		if c := es[len(es)-1].Class; c == Output || c == FileChange {
			es[len(es)-1].Effect = []byte("x")
		}
	}
	return es
}

// message makes a message that passes wire's checks, or nil.
func (b *bytesOf) message() proto.Message {
	var m proto.Message
	switch b.next() % 14 {
	case 0:
		m = &wire.NeedBase{}
	case 1:
		m = &wire.NeedPages{Runs: []uint32{b.small(), 1}}
	case 2, 3:
		m = &wire.Applied{}
	case 4, 5:
		m = &wire.ImportRequest{Entry: b.small(), Step: b.small() % 3, Class: Class(b.next() % 5)}
	case 6, 7:
		m = &wire.Release{First: b.small(), Entries: b.entries(), Reads: make([][]byte, b.next()%2)}
	case 8, 9:
		m = &wire.Return{Outcome: wire.Outcome(1 + b.next()%4), First: b.small(), Entries: b.entries(), Reads: make([][]byte, b.next()%2)}
	case 10:
		m = &wire.Unknown{}
	case 11:
		m = &wire.Resumed{Received: b.small()}
	case 12:
		m = &wire.Call{Base: Image{ImageKind(1 + b.next()%4), ID{b.next() % 3}}.proto(), Seed: make([]byte, 32), LogEntries: b.small(), LogBytes: 20, ReleaseNanos: uint64(b.next())}
	case 13:
		m = &wire.ImportReply{Entry: b.small()}
	}
	if wire.Check(m) != nil {
		return nil
	}
	return m
}

// FuzzDevice has a hostile clone send anything, in any order, while the
// caller answers anything: no panic, output only after the checks and in
// order, nothing of a log that does not bind, and idle at the end of it all.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x02\x06\x00\x03\x02\x02\x02\x00\x01\x02\x03\x08\x00\x00\x00"))
	f.Add([]byte{2, 4, 0, 0, 4, 6, 0, 2, 4, 1, 2, 8, 1, 0, 0, 1, 1, 10})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &bytesOf{b}
		d := newDev(t)
		d.begin(CallSpec{Limit: time.Hour})
		w := &witness{t: t, d: d, in: in}
		for len(in.b) > 0 {
			d.now += time.Duration(in.next()) * time.Millisecond
			switch in.next() % 8 {
			case 0:
				w.carryOut(d.m.LinkLost(d.now))
			case 1:
				w.carryOut(d.m.LinkUp(d.now))
			case 2:
				w.carryOut(d.m.Tick(d.now))
			case 3:
				w.answer()
			default:
				if m := in.message(); m != nil {
					if in.next()%8 == 0 {
						w.carryOut(d.recvAs(d.id, in.small(), m))
					} else {
						w.carryOut(d.recv(m))
					}
				}
			}
		}
		for range 1000 {
			if len(w.open) == 0 {
				break
			}
			w.answer()
		}
		d.m.LinkLost(d.now)
		w.carryOut(d.m.Tick(d.now + 2*time.Hour))
		if _, live := d.m.Live(); live && len(w.open) == 0 && !w.over {
			t.Fatalf("an attempt that nothing ends: %+v", d.m.a)
		}
	})
}

// witness carries out a Device's actions and holds them against the rules.
type witness struct {
	t        *testing.T
	d        *dev
	in       *bytesOf
	open     []DeviceAction
	released int // effects that the world has seen
	over     bool
}

func (w *witness) carryOut(acts []DeviceAction) {
	for _, a := range acts {
		switch a := a.(type) {
		case Send:
		case RunLocal:
			n := 0
			for _, e := range a.Log {
				if e.Class == Output {
					n++
				}
			}
			if n != w.released {
				w.t.Fatalf("%d effects of the log bind, %d were released", n, w.released)
			}
			w.over = true
		case Install, Fail:
			w.over = true
		default:
			w.open = append(w.open, a)
		}
	}
}

func (w *witness) answer() {
	if len(w.open) == 0 {
		return
	}
	a := w.open[0]
	w.open = w.open[1:]
	d, ok := w.d, w.in.next()%4 != 0
	reason, text := &Reason{WhyPrepare, "no"}, "no"
	if ok {
		reason, text = nil, ""
	}
	switch a := a.(type) {
	case Serve:
		if ok {
			w.carryOut(d.m.Served(d.now, a.Op, []byte("r")))
		} else {
			w.carryOut(d.m.ServedPrivate(d.now, a.Op, "p"))
		}
	case CheckReads:
		w.carryOut(d.m.ReadsChecked(d.now, a.Op, text))
	case ReleaseOutput:
		done := len(a.Effects)
		var real *Real
		if !ok {
			done, real = int(w.in.next())%len(a.Effects), &Real{}
			w.released++
		}
		w.released += done
		w.carryOut(d.m.Released(d.now, a.Op, done, real))
	case Prepare:
		w.carryOut(d.m.Prepared(d.now, a.Op, reason))
	case WriteRecord:
		w.carryOut(d.m.Recorded(d.now, a.Op, text))
	case ApplyEffects:
		done := len(a.Effects)
		if !ok {
			done = int(w.in.next()) % len(a.Effects)
		}
		for _, e := range a.Effects[:done] {
			if e.Class == Output {
				w.released++
			}
		}
		w.carryOut(d.m.EffectsApplied(d.now, a.Op, done, nil, text))
	case Undo:
		w.carryOut(d.m.Undone(d.now, a.Op, ""))
	}
}

// FuzzClone has a hostile device send anything while the guest does anything.
func FuzzClone(f *testing.F) {
	f.Add([]byte{12, 1, 0, 9, 9, 9, 9, 9, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &bytesOf{b}
		c := newCl(t)
		c.id = ID{1}
		var open []CloneAction
		carry := func(acts []CloneAction) {
			for _, a := range acts {
				switch a := a.(type) {
				case Send:
					if a.Header.Seq == 0 || wire.Check(a.Msg) != nil {
						t.Fatalf("a frame that a device would refuse: %v", a)
					}
				case Apply, CompareHashes:
					open = append(open, a)
				}
			}
		}
		for len(in.b) > 0 {
			c.now += time.Duration(in.next()) * time.Millisecond
			switch in.next() % 8 {
			case 0:
				c.attempt(in.next() % 4)
			case 1:
				carry(c.m.Forward(c.now, Class(1+3*(in.next()%2)), nil))
			case 2:
				class := Class(in.next() % 5)
				var effect []byte
				if class == Output || class == FileChange {
					effect = []byte("x")
				}
				carry(c.m.Log(c.now, class, []byte("e"), effect))
			case 3:
				carry(c.m.Tick(c.now))
			case 4:
				carry(c.m.Finished(ID{in.next() % 4}, returned()))
			case 5:
				if len(open) > 0 {
					switch a := open[0].(type) {
					case Apply:
						if in.next()%2 == 0 {
							carry(c.m.ApplyDone(c.now, a.Attempt, 0))
						} else {
							carry(c.m.ApplyFailed(a.Attempt, ApplyFault(in.next()%3), ""))
						}
					case CompareHashes:
						carry(c.m.Compared(a.Attempt, []uint32{1, 2}))
					}
					open = open[1:]
				}
			default:
				if m := in.message(); m != nil {
					carry(c.recv(m))
				}
			}
		}
	})
}

// FuzzNode has anything arrive from both sides: the accounts stay right.
func FuzzNode(f *testing.F) {
	f.Add([]byte{0, 32, 1, 1, 0, 1, 36, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &bytesOf{b}
		q := NewQuota()
		n, err := NewNode(testRun, q, NodeConfig{MaxPending: 1000})
		if err != nil {
			t.Fatal(err)
		}
		alive := map[uint64]bool{}
		carry := func(acts []NodeAction) {
			for _, a := range acts {
				switch a := a.(type) {
				case StartClone:
					alive[a.Generation] = true
					if len(alive) > 1 {
						t.Fatal("two runners at once")
					}
				case KillClone:
					if !alive[a.Generation] {
						t.Fatal("a runner that does not live is killed")
					}
					delete(alive, a.Generation)
				case ToClone:
					if !alive[a.Generation] {
						t.Fatal("a frame for a runner that does not live")
					}
				}
			}
		}
		now := Time(0)
		for len(in.b) > 0 {
			now += time.Duration(in.next()) * 20 * time.Millisecond
			op := in.next() % 8
			fr := nodeFrame(wire.Type(32+in.next()%14), in.next()%4, uint32(in.next()%5), uint32(in.next()%5))
			switch op {
			case 0, 1:
				carry(n.FromDevice(now, fr))
			case 2, 3:
				fr.Body = make([]byte, 200)
				g, _ := n.Generation()
				carry(n.FromClone(now, g-uint64(in.next()%2), fr))
			case 4:
				carry(n.LinkLost(now))
			case 5:
				carry(n.LinkUp(now))
			case 6:
				carry(n.Tick(now))
			case 7:
				if g, ok := n.Generation(); ok {
					delete(alive, g)
					carry(n.CloneExited(now, g, "exit"))
				}
			}
			if q.pending.Load() != n.pending || n.pending < 0 || (n.Idle() && n.pending != 0) {
				t.Fatalf("%d bytes pending, quota %d, idle %v", n.pending, q.pending.Load(), n.Idle())
			}
		}
		carry(n.Close("end"))
		if q.pending.Load() != 0 || q.runs.Load() != 0 || len(alive) != 0 {
			t.Fatalf("left behind: %d bytes, %d runs, %d runners", q.pending.Load(), q.runs.Load(), len(alive))
		}
	})
}
