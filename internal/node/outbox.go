package node

import (
	"io"
	"sync"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// outbox writes frames to a stream in order without making the caller wait for
// a slow one: a small frame that finds the stream free is written at once, on
// the caller's goroutine, which saves a wake-up; all others are queued.
//
// The queue holds what the protocol lets pile up: see offload.Quota for the
// clone's frames, and the sender's own pace for the device's.
type outbox struct {
	w *wire.Writer

	mu      sync.Mutex
	queue   []*wire.Frame
	writing bool
	failed  error
	recycle bool // written frames are nobody else's
	onFail  func(error)
}

// directLimit is the size up to which a frame is written on the spot.
const directLimit = 32 << 10

func newOutbox(w io.Writer, onFail func(error)) *outbox {
	return &outbox{w: wire.NewWriter(w), onFail: onFail}
}

// put writes f, now or soon.
func (o *outbox) put(f *wire.Frame) { o.take(f, o.w.WriteFrame) }

// hold writes f with the next frame: for one that another follows at once.
func (o *outbox) hold(f *wire.Frame) { o.take(f, o.w.Hold) }

func (o *outbox) take(f *wire.Frame, write func(*wire.Frame) error) {
	o.mu.Lock()
	if o.failed != nil {
		o.mu.Unlock()
		return
	}
	if o.writing || f.Size() > directLimit {
		o.queue = append(o.queue, f)
		if !o.writing {
			o.writing = true
			go o.drain()
		}
		o.mu.Unlock()
		return
	}
	o.writing = true
	o.mu.Unlock()
	err := write(f)
	o.mu.Lock()
	if err != nil {
		o.fail(err)
		return
	}
	if len(o.queue) > 0 {
		go o.drain()
	} else {
		o.writing = false
	}
	o.mu.Unlock()
}

// drain writes the queue until it is empty.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.failed != nil {
			o.writing, o.queue = false, nil
			o.mu.Unlock()
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
		if o.recycle {
			f.Recycle()
		}
	}
}

// fail ends the outbox. mu is held, and released.
func (o *outbox) fail(err error) {
	first := o.failed == nil
	o.failed, o.writing, o.queue = err, false, nil
	o.mu.Unlock()
	if first && o.onFail != nil {
		o.onFail(err)
	}
}
