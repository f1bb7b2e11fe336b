package wasi

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Streams and sockets of a Local.

// Read reads from a stream or socket.
func (l *Local) Read(h Handle, buf []byte) (int, Errno) {
	ent := l.open[h]
	if ent == nil {
		return 0, ErrnoBadf
	}
	if e := l.block(h, ent, false); e != ErrnoSuccess {
		return 0, e
	}
	var n int
	var err error
	switch {
	case ent.conn != nil:
		n, err = ent.conn.Read(buf)
	case ent.std && ent.in != nil:
		n, err = ent.in.Read(buf)
	case ent.std:
		return 0, ErrnoSuccess
	case ent.file != nil && ent.root == nil:
		n, err = ent.file.Read(buf)
	default:
		return 0, ErrnoBadf
	}
	if n > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	return n, ErrnoOf(err)
}

// Write writes to a stream or socket.
func (l *Local) Write(h Handle, data []byte) (int, Errno) {
	ent := l.open[h]
	if ent == nil {
		return 0, ErrnoBadf
	}
	if e := l.block(h, ent, true); e != ErrnoSuccess {
		return 0, e
	}
	var n int
	var err error
	switch {
	case ent.conn != nil:
		n, err = ent.conn.Write(data)
	case ent.std && ent.out != nil:
		n, err = ent.out.Write(data)
	case ent.std:
		return len(data), ErrnoSuccess
	case ent.file != nil && ent.root == nil:
		n, err = ent.file.Write(data)
	default:
		return 0, ErrnoBadf
	}
	if n > 0 {
		err = nil
	}
	return n, ErrnoOf(err)
}

// block says EAGAIN where a non-blocking stream would block.
func (l *Local) block(h Handle, ent *entry, write bool) Errno {
	if ent.flags&FdflagNonblock == 0 {
		return ErrnoSuccess
	}
	n, hangup, e := l.Ready(h, write)
	if e == ErrnoSuccess && n == 0 && !hangup {
		return ErrnoAgain
	}
	return e
}

// Ready reports what can be done with a stream without blocking.
func (l *Local) Ready(h Handle, write bool) (n uint64, hangup bool, e Errno) {
	ent := l.open[h]
	if ent == nil {
		return 0, false, ErrnoBadf
	}
	src := ent.pollable()
	if src == nil {
		if ent.std && !write && ent.in == nil {
			return 0, true, ErrnoSuccess
		}
		return 1, false, ErrnoSuccess
	}
	n, hangup, err := ready(src, write)
	return n, hangup, ErrnoOf(err)
}

// Wait blocks until a stream is ready or the deadline has passed.
func (l *Local) Wait(read, write []Handle, deadline int64) Errno {
	var rs, ws []poller
	for i, hs := range [][]Handle{read, write} {
		for _, h := range hs {
			ent := l.open[h]
			if ent == nil {
				return ErrnoSuccess // the caller's next look shows the error
			}
			src := ent.pollable()
			if src == nil {
				return ErrnoSuccess // always ready
			}
			if i == 0 {
				rs = append(rs, src)
			} else {
				ws = append(ws, src)
			}
		}
	}
	left := time.Duration(-1)
	if deadline >= 0 {
		left = time.Duration(max(0, deadline-l.monotonic()))
	}
	if len(rs)+len(ws) == 0 {
		if left < 0 {
			return ErrnoInval // for ever, for nothing
		}
		l.sleep(int64(left))
		return ErrnoSuccess
	}
	return ErrnoOf(waitReady(rs, ws, left))
}

// pollable returns what the system can wait for, or nil.
func (ent *entry) pollable() poller {
	switch {
	case ent.conn != nil:
		p, _ := ent.conn.(poller)
		return p
	case ent.ln != nil:
		p, _ := ent.ln.(poller)
		return p
	case ent.file != nil:
		return ent.file
	}
	return nil
}

var _ poller = (*os.File)(nil)

// Accept takes a connection from a listening socket.
func (l *Local) Accept(h Handle, f Fdflags) (Handle, Stat, Errno) {
	ent := l.open[h]
	switch {
	case ent == nil:
		return 0, Stat{}, ErrnoBadf
	case ent.ln == nil:
		return 0, Stat{}, ErrnoInval
	}
	c, err := ent.ln.Accept()
	if err != nil {
		return 0, Stat{}, ErrnoOf(err)
	}
	nh, e := l.add(&entry{conn: c, flags: f})
	if e != ErrnoSuccess {
		return 0, Stat{}, e
	}
	st, e := l.Stat(nh)
	return nh, st, e
}

// Recv receives from a socket.
func (l *Local) Recv(h Handle, buf []byte, flags uint16) (n int, roflags uint16, e Errno) {
	ent := l.open[h]
	switch {
	case ent == nil:
		return 0, 0, ErrnoBadf
	case ent.conn == nil:
		return 0, 0, ErrnoNotconn
	}
	if e := l.block(h, ent, false); e != ErrnoSuccess {
		return 0, 0, e
	}
	var err error
	switch {
	case flags&recvPeek != 0:
		n, err = peek(ent.conn, buf)
	case flags&recvWaitall != 0:
		n, err = io.ReadFull(ent.conn, buf)
	default:
		n, err = ent.conn.Read(buf)
	}
	if n > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	return n, 0, ErrnoOf(err)
}

// Send sends on a socket.
func (l *Local) Send(h Handle, data []byte, _ uint16) (int, Errno) {
	if ent := l.open[h]; ent != nil && ent.conn == nil {
		return 0, ErrnoNotconn
	}
	return l.Write(h, data)
}

// Shutdown ends one direction of a connection, or both.
func (l *Local) Shutdown(h Handle, how uint8) Errno {
	ent := l.open[h]
	switch {
	case ent == nil:
		return ErrnoBadf
	case ent.conn == nil:
		return ErrnoNotconn
	}
	c, ok := ent.conn.(interface {
		net.Conn
		CloseRead() error
		CloseWrite() error
	})
	if !ok {
		return ErrnoNotsup
	}
	var errs []error
	if how&shutRead != 0 {
		errs = append(errs, c.CloseRead())
	}
	if how&shutWrite != 0 {
		errs = append(errs, c.CloseWrite())
	}
	return ErrnoOf(errors.Join(errs...))
}
