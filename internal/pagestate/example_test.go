package pagestate_test

import (
	"fmt"

	"github.com/clonecloud/clonecloud/internal/pagestate"
)

// One offload as both sides see it. A memory that grows is grown through the
// engine; here Reallocate stands for it.
func Example() {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	kind, _ := pagestate.Choose()
	open := func() *pagestate.Space {
		s, err := pagestate.New(pagestate.Options{Kind: kind, Max: 16 << 20})
		check(err)
		s.Reallocate(1 << 20)
		check(s.SetImage("module")) // what instantiation left: the same on both sides
		return s
	}
	device, clone := open(), open()
	defer device.Free()
	defer clone.Free()

	// The device: the guest ran, and calls a candidate.
	copy(device.Bytes()[5000:], "arguments")
	call, err := device.Capture(nil, "1.entry")
	check(err)

	// The clone has the image that the Call names, and goes back to it. Had the
	// Call named the clone's last result, SetImage with that name would do.
	check(clone.Rollback())
	change, err := clone.Prepare(call, pagestate.Limits{})
	check(err)
	clone.Reallocate(change.NewSize())
	check(change.ApplyImage("1.entry"))

	// The function runs there.
	copy(clone.Bytes()[9000:], "result of "+string(clone.Bytes()[5000:5009]))
	answer, err := clone.Diff()
	check(err)

	// The device commits. Without an answer it would just run on from 1.entry.
	change, err = device.Prepare(answer, pagestate.Limits{})
	check(err)
	device.Reallocate(change.NewSize())
	check(change.ApplyImage("1.result"))
	fmt.Println(string(device.Bytes()[9000:9019]), device.Image(), len(call) < 100, len(answer) < 100)
	// Output: result of arguments 1.result true true
}
