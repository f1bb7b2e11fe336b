package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

// slots is a stream that notes each write.
type slots struct {
	mu  sync.Mutex
	all [][]byte
	err error
}

func (s *slots) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, bytes.Clone(p))
	return len(p), s.err
}

func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func types(t *testing.T, stream []byte) []Type {
	t.Helper()
	r := NewReader(bytes.NewReader(stream), ReaderConfig{})
	var all []Type
	for {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f.Type)
	}
}

func TestAHeldFrameTravelsWithTheNextInOrder(t *testing.T) {
	var to slots
	w := NewWriter(&to)
	for _, f := range []*Frame{sampleFrame(t, &Applied{}), sampleFrame(t, &Ack{})} {
		if err := w.Hold(f); err != nil {
			t.Fatal(err)
		}
	}
	large := sampleFrame(t, aCall())
	large.Body = make([]byte, 2*joinLimit)
	if err := w.WriteFrame(large); err != nil {
		t.Fatal(err)
	}
	got := types(t, bytes.Join(to.all, nil))
	if len(got) != 3 || got[0] != TypeApplied || got[1] != TypeAck || got[2] != TypeCall {
		t.Errorf("%v", got)
	}
}

func TestAHeldFrameThatNothingFollowsGoesByItself(t *testing.T) {
	var to slots
	w := NewWriter(&to)
	if err := w.Hold(sampleFrame(t, &Ack{})); err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if to.count() == 1 {
			return
		}
		time.Sleep(HoldTime)
	}
	t.Error("it was never written")
}

func TestTheErrorOfAHeldFrameIsTheNextCalls(t *testing.T) {
	to := slots{err: io.ErrClosedPipe}
	w := NewWriter(&to)
	_ = w.Hold(sampleFrame(t, &Ack{}))
	for range 5000 {
		if to.count() > 0 {
			break
		}
		time.Sleep(HoldTime)
	}
	if err := w.WriteFrame(sampleFrame(t, &Ack{})); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

// relayed is a Call with a large body, as a stream.
func relayed(t *testing.T) (f *Frame, stream []byte) {
	t.Helper()
	f = sampleFrame(t, aCall())
	f.Body = bytes.Repeat([]byte("clone"), 300_000)
	f.BodyLen = uint32(len(f.Body))
	return f, encode(t, f)
}

func TestARelayedBodyArrivesWholeBehindWhatWasHeld(t *testing.T) {
	want, stream := relayed(t)
	r := NewReader(bytes.NewReader(append(stream, encode(t, sampleFrame(t, &Ack{}))...)), ReaderConfig{})
	var to slots
	w := NewWriter(&to)
	_ = w.Hold(sampleFrame(t, &Ack{}))
	f, err := r.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if readErr, writeErr := w.Relay(f, r); readErr != nil || writeErr != nil {
		t.Fatal(readErr, writeErr)
	}
	out := NewReader(bytes.NewReader(bytes.Join(to.all, nil)), ReaderConfig{})
	for range 2 {
		if f, err = out.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(f.Body, want.Body) || !bytes.Equal(f.Meta, want.Meta) {
		t.Error("the frame is another")
	}
	if f, err = r.ReadFrame(); err != nil || f.Type != TypeAck {
		t.Error("the stream is out of step:", err)
	}
}

func TestARelayThatCannotWriteLeavesTheReaderInStep(t *testing.T) {
	_, stream := relayed(t)
	r := NewReader(bytes.NewReader(append(stream, encode(t, sampleFrame(t, &Ack{}))...)), ReaderConfig{})
	w := NewWriter(&slots{err: io.ErrClosedPipe})
	f, err := r.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if readErr, writeErr := w.Relay(f, r); readErr != nil || !errors.Is(writeErr, io.ErrClosedPipe) {
		t.Fatal(readErr, writeErr)
	}
	if f, err = r.ReadFrame(); err != nil || f.Type != TypeAck {
		t.Error("the stream is out of step:", err)
	}
}

func TestARelayThatIsCutOffEndsTheWriter(t *testing.T) {
	_, stream := relayed(t)
	r := NewReader(bytes.NewReader(stream[:len(stream)-1]), ReaderConfig{})
	w := NewWriter(&slots{})
	f, err := r.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if readErr, _ := w.Relay(f, r); !errors.Is(readErr, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", readErr)
	}
	if w.WriteFrame(sampleFrame(t, &Ack{})) == nil {
		t.Error("a frame was written behind half a frame")
	}
}

func TestARecycledBodyIsFilledAnew(t *testing.T) {
	want, stream := relayed(t)
	for range 3 {
		f, err := NewReader(bytes.NewReader(stream), ReaderConfig{}).ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.Body, want.Body) {
			t.Fatal("another body")
		}
		clear(f.Body)
		f.Recycle()
	}
}
