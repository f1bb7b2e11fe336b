// Package decide measures decisions: what is lost against an oracle that knows
// afterwards which site was best for each call, and by how much predictions are
// off.
//
// The sites are recorded (testdata/*.json.gz): the example applications ran on a
// slow device (this machine under qemu as an arm64 phone, or with the
// interpreter), where every call of 2 ms and more was timed, and each function
// that had such calls was then moved to a real clone, which gave computing time
// and bytes of each call. The replay asks the real Decider about the same calls in
// the same order, over modelled links, and answers from the recordings: so that a
// whole table takes seconds, and no two sites compete for this machine's
// processors. README.md of the folder above has the commands.
package decide
