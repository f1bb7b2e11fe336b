package runner

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// frame is one frame with its message decoded and checked.
type frame struct {
	head wire.Header
	msg  proto.Message // nil: it could not be decoded
	body []byte
	link int // of a LinkState: which change of the link it is
}

// size is what the frame occupied, in bytes.
func (f frame) size() int64 {
	return int64(wire.HeaderSize) + int64(f.head.MetaLen) + int64(f.head.BodyLen)
}

// readable is a stream on which one can wait without reading.
type readable interface {
	// WaitReadable waits until a Read would not block or d, unless negative, is over.
	WaitReadable(d time.Duration) (bool, error)
}

// pipe is the runner's end of the socket to its manager. While an attempt lives
// the guest's goroutine reads it (attend), because handing each frame from one
// goroutine to another was measured to cost as much as a network's hop; at
// other times a goroutine of its own does, so that a change of the link is known
// and nothing piles up. A runner whose manager is gone ends itself (PROTOCOL
// rule 20), whatever the guest is doing: package proc sees to that.
type pipe struct {
	w    *wire.Writer
	lost func()       // the manager is gone; it may return
	gone bool         // lost was called
	r    *wire.Reader // belongs to whoever holds turn
	poll readable     // nil: frames always come by the other goroutine

	turn     sync.Mutex
	attended atomic.Int64 // by the guest's goroutine: see attend
	born     time.Time
	idle     chan struct{} // has a token when attended may have become unattended

	mu      sync.Mutex
	queue   []frame
	more    chan struct{} // has a token when queue is not empty
	link    *wire.LinkState
	changes int // of link
}

func newPipe(rw io.Reader, w *wire.Writer, lost func()) *pipe {
	p := &pipe{
		w: w, lost: lost, r: wire.NewReader(rw, wire.ReaderConfig{}), born: time.Now().Add(-time.Second),
		more: make(chan struct{}, 1), idle: make(chan struct{}, 1), link: &wire.LinkState{},
	}
	p.poll, _ = rw.(readable)
	go p.watch()
	return p
}

// exitLost ends a runner that lost its manager; nobody reads the code.
func exitLost() { os.Exit(1) }

// attentionSpan is how long after an attempt the guest's goroutine keeps the
// right to read: calls often follow each other closely, and waking the other
// goroutine for nothing costs. So does setting a timer, which is why nobody sets
// one for each call.
const attentionSpan = 5 * time.Millisecond

// What attended may be, other than the time in nanoseconds after born at which
// the guest's goroutine came to rest.
const (
	unattended = 0
	attending  = -1
)

// attend gives the reading to the caller, which calls next, until it calls rest.
func (p *pipe) attend() {
	if p.poll != nil && p.attended.Swap(attending) == unattended {
		go p.awaitRest()
	}
}

// rest gives the reading back, soon.
func (p *pipe) rest() {
	if p.poll != nil {
		p.attended.Store(int64(time.Since(p.born)))
	}
}

// awaitRest gives the reading back once the guest's goroutine has been at rest
// for a while, and sends what was held.
func (p *pipe) awaitRest() {
	for {
		since := p.attended.Load()
		switch rested := time.Since(p.born) - time.Duration(since); {
		case since == attending:
			time.Sleep(4 * attentionSpan)
		case rested < attentionSpan:
			time.Sleep(attentionSpan - rested)
		default:
			if p.attended.CompareAndSwap(since, unattended) {
				_ = p.w.Flush()
				select {
				case p.idle <- struct{}{}:
				default:
				}
				return
			}
		}
	}
}

// hold sends a frame that nobody waits for, with the next or soon.
func (p *pipe) hold(f *wire.Frame) error {
	if p.poll == nil || p.attended.Load() == unattended {
		return p.w.Hold(f)
	}
	err := p.w.HoldOn(f)
	if p.attended.Load() == unattended { // awaitRest may have missed it
		return p.w.Flush()
	}
	return err
}

// watch reads while the guest's goroutine does not.
func (p *pipe) watch() {
	for {
		for p.attended.Load() != unattended {
			<-p.idle
		}
		p.turn.Lock()
		buffered := p.r.Buffered() > 0
		p.turn.Unlock()
		if p.poll != nil && !buffered {
			if _, err := p.poll.WaitReadable(-1); err != nil {
				p.lost()
				return
			}
		}
		p.turn.Lock()
		if p.attended.Load() == unattended && p.ready() {
			if f, ok := p.read(); ok {
				if p.poll != nil {
					f.body = nil // of no attempt: it began before anybody attended
				}
				p.enqueue(f)
			}
		}
		gone := p.gone
		p.turn.Unlock()
		if gone {
			return
		}
	}
}

// ready reports whether a frame has begun to arrive, so that whoever holds turn
// does not wait with it. Without poll nobody else wants it.
func (p *pipe) ready() bool {
	if p.poll == nil || p.r.Buffered() > 0 {
		return true
	}
	ok, err := p.poll.WaitReadable(0)
	return ok && err == nil
}

// read takes one frame off the stream; turn is held.
func (p *pipe) read() (frame, bool) {
	f, err := p.r.ReadFrame()
	if err != nil {
		p.gone = true
		p.lost()
		return frame{}, false
	}
	m, err := f.Message()
	if err != nil {
		// A manager relays what a hostile peer sent: its attempt comes to nothing.
		return frame{head: f.Header}, true
	}
	return p.noted(frame{head: f.Header, msg: m, body: f.Body}), true
}

// noted remembers what a frame says about the link, and numbers such a frame.
func (p *pipe) noted(f frame) frame {
	if l, ok := f.msg.(*wire.LinkState); ok {
		p.mu.Lock()
		p.link = l
		p.changes++
		f.link = p.changes
		p.mu.Unlock()
	}
	return f
}

// deliver puts in a frame that did not come by the stream.
func (p *pipe) deliver(f frame) { p.enqueue(p.noted(f)) }

// maxIdle bounds the frames that are kept while nobody takes any: between
// attempts they are of none, and will be fenced.
const maxIdle = 4096

func (p *pipe) enqueue(f frame) {
	p.mu.Lock()
	if len(p.queue) >= maxIdle {
		p.queue = p.queue[:0]
	}
	p.queue = append(p.queue, f)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *pipe) dequeue() (f frame, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return f, false
	}
	f = p.queue[0]
	p.queue[0] = frame{}
	p.queue = p.queue[1:]
	return f, true
}

// errTimeout is next's answer when nothing arrived in time.
var errTimeout = errors.New("no frame in time")

// next returns the next frame, waiting for one until the deadline (the zero
// time: for ever).
func (p *pipe) next(deadline time.Time) (frame, error) {
	if p.poll == nil {
		return p.nextQueued(deadline)
	}
	p.turn.Lock() // a frame that the other goroutine has begun it reads to its end
	defer p.turn.Unlock()
	if f, ok := p.dequeue(); ok {
		return f, nil
	}
	for {
		if !deadline.IsZero() && p.r.Buffered() == 0 {
			ready, err := p.poll.WaitReadable(max(time.Until(deadline), 0))
			if err != nil {
				p.lost()
			}
			if !ready {
				return frame{}, errTimeout
			}
		}
		if f, ok := p.read(); ok || p.gone {
			return f, nil
		}
	}
}

// nextQueued is next where the other goroutine reads everything.
func (p *pipe) nextQueued(deadline time.Time) (frame, error) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		expired = t.C
	}
	for {
		if f, ok := p.dequeue(); ok {
			return f, nil
		}
		select {
		case <-p.more:
		case <-expired:
			return frame{}, errTimeout
		}
	}
}

// drop empties the queue: what is left of a finished attempt is fenced anyway.
func (p *pipe) drop() {
	p.mu.Lock()
	p.queue = nil
	p.mu.Unlock()
}

// linkState returns the link as the manager last described it, and how often
// that has changed.
func (p *pipe) linkState() (*wire.LinkState, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link, p.changes
}

// tell sends an event; one about a call may wait for the next frame. A manager
// that is gone is noticed by package proc.
func (p *pipe) tell(e Event) {
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	f, err := wire.NewFrame(wire.Header{Type: wire.TypeEvent}, &wire.Event{Json: data}, nil)
	if err != nil {
		return
	}
	if e.Call != nil {
		_ = p.hold(f)
		return
	}
	_ = p.w.WriteFrame(f)
}
