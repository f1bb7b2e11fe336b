package wire

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"time"

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

// Next reports what a ReadHead would return now. It is for a stream whose Read
// may fail with an error that says Temporary, which then is Next's, and nothing
// is lost. whole says that all of the frame has been read ahead; where not, it is
// too large for that. The header is not checked.
func (r *Reader) Next() (h Header, whole bool, err error) {
	head, err := r.br.Peek(HeaderSize)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return h, false, err
	}
	h = decodeHeader(head)
	size := uint64(HeaderSize) + uint64(h.MetaLen) + uint64(h.BodyLen)
	if size > uint64(r.br.Size()) {
		return h, false, nil
	}
	if _, err := r.br.Peek(int(size)); err != nil {
		return h, false, noEOF(err)
	}
	return h, true, nil
}

// ReadFrame reads one frame. It returns io.EOF between frames, and
// io.ErrUnexpectedEOF inside one; an error that wraps [ErrMalformed] for
// bytes that no peer of this protocol sends. After any error the stream is
// of no more use. The frame owns its memory.
func (r *Reader) ReadFrame() (*Frame, error) {
	f, err := r.ReadHead()
	if err != nil {
		return nil, err
	}
	return f, r.ReadBody(f)
}

// ReadBody reads the body of the frame that ReadHead has returned.
func (r *Reader) ReadBody(f *Frame) (err error) {
	if f.Body, err = r.part(f.BodyLen); err != nil {
		return fmt.Errorf("wire: read body of %v: %w", f.Type, err)
	}
	return nil
}

// ReadHead is ReadFrame without the body, which the caller must then take with
// ReadBody, or [Writer.Relay].
func (r *Reader) ReadHead() (*Frame, error) {
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
	return f, nil
}

// spare holds large bodies that were recycled. Memory that was never touched is
// far slower than the network: it must be found and cleared by the kernel, in a
// virtual machine twice.
var spare sync.Pool // of *[]byte

// recycleMin is the capacity in bytes from which recycling pays.
const recycleMin = mib

// Recycle gives the memory of a large body back for another frame. Nobody may
// use f.Body, or what was sliced from it, any more.
func (f *Frame) Recycle() {
	b := f.Body
	f.Body = nil
	RecycleBody(b)
}

// RecycleBody is Recycle for a body without its frame.
func RecycleBody(b []byte) {
	if cap(b) >= recycleMin {
		spare.Put(&b)
	}
}

// firstStep is what is allocated on the word of a header alone; from there
// on a peer must have sent an eighth of what is allocated.
const firstStep = mib

// part reads n bytes, allocating as they arrive.
func (r *Reader) part(n uint32) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if n >= recycleMin {
		if b, ok := spare.Get().(*[]byte); ok && uint64(cap(*b)) >= uint64(n) {
			buf := (*b)[:n]
			if _, err := io.ReadFull(r.br, buf); err != nil {
				return nil, noEOF(err)
			}
			return buf, nil
		}
	}
	buf := make([]byte, min(uint64(n), firstStep))
	for have := 0; ; {
		if _, err := io.ReadFull(r.br, buf[have:]); err != nil {
			return nil, noEOF(err)
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

// noEOF makes an end inside a frame unexpected.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// joinLimit is the size up to which a frame is copied into one buffer, so
// that it is one Write, one TLS record, one wake-up.
const joinLimit = 64 * kib

// Writer writes frames to a stream. Its methods may be called from several
// goroutines; frames never interleave.
type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	buf   []byte // the first held bytes are frames that wait
	held  int
	armed bool // timer is running
	timer *time.Timer
	err   error // of a write that nobody waited for
}

// HoldTime is how long a frame that was held may wait.
const HoldTime = 2 * time.Millisecond

// NewWriter returns a Writer. Where w can gather (a *net.TCPConn or
// *net.UnixConn), a large frame is one writev.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteFrame writes f, after what is held: a small frame by one Write, a large
// one without copying its body. f.MetaLen and f.BodyLen are set from the parts.
// After an error the stream is of no more use.
func (w *Writer) WriteFrame(f *Frame) error {
	h, err := outgoing(f)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = appendHeader(w.buf[:w.held], &h, f.Meta)
	w.held = 0
	if len(w.buf)+len(f.Meta)+len(f.Body) <= joinLimit {
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

// WriteFrames writes frames as WriteFrame does, small ones by one Write.
func (w *Writer) WriteFrames(all []*Frame) error {
	if len(all) == 1 {
		return w.WriteFrame(all[0])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range all {
		h, err := outgoing(f)
		if err != nil {
			return err
		}
		if w.held > 0 && w.held+f.Size() > joinLimit {
			w.flush()
		}
		if w.err != nil {
			return w.err
		}
		w.buf = append(append(appendHeader(w.buf[:w.held], &h, f.Meta), f.Meta...), f.Body...)
		w.held = len(w.buf)
	}
	w.flush()
	return w.err
}

// Relay writes a frame whose head was read from r by ReadHead, and its body as it
// arrives, so that neither link of the way waits for the other. All of the body
// is taken from r even where writing fails. Which side an error is of, is told
// apart: after one of the writer's, r can go on.
func (w *Writer) Relay(f *Frame, r *Reader) (readErr, writeErr error) {
	if f.BodyLen <= joinLimit {
		if err := r.ReadBody(f); err != nil {
			return err, nil
		}
		return nil, w.WriteFrame(f)
	}
	body := io.LimitedReader{R: r.br, N: int64(f.BodyLen)}
	writeErr = w.relay(f, &body, &readErr)
	if readErr == nil && body.N > 0 {
		_, readErr = io.Copy(io.Discard, &body)
	}
	if readErr == nil && body.N > 0 {
		readErr = io.ErrUnexpectedEOF
	}
	return readErr, writeErr
}

func (w *Writer) relay(f *Frame, body *io.LimitedReader, readErr *error) error {
	h := f.Header
	if err := h.check(MaxBody); err != nil {
		return fmt.Errorf("wire: refusing to write: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	buf := make([]byte, relayBuffer)
	w.buf = append(appendHeader(w.buf[:w.held], &h, f.Meta), f.Meta...)
	w.held = 0
	if _, err := w.w.Write(w.buf); err != nil {
		w.err = fmt.Errorf("wire: write %v: %w", h.Type, err)
		return w.err
	}
	for body.N > 0 {
		n, err := body.Read(buf)
		if err != nil {
			*readErr = fmt.Errorf("wire: read body of %v: %w", h.Type, noEOF(err))
			w.err = fmt.Errorf("wire: %v was cut off", h.Type) // nothing fits behind half a frame
			return w.err
		}
		if _, err := w.w.Write(buf[:n]); err != nil {
			w.err = fmt.Errorf("wire: write %v: %w", h.Type, err)
			return w.err
		}
	}
	return nil
}

// relayBuffer is what is read and written at once, in bytes.
const relayBuffer = 256 * kib

// Hold writes f together with the next frame, or after HoldTime: for a small
// frame that nobody waits for, as each write wakes the process that reads it.
// The order of frames stays. An error of the delayed write is the next call's.
func (w *Writer) Hold(f *Frame) error { return w.hold(f, true) }

// HoldOn is Hold without an end: the caller sees to it that Flush is called. A
// timer for each of many frames costs as much as what is saved.
func (w *Writer) HoldOn(f *Frame) error { return w.hold(f, false) }

func (w *Writer) hold(f *Frame, timed bool) error {
	if f.Size() > holdLimit {
		return w.WriteFrame(f)
	}
	h, err := outgoing(f)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = append(append(appendHeader(w.buf[:w.held], &h, f.Meta), f.Meta...), f.Body...)
	if w.held = len(w.buf); w.held > holdLimit {
		w.flush()
		return w.err
	}
	if timed && !w.armed {
		w.armed = true
		if w.timer == nil {
			w.timer = time.AfterFunc(HoldTime, w.expire)
		} else {
			w.timer.Reset(HoldTime)
		}
	}
	return nil
}

// Flush writes what is held.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return w.err
}

// holdLimit is the size up to which a frame is held, and of all that are.
const holdLimit = 8 * kib

func (w *Writer) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.flush()
}

// flush writes what is held. mu is held.
func (w *Writer) flush() {
	if w.held == 0 || w.err != nil {
		return
	}
	if _, err := w.w.Write(w.buf[:w.held]); err != nil {
		w.err = fmt.Errorf("wire: write held frames: %w", err)
	}
	w.held = 0
}

// outgoing checks a frame that is to be written and returns its header.
func outgoing(f *Frame) (Header, error) {
	h := f.Header
	if uint64(len(f.Meta)) >= MaxMemory || uint64(len(f.Body)) >= MaxMemory {
		return h, fmt.Errorf("wire: %v is larger than a frame can be", h.Type)
	}
	h.MetaLen, h.BodyLen = uint32(len(f.Meta)), uint32(len(f.Body))
	if err := h.check(MaxBody); err != nil {
		return h, fmt.Errorf("wire: refusing to write: %w", err)
	}
	return h, nil
}

// Send encodes msg and writes the frame.
func (w *Writer) Send(h Header, msg proto.Message, body []byte) error {
	f, err := NewFrame(h, msg, body)
	if err != nil {
		return err
	}
	return w.WriteFrame(f)
}
