package offload

import (
	"testing"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// A guest that computes reads nothing, so what a device sends unasked would
// pile up in front of it.
func TestRule11_ANodeEndsAnAttemptWhoseDeviceSendsWhatNobodyAskedFor(t *testing.T) {
	n, err := NewNode(testRun, NewQuota(), NodeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	frame := func(typ wire.Type, seq uint32) *wire.Frame {
		return &wire.Frame{Header: wire.Header{Type: typ, Run: testRun, Attempt: ID{1}, Seq: seq}}
	}
	are(t, n.FromDevice(0, frame(wire.TypeCall, 1)), "StartClone", "ToClone")
	are(t, n.FromClone(0, 1, frame(wire.TypeApplied, 1)), "ToDevice")
	are(t, n.FromClone(0, 1, frame(wire.TypeImportRequest, 2)), "ToDevice")
	are(t, n.FromDevice(0, frame(wire.TypeImportReply, 2)), "ToClone")
	are(t, n.FromDevice(0, frame(wire.TypeImportReply, 3)), "KillClone", "Send Unknown")
	if !n.Idle() {
		t.Error("the attempt lives on")
	}
}
