package poll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is two ends of a connection that were taken over.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if ends[i] = Take(c); ends[i] == nil {
			t.Fatal("a socket is not taken over")
		}
		t.Cleanup(func() { _ = ends[i].Close() })
	}
	return ends[0], ends[1]
}

func TestATakenConnectionCarriesBytesBothWays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	taken := Take(c)
	defer taken.Close()
	want := bytes.Repeat([]byte("0123456789"), 1<<20)
	go func() {
		_, _ = io.Copy(far, far)
		_ = far.(*net.TCPConn).CloseWrite()
	}()
	go func() {
		_, _ = taken.Write(want)
		_ = taken.CloseWrite()
	}()
	if got, err := io.ReadAll(taken); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes came back as they were: %v", len(got), len(want), err)
	}
}

func TestWhatIsNoSocketIsNotTaken(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Take(a) != nil {
		t.Error("a pipe in memory was taken")
	}
}

func TestAReadEndsWhen(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(a, b *Conn)
		want error
	}{
		{"the connection is closed", func(a, _ *Conn) { _ = a.Close() }, net.ErrClosed},
		{"the peer has closed", func(_, b *Conn) { _ = b.Close() }, io.EOF},
		{"the peer says that nothing follows", func(_, b *Conn) { _ = b.CloseWrite() }, io.EOF},
		{"its deadline passes", func(a, _ *Conn) { _ = a.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"its deadline is moved while it waits", func(a, _ *Conn) {
			_ = a.SetReadDeadline(time.Now().Add(time.Hour))
			_ = a.SetReadDeadline(time.Unix(1, 0))
		}, os.ErrDeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pair(t)
			time.AfterFunc(5*time.Millisecond, func() { tt.do(a, b) })
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
				t.Errorf("read: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestADirectWriteKeepsWhatDoesNotFit(t *testing.T) {
	a, b := pair(t)
	want := bytes.Repeat([]byte("abcdefg"), 1<<20)
	var kept bool
	for at := 0; at < len(want); at += 1 << 16 {
		var err error
		part := want[at:min(at+1<<16, len(want))]
		if kept, err = a.Direct(func() error { _, err := a.Write(part); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if !kept {
		t.Fatal("seven megabytes fit into a socket that nobody reads")
	}
	done := make(chan error, 1)
	go func() {
		err := a.Flush()
		_ = a.CloseWrite()
		done <- err
	}()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, in order: %v", len(got), len(want), err)
	}
	if err := <-done; err != nil {
		t.Error("flush:", err)
	}
}

// countdown reads until nothing is left, and lets the stream go after n bytes.
func countdown(c *Conn, n int, got *bytes.Buffer) func() Verdict {
	buf := make([]byte, 100)
	return func() Verdict {
		for {
			k, err := c.Read(buf)
			got.Write(buf[:k])
			switch {
			case errors.Is(err, ErrWouldBlock):
				return Drained
			case err != nil || got.Len() >= n:
				return Release
			}
		}
	}
}

func TestALoopHandlesManyStreams(t *testing.T) {
	l := NewLoop()
	defer l.Close()
	const streams, size = 50, 10_000
	done := make(chan bool, streams)
	for range streams {
		a, b := pair(t)
		a.SetImmediate(true)
		go func() {
			for range size / 10 {
				_, _ = b.Write([]byte("0123456789"))
			}
		}()
		go func() {
			var got bytes.Buffer
			v, err := l.Watch(a, countdown(a, size, &got), nil)
			done <- v == Release && err == nil && bytes.Equal(got.Bytes(), bytes.Repeat([]byte("0123456789"), size/10))
		}()
	}
	for range streams {
		if !<-done {
			t.Error("a stream was not handled whole")
		}
	}
}

func TestALoopTellsOfSilenceOnce(t *testing.T) {
	l := NewLoop()
	defer l.Close()
	a, b := pair(t)
	a.SetImmediate(true)
	idle := make(chan bool, 10)
	var got bytes.Buffer
	go func() { _, _ = l.Watch(a, countdown(a, 2, &got), func() { idle <- true }) }()
	_, _ = b.Write([]byte{1})
	<-idle
	time.Sleep(5 * IdleTime)
	if len(idle) != 0 {
		t.Error("silence was told of again")
	}
	_, _ = b.Write([]byte{1})
}

func TestClosingALoopLetsEverybodyGo(t *testing.T) {
	l := NewLoop()
	a, _ := pair(t)
	a.SetImmediate(true)
	ended := make(chan Verdict, 1)
	began := make(chan bool, 1)
	go func() {
		v, _ := l.Watch(a, func() Verdict { began <- true; return Drained }, nil)
		ended <- v
	}()
	<-began
	l.Close()
	if v := <-ended; v != Closed {
		t.Error("the verdict is", v)
	}
	if _, err := l.Watch(a, func() Verdict { return Release }, nil); err == nil {
		t.Error("a closed loop watches")
	}
	l.Close()
}

func TestAWatchedStreamThatIsClosedEndsItsWatch(t *testing.T) {
	l := NewLoop()
	defer l.Close()
	a, _ := pair(t)
	a.SetImmediate(true)
	time.AfterFunc(5*time.Millisecond, func() { _ = a.Close() })
	var got bytes.Buffer
	if v, err := l.Watch(a, countdown(a, 1, &got), nil); v != Release || err != nil {
		t.Error(v, err)
	}
}
