package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestWhatFollowsTheApplicationIsTheGuests(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ line, guests string }{
		{"run app.wasm", ""},
		{"run app.wasm a -v --where clone", "a -v --where clone"},
		{"run --where clone app.wasm a", "a"},
		{"run --where=clone -v app.wasm --help", "--help"},
		{"-v --home x run --dir a::b --dir c app.wasm run app.wasm", "run app.wasm"},
		{"run -- app.wasm -- a", "-- a"},
		{"run --", ""},
		{"run --dir", ""},
		{"run --bogus app.wasm a", ""},
		{"profile --pprof run app.wasm --json", "--json"},
		{"inspect app.wasm --all", ""},
		{"pair run a b", ""},
		{"", ""},
	} {
		args := strings.Fields(tc.line)
		ours, guests := splitArgs(parser.Model, args)
		if strings.Join(guests, " ") != tc.guests || !slices.Equal(append(slices.Clone(ours), guests...), args) {
			t.Errorf("%q: ours %q, the guest's %q, want %q", tc.line, ours, guests, tc.guests)
		}
	}
}
