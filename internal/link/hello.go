package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// The hello is the first thing on every stream that a dialer opens over TCP and
// on the first stream of a QUIC connection; integers are big-endian:
//
//	magic "CCLK", version 1, kind 1, silence 4 (ms), link id 16, early length 4, early data
//
// and the answer:
//
//	magic "CCLK", version 1, status 1, text length 2, text
//
// The link id is random, chosen by the dialer, and joins a TCP control
// connection to its data connection.
const (
	helloMagic    = "CCLK"
	helloVersion  = 1
	helloFixed    = 4 + 1 + 1 + 4 + 16 + 4
	replyFixed    = 4 + 1 + 1 + 2
	maxReplyText  = 512
	maxSilence    = time.Hour
	maxHelloBytes = helloFixed + MaxEarlyData
)

// MaxEarlyData bounds Options.EarlyData in bytes: it fits the first flight's
// anti-replay and congestion limits comfortably.
const MaxEarlyData = 16 << 10

type helloKind uint8

const (
	kindData    helloKind = 0
	kindControl helloKind = 1 // TCP only
)

type linkID [16]byte

type hello struct {
	version uint8
	kind    helloKind
	silence time.Duration // the dialer's watch; 0: it does not watch
	link    linkID
	early   []byte
}

type helloStatus uint8

const (
	statusOK        helloStatus = 0
	statusNotPaired helloStatus = 1
	statusVersion   helloStatus = 2
	statusDraining  helloStatus = 3
	statusBusy      helloStatus = 4
	statusProtocol  helloStatus = 5
)

var errHello = fmt.Errorf("%w: malformed hello", ErrProtocol)

func (h hello) encode() []byte {
	b := make([]byte, 0, helloFixed+len(h.early))
	b = append(b, helloMagic...)
	b = append(b, h.version, byte(h.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(h.silence/time.Millisecond))
	b = append(b, h.link[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.early)))
	return append(b, h.early...)
}

// readHello reads one hello and not a byte more. A version that is not ours is
// returned without error, so that the answer can say so.
func readHello(r io.Reader) (hello, error) {
	var fixed [helloFixed]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return hello{}, fmt.Errorf("read hello: %w", err)
	}
	if string(fixed[:4]) != helloMagic {
		return hello{}, errHello
	}
	h := hello{version: fixed[4], kind: helloKind(fixed[5])}
	if h.version != helloVersion {
		return h, nil // the rest may mean anything
	}
	h.silence = time.Duration(binary.BigEndian.Uint32(fixed[6:])) * time.Millisecond
	copy(h.link[:], fixed[10:26])
	n := binary.BigEndian.Uint32(fixed[26:])
	if h.kind > kindControl || n > MaxEarlyData || h.silence > maxSilence || (h.kind == kindControl && n > 0) {
		return hello{}, errHello
	}
	if n == 0 {
		return h, nil
	}
	h.early = make([]byte, n)
	if _, err := io.ReadFull(r, h.early); err != nil {
		return hello{}, fmt.Errorf("read hello: %w", err)
	}
	return h, nil
}

func encodeReply(s helloStatus, text string) []byte {
	text = text[:min(len(text), maxReplyText)]
	b := make([]byte, 0, replyFixed+len(text))
	b = append(b, helloMagic...)
	b = append(b, helloVersion, byte(s))
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// readReply reads the answer to a hello; a refusal is its error.
func readReply(r io.Reader) error {
	var fixed [replyFixed]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return fmt.Errorf("read hello reply: %w", err)
	}
	if !bytes.Equal(fixed[:4], []byte(helloMagic)) {
		return errHello
	}
	if fixed[4] != helloVersion {
		return fmt.Errorf("%w: ours is %d, theirs %d", ErrVersion, helloVersion, fixed[4])
	}
	n := binary.BigEndian.Uint16(fixed[6:])
	if n > maxReplyText {
		return errHello
	}
	if n > 0 { // for people who read packets; the status decides
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			return fmt.Errorf("read hello reply: %w", err)
		}
	}
	return helloStatus(fixed[5]).err()
}

func (s helloStatus) err() error {
	switch s {
	case statusOK:
		return nil
	case statusNotPaired:
		return ErrNotPaired
	case statusVersion:
		return ErrVersion
	case statusDraining:
		return ErrDraining
	case statusBusy:
		return ErrBusy
	case statusProtocol:
		return fmt.Errorf("%w: the node did not understand our hello", ErrProtocol)
	default:
		return fmt.Errorf("%w: unknown status %d", ErrProtocol, s)
	}
}

// statusOf is the inverse of err, for a refusal.
func statusOf(err error) helloStatus {
	for _, s := range []helloStatus{statusNotPaired, statusVersion, statusDraining, statusBusy} {
		if errors.Is(err, s.err()) {
			return s
		}
	}
	return statusProtocol
}
