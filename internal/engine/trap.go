package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// TrapKind says why a guest trapped. The values do not depend on the engine.
type TrapKind int

// The kinds of traps. The first group is the WebAssembly specification's; the
// last two are faults of ours, which no guest can cause by itself.
const (
	TrapUnreachable TrapKind = iota + 1
	TrapMemoryBounds
	// TrapTable is a table access out of bounds, or a call through a null entry.
	TrapTable
	TrapIndirectType
	TrapDivideByZero
	TrapIntegerOverflow
	TrapBadConversion
	// TrapStack is an exhausted call stack; its depth differs by engine.
	TrapStack
	// TrapNull is the use of a null reference.
	TrapNull
	// TrapOther is a trap that this version has no name for.
	TrapOther
	// TrapHost is a panic of a host function that was not made by Throw.
	TrapHost
	// TrapEngine is a panic of the engine itself.
	TrapEngine
)

// trapTexts are the engine's messages, which are the only mark that it leaves.
var trapTexts = []struct {
	kind TrapKind
	text string
}{
	{TrapUnreachable, "unreachable"},
	{TrapMemoryBounds, "out of bounds memory access"},
	{TrapTable, "invalid table access"},
	{TrapIndirectType, "indirect call type mismatch"},
	{TrapDivideByZero, "integer divide by zero"},
	{TrapIntegerOverflow, "integer overflow"},
	{TrapBadConversion, "invalid conversion to integer"},
	{TrapStack, "stack overflow"},
	{TrapNull, "null reference"},
}

// String names the kind, in the engine's words.
func (k TrapKind) String() string {
	for _, t := range trapTexts {
		if t.kind == k {
			return t.text
		}
	}
	switch k {
	case TrapHost:
		return "host function panicked"
	case TrapEngine:
		return "engine panicked"
	default:
		return "trap"
	}
}

// Trap is the error of a call that a trap ended. The instance's state is as it
// was at the trap.
type Trap struct {
	Kind TrapKind
	// Message is what the engine said, without a backtrace.
	Message string
	// Backtrace holds the guest's frames, innermost first, at most 30; it is
	// empty where the engine keeps none.
	Backtrace []string
	cause     error
}

// Error returns the message in one line.
func (t *Trap) Error() string {
	if t.Message == t.Kind.String() {
		return "wasm trap: " + t.Message
	}
	return fmt.Sprintf("wasm trap: %s: %s", t.Kind, t.Message)
}

// Unwrap returns the error that a host function panicked with, if any.
func (t *Trap) Unwrap() error { return t.cause }

// Exit is the error of a call in which the guest ended the program.
type Exit struct {
	Code uint32
}

// Error returns a text with the exit code.
func (e *Exit) Error() string { return fmt.Sprintf("guest exited with code %d", e.Code) }

// thrown carries an error from a host function through the engine's frames.
type thrown struct{ err error }

func (t thrown) Error() string { return t.err.Error() }
func (t thrown) Unwrap() error { return t.err }

// Throw ends the guest's call from inside a host function: the guest's frames
// are dropped and Function.Call returns err itself. proc_exit is
// Throw(&Exit{Code: code}). A host function that re-enters the guest passes the
// inner call's error on in the same way. It does not return.
func Throw(err error) {
	if err == nil {
		err = errors.New("engine: Throw(nil)")
	}
	panic(thrown{err})
}

const (
	trapPrefix      = "wasm error: "
	recoveredSuffix = " (recovered by wazero)"
	tracePrefix     = "\nwasm stack trace:\n\t"
)

// normalise turns the engine's error into one that this package documents.
func normalise(err error) error {
	if err == nil {
		return nil
	}
	var t thrown
	if errors.As(err, &t) {
		return t.err
	}
	var trap *Trap
	if errors.As(err, &trap) {
		return trap
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return &Exit{Code: exit.ExitCode()}
	}
	text, trace := splitTrace(err)
	var rt runtime.Error
	if errors.As(err, &rt) {
		return &Trap{Kind: TrapEngine, Message: rt.Error(), Backtrace: trace, cause: rt}
	}
	if strings.HasSuffix(text, recoveredSuffix) {
		return &Trap{
			Kind: TrapHost, Message: strings.TrimSuffix(text, recoveredSuffix),
			Backtrace: trace, cause: errors.Unwrap(err),
		}
	}
	if msg, ok := trapMessage(err); ok {
		return &Trap{Kind: kindOf(msg), Message: msg, Backtrace: trace}
	}
	return err
}

// trapMessage finds a WebAssembly trap in the chain. The type is internal to the
// engine; wrapped it has a prefix, bare it is one of the known texts.
func trapMessage(err error) (string, bool) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := e.Error()
		if strings.HasPrefix(text, trapPrefix) {
			msg, _, _ := strings.Cut(text[len(trapPrefix):], "\n")
			return msg, true
		}
		if errors.Unwrap(e) == nil && kindOf(text) != TrapOther {
			return text, true
		}
	}
	return "", false
}

func kindOf(msg string) TrapKind {
	for _, t := range trapTexts {
		if t.text == msg {
			return t.kind
		}
	}
	return TrapOther
}

// splitTrace separates the engine's message from the guest's frames, and drops
// the Go stack that follows them after a panic.
func splitTrace(err error) (text string, trace []string) {
	text, frames, ok := strings.Cut(err.Error(), tracePrefix)
	if !ok {
		return text, nil
	}
	frames, _, _ = strings.Cut(frames, "\n\n")
	for _, line := range strings.Split(frames, "\n\t") {
		if line = strings.TrimRight(line, "\n"); line != "" {
			trace = append(trace, line)
		}
	}
	return text, trace
}
