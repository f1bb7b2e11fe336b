package engine

import (
	"math/bits"
	_ "unsafe" // for go:linkname
)

// interpreterDepth is the interpreter's bound on nested calls. It is 2000 there
// and cannot be configured; ordinary recursive programs exceed that, and a
// program should not fail on a device for want of a compiler. (The compiler's
// bound is 50 MB of stack, millions of small frames.)
//
//go:linkname interpreterDepth github.com/tetratelabs/wazero/internal/engine/interpreter.callStackCeiling
var interpreterDepth int

// A frame takes 4.2 KB of Go stack (2.5 KB on 32 bits), which doubles as it
// grows and ends the process at 1 GB (250 MB).
const (
	depth64 = 20_000
	depth32 = 10_000
)

func init() {
	interpreterDepth = depth64
	if bits.UintSize == 32 {
		interpreterDepth = depth32
	}
}
