package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The control stream is a sequence of frames: type 1, length 2, payload. Data
// frames are the user's; the others are the link's own.
type ctlType uint8

const (
	ctlData  ctlType = 0 // any bytes
	ctlPing  ctlType = 1 // 8 bytes, echoed
	ctlPong  ctlType = 2 // 8 bytes
	ctlTrain ctlType = 3 // from 8, to 8: a train of the data stream (see Meter)
	ctlRate  ctlType = 4 // 8: bytes per second that a train of yours came at
	ctlWatch ctlType = 5 // 4: silence in ms after which I may be given up; 0: never
)

const (
	ctlHeader   = 3
	maxCtlFrame = 16 << 10
	maxCtlQueue = 256 << 10 // unread control data; more is the peer's fault
	ctlWait     = 10 * time.Second
	goodbyeTime = 30 * time.Second // for reading what the peer wrote before it closed
)

// control is one end of the control stream. Its stream arrives a little after
// the data stream: writes wait for it.
type control struct {
	c     *conn
	ready chan struct{} // closed when rw is set

	writing chan struct{} // a lock that a synctest bubble may wait for
	rw      io.ReadWriteCloser

	mu      sync.Mutex
	in      []byte
	changed chan struct{} // closed and replaced at every change of in, err
	err     error
	pings   map[uint64]chan struct{}
	sent    map[uint64]time.Time
	seq     uint64
}

var _ io.ReadWriteCloser = (*control)(nil)

func newControl(c *conn) *control {
	return &control{
		c: c, writing: make(chan struct{}, 1), ready: make(chan struct{}), changed: make(chan struct{}),
		pings: map[uint64]chan struct{}{}, sent: map[uint64]time.Time{},
	}
}

// attach gives the control its stream and starts reading.
func (k *control) attach(rw io.ReadWriteCloser) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rw != nil || k.err != nil {
		return false
	}
	k.rw = rw
	close(k.ready)
	go k.readLoop(rw)
	return true
}

func (k *control) attached() bool {
	select {
	case <-k.ready:
		return true
	default:
		return false
	}
}

// Write sends p as one or more frames. It waits for the stream at most ctlWait.
func (k *control) Write(p []byte) (int, error) {
	if err := k.await(); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		part := p[done:min(done+maxCtlFrame, len(p))]
		if err := k.send(ctlData, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (k *control) await() error {
	if k.attached() {
		return nil
	}
	t := time.NewTimer(ctlWait)
	defer t.Stop()
	select {
	case <-k.ready:
		return nil
	case <-k.c.done:
		return k.c.Err()
	case <-t.C:
		err := fmt.Errorf("%w: the control stream did not come up within %v", ErrLost, ctlWait)
		k.c.abort(err)
		return err
	}
}

func (k *control) send(t ctlType, payload []byte) error {
	frame := make([]byte, 0, ctlHeader+len(payload))
	frame = append(frame, byte(t))
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	frame = append(frame, payload...)
	k.writing <- struct{}{}
	defer func() { <-k.writing }()
	if _, err := k.rw.Write(frame); err != nil {
		return k.c.failed(err)
	}
	return nil
}

// own sends a frame of the link's, if the stream is there: these are hints.
func (k *control) own(t ctlType, payload []byte) {
	if k.attached() {
		_ = k.send(t, payload)
	}
}

// Read returns what the peer wrote, io.EOF after its clean end.
func (k *control) Read(p []byte) (int, error) {
	for {
		k.mu.Lock()
		if len(k.in) > 0 {
			n := copy(p, k.in)
			k.in = k.in[n:]
			k.mu.Unlock()
			return n, nil
		}
		err, changed := k.err, k.changed
		k.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		select {
		case <-changed:
		case <-k.c.done:
			k.fail(k.c.Err())
		}
	}
}

// Close closes the whole connection: neither stream is of use alone.
func (k *control) Close() error { return k.c.Close() }

func (k *control) readLoop(r io.Reader) {
	var head [ctlHeader]byte
	buf := make([]byte, maxCtlFrame)
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			k.ended(err)
			return
		}
		n := int(binary.BigEndian.Uint16(head[1:]))
		if n > maxCtlFrame {
			k.protocol("a control frame of %d bytes", n)
			return
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			k.ended(err)
			return
		}
		k.c.heard(time.Now())
		if !k.handle(ctlType(head[0]), buf[:n]) {
			return
		}
	}
}

// ended is the stream's end: clean ends leave the data stream its say.
func (k *control) ended(err error) {
	if err == io.EOF { //nolint:errorlint // ReadFull returns it bare
		// No more pings will come; what is left of the data may take a while.
		k.c.expect(goodbyeTime)
		k.fail(io.EOF)
		return
	}
	k.fail(k.c.failed(err))
}

func (k *control) protocol(format string, args ...any) {
	err := fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
	k.c.abort(err)
	k.fail(err)
}

func (k *control) handle(t ctlType, p []byte) bool {
	want := -1
	switch t {
	case ctlData:
	case ctlPing, ctlPong, ctlRate:
		want = 8
	case ctlTrain:
		want = 16
	case ctlWatch:
		want = 4
	default:
		return true // a later version's hint
	}
	if want >= 0 && len(p) != want {
		k.protocol("control frame %d has %d bytes", t, len(p))
		return false
	}
	switch t {
	case ctlData:
		return k.deliver(p)
	case ctlPing:
		k.own(ctlPong, p)
	case ctlPong:
		k.pong(binary.BigEndian.Uint64(p))
	case ctlTrain:
		s := span{int64(binary.BigEndian.Uint64(p)), int64(binary.BigEndian.Uint64(p[8:]))}
		k.c.report(k.c.arrivals.mark(s))
	case ctlRate:
		k.c.meter.observeUp(float64(min(binary.BigEndian.Uint64(p), maxRate)))
	case ctlWatch:
		ms := time.Duration(binary.BigEndian.Uint32(p)) * time.Millisecond
		k.c.expect(min(ms, maxSilence))
	}
	return true
}

func (k *control) deliver(p []byte) bool {
	k.mu.Lock()
	if len(k.in)+len(p) > maxCtlQueue {
		k.mu.Unlock()
		k.protocol("more than %d bytes of control data are waiting", maxCtlQueue)
		return false
	}
	k.in = append(k.in, p...)
	k.wake()
	k.mu.Unlock()
	return true
}

func (k *control) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		if err == nil {
			err = net.ErrClosed
		}
		k.err = err
		k.wake()
	}
}

// wake must be called with mu held.
func (k *control) wake() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// ping sends a ping; the channel is closed by its pong.
func (k *control) ping() (<-chan struct{}, error) {
	k.mu.Lock()
	k.seq++
	seq := k.seq
	if len(k.sent) >= maxTrains { // unanswered for long: the oldest are void
		clear(k.sent)
		clear(k.pings)
	}
	answered := make(chan struct{})
	k.sent[seq], k.pings[seq] = time.Now(), answered
	k.mu.Unlock()
	return answered, k.send(ctlPing, binary.BigEndian.AppendUint64(nil, seq))
}

func (k *control) pong(seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, ok := k.sent[seq]; ok {
		k.c.meter.observeRTT(time.Since(at))
		close(k.pings[seq])
		delete(k.sent, seq)
		delete(k.pings, seq)
	}
}
