package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
)

// MemoryNet is a network inside the process: streams without sockets, for tests
// in a testing/synctest bubble, where waiting on a real socket would stop the
// clock. A Listener and Redialers that name the same MemoryNet reach each other
// whatever the address; there is no UDP. All above the sockets is real: TLS,
// hello, control connection, watch, shaping.
type MemoryNet struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// NewMemoryNet returns an empty network for one listener.
func NewMemoryNet() *MemoryNet {
	return &MemoryNet{incoming: make(chan net.Conn), closed: make(chan struct{})}
}

var _ net.Listener = (*MemoryNet)(nil)

// Accept is part of net.Listener.
func (m *MemoryNet) Accept() (net.Conn, error) {
	select {
	case c := <-m.incoming:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener: nobody answers any more.
func (m *MemoryNet) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr is part of net.Listener.
func (m *MemoryNet) Addr() net.Addr { return memAddr{} }

func (m *MemoryNet) dial(ctx context.Context) (net.Conn, error) {
	near, far := memoryPair()
	select {
	case m.incoming <- far:
		return near, nil
	case <-m.closed:
		return nil, fmt.Errorf("memory network: connection refused")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Pipe returns the two ends of a link through memory, shaped by p as the device
// sees it, and the knobs of the shaped link. Closing both ends releases
// everything, after Settle at the latest: what was written still travels. A
// synctest bubble must sleep that long before it ends. The device end is a
// dialer's: its Watch governs both.
func Pipe(p shape.Profile, seed uint64) (device, clone Conn, ctl *shape.Control, err error) {
	ctl, err = shape.New(p, seed)
	if err != nil {
		return nil, nil, nil, err
	}
	var ids [2]*identity.Identity
	for i := range ids {
		if ids[i], err = identity.Ephemeral(); err != nil {
			return nil, nil, nil, err
		}
	}
	mem := NewMemoryNet()
	l, err := Listen(context.Background(), "memory:0", ListenOptions{
		Identity: ids[1], Listed: func(id ID) bool { return id == ids[0].ID() }, Memory: mem,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := Dial(context.Background(), Options{Identity: ids[0], Peer: ids[1].ID(), Net: ctl, Memory: mem})
	if err != nil {
		_ = l.Close()
		return nil, nil, nil, err
	}
	c, err := l.Accept(context.Background())
	if err != nil {
		_ = d.Close()
		_ = l.Close()
		return nil, nil, nil, err
	}
	// The control connection is under way; the listener must outlive that.
	if _, err := d.Ping(context.Background()); err != nil {
		_ = d.Close()
		_ = l.Close()
		return nil, nil, nil, err
	}
	l.stopAccepting()
	return d, c, ctl, nil
}

func (r *Redialer) streamName() string { return streamName(r.opts.Memory) }
func (l *Listener) streamName() string { return streamName(l.opts.Memory) }

// streamName is the transport of what runs on TCP's code.
func streamName(m *MemoryNet) string {
	if m != nil {
		return Memory
	}
	return TCP
}

// Settle is how long the goroutines of a closed Pipe may live.
const Settle = 20 * time.Second

type memAddr struct{}

func (memAddr) Network() string { return Memory }
func (memAddr) String() string  { return "memory:0" }

// memoryPair returns two connected ends, like a socket pair.
func memoryPair() (a, b net.Conn) {
	x, y := newHalf(), newHalf()
	return &memConn{r: x, w: y}, &memConn{r: y, w: x}
}

const memBuffer = 256 << 10 // bytes written and not yet read, each way

// half is one direction. What waits, waits on channels.
type half struct {
	mu      sync.Mutex
	buf     []byte
	closed  bool // by the writer: the end comes after buf
	dropped bool // by the reader
	changed chan struct{}
}

func newHalf() *half { return &half{changed: make(chan struct{})} }

func (h *half) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// deadline is a time that can be moved while it is waited for.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	changed chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// wait blocks until more is closed, the deadline has moved or has passed; the
// last is an error.
func (d *deadline) wait(more <-chan struct{}) error {
	d.mu.Lock()
	at := d.at
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	moved := d.changed
	d.mu.Unlock()
	var timer <-chan time.Time
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(left)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-more:
	case <-moved:
	case <-timer:
	}
	return nil
}

type memConn struct {
	r, w   *half
	rd, wd deadline
}

var _ net.Conn = (*memConn)(nil)

func (c *memConn) Read(p []byte) (int, error) {
	for {
		c.r.mu.Lock()
		if c.r.dropped {
			c.r.mu.Unlock()
			return 0, net.ErrClosed
		}
		if len(c.r.buf) > 0 || len(p) == 0 {
			n := copy(p, c.r.buf)
			c.r.buf = c.r.buf[n:]
			c.r.wake()
			c.r.mu.Unlock()
			return n, nil
		}
		closed, changed := c.r.closed, c.r.changed
		c.r.mu.Unlock()
		if closed {
			return 0, io.EOF
		}
		if err := c.rd.wait(changed); err != nil {
			return 0, err
		}
	}
}

func (c *memConn) Write(p []byte) (int, error) {
	done := 0
	for {
		c.w.mu.Lock()
		if c.w.closed || c.w.dropped {
			err := io.ErrClosedPipe
			if c.w.closed {
				err = net.ErrClosed
			}
			c.w.mu.Unlock()
			return done, err
		}
		if room := min(memBuffer-len(c.w.buf), len(p)-done); room > 0 {
			c.w.buf = append(c.w.buf, p[done:done+room]...)
			done += room
			c.w.wake()
		}
		changed := c.w.changed
		c.w.mu.Unlock()
		if done == len(p) {
			return done, nil
		}
		if err := c.wd.wait(changed); err != nil {
			return done, err
		}
	}
}

func (c *memConn) Close() error {
	for _, h := range []*half{c.r, c.w} {
		h.mu.Lock()
		if h == c.r {
			h.dropped = true
		} else {
			h.closed = true
		}
		h.wake()
		h.mu.Unlock()
	}
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return memAddr{} }
func (c *memConn) RemoteAddr() net.Addr { return memAddr{} }

func (c *memConn) SetDeadline(t time.Time) error      { c.rd.set(t); c.wd.set(t); return nil }
func (c *memConn) SetReadDeadline(t time.Time) error  { c.rd.set(t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { c.wd.set(t); return nil }
