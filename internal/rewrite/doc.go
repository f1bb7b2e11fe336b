// Package rewrite changes a module so that calls of chosen functions, the
// candidates, can be taken over by the host, and so that a host can reach the
// state that moves. The module's own code is never decoded nor re-encoded, and
// no index shifts: everything is appended at the end of its index space, and
// the body of candidate i is exchanged for a stub while its original bytes
// become a new function.
//
// A stub costs a load, a test and a branch while its bit in the arm mask is 0:
//
//	if mask & (1 << bit) == 0 { return original(args) }
//	results, status := host(args, k)   // call_indirect through an appended table
//	if status == 0 { return results }  // the call ran elsewhere
//	results = original(args)
//	if status == 2 { exit(k) }         // the host wants to know when it ended
//	return results
//
// The host is reached through a table, because an added function import would
// shift every function index. A small second module, the glue, imports the
// table and the host functions and fills the one with the others: instantiate
// the module, then the glue, then call StartExport if there is one. One i64
// mask serves 64 candidates: a mutable global per function would be reloaded
// after every call and multiplies the compile time.
//
// Two roles. Device has stubs. Clone has none, exports every function that
// could be a candidate, and depends on the module alone, so that one compiled
// form serves every candidate set (PROTOCOL rule 2). Both make the start section
// an export, because only the device may run it.
//
// A candidate that the module itself calls often, a small recursive function
// above all, can be stubbed at its exports only (Options.Entries): calls from
// inside then cost nothing.
//
// Rewriting is deterministic. A module rewritten before is refused with
// ErrRewritten. What may be rewritten is what package wasmbin accepts; whether a
// call may be moved is the question of package callgraph.
//
// The package imports wasmbin and nothing else of ours.
package rewrite
