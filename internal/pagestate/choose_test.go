package pagestate

import "testing"

func TestChoose(t *testing.T) {
	kind, report := Choose()
	t.Logf("chosen: %v; refused: %v", kind, report)
	for _, k := range Kinds() {
		t.Logf("%v: %v", k, SelfTest(k))
	}
}
