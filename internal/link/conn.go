package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/poll"
)

// ID names a peer; see identity.ID.
type ID = identity.ID

// Names of the transports, as Conn.Transport returns them.
const (
	QUIC   = "quic"
	TCP    = "tcp"
	Memory = "memory" // Pipe
)

// Conn is a link to one peer: an ordered byte stream with a control stream
// beside it. Reads and writes may run at the same time in different goroutines;
// Close ends both.
//
// Read returns io.EOF when the peer closed, and an error wrapping ErrLost when
// the link broke; either way everything sent after the last byte read is gone.
type Conn interface {
	net.Conn
	// Control is the low-volume stream, for what must not wait behind bulk.
	// What is unread may not exceed 256 KiB. Closing it closes the Conn.
	Control() io.ReadWriteCloser
	// Peer is whom the other side has proved to be.
	Peer() ID
	// Transport is QUIC, TCP or Memory.
	Transport() string
	// Stats may be called at any time, also after Close.
	Stats() Stats
	// Early is the dialer's EarlyData, at the listener. When replayable, an
	// attacker may have sent a copy: only what is idempotent may be done.
	Early() (data []byte, replayable bool)
	// Watch tells whether silence means that the link is lost. It is on at
	// first; a device turns it off while it awaits nothing. Only the dialer's
	// call has an effect, on both sides. Unwatched, a QUIC connection ends
	// after 30 s of silence; the next Dial of the Redialer uses its ticket.
	Watch(on bool)
	// Ping waits for one round trip on the control stream.
	Ping(ctx context.Context) (time.Duration, error)
	// Done is closed when the Conn is of no more use.
	Done() <-chan struct{}
	// Err says why Done is closed: net.ErrClosed, io.EOF, or an error that
	// wraps ErrLost or ErrProtocol. It is nil before.
	Err() error
}

// Stats is what a Conn knows about itself and its path.
type Stats struct {
	RTT       Estimate // seconds
	UpRate    Estimate // bytes per second that we can send
	DownRate  Estimate // bytes per second that we can receive
	BytesUp   int64    // written to the data stream
	BytesDown int64    // read from the data stream
	Resumed   bool     // the handshake used a ticket
	Early     bool     // the hello travelled as 0-RTT data
	Setup     time.Duration
}

// dataStream is what a transport gives for the bulk.
type dataStream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// transportEnd is the rest of a transport's connection.
type transportEnd interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	// shut ends everything. err is nil for a clean end, which lets what was
	// written arrive.
	shut(err error)
	// rtt is the transport's own idea, 0 when it has none.
	rtt() (mean, deviation time.Duration)
}

type conn struct {
	data      dataStream
	end       transportEnd
	ctl       *control
	peer      ID
	transport string
	dialer    bool
	meter     *Meter
	silence   time.Duration // the dialer's setting
	early     []byte
	replay    bool
	stats     Stats      // the constant part
	socket    *poll.Conn // of the data stream; nil: it is none that a loop can watch

	up, down atomic.Int64
	arrivals arrivals
	born     time.Time
	lastIn   atomic.Int64 // nanoseconds after born, monotonic

	refused func() bool // asks whether nobody listens at the peer's; nil: cannot
	probing atomic.Bool

	watchMu sync.Mutex
	allowed time.Duration // silence after which the link is lost; 0: never
	watch   *time.Timer

	closing sync.Once
	done    chan struct{}
	errMu   sync.Mutex
	err     error
	onDone  []func()
}

var _ Conn = (*conn)(nil)

func newConn(data dataStream, end transportEnd, peer ID, transport string, meter *Meter) *conn {
	c := &conn{data: data, end: end, peer: peer, transport: transport, meter: meter, done: make(chan struct{}), born: time.Now()}
	if c.meter == nil {
		c.meter = &Meter{}
	}
	c.ctl = newControl(c)
	return c
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	if n > 0 {
		now := time.Now()
		c.heard(now)
		c.down.Add(int64(n))
		if rates := c.arrivals.read(now, n); rates != nil {
			c.report(rates)
		}
	}
	if err != nil {
		err = c.failed(err)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if len(p) < trainMin {
		n, err := c.data.Write(p)
		c.up.Add(int64(n))
		if err != nil {
			return n, c.failed(err)
		}
		return n, nil
	}
	return c.writeTrains(p)
}

// writeTrains writes a large p in parts that the peer can time.
func (c *conn) writeTrains(p []byte) (int, error) {
	done := 0
	from := c.up.Load()
	for done < len(p) {
		part := p[done:min(done+trainMax, len(p))]
		n, err := c.data.Write(part)
		c.up.Add(int64(n))
		done += n
		if err != nil {
			return done, c.failed(err)
		}
		var mark [16]byte
		binary.BigEndian.PutUint64(mark[:], uint64(from))
		binary.BigEndian.PutUint64(mark[8:], uint64(from+int64(done)))
		c.ctl.own(ctlTrain, mark[:])
	}
	return done, nil
}

// report tells the sender at what rates its trains came, and remembers them.
func (c *conn) report(rates []float64) {
	for _, r := range rates {
		c.meter.observeDown(r)
		c.ctl.own(ctlRate, binary.BigEndian.AppendUint64(nil, uint64(r)))
	}
}

// failed turns an error of the transport into the caller's; one that is final
// ends the connection.
func (c *conn) failed(err error) error {
	select {
	case <-c.done:
		return c.Err()
	default:
	}
	err = classify(err)
	if errors.Is(err, ErrLost) || errors.Is(err, ErrProtocol) {
		c.abort(err)
		return c.Err()
	}
	return err
}

// heard notes that the peer is alive.
func (c *conn) heard(now time.Time) { c.lastIn.Store(int64(now.Sub(c.born))) }

func (c *conn) Close() error {
	c.finish(net.ErrClosed, nil)
	return nil
}

// abort ends the connection because of err.
func (c *conn) abort(err error) { c.finish(err, err) }

func (c *conn) finish(err, wire error) {
	c.closing.Do(func() {
		if mean, _ := c.end.rtt(); mean > 0 {
			c.meter.observeRTT(mean)
		}
		c.errMu.Lock()
		c.err = err
		hooks := c.onDone
		c.onDone = nil
		c.errMu.Unlock()
		c.watchMu.Lock()
		if c.watch != nil {
			c.watch.Stop()
		}
		c.allowed = 0
		c.watchMu.Unlock()
		c.ctl.fail(err)
		close(c.done)
		c.end.shut(wire)
		for _, f := range hooks {
			f()
		}
	})
}

// whenDone arranges for f to run once the connection is finished.
func (c *conn) whenDone(f func()) {
	c.errMu.Lock()
	if c.err == nil {
		c.onDone = append(c.onDone, f)
		c.errMu.Unlock()
		return
	}
	c.errMu.Unlock()
	f()
}

// Pollable returns the socket below the data stream, nil if a poll.Loop cannot
// watch it.
func (c *conn) Pollable() *poll.Conn { return c.socket }

func (c *conn) Done() <-chan struct{} { return c.done }

func (c *conn) Err() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return c.err
}

func (c *conn) Control() io.ReadWriteCloser   { return c.ctl }
func (c *conn) Peer() ID                      { return c.peer }
func (c *conn) Transport() string             { return c.transport }
func (c *conn) Early() (data []byte, rp bool) { return c.early, c.replay }
func (c *conn) LocalAddr() net.Addr           { return c.end.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr          { return c.end.RemoteAddr() }

func (c *conn) SetReadDeadline(t time.Time) error  { return c.data.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.data.SetWriteDeadline(t) }
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.data.SetReadDeadline(t), c.data.SetWriteDeadline(t))
}

func (c *conn) Stats() Stats {
	s := c.stats
	s.RTT, s.UpRate, s.DownRate = c.meter.Estimates()
	if mean, dev := c.end.rtt(); mean > 0 {
		s.RTT = Estimate{Mean: mean.Seconds(), StdDev: dev.Seconds(), Samples: max(s.RTT.Samples, 1)}
	}
	s.BytesUp, s.BytesDown = c.up.Load(), c.down.Load()
	return s
}

func (c *conn) Ping(ctx context.Context) (time.Duration, error) {
	if err := c.ctl.await(); err != nil {
		return 0, err
	}
	start := time.Now()
	answered, err := c.ctl.ping()
	if err != nil {
		return 0, err
	}
	select {
	case <-answered:
		return time.Since(start), nil
	case <-c.ctl.over:
		return 0, noWrite(c.ctl.failure())
	case <-ctx.Done():
		return 0, fmt.Errorf("ping: %w", context.Cause(ctx))
	}
}
