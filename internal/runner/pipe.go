package runner

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// frame is one frame with its message decoded and checked.
type frame struct {
	head wire.Header
	msg  proto.Message
	body []byte
}

// size is what the frame occupied, in bytes.
func (f frame) size() int64 {
	return int64(wire.HeaderSize) + int64(f.head.MetaLen) + int64(f.head.BodyLen)
}

// pipe is the runner's end of the socket to its manager. One goroutine reads
// frames into a queue; the guest's goroutine takes them out. A runner whose
// manager is gone ends itself (PROTOCOL rule 20), whatever the guest is doing.
type pipe struct {
	w    *wire.Writer
	lost func() // the manager is gone

	mu      sync.Mutex
	queue   []frame
	more    chan struct{} // has a token when queue is not empty
	link    *wire.LinkState
	changes int // of link
}

func newPipe(rw io.ReadWriter, lost func()) *pipe {
	p := &pipe{w: wire.NewWriter(rw), lost: lost, more: make(chan struct{}, 1), link: &wire.LinkState{}}
	go p.read(wire.NewReader(rw, wire.ReaderConfig{}))
	return p
}

// exitLost ends a runner that lost its manager; nobody reads the code.
func exitLost() { os.Exit(1) }

func (p *pipe) read(r *wire.Reader) {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			p.lost()
			return
		}
		m, err := f.Message()
		if err != nil {
			continue // a manager relays what a hostile peer sent: no state changes
		}
		p.deliver(frame{f.Header, m, f.Body})
	}
}

// deliver puts a frame into the queue.
func (p *pipe) deliver(f frame) {
	p.mu.Lock()
	if l, ok := f.msg.(*wire.LinkState); ok {
		p.link = l
		p.changes++
	}
	p.queue = append(p.queue, f)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// errTimeout is next's answer when nothing arrived in time.
var errTimeout = errors.New("no frame in time")

// next takes a frame out of the queue, waiting for one until the deadline (the
// zero time: for ever).
func (p *pipe) next(deadline time.Time) (frame, error) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		expired = t.C
	}
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			f := p.queue[0]
			p.queue[0] = frame{}
			p.queue = p.queue[1:]
			p.mu.Unlock()
			return f, nil
		}
		p.mu.Unlock()
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

// tell sends an event. A manager that is gone is noticed by read.
func (p *pipe) tell(e Event) {
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	_ = p.w.Send(wire.Header{Type: wire.TypeEvent}, &wire.Event{Json: data}, nil)
}

// newWriter exists so that main needs no other package for one frame.
func newWriter(w io.Writer) *wire.Writer { return wire.NewWriter(w) }
