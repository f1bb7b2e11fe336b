package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clonecloud/clonecloud/internal/poll"
	"github.com/clonecloud/clonecloud/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tcp is a connection through loopback.
func tcp(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// taken is tcp with what a loop can watch, where there is such a thing.
func taken(t *testing.T) (a, b net.Conn) {
	a, b = tcp(t)
	for _, c := range []*net.Conn{&a, &b} {
		if p := poll.Take(*c); p != nil {
			*c = p
		}
		t.Cleanup(func() { _ = (*c).Close() })
	}
	return a, b
}

// number is a frame with a body of size bytes that tell which frame it is.
func number(t testing.TB, i uint32, size int) *wire.Frame {
	t.Helper()
	body := bytes.Repeat([]byte{byte(i)}, size)
	id := wire.ID{1, byte(i), byte(i >> 8)}
	f, err := wire.NewFrame(wire.Header{Type: wire.TypeReturn, Run: wire.ID{1}, Attempt: id, Seq: i + 1}, &wire.Return{}, body)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sizes are of frames small and large, some beyond what is read ahead.
func sizes(n int) []int {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]int, n)
	for i := range out {
		switch r.IntN(8) {
		case 0:
			out[i] = r.IntN(400 << 10)
		case 1:
			out[i] = 30<<10 + r.IntN(40<<10)
		default:
			out[i] = r.IntN(3000)
		}
	}
	return out
}

// check takes frames and says when all have come as they were sent.
type check struct {
	mu   sync.Mutex
	next uint32
	want []int
	err  error
	done chan struct{}
}

func newCheck(want []int) *check { return &check{want: want, done: make(chan struct{})} }

func (c *check) frame(f *wire.Frame, r *wire.Reader) error {
	if err := r.ReadBody(f); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	size := c.want[c.next]
	if f.Seq != c.next+1 || len(f.Body) != size || size > 0 && (f.Body[0] != byte(c.next) || f.Body[size-1] != byte(c.next)) {
		c.err = fmt.Errorf("frame %d of %d bytes came as number %d of %d bytes", c.next, size, f.Seq-1, len(f.Body))
		close(c.done)
		return c.err
	}
	if c.next++; int(c.next) == len(c.want) {
		close(c.done)
	}
	return nil
}

func (c *check) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Fatalf("only %d of %d frames came", c.next, len(c.want))
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
}

// TestFramesComeWholeAndInOrder passes frames of all sizes through a relay in
// the middle, both ways at once, with and without a loop.
func TestFramesComeWholeAndInOrder(t *testing.T) {
	for _, tt := range []struct {
		name string
		conn func(*testing.T) (a, b net.Conn)
		loop func() *poll.Loop
	}{
		{"in one thread", taken, poll.NewLoop},
		{"in goroutines, as no loop can watch the streams", func(t *testing.T) (a, b net.Conn) {
			a, b = tcp(t)
			t.Cleanup(func() { _, _ = a.Close(), b.Close() })
			return a, b
		}, poll.NewLoop},
		{"in goroutines, as there is no loop", taken, func() *poll.Loop { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.loop()
			if l != nil {
				defer l.Close()
			}
			left, leftMid := tt.conn(t)
			right, rightMid := tt.conn(t)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer func() {
				for _, c := range []net.Conn{left, leftMid, right, rightMid} {
					_ = c.Close()
				}
			}()
			serve := func(c net.Conn, h Handler) {
				wg.Add(1)
				go func() {
					defer wg.Done()
					_ = Serve(l, c, h)
				}()
			}
			for _, way := range []struct{ from, to net.Conn }{{leftMid, rightMid}, {rightMid, leftMid}} {
				out := NewOutbox(way.to, Config{})
				serve(way.from, Handler{
					Frame: func(f *wire.Frame, r *wire.Reader) error {
						readErr, err := out.Relay(f, r)
						return errors.Join(readErr, err)
					},
					Quick: func(f *wire.Frame, r *wire.Reader) error {
						if err := r.ReadBody(f); err != nil {
							return err
						}
						if f.Seq%3 == 0 {
							out.Hold(f)
						} else {
							out.Put(f)
						}
						return nil
					},
					Hasty: func(h wire.Header) bool { return out.Free() && h.BodyLen < DirectLimit },
					Idle:  out.Flush,
				})
			}
			for _, end := range []struct{ from, to net.Conn }{{left, right}, {right, left}} {
				list := sizes(400)
				c := newCheck(list)
				serve(end.to, Handler{Frame: c.frame, Quick: c.frame, Hasty: func(wire.Header) bool { return true }})
				out := NewOutbox(end.from, Config{})
				for i, size := range list {
					out.Put(number(t, uint32(i), size))
				}
				defer c.wait(t)
			}
		})
	}
}

func TestAnOutboxThatFailsTakesTheRelayedBodyAndSaysSoOnce(t *testing.T) {
	from, mid := taken(t)
	to, far := taken(t)
	failed := make(chan error, 8)
	out := NewOutbox(to, Config{OnFail: func(err error) { failed <- err }})
	_ = far.Close()
	_ = to.Close()
	go func() {
		o := NewOutbox(from, Config{})
		o.Put(number(t, 0, 1<<20))
		o.Put(number(t, 1, 10))
	}()
	r := wire.NewReader(mid, wire.ReaderConfig{})
	for i := range 2 {
		f, err := r.ReadHead()
		if err != nil {
			t.Fatal(err)
		}
		readErr, writeErr := out.Relay(f, r)
		if readErr != nil || writeErr == nil {
			t.Fatalf("frame %d: %v, %v", i, readErr, writeErr)
		}
	}
	out.Put(number(t, 2, 1))
	if err := out.Wait(); err == nil || len(failed) != 1 {
		t.Errorf("%v, told %d times", err, len(failed))
	}
}

func TestServeReturnsTheStreamsEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		send []byte
		want error
	}{
		{"between frames", nil, io.EOF},
		{"inside a header", []byte{1, 2, 3}, io.ErrUnexpectedEOF},
		{"after bytes that are no frame", bytes.Repeat([]byte{0xff}, 200), wire.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := poll.NewLoop()
			if l != nil {
				defer l.Close()
			}
			a, b := taken(t)
			_, _ = b.Write(tt.send)
			_ = b.Close()
			h := Handler{Frame: func(f *wire.Frame, r *wire.Reader) error { return r.ReadBody(f) }, Hasty: func(wire.Header) bool { return true }}
			h.Quick = h.Frame
			if err := Serve(l, a, h); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}
