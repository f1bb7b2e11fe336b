package link

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAHelloSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hello{
			version: helloVersion,
			kind:    helloKind(rapid.IntRange(0, 1).Draw(t, "kind")),
			silence: time.Duration(rapid.IntRange(0, int(maxSilence/time.Millisecond)).Draw(t, "silence")) * time.Millisecond,
			link:    linkID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "link")),
		}
		if h.kind == kindData {
			h.early = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "early")
		}
		r := bytes.NewReader(append(h.encode(), "what follows"...))
		got, err := readHello(r)
		if err != nil || got.kind != h.kind || got.silence != h.silence || got.link != h.link || !bytes.Equal(got.early, h.early) {
			t.Fatalf("%+v became %+v, %v", h, got, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "what follows" {
			t.Fatalf("took too much: %q is left", rest)
		}
	})
}

func TestEveryRefusalArrivesAsItself(t *testing.T) {
	for _, want := range []error{nil, ErrNotPaired, ErrVersion, ErrDraining, ErrBusy, ErrProtocol} {
		status := statusOK
		if want != nil {
			status = statusOf(want)
		}
		err := readReply(bytes.NewReader(encodeReply(status, strings.Repeat("why ", 1000))))
		if !errors.Is(err, want) {
			t.Errorf("%v became %v", want, err)
		}
	}
}

func TestANodeOfAnotherVersionIsToldApart(t *testing.T) {
	reply := encodeReply(statusOK, "")
	reply[4] = helloVersion + 1
	if err := readReply(bytes.NewReader(reply)); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
	h := hello{version: helloVersion + 1}.encode()
	got, err := readHello(bytes.NewReader(h))
	if err != nil || got.version != helloVersion+1 {
		t.Fatal("a hello of another version must be answered, not dropped", err)
	}
	l := &Listener{opts: ListenOptions{Listed: func(ID) bool { return true }}}
	if err := l.admit(ID{1}, got); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

func FuzzReadHello(f *testing.F) {
	f.Add(hello{version: helloVersion, early: []byte("x"), silence: time.Second}.encode())
	f.Add(hello{version: helloVersion, kind: kindControl}.encode())
	f.Add([]byte("CCLK"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(bytes.NewReader(b))
		if err != nil || h.version != helloVersion {
			return
		}
		if len(h.early) > MaxEarlyData || h.silence > maxSilence || h.kind > kindControl {
			t.Fatalf("%+v", h)
		}
		if !bytes.HasPrefix(b, h.encode()) {
			t.Fatalf("%x is not what was read", h.encode())
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add(encodeReply(statusOK, ""))
	f.Add(encodeReply(statusNotPaired, "who are you"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = readReply(bytes.NewReader(b))
	})
}

// FuzzControl feeds a control stream to a connection whose peer is hostile.
func FuzzControl(f *testing.F) {
	frame := func(t ctlType, p ...byte) []byte { return append([]byte{byte(t), 0, byte(len(p))}, p...) }
	f.Add(bytes.Join([][]byte{
		frame(ctlData, 'h', 'i'), frame(ctlPing, 1, 2, 3, 4, 5, 6, 7, 8), frame(ctlPong, 0, 0, 0, 0, 0, 0, 0, 1),
		frame(ctlTrain, make([]byte, 16)...), frame(ctlRate, 255, 255, 255, 255, 255, 255, 255, 255), frame(ctlWatch, 0, 0, 1, 0),
	}, nil))
	f.Add([]byte{0, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := memoryPair()
		c := newConn(near, memoryEnd{near}, ID{}, Memory, nil)
		ours, theirs := memoryPair()
		c.ctl.attach(ours)
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		_, _ = theirs.Write(b)
		_ = theirs.(*memConn).closeWrite()
		n, _ := io.Copy(io.Discard, c.Control())
		if n > int64(len(b)) {
			t.Fatalf("%d bytes of data in %d", n, len(b))
		}
		c.Stats()
		_ = c.Close()
		_ = ours.Close()
		_ = theirs.Close()
		_ = far.Close()
	})
}
