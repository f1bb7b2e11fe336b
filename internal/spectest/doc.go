// Package spectest drives the WebAssembly specification's test scripts, in the
// JSON form that wast2json makes, against any way of instantiating modules. It
// supports tests and nothing else imports it.
//
// A Host is one way: an engine as it is, an engine behind the rewriter, a device
// with a clone. Run gives an Outcome for every command of a script, so that two
// hosts can be compared command by command, and says of each whether the
// specification expected it. Comparing is the stricter test: results are equal
// to the bit and traps equal by message, whereas the specification leaves NaN
// payloads open.
//
// The scripts come from the folder of the wazero module in the module cache;
// nothing of them is kept here. Where that folder is missing, tests skip.
package spectest
