package engine

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/cpu"
)

// Kind names an engine.
type Kind int

// The engines.
const (
	// Compiler turns a module into machine code before it runs.
	Compiler Kind = iota
	// Interpreter runs where no executable memory is to be had.
	Interpreter
)

// String returns the name that the command line uses.
func (k Kind) String() string {
	switch k {
	case Compiler:
		return "compiler"
	case Interpreter:
		return "interpreter"
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// ParseKind is the inverse of String.
func ParseKind(s string) (Kind, error) {
	switch s {
	case "compiler":
		return Compiler, nil
	case "interpreter":
		return Interpreter, nil
	}
	return 0, fmt.Errorf("unknown engine %q: want compiler or interpreter", s)
}

// DefaultKind returns the fastest engine that this machine can run, and why.
// The first call tests executable memory; the answer does not change after.
func DefaultKind() (Kind, string) {
	d := defaultKind()
	return d.kind, d.reason
}

type kindChoice struct {
	kind   Kind
	reason string
}

var defaultKind = sync.OnceValue(func() kindChoice {
	p := platform{
		goos: runtime.GOOS, goarch: runtime.GOARCH, sse41: cpu.X86.HasSSE41,
		execTest: execSelfTest, wasmTest: compilerSelfTest,
	}
	kind, reason := p.choose()
	return kindChoice{kind, reason}
})

// platform is what the choice depends on, so that every case can be tested on
// one machine.
type platform struct {
	goos, goarch string
	sse41        bool
	execTest     func() error // maps a page, makes it executable, runs it
	wasmTest     func() error // compiles and runs a module
}

// choose decides. The engine's own choice cannot be asked for: it knows no
// android, and silently interprets there, although its compiler works.
func (p platform) choose() (Kind, string) {
	switch p.goarch {
	case "amd64":
		if !p.sse41 {
			return Interpreter, "the processor lacks SSE4.1, which the compiler needs"
		}
	case "arm64":
	default:
		return Interpreter, "the compiler makes no code for " + p.goarch
	}
	switch p.goos {
	case "ios":
		return Interpreter, "iOS forbids executable memory"
	case "linux", "android", "darwin", "freebsd", "netbsd", "windows":
	default:
		return Interpreter, "the compiler does not know " + p.goos
	}
	if err := p.execTest(); err != nil {
		return Interpreter, fmt.Sprintf("no executable memory: %v", err)
	}
	if p.goos == "android" {
		// Nobody upstream tests this platform: let a real module prove it.
		if err := p.wasmTest(); err != nil {
			return Interpreter, fmt.Sprintf("the compiler failed its self-test: %v", err)
		}
	}
	return Compiler, "executable memory works"
}

// selfTestModule exports f(i32) = param * 3 + 1.
var selfTestModule = []byte{
	0x00, 'a', 's', 'm', 1, 0, 0, 0,
	1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f,
	3, 2, 1, 0,
	7, 5, 1, 1, 'f', 0, 0,
	10, 12, 1, 10, 0, 0x20, 0, 0x41, 3, 0x6c, 0x41, 1, 0x6a, 0x0b,
}

// compilerSelfTest compiles and runs a module and checks its result.
func compilerSelfTest() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	ctx := context.Background()
	e, err := New(ctx, Config{Kind: Compiler})
	if err != nil {
		return err
	}
	defer func() { _ = e.Close(ctx) }()
	m, err := e.Compile(ctx, selfTestModule)
	if err != nil {
		return err
	}
	in, err := e.Instantiate(ctx, m, "")
	if err != nil {
		return err
	}
	f, ok := in.Function("f")
	if !ok {
		return fmt.Errorf("export is missing")
	}
	stack := []uint64{13}
	if err := f.Call(ctx, stack); err != nil {
		return err
	}
	if stack[0] != 40 {
		return fmt.Errorf("got %d, want 40", stack[0])
	}
	return nil
}
