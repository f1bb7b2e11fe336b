package link

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/shape"
)

// TestAListenerThatClosesKeepsNoDialerWaiting: both ends close, and then the
// listener does, before the last words have crossed. The dialer's connection must
// end by those words, and not when its patience does.
func TestAListenerThatClosesKeepsNoDialerWaiting(t *testing.T) {
	for _, reads := range []bool{true, false} {
		for range 3 {
			n := newNode(t, nil)
			o, _ := n.shaped(t, PreferQUIC, shape.Profile{OneWay: 50 * time.Millisecond})
			d, c := n.connect(t, o)
			if _, err := d.Write([]byte("question")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("last words")); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			if reads {
				if _, err := io.ReadAll(d); err != nil {
					t.Fatal(err)
				}
			}
			qc := d.(*conn).end.(*quicEnd).qc
			var both sync.WaitGroup
			both.Go(func() { _ = d.Close() })
			both.Go(func() { _ = n.Close() })
			both.Wait()
			select {
			case <-qc.Context().Done():
			case <-time.After(lingerTime - time.Second):
				t.Fatalf("the dialer (it read to the end: %v) still waits for the listener", reads)
			}
		}
	}
}

// TestStrangersThatNeverGreetKeepNobodyOut: connections that say nothing make
// room for those that do.
func TestStrangersThatNeverGreetKeepNobodyOut(t *testing.T) {
	n := newNode(t, nil)
	for range 3 * maxGreeting {
		c, err := net.Dial("tcp", n.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	for _, p := range []Preference{PreferTCP, PreferQUIC} {
		d, c := n.connect(t, n.options(p))
		if _, err := d.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Errorf("over %s: %v", p, err)
		}
		_ = d.Close()
	}
}
