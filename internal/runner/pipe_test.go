package runner

import (
	"io"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// silent is a manager that says nothing.
type silent struct{ io.Reader }

func (silent) WaitReadable(d time.Duration) (bool, error) {
	if d < 0 {
		select {}
	}
	time.Sleep(d)
	return false, nil
}

// TestAHeldFrameLeavesAlthoughNothingArrives: the end of a call is told with the
// next frame, and there may be none for long.
func TestAHeldFrameLeavesAlthoughNothingArrives(t *testing.T) {
	r, w := io.Pipe()
	p := newPipe(silent{r}, wire.NewWriter(w), func() {})
	for range 3 {
		p.attend()
		p.tell(Event{Call: &Call{Function: "f"}})
		p.rest()
		got := make(chan error, 1)
		go func() {
			_, err := wire.NewReader(r, wire.ReaderConfig{Buffer: 16}).ReadFrame()
			got <- err
		}()
		select {
		case err := <-got:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the frame is still held")
		}
	}
}
