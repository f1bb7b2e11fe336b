package pagestate

import (
	"errors"
	"testing"
)

func TestChooseTakesTheFirstKindThatWorks(t *testing.T) {
	kind, report := Choose()
	t.Logf("chosen: %v; refused: %v", kind, report)
	for _, k := range Kinds() {
		err := SelfTest(k)
		t.Logf("%v: %v", k, err)
		switch {
		case k == Compare && err != nil:
			t.Error("the kind that works everywhere does not")
		case k == kind && err != nil, k < kind && err == nil:
			t.Errorf("chosen was %v", kind)
		}
	}
	if len(report) != int(kind) {
		t.Errorf("%d kinds are reported refused, chosen was %v", len(report), kind)
	}
}

func TestReportSaysWhatWasRefusedAndWhy(t *testing.T) {
	r := Report{{Userfault, errors.New("not permitted")}, {Kind(9), errors.New("unknown")}}
	if got, want := r.String(), "userfault: not permitted; kind(9): unknown"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Report(nil).String(); got != "" {
		t.Errorf("%q for nothing refused", got)
	}
	if _, err := New(Options{Kind: 9}); err == nil {
		t.Error("an unknown kind was accepted")
	}
}
