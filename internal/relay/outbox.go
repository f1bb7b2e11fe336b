package relay

import (
	"io"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/poll"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Outbox writes frames to a stream in order without making the caller wait for
// a slow one: a small frame that finds the stream free is written at once, on
// the caller's goroutine, which saves a wake-up; all others are queued. Nobody
// else may write to the stream.
//
// The queue holds what the protocol lets pile up: see offload.Quota for the
// clone's frames, and the sender's own pace for the device's.
type Outbox struct {
	w    *wire.Writer
	conn *poll.Conn // below the stream; nil: a write may wait
	c    Config

	mu      sync.Mutex
	free    sync.Cond // writing has become false
	held    []*wire.Frame
	queue   []*wire.Frame
	writing bool // somebody has the stream
	failed  error
}

// Config is what an Outbox may be told.
type Config struct {
	// Recycle says that written frames are nobody else's.
	Recycle bool
	// OnFail hears of the first error, on any goroutine. It must not wait.
	OnFail func(error)
}

// DirectLimit is the size in bytes up to which a frame is written on the spot.
const DirectLimit = 32 << 10

// NewOutbox returns an Outbox that writes to w.
func NewOutbox(w io.Writer, c Config) *Outbox {
	o := &Outbox{w: wire.NewWriter(w), conn: Pollable(w), c: c}
	o.free.L = &o.mu
	return o
}

// Put writes f, now or soon.
func (o *Outbox) Put(f *wire.Frame) {
	o.mu.Lock()
	o.put(f)
}

// Hold writes f with the next frame, or when Flush is called: for a small one
// that nobody waits for, or that another follows at once. A Handler's Idle is
// the place for that Flush.
func (o *Outbox) Hold(f *wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = append(o.held, f)
}

// Flush writes what is held, now or soon.
func (o *Outbox) Flush() {
	o.mu.Lock()
	last := len(o.held) - 1
	if last < 0 {
		o.mu.Unlock()
		return
	}
	f := o.held[last]
	o.held = o.held[:last]
	o.put(f)
}

// put writes what is held and f. mu is held, and released.
func (o *Outbox) put(f *wire.Frame) {
	all := append(o.held, f)
	o.held = nil
	if o.failed != nil {
		o.mu.Unlock()
		return
	}
	size := 0
	for _, f := range all {
		size += f.Size()
	}
	if o.writing || size > DirectLimit {
		o.queue = append(o.queue, all...)
		if !o.writing {
			o.writing = true
			go o.drain(false)
		}
		o.mu.Unlock()
		return
	}
	o.writing = true
	o.mu.Unlock()
	kept, err := o.direct(all)
	o.mu.Lock()
	o.written(kept, err)
}

// direct writes without waiting; kept says that a flush must follow.
func (o *Outbox) direct(all []*wire.Frame) (kept bool, err error) {
	if o.conn == nil {
		return false, o.w.WriteFrames(all)
	}
	return o.conn.Direct(func() error { return o.w.WriteFrames(all) })
}

// written ends a write: the stream goes to the next in line. mu is held, and
// released.
func (o *Outbox) written(kept bool, err error) {
	switch {
	case err != nil:
		o.fail(err)
		return
	case kept || len(o.queue) > 0:
		go o.drain(kept)
	default:
		o.writing = false
		o.free.Signal()
	}
	o.mu.Unlock()
}

// drain writes the queue until it is empty.
func (o *Outbox) drain(kept bool) {
	if kept {
		if err := o.conn.Flush(); err != nil {
			o.mu.Lock()
			o.fail(err)
			return
		}
	}
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.failed != nil {
			o.queue = nil
			o.written(false, nil)
			return
		}
		f := o.queue[0]
		o.queue[0] = nil
		o.queue = o.queue[1:]
		o.mu.Unlock()
		if err := o.w.WriteFrame(f); err != nil {
			o.mu.Lock()
			o.fail(err)
			return
		}
		if o.c.Recycle {
			f.Recycle()
		}
	}
}

// Relay writes a frame whose body is still to be read from r, as it arrives; see
// wire.Writer.Relay. It waits for its turn and for the stream.
func (o *Outbox) Relay(f *wire.Frame, r *wire.Reader) (readErr, writeErr error) {
	o.mu.Lock()
	for o.writing {
		o.free.Wait()
	}
	held, failed := o.held, o.failed
	o.held = nil
	if failed != nil {
		o.mu.Unlock()
		return r.ReadBody(f), failed
	}
	o.writing = true
	o.mu.Unlock()
	err := o.w.WriteFrames(held)
	if err != nil {
		readErr = r.ReadBody(f)
	} else {
		readErr, err = o.w.Relay(f, r)
	}
	o.mu.Lock()
	o.written(false, err)
	return readErr, err
}

// Send encodes msg and puts the frame.
func (o *Outbox) Send(h wire.Header, msg proto.Message, body []byte) error {
	f, err := wire.NewFrame(h, msg, body)
	if err != nil {
		return err
	}
	o.Put(f)
	return nil
}

// Free reports whether a small frame would be written at once.
func (o *Outbox) Free() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.writing
}

// Wait waits until everything that was put before is written, or has failed.
func (o *Outbox) Wait() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing {
		o.free.Wait()
	}
	return o.failed
}

// fail ends the outbox. mu is held, and released.
func (o *Outbox) fail(err error) {
	first := o.failed == nil
	o.failed, o.writing, o.queue, o.held = err, false, nil, nil
	o.free.Broadcast()
	o.mu.Unlock()
	if first && o.c.OnFail != nil {
		o.c.OnFail(err)
	}
}
