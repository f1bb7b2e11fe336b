package runner

import (
	"io"
	"math"
	"sync"
	"sync/atomic"
)

// memPipe is a connection in memory whose writes never wait.
func memPipe() (a, b *memConn) {
	x, y := newMemQueue(), newMemQueue()
	limit := new(atomic.Int64)
	limit.Store(math.MaxInt64)
	return &memConn{in: x, out: y, limit: limit}, &memConn{in: y, out: x, limit: limit}
}

type memConn struct {
	in, out *memQueue
	limit   *atomic.Int64 // bytes that may still pass, either way
}

func (c *memConn) Read(b []byte) (int, error) { return c.in.read(b) }

func (c *memConn) Write(b []byte) (int, error) {
	if left := c.limit.Add(-int64(len(b))); left < 0 {
		_, _ = c.out.write(b[:max(0, int64(len(b))+left)])
		c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.out.write(b)
}

// Close ends both directions.
func (c *memConn) Close() {
	c.in.close()
	c.out.close()
}

type memQueue struct {
	mu     sync.Mutex
	more   sync.Cond
	bytes  []byte
	closed bool
}

func newMemQueue() *memQueue {
	q := &memQueue{}
	q.more.L = &q.mu
	return q
}

func (q *memQueue) read(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.bytes) == 0 && !q.closed {
		q.more.Wait()
	}
	if len(q.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(b, q.bytes)
	if q.bytes = q.bytes[n:]; len(q.bytes) == 0 {
		q.bytes = nil
	}
	return n, nil
}

func (q *memQueue) write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, io.ErrClosedPipe
	}
	q.bytes = append(q.bytes, b...)
	q.more.Signal()
	return len(b), nil
}

func (q *memQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Broadcast()
}
