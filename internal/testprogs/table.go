package testprogs

import (
	"fmt"
	"strings"
)

// prose is input for the programs that read text.
const prose = `CloneCloud moves a thread from the phone to a clone of the phone.
The clone runs the thread, and the result comes back to the phone;
the phone need not know where the thread ran. A thread that touches
the camera stays on the phone. (The clone has no camera.)

It pays when the work is long, and the state that moves is small.
`

// numbers is a file of the integers from 1 to n, one a line.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

func cPrograms() []Program {
	list := []Program{
		{Name: "c-callbacks", Deterministic: true, Heavy: []string{"sort_numbers", "machine", "apply"}},
		{Name: "c-clock", Env: []string{"GREETING=hello"}, Heavy: []string{"monotonic", "nap", "entropy"}},
		{Name: "c-exits/return", Args: []string{"return", "3"}, WantExit: 3, Deterministic: true},
		{Name: "c-exits/zero", Args: []string{"exit", "0"}, Deterministic: true},
		{Name: "c-exits/exit", Args: []string{"exit", "7"}, WantExit: 7, Deterministic: true, Heavy: []string{"leave"}},
		{Name: "c-exits/at-once", Args: []string{"_Exit", "255"}, WantExit: 255, Deterministic: true, Heavy: []string{"leave"}},
		{
			Name: "c-files", Files: map[string]string{"in/numbers.txt": numbers(100)},
			Heavy: []string{"sum_file", "checksum", "write_table", "edit", "list"},
		},
		{Name: "c-memory", Deterministic: true, Heavy: []string{"build", "doubling", "churn", "exhaust"}},
		{Name: "c-numbers", Deterministic: true, Heavy: []string{"crc32", "mix", "matrix", "orbit", "primes", "signature", "bits"}},
		{
			Name: "c-recursion", Deterministic: true,
			Heavy: []string{"fib", "ackermann", "tak", "is_even", "hanoi", "queens", "deep"},
		},
		{Name: "c-simd", Deterministic: true, Heavy: []string{"dot", "blend"}},
		{
			Name: "c-text", Args: []string{"one", "two three", ""}, Stdin: prose, Deterministic: true,
			Heavy: []string{"count", "formats"},
		},
		{Name: "c-traps/none", Args: []string{"none"}, Deterministic: true},
	}
	for _, way := range []struct{ name, function string }{
		{"abort", ""},
		{"out-of-bounds", "out_of_bounds"},
		{"divide", "divide"},
		{"overflow", "overflow"},
		{"convert", "convert"},
		{"unreachable", "unreachable"},
		{"endless", "endless"},
		{"wrong-type", "wrong_type"},
		{"null-call", "null_call"},
	} {
		p := Program{Name: "c-traps/" + way.name, Args: []string{way.name}, Traps: true, Deterministic: true}
		if way.function != "" {
			p.Heavy = []string{way.function, "effort"}
		}
		list = append(list, p)
	}
	return list
}

func otherPrograms() []Program {
	as := []string{"program/fib", "program/trees", "program/sorted", "program/globals"}
	return []Program{
		{Name: "cpp-objects", Deterministic: true, Heavy: []string{"total_area(int)", "sort_records(int)", "count_words(int)"}},
		{Name: "as-program/all", Args: []string{"all"}, Deterministic: true, Heavy: as},
		{Name: "as-program/throw", Args: []string{"throw"}, WantExit: 255, Deterministic: true, Heavy: as[1:2]},
		{Name: "as-program/bounds", Args: []string{"bounds"}, WantExit: 255, Deterministic: true, Heavy: as[:1]},
		{Name: "as-program/trap", Args: []string{"trap"}, Traps: true, Deterministic: true, Heavy: as[1:2]},
		{Name: "as-program/exit", Args: []string{"exit"}, WantExit: 13, Deterministic: true, Heavy: as[:1]},
		{Name: "wat-start", Deterministic: true, Heavy: []string{"sum"}},
		{Name: "wat-values", WantExit: 42, Deterministic: true, Heavy: []string{"many", "turn", "fill"}},
	}
}

func goPrograms() []Program {
	list := []Program{
		{Name: "goprog/bigmath", Heavy: []string{"main.bigFactorial"}},
		{Name: "goprog/deadlock", WantExit: 2},
		{Name: "goprog/exit", Args: []string{"5"}, WantExit: 5},
		{
			Name: "goprog/files", Files: map[string]string{"in/numbers.txt": numbers(100)},
			Heavy: []string{"main.writeLines", "main.checksum"},
		},
		{Name: "goprog/floats", Heavy: []string{"main.simulate"}},
		{Name: "goprog/gc", Heavy: []string{"main.grow"}},
		{Name: "goprog/goroutines", Heavy: []string{"main.work"}},
		{Name: "goprog/hash", Heavy: []string{"main.hashRounds"}},
		{Name: "goprog/json", Heavy: []string{"main.encode"}},
		{Name: "goprog/maps", Heavy: []string{"main.maps"}},
		{Name: "goprog/nil", WantExit: 2, Heavy: []string{"main.nilPointer"}},
		{Name: "goprog/panic", WantExit: 2, Heavy: []string{"main.panics", "main.work"}},
		{Name: "goprog/recover", Heavy: []string{"main.try"}},
		{Name: "goprog/regexp", Heavy: []string{"main.expressions"}},
		{Name: "goprog/sleep", Heavy: []string{"main.sleeps"}},
		{Name: "goprog/stack", Heavy: []string{"main.frames"}},
		{Name: "goprog/stdin", Stdin: prose, Heavy: []string{"main.stdin"}},
	}
	for i := range list {
		part := strings.TrimPrefix(list[i].Name, "goprog/")
		list[i].Args = append([]string{part}, list[i].Args...)
	}
	return list
}
