package device

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/runner"
)

func testManager(home string, n int) *manager {
	m := &manager{o: Options{Home: home, Where: WhereAuto, Log: slog.New(slog.DiscardHandler), OnEvent: func(runner.Event) {}}, began: time.Unix(int64(1e9+n), 0)}
	m.run[0] = byte(n)
	return m
}

func TestDecisionsOfTheLastRunsAreKeptAndNoMore(t *testing.T) {
	home := t.TempDir()
	for n := range maxKeptRuns + 5 {
		r := &Report{App: fmt.Sprintf("app%d.wasm", n%2), Module: "m", Calls: []CallReport{{Function: "f", Seconds: float64(n)}}}
		if err := testManager(home, n).keepDecisions(r); err != nil {
			t.Fatal(err)
		}
	}
	fail := func(err error) { t.Error(err) }
	all, err := LastDecisions(home, "", 1000, fail)
	if err != nil || len(all) != maxKeptRuns {
		t.Fatalf("%d runs are kept, %v", len(all), err)
	}
	if got := all[0].Calls[0].Seconds; got != maxKeptRuns+4 {
		t.Errorf("the latest is that of %v", got)
	}
	some, err := LastDecisions(home, "app1.wasm", 3, fail)
	if err != nil || len(some) != 3 {
		t.Fatalf("%d runs of one application, %v", len(some), err)
	}
	for _, d := range some {
		if d.App != "app1.wasm" {
			t.Errorf("asked for app1.wasm, got %s", d.App)
		}
	}
}

func TestOfManyCallsTheLongestAreKept(t *testing.T) {
	var calls []CallReport
	for i := range 10_000 {
		calls = append(calls, CallReport{Index: uint32(i), Seconds: float64(i * 7919 % 10_000)})
	}
	got := longest(calls, 100)
	if len(got) != 100 {
		t.Fatalf("%d calls", len(got))
	}
	for i, c := range got {
		if c.Seconds < 9900 {
			t.Errorf("a call of %v s is kept", c.Seconds)
		}
		if i > 0 && c.Index < got[i-1].Index {
			t.Error("they are not in their order")
		}
	}
}

func TestDamagedDecisionsAreToldAndLeftOut(t *testing.T) {
	home := t.TempDir()
	for n := range 3 {
		if err := testManager(home, n).keepDecisions(&Report{App: "a", Calls: []CallReport{{}}}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := keptRuns(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(decisionsDir(home), names[1]), []byte(`{"app":`), 0o600); err != nil {
		t.Fatal(err)
	}
	told := 0
	all, err := LastDecisions(home, "", 10, func(error) { told++ })
	if err != nil || len(all) != 2 || told != 1 {
		t.Errorf("%d runs, told %d times, %v", len(all), told, err)
	}
}

func TestWhatTwoRunsHaveLearntIsMerged(t *testing.T) {
	home := t.TempDir()
	m := testManager(home, 1)
	state := func(function uint32) []byte {
		return (&decide.State{Functions: []decide.FunctionState{{Function: function, Parent: decide.AnyParent, Here: []decide.Sample{{Seconds: 1}}}}}).Encode()
	}
	for _, f := range []uint32{1, 2, 1} {
		if err := m.keepLearnt(state(f)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := decide.DecodeState(m.learnt())
	if err != nil || len(s.Functions) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	// A damaged file is replaced.
	if err := os.WriteFile(m.learntPath(), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.keepLearnt(state(3)); err != nil {
		t.Fatal(err)
	}
	if s, err := decide.DecodeState(m.learnt()); err != nil || len(s.Functions) != 1 {
		t.Errorf("after damage: %+v, %v", s, err)
	}
}

func TestRegretIsWhatTheOtherSiteWouldHaveSaved(t *testing.T) {
	predicted := map[string]Prediction{WhereDevice: {Seconds: 2, Joules: 3}, WhereClone: {Seconds: 1, Joules: 5}}
	for _, c := range []struct {
		name      string
		call      CallReport
		objective string
		want      float64
	}{
		{"slower there than here was expected to be", CallReport{Where: WhereClone, Seconds: 2.5, Joules: 1, Predicted: predicted}, "time", 0.5},
		{"as expected", CallReport{Where: WhereClone, Seconds: 1, Joules: 1, Predicted: predicted}, "time", 0},
		{"it ran here", CallReport{Where: WhereDevice, Seconds: 2, Joules: 3, Predicted: predicted}, "time", 1},
		{"by energy", CallReport{Where: WhereClone, Seconds: 9, Joules: 4, Predicted: predicted}, "energy", 1},
		{"nothing was expected", CallReport{Where: WhereDevice, Seconds: 9}, "time", 0},
	} {
		if got := c.call.Regret(c.objective); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestARunIsShownWhileItLivesAndWhatAKilledOneLeavesIsCleared(t *testing.T) {
	home := t.TempDir()
	began := time.Now().Add(-10 * time.Second)
	p, err := appear(home, [16]byte{1}, Running{App: "a.wasm", Began: began, Where: WhereAuto})
	if err != nil {
		t.Fatal(err)
	}
	p.call(&runner.Call{
		Function: "f", Where: WhereClone, Reason: "why", Seconds: 4, Joules: 1,
		Predicted: map[string]runner.Predicted{WhereDevice: {Seconds: 9, Joules: 7}},
	})
	p.mu.Lock()
	err = p.write()
	p.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	// Beside it, what a killed manager has left: nobody holds its lock.
	for name, text := range map[string]string{"02.json": `{"app":"dead"}`, "02.lock": "", "03.json": "rubbish"} {
		if err := os.WriteFile(filepath.Join(runningDir(home), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := RunningNow(home, began.Add(10*time.Second))
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	r := all[0]
	if r.App != "a.wasm" || r.CloneSeconds != 4 || r.DeviceSeconds != 6 || r.SavedSeconds != 5 || r.SavedJoules != 6 || r.Reason != "why" || r.Pid != os.Getpid() {
		t.Errorf("%+v", r)
	}
	left, err := os.ReadDir(runningDir(home))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), "01") {
			t.Errorf("%s is left of a manager that was killed", e.Name())
		}
	}
	p.leave()
	if all, err := RunningNow(home, time.Now()); err != nil || len(all) != 0 {
		t.Errorf("after its end: %+v, %v", all, err)
	}
}
