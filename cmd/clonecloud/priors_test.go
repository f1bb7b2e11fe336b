package main

import (
	"crypto/sha256"
	"os"
	"reflect"
	"testing"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/decide"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/partition"
	"github.com/clonecloud/clonecloud/internal/partition/db"
)

func TestARunBeginsWithTheStoredPartition(t *testing.T) {
	home := t.TempDir()
	file := profileOfRecursion(t, home)
	module, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := inProcess(t, "--home", home, "partition", file); code != 0 {
		t.Fatal(stderr)
	}
	options := func(where, engine, link string) []decide.Row {
		t.Helper()
		a := &app{home: home, stdio: stdio{os.Stdin, os.Stdout, os.Stderr}}
		c := &runCmd{Where: where, Engine: engine, Link: link, Objective: "time", MaxSlowdown: 2, App: []string{file}}
		o, err := c.options(a)
		if err != nil {
			t.Fatal(err)
		}
		if where == "auto" && o.Power == nil {
			t.Error("no power profile")
		}
		return o.Partition
	}
	rows := options("auto", "auto", "3g")
	entries, err := (&app{home: home}).partitions().Load(sha256.Sum256(module))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	if want := priors(entries, partition.ThreeG, cost.Time); len(rows) == 0 || !reflect.DeepEqual(rows, want) {
		t.Errorf("3g: %+v, want %+v", rows, want)
	}
	for _, r := range rows {
		// queens takes 20 s here and at the clone a tenth, as was measured.
		if !r.Move || !(r.Local > 19) || !(r.Compute > 1.5 && r.Compute < 2.5) || r.BytesUp <= 0 || r.BytesDown <= 0 {
			t.Errorf("row %+v is not of one call", r)
		}
	}
	if r := options("auto", "auto", "none"); len(r) != 0 {
		t.Errorf("without a link: %+v", r)
	}
	for _, r := range [][]decide.Row{options("auto", "interpreter", "3g"), options("device", "auto", "3g")} {
		if len(r) != 0 {
			t.Errorf("taken where it does not hold: %+v", r)
		}
	}
}

func TestRowsOfOneFunctionAndCallerAreMeans(t *testing.T) {
	cost := func(s float64) partition.Cost { return partition.Cost{Seconds: s} }
	e := &db.Entry{Moves: []db.Move{
		{Context: []uint32{1, 7, 9}, Calls: 1, Here: cost(10), Compute: 1, BytesUp: 100, BytesDown: 10},
		{Context: []uint32{2, 7, 9}, Calls: 3, Here: cost(2), Compute: 1, BytesUp: 20, BytesDown: 10},
		{Context: []uint32{9}, Calls: 2, Here: cost(8), Compute: 2},
		{Context: []uint32{4}, Function: "_start", Calls: 1, Here: cost(99), Compute: 9},
		{Context: []uint32{5}, Calls: 0, Here: cost(99)},
	}}
	want := []decide.Row{
		{Function: 9, Parent: 7, Move: true, Local: 3, Compute: 0.5, BytesUp: 40, BytesDown: 10},
		{Function: 9, Parent: decide.AnyParent, Move: true, Local: 4, Compute: 1},
	}
	if got := rowsOf(e); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAShapedLinkBelongsToTheClassOfItsName(t *testing.T) {
	for _, class := range partition.Networks() {
		p, ok := shape.Named(string(class))
		if !ok {
			t.Fatalf("no link profile %s", class)
		}
		if got := networkClass(&p, energy.LTE); got != class {
			t.Errorf("%s is of class %s", class, got)
		}
	}
	for kind, want := range map[energy.Radio]partition.NetworkClass{
		energy.UnknownRadio: partition.WiFi, energy.WiFi: partition.WiFi, energy.LTE: partition.LTE, energy.NR: partition.FiveG, energy.ThreeG: partition.ThreeG,
	} {
		if got := networkClass(nil, kind); got != want {
			t.Errorf("%v: class %s, want %s", kind, got, want)
		}
	}
}
