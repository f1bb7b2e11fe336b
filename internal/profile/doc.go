// Package profile says what the calls of a program cost: a tree with a node for
// every candidate in each calling context of candidates, as CloneCloud's profile
// trees had (Chun, Ihm, Maniatis, Naik, Patti, EuroSys 2011), but gathered while
// the program runs and merged over runs.
//
// A [Collector] is told of entries and exits by the stubs of one run; its [Tree]
// holds, for each context, calls, time at each site, bytes dirtied and shipped,
// and imports. A function that occurs below itself is folded: its context is that
// of its outermost call, so a tree is no deeper than there are candidates. What
// exceeds the size limit is counted in one node, [Other].
//
// Invariants:
//
//   - Merge only adds, so it is associative and commutative; the trees that one
//     run hands over from time to time are differences and merge to the whole.
//   - Where nothing moved and nothing recurs, a node's inclusive time is its self
//     time and the inclusive times of its children.
//   - A tree that was decoded is within limits, whatever the bytes were.
//
// Times are nanoseconds, sizes bytes. The package imports nothing of ours, does
// no I/O and reads no clock but the one it is given.
package profile
