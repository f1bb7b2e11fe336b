package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/quic-go/quic-go"

	"github.com/clonecloud/clonecloud/internal/poll"
)

// hinted is an error that says what to do about it.
type hinted struct{ text, hint string }

func (e *hinted) Error() string { return e.text }

// Hint says what to do about it.
func (e *hinted) Hint() string { return e.hint }

// advised is an error with what to do about it.
type advised struct {
	error
	hint string
}

// Hint says what to do about it.
func (a advised) Hint() string  { return a.hint }
func (a advised) Unwrap() error { return a.error }

func advise(err error, hint string) error { return advised{err, hint} }

// Errors that a caller branches on. Those that reach a person say what to do.
var (
	// ErrNotPaired: the peer answered, and does not list us.
	ErrNotPaired error = &hinted{"not paired: the node does not know this device", "pair again with `clonecloud pair URL`; the node prints the URL"}
	// ErrWrongPeer: whoever answered does not hold the expected key.
	ErrWrongPeer error = &hinted{"another identity answers at this address", "the node was set up anew, or something stands in between; if it is your node, pair again"}
	// ErrVersion: the two sides share no protocol version.
	ErrVersion error = &hinted{"the other side speaks another version of the protocol", "update the older of the two"}
	// ErrDraining: the node is stopping and takes nothing new.
	ErrDraining error = &hinted{"the node is shutting down", "try again, or use another node"}
	// ErrBusy: the node is at a limit.
	ErrBusy error = &hinted{"the node has too many connections", "try again in a moment"}
	// ErrUnreachable: nothing answered at any address.
	ErrUnreachable error = &hinted{"the node does not answer", "is it running, and do this network and its firewall let UDP or TCP through to its port?"}
	// ErrLost: a connection that was up is gone without a goodbye.
	ErrLost = errors.New("link lost")
	// ErrProtocol: the other side sent what no version of ours sends.
	ErrProtocol = errors.New("link protocol violated")
)

// fatal reports whether dialling again at once cannot help.
func fatal(err error) bool {
	for _, e := range []error{ErrNotPaired, ErrWrongPeer, ErrVersion, errOptions} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errOptions marks a caller's mistake.
var errOptions = errors.New("link options")

// Application error codes that close a QUIC connection.
const (
	codeBye      quic.ApplicationErrorCode = 0 // closed, nothing wrong
	codeRefused  quic.ApplicationErrorCode = 1 // the hello reply said why
	codeProtocol quic.ApplicationErrorCode = 2
	codeLost     quic.ApplicationErrorCode = 3 // silent for too long
)

// classify turns a transport's error into one of ours: nil, io.EOF (the peer
// closed), net.ErrClosed (we closed), deadlines, and reads that are not to wait pass; all else is ErrLost.
func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrLost), errors.Is(err, ErrProtocol):
		return err
	case err == io.EOF: //nolint:errorlint // wrapped EOFs are not clean ends
		return io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, poll.ErrWouldBlock):
		return err
	}
	// All of quic-go's errors claim to be net.ErrClosed; ask for the kind first.
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		switch {
		case app.ErrorCode == codeBye && app.Remote:
			return io.EOF
		case app.ErrorCode == codeBye:
			return net.ErrClosed
		}
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if errors.Is(err, net.ErrClosed) && !quicFailed(err) {
		return net.ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

func quicFailed(err error) bool {
	var (
		transport *quic.TransportError
		idle      *quic.IdleTimeoutError
		handshake *quic.HandshakeTimeoutError
		reset     *quic.StatelessResetError
		version   *quic.VersionNegotiationError
	)
	return errors.As(err, &transport) || errors.As(err, &idle) || errors.As(err, &handshake) ||
		errors.As(err, &reset) || errors.As(err, &version)
}

// isAlert reports whether err is, or wraps, a TLS alert of the peer's.
func isAlert(err error, code uint8) bool {
	var te *quic.TransportError
	if errors.As(err, &te) {
		return te.Remote && te.ErrorCode == 0x100+quic.TransportErrorCode(code)
	}
	// crypto/tls's alert type is not exported; its text is the alert's own.
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == tls.AlertError(code).Error()
}
