package main

import (
	"testing"

	"github.com/clonecloud/clonecloud/internal/device"
)

func TestTheDemoShowsTheCallThatExplainsARunBest(t *testing.T) {
	long := device.CallReport{Function: "long", Where: device.WhereDevice, Seconds: 9}
	weighed := device.CallReport{Function: "weighed", Where: device.WhereDevice, Seconds: 2, Term: "upload of 3 MB costs 27 s"}
	brief := device.CallReport{Function: "brief", Where: device.WhereClone, Seconds: 0.1, Term: "computing"}
	moved := device.CallReport{Function: "moved", Where: device.WhereClone, Seconds: 1}
	for want, calls := range map[string][]device.CallReport{
		"moved": {long, brief, moved, weighed}, "weighed": {long, weighed}, "long": {long, {Seconds: 1}},
	} {
		if got := telling(&device.Report{Calls: calls}); got == nil || got.Function != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	if telling(&device.Report{}) != nil {
		t.Error("a call of none")
	}
}

func TestOutputsOfRunsThatDecideMustBeEqualAndNotEmpty(t *testing.T) {
	way := func(lines ...string) *demoWay { return &demoWay{output: lines} }
	if !sameOutputs([]*demoWay{way("a", "b"), way("a", "b")}) {
		t.Error("equal outputs are said to differ")
	}
	for _, ways := range [][]*demoWay{{way("a"), way("b")}, {way("a", "b"), way("a")}, {way(), way()}} {
		if sameOutputs(ways) {
			t.Errorf("%v are said to be equal", ways)
		}
	}
}
