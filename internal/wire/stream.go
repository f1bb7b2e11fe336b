package wire

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"sync"

	"google.golang.org/protobuf/proto"
)

// ReaderConfig bounds what a [Reader] accepts. The zero value means the
// protocol's defaults.
type ReaderConfig struct {
	MaxBody uint32 // of a Call, Return or PageHashes, bytes; 0: [MaxBody]
	Buffer  int    // bytes read at once for small frames; 0: 64 KiB
}

// Reader reads frames from a stream. It is used by one goroutine.
type Reader struct {
	br      *bufio.Reader
	maxBody uint32
	head    [HeaderSize]byte
}

// NewReader returns a Reader. It reads ahead: nothing else may read from r.
func NewReader(r io.Reader, c ReaderConfig) *Reader {
	if c.MaxBody == 0 {
		c.MaxBody = MaxBody
	}
	if c.Buffer == 0 {
		c.Buffer = 64 * kib
	}
	return &Reader{br: bufio.NewReaderSize(r, c.Buffer), maxBody: c.MaxBody}
}

// Buffered returns how many bytes have been read ahead.
func (r *Reader) Buffered() int { return r.br.Buffered() }

// ReadFrame reads one frame. It returns io.EOF between frames, and
// io.ErrUnexpectedEOF inside one; an error that wraps [ErrMalformed] for
// bytes that no peer of this protocol sends. After any error the stream is
// of no more use. The frame owns its memory.
func (r *Reader) ReadFrame() (*Frame, error) {
	if _, err := io.ReadFull(r.br, r.head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		return nil, fmt.Errorf("wire: read header: %w", err)
	}
	h, part, sum, err := parseHeader(&r.head, r.maxBody)
	if err != nil {
		return nil, err
	}
	f := &Frame{Header: h}
	if f.Meta, err = r.part(h.MetaLen); err != nil {
		return nil, fmt.Errorf("wire: read meta of %v: %w", h.Type, err)
	}
	if got := crc32.Update(part, castagnoli, f.Meta); got != sum {
		return nil, malformed("checksum %08x of %v, want %08x", got, h.Type, sum)
	}
	if f.Body, err = r.part(h.BodyLen); err != nil {
		return nil, fmt.Errorf("wire: read body of %v: %w", h.Type, err)
	}
	return f, nil
}

// firstStep is what is allocated on the word of a header alone; from there
// on a peer must have sent an eighth of what is allocated.
const firstStep = mib

// part reads n bytes, allocating as they arrive.
func (r *Reader) part(n uint32) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	buf := make([]byte, min(uint64(n), firstStep))
	for have := 0; ; {
		if _, err := io.ReadFull(r.br, buf[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		have = len(buf)
		if uint64(have) == uint64(n) {
			return buf, nil
		}
		next := make([]byte, min(uint64(n), 8*uint64(have)))
		copy(next, buf)
		buf = next
	}
}

// joinLimit is the size up to which a frame is copied into one buffer, so
// that it is one Write, one TLS record, one wake-up.
const joinLimit = 64 * kib

// Writer writes frames to a stream. Its methods may be called from several
// goroutines; frames never interleave.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// NewWriter returns a Writer. Where w can gather (a *net.TCPConn or
// *net.UnixConn), a large frame is one writev.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteFrame writes f: a small frame by one Write, a large one without
// copying its body. f.MetaLen and f.BodyLen are set from the parts. After an
// error the stream is of no more use.
func (w *Writer) WriteFrame(f *Frame) error {
	h := f.Header
	if uint64(len(f.Meta)) >= MaxMemory || uint64(len(f.Body)) >= MaxMemory {
		return fmt.Errorf("wire: %v is larger than a frame can be", h.Type)
	}
	h.MetaLen, h.BodyLen = uint32(len(f.Meta)), uint32(len(f.Body))
	if err := h.check(MaxBody); err != nil {
		return fmt.Errorf("wire: refusing to write: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = appendHeader(w.buf[:0], &h, f.Meta)
	var err error
	if f.Size() <= joinLimit {
		w.buf = append(append(w.buf, f.Meta...), f.Body...)
		_, err = w.w.Write(w.buf)
	} else {
		parts := net.Buffers{w.buf, f.Meta, f.Body}
		_, err = parts.WriteTo(w.w)
	}
	if err != nil {
		return fmt.Errorf("wire: write %v: %w", h.Type, err)
	}
	return nil
}

// Send encodes msg and writes the frame.
func (w *Writer) Send(h Header, msg proto.Message, body []byte) error {
	f, err := NewFrame(h, msg, body)
	if err != nil {
		return err
	}
	return w.WriteFrame(f)
}
