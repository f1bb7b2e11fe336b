package e2e

import (
	"crypto/rand"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// attack is one way to do harm; it ends when it has, or when stop is closed.
type attack struct {
	name string
	do   func(a *attacker)
	// late says that it begins when a call of the honest device is under way.
	late bool
	// lands says that it tells when it has the node where it wants it; the honest
	// device comes then.
	lands bool
}

var attacks = []attack{
	{name: "a thousand runs at once", do: func(a *attacker) {
		a.connected(4, func(w *wire.Writer) {
			for range a.many / 4 {
				if w.Send(wire.Header{Type: wire.TypeRunOpen, Run: newID()}, opening(a.module), nil) != nil {
					return
				}
			}
		})
	}},
	{name: "a thousand runs opened and closed", do: func(a *attacker) {
		a.connected(4, func(w *wire.Writer) {
			for range a.many / 4 {
				run := newID()
				_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, opening(a.module), nil)
				if w.Send(wire.Header{Type: wire.TypeRunClose, Run: run}, &wire.RunClose{}, nil) != nil {
					return
				}
			}
		})
	}},
	{name: "a thousand modules announced", do: func(a *attacker) {
		a.connected(4, func(w *wire.Writer) {
			for range a.many / 4 {
				open := opening(nil)
				_, _ = rand.Read(open.ModuleSha256)
				open.ModuleSize = wire.MaxModule
				if w.Send(wire.Header{Type: wire.TypeRunOpen, Run: newID()}, open, nil) != nil {
					return
				}
			}
		})
	}},
	{name: "one module announced a thousand times", do: func(a *attacker) {
		a.connected(1, func(w *wire.Writer) {
			open, run := opening(nil), newID()
			_, _ = rand.Read(open.ModuleSha256)
			open.ModuleSize = wire.MaxModule
			for range a.many {
				if w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, open, nil) != nil {
					return
				}
			}
			time.Sleep(500 * time.Millisecond)
		})
	}},
	{lands: true, name: "half uploads that stop", do: func(a *attacker) {
		a.connected(6, func(w *wire.Writer) {
			for i := range 2 {
				module := append([]byte{byte(i)}, make([]byte, 8*wire.ChunkSize)...)
				_, _ = rand.Read(module)
				run := newID()
				_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, opening(module), nil)
				_ = a.chunk(w, run, module[:wire.ChunkSize], nil)
			}
			time.Sleep(500 * time.Millisecond) // until the node has seen them
			a.landed()
			<-a.stop
		})
	}},
	{name: "modules that are not what they say", do: func(a *attacker) {
		for _, lie := range []func(open *wire.RunOpen, m *wire.ModuleChunk, body *[]byte){
			func(open *wire.RunOpen, _ *wire.ModuleChunk, _ *[]byte) { open.ModuleSha256[0] ^= 1 },
			func(open *wire.RunOpen, _ *wire.ModuleChunk, _ *[]byte) { open.ModuleSize-- },
			func(open *wire.RunOpen, _ *wire.ModuleChunk, _ *[]byte) { open.ModuleSize = 1 << 60 },
			func(_ *wire.RunOpen, m *wire.ModuleChunk, _ *[]byte) { m.Sha256[0] ^= 1 },
			func(_ *wire.RunOpen, m *wire.ModuleChunk, _ *[]byte) { m.Size++ },
			func(_ *wire.RunOpen, m *wire.ModuleChunk, _ *[]byte) { m.Index = 200 },
			func(_ *wire.RunOpen, _ *wire.ModuleChunk, body *[]byte) { *body = (*body)[:len(*body)/2] },
			func(_ *wire.RunOpen, _ *wire.ModuleChunk, body *[]byte) { *body = bomb() },
		} {
			a.connected(1, func(w *wire.Writer) {
				module := append([]byte(nil), a.module...)
				_, _ = rand.Read(module[len(module)-4:])
				open, run := opening(module), newID()
				var body []byte
				lie(open, &wire.ModuleChunk{Sha256: make([]byte, 32)}, &body)
				_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, open, nil)
				_ = a.chunk(w, run, module, func(m *wire.ModuleChunk, body *[]byte) { lie(opening(module), m, body) })
				time.Sleep(100 * time.Millisecond)
			})
		}
	}},
	{name: "malformed frames of every type", do: malformedFrames},
	{name: "hash lists of absurd sizes", do: func(a *attacker) {
		for _, size := range []uint64{0, wire.PageSize, 1 << 32, 1<<32 + wire.PageSize, 1 << 63} {
			for _, body := range []int{0, 16, 17, 16 << 20} {
				a.connected(1, func(w *wire.Writer) {
					run, attempt := newID(), newID()
					_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, opening(a.module), nil)
					b := make([]byte, body)
					_, _ = rand.Read(b)
					_ = raw(w, wire.Header{Type: wire.TypePageHashes, Run: run, Attempt: attempt, Seq: 1}, &wire.PageHashes{MemoryBytes: size}, b)
					call := &wire.Call{Base: &wire.Image{Kind: wire.ImageKind_IMAGE_HASHED}, Seed: make([]byte, 32), MemoryMaxPages: 1 << 16}
					_ = raw(w, wire.Header{Type: wire.TypeCall, Run: run, Attempt: attempt, Seq: 2, Ack: 1}, call, b)
					time.Sleep(100 * time.Millisecond)
					_ = w.Send(wire.Header{Type: wire.TypeRunClose, Run: run}, &wire.RunClose{}, nil)
				})
			}
		}
	}},
	{name: "calls that nothing can come of", do: func(a *attacker) {
		for _, spoil := range []func(c *wire.Call, body *[]byte){
			func(c *wire.Call, _ *[]byte) { c.Function = 1 << 31 },
			func(c *wire.Call, _ *[]byte) { c.Args = make([]uint64, 1<<20) },
			func(c *wire.Call, _ *[]byte) { c.Globals = make([]uint64, 1<<20) },
			func(c *wire.Call, _ *[]byte) { c.Wasi = make([]byte, 8<<20) },
			func(c *wire.Call, _ *[]byte) { c.MemoryMaxPages = 3 },
			func(c *wire.Call, body *[]byte) { *body = make([]byte, 32<<20) },
			func(c *wire.Call, _ *[]byte) {
				c.Base = &wire.Image{Kind: wire.ImageKind_IMAGE_ENTRY, Attempt: make([]byte, 16)}
			},
		} {
			a.connected(1, func(w *wire.Writer) {
				call := &wire.Call{Base: &wire.Image{}, Seed: make([]byte, 32), MemoryMaxPages: 1 << 16}
				var body []byte
				spoil(call, &body)
				run := newID()
				_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, opening(a.module), nil)
				_ = raw(w, wire.Header{Type: wire.TypeCall, Run: run, Attempt: newID(), Seq: 1}, call, body)
				time.Sleep(100 * time.Millisecond)
				_ = w.Send(wire.Header{Type: wire.TypeRunClose, Run: run}, &wire.RunClose{}, nil)
			})
		}
	}},
	{late: true, name: "another device's run", do: func(a *attacker) {
		for _, open := range []bool{false, true} {
			a.connected(1, func(w *wire.Writer) {
				if open {
					_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: a.run}, opening(a.module), nil)
				}
				h := wire.Header{Run: a.run, Attempt: a.live}
				for typ, m := range map[wire.Type]proto.Message{
					wire.TypeResume: &wire.Resume{}, wire.TypeCancel: &wire.Cancel{}, wire.TypeAck: &wire.Ack{}, wire.TypeImportReply: &wire.ImportReply{},
				} {
					h.Type, h.Seq = typ, 0
					if typ.Sequenced() {
						h.Seq = 2
					}
					_ = raw(w, h, m, nil)
				}
				_ = w.Send(wire.Header{Type: wire.TypeRunClose, Run: a.run}, &wire.RunClose{}, nil)
				time.Sleep(100 * time.Millisecond)
			})
		}
	}},
	{name: "connections that say little and slowly", do: func(a *attacker) {
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				c, r, w := a.dial(link.Auto)
				if c == nil {
					return
				}
				defer c.Close()
				go drain(c, r)
				run := newID()
				_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, opening(a.module), nil)
				var f frameBytes
				_ = raw(wire.NewWriter(&f), wire.Header{Type: wire.TypeCall, Run: run, Attempt: newID(), Seq: 1},
					&wire.Call{Base: &wire.Image{}, Seed: make([]byte, 32)}, make([]byte, 1<<20))
				for _, b := range f {
					select {
					case <-a.stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
				}
			})
		}
		all.Wait()
	}},
	{lands: true, name: "strangers that never greet", do: func(a *attacker) {
		var held []net.Conn
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		for {
			for range 50 {
				if c, err := net.DialTimeout("tcp", a.w.addr, time.Second); err == nil {
					held = append(held, c)
				}
			}
			if len(held) > 300 {
				a.landed()
			}
			for len(held) > 400 {
				_ = held[0].Close()
				held = held[1:]
			}
			select {
			case <-a.stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}},
}
