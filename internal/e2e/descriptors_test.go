package e2e

import (
	"testing"

	"github.com/clonecloud/clonecloud/internal/testprogs"
)

// TestAFileOpenedAtTheCloneIsReadOnTheDevice moves nothing but the opening of
// files. Opening one that exists has no effect on the world, so there is nothing
// to apply, and still the descriptor must be good on the device afterwards.
func TestAFileOpenedAtTheCloneIsReadOnTheDevice(t *testing.T) {
	w := NewWorld(t)
	for _, p := range testprogs.All() {
		if p.Name != "c-files" {
			continue
		}
		local := w.Run(&p, OnDevice)
		remote := w.Run(&p, Only("__wasilibc_nocwd_openat_nomode"))
		if same(t, &p, local, remote); remote.Report.Totals.CallsClone == 0 {
			t.Errorf("nothing moved: calls:%s", calls(remote.Report.Calls))
		}
		return
	}
	t.Fatal("the program is gone")
}
