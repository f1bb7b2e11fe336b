package runner

import (
	"slices"
	"testing"
)

func TestABacktraceShowsTheProgramsOwnFrames(t *testing.T) {
	got := guestFrames([]string{
		".fib.cc_orig(i32) i32", ".fib(i32) i32", ".fib.cc_orig(i32) i32", ".fib(i32) i32",
		".main() i32", ".main() i32", "env.call()", "._start()", "._start.cc_stub()",
	})
	want := []string{"fib(i32) i32", "fib(i32) i32", "main() i32", "main() i32", "env.call()", "_start()"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
