// Package callgraph says which functions of a module may move to a clone, and
// which of those are worth a stub.
//
// The graph has a node for every function and one for every signature through
// which functions are called indirectly; a signature reaches every function
// that it fits and whose address is taken. That is coarse, as it must be, so
// the package states only what is certain: a function is Movable when nothing
// that static reading can see forbids it, and what its imports do is decided
// when they are called (PROTOCOL rule 10). Every refusal is a sentence for a
// person.
//
// Candidates picks what the device stubs. A stub costs a few instructions at
// every call, and the bound is 3 % on every program with nothing armed, so the
// choice errs on the side of few: exports, and functions whose estimated work
// is large against a stub and which are not called often. The estimates are
// structural (instructions times ten for every loop around them), so they order
// functions and measure nothing; a measured profile should replace them.
//
// The package imports wasmbin and nothing else of ours. A Graph does not change
// once made and is safe for concurrent use.
package callgraph
