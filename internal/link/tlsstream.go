package link

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"

	"github.com/clonecloud/clonecloud/internal/poll"
)

// tlsStream is TLS over a byte stream, with an honest end. crypto/tls reports a
// bare FIN between two records as io.EOF, as if the peer had said goodbye; but
// the kernel of a process that was killed sends that FIN too. Here only
// close_notify is io.EOF; a FIN without it is io.ErrUnexpectedEOF.
type tlsStream struct {
	*tls.Conn
	raw *finConn
}

// finConn notes that the stream below TLS has ended.
type finConn struct {
	net.Conn
	fin atomic.Bool
}

// detach takes the socket out of the runtime's poller, if it is one. Nobody may
// be using the connection meanwhile.
func (f *finConn) detach() *poll.Conn {
	c := poll.Take(f.Conn)
	if c != nil {
		f.Conn = c
	}
	return c
}

func (f *finConn) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if err == io.EOF { //nolint:errorlint // connections return it bare
		f.fin.Store(true)
	}
	return n, err
}

func tlsClient(raw net.Conn, conf *tls.Config) *tlsStream {
	f := &finConn{Conn: raw}
	return &tlsStream{tls.Client(f, conf), f}
}

func tlsServer(raw net.Conn, conf *tls.Config) *tlsStream {
	f := &finConn{Conn: raw}
	return &tlsStream{tls.Server(f, conf), f}
}

func (s *tlsStream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err == io.EOF && s.raw.fin.Load() { //nolint:errorlint // TLS returns it bare
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
