package wire

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// pair connects a device's and a node's end and runs the node's side.
func pair(t *testing.T, node func(r *Reader, w *Writer) error) (*Reader, *Writer, chan error) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	done := make(chan error, 1)
	go func() { done <- node(NewReader(b, ReaderConfig{}), NewWriter(b)) }()
	return NewReader(a, ReaderConfig{}), NewWriter(a), done
}

func TestGreetingAgreesOnAVersionAndPassesTheLimits(t *testing.T) {
	r, w, done := pair(t, func(r *Reader, w *Writer) error {
		h, err := Accept(r, w, &Welcome{Software: "node", Limits: &Limits{MaxRuns: 3}})
		if err == nil && h.Software != "device" {
			t.Errorf("the node saw %q", h.Software)
		}
		return err
	})
	m, err := Greet(r, w, "device")
	if err != nil || m.Version != MaxVersion || m.Limits.MaxRuns != 3 || m.Software != "node" {
		t.Fatalf("%v, %v", m, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestGreetingADeviceOfAnotherVersionNamesBothRanges(t *testing.T) {
	r, w, done := pair(t, func(r *Reader, w *Writer) error {
		_, err := Accept(r, w, &Welcome{})
		return err
	})
	hello := &Hello{Magic: Magic, MinVersion: 7, MaxVersion: 9}
	if err := w.Send(Header{Type: TypeHello}, hello, nil); err != nil {
		t.Fatal(err)
	}
	f, err := r.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Message()
	if err != nil {
		t.Fatal(err)
	}
	if got := refused(m.(*Refuse)); got.Code != RefuseCode_REFUSE_VERSION || got.Min != MinVersion || got.Max != MaxVersion {
		t.Errorf("%+v", got)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "versions 7 to 9") || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("the node says %v", err)
	}
}

func TestGreetingANodeOfAnotherVersionNamesBothRanges(t *testing.T) {
	r, w, _ := pair(t, func(r *Reader, w *Writer) error {
		if _, err := r.ReadFrame(); err != nil {
			return err
		}
		return w.Send(Header{Type: TypeRefuse}, &Refuse{Code: RefuseCode_REFUSE_VERSION, MinVersion: 4, MaxVersion: 5}, nil)
	})
	_, err := Greet(r, w, "device")
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "this side speaks version 1, the peer versions 4 to 5; update") {
		t.Errorf("error %v", err)
	}
}

func TestGreetingAPeerThatIsNotCloneCloudFailsAtOnce(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _ = a.Close(); _ = b.Close() }()
	go func() {
		buf := make([]byte, 1024)
		_, _ = b.Read(buf)
		_, _ = b.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nwhat?"))
	}()
	_, err := Greet(NewReader(a, ReaderConfig{}), NewWriter(a), "device")
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "not CloneCloud") {
		t.Errorf("error %v", err)
	}
}

func TestGreetingRefusalsCarryTheirHint(t *testing.T) {
	r, w, _ := pair(t, func(r *Reader, w *Writer) error {
		if _, err := r.ReadFrame(); err != nil {
			return err
		}
		return w.Send(Header{Type: TypeRefuse}, &Refuse{Code: RefuseCode_REFUSE_UNPAIRED, Text: "no such device", Hint: "run clonecloud pair URL"}, nil)
	})
	_, err := Greet(r, w, "device")
	if err == nil || !strings.Contains(err.Error(), "clonecloud pair URL") {
		t.Errorf("error %v", err)
	}
}
