package shape

import (
	"errors"
	"math"
	"net"
	"sync"
	"time"
)

const (
	maxDatagram = 64 << 10 // the largest UDP payload
	unbounded   = math.MaxInt
)

// PacketConn returns inner as it behaves over the link. Closing the result
// closes inner. It offers no fast paths (no batches, no segmentation offload):
// packets pass one at a time.
func (c *Control) PacketConn(inner net.PacketConn) net.PacketConn {
	p := &packetConn{ctl: c, inner: inner, out: newDelayQueue(c), in: newDelayQueue(c)}
	p.wg.Add(2)
	go p.sendLoop()
	go p.readLoop()
	return p
}

type packetConn struct {
	ctl   *Control
	inner net.PacketConn
	out   *delayQueue
	in    *delayQueue
	wg    sync.WaitGroup
	once  sync.Once
	cerr  error
}

var _ net.PacketConn = (*packetConn)(nil)

func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if err := p.out.waitRoom(unbounded, time.Time{}, true); err != nil {
		return 0, err
	}
	p.carry(p.ctl.up, p.out, append([]byte(nil), b...), addr)
	return len(b), nil
}

// carry puts a datagram on the link; it owns b.
func (p *packetConn) carry(l *lane, q *delayQueue, b []byte, addr net.Addr) {
	p.ctl.spoil(l, b)
	if gate, _ := p.ctl.gateNow(); gate == gateCut {
		l.mu.Lock()
		l.counts.Dropped++
		l.mu.Unlock()
		return
	}
	if at, ok := l.datagram(time.Now(), len(b)); ok {
		q.push(item{at: at, data: b, addr: addr})
	}
}

func (p *packetConn) sendLoop() {
	defer p.wg.Done()
	for {
		var it item
		if p.out.take(true, true, func(i item) int { it = i; return len(i.data) }) != nil {
			return
		}
		// A send error is a lost packet to the one who sent it a while ago.
		_, _ = p.inner.WriteTo(it.data, it.addr)
	}
}

func (p *packetConn) readLoop() {
	defer p.wg.Done()
	buf := make([]byte, maxDatagram)
	for {
		n, addr, err := p.inner.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				p.in.close(net.ErrClosed)
				return
			}
			// ECONNREFUSED and the like: ICMP's news, not the end.
			if !transient(err) {
				p.in.close(err)
				return
			}
			continue
		}
		p.carry(p.ctl.down, p.in, append([]byte(nil), buf[:n]...), addr)
	}
}

func (p *packetConn) ReadFrom(b []byte) (n int, addr net.Addr, err error) {
	err = p.in.take(true, false, func(i item) int {
		n, addr = copy(b, i.data), i.addr
		return len(i.data)
	})
	return n, addr, err
}

func (p *packetConn) Close() error {
	p.once.Do(func() {
		p.in.close(net.ErrClosed)
		p.out.close(net.ErrClosed)
		p.cerr = p.inner.Close()
		p.wg.Wait()
	})
	return p.cerr
}

func (p *packetConn) LocalAddr() net.Addr { return p.inner.LocalAddr() }

func (p *packetConn) SetDeadline(t time.Time) error      { return p.SetReadDeadline(t) }
func (p *packetConn) SetReadDeadline(t time.Time) error  { p.in.setDeadline(t); return nil }
func (p *packetConn) SetWriteDeadline(_ time.Time) error { return nil } // writes never wait
