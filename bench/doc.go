// Package bench measures CloneCloud as a whole, against what it is measured by:
// a hand-written remote call, the bare transport, a compressor, a program on the
// device alone. It holds benchmarks and no other code; README.md lists the
// commands, the goals and what was measured.
//
// Every figure that matters is a ratio of two things done in turns, in one run,
// on one machine, because absolute times belong to machines. Real processes run:
// the node and whatever is compared with it are processes of their own (this
// test binary again, told by an environment variable what to be), the runners
// are children as in real use, and the benchmark's process is the device's
// manager.
//
// Benchmarks of single packages lie beside those packages.
package bench
