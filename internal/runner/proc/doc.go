// Package proc starts and ends the processes that guests run in, and makes the
// child's process fit for a guest.
//
// A guest never runs in the process that talks to the network: its compiled code
// cannot be preempted, so that one collection of garbage would wait for it, and
// every goroutine with the collection. A process of its own also gives
// cancellation (kill it), limits, and a place that a fault of the engine cannot
// leave.
//
// The parent calls Start, which runs our own binary again with a hidden verb,
// or any other command that ends in such a binary (an arm64 one under an
// emulator). Both sides get one end of a byte stream; what the bytes mean is for
// others. A program that may be started so calls MaybeChild first thing in main.
//
// What a child has: the stream, three standard files (null unless given), the
// environment variables that the caller listed, nothing else. What it may not:
// gain privileges, open a socket, start a process, trace, mount, signal others.
// Confinement says what of this was in force, for not every system, and no
// emulator, can do it all. This is the first landing: files are as open to a
// child as to its parent, and all system calls that are not refused by name are
// allowed. Memory is bounded by the guest memory's allocator, not here.
//
// Rules for code in the child (each was measured to stall the process for as
// long as the guest computes, or for good):
//
//   - One goroutine runs the guest, and it alone reads the stream, by a blocking
//     system call. Nobody uses RawSyscall to block.
//   - The collector is off. The guest's goroutine calls CollectIfGrown from host
//     functions, Idle before it waits for work, and Collecting around
//     compilation. Nothing else collects: no runtime.GC, no memory limit.
//   - While the guest runs, nothing reads MemStats or stacks, changes
//     GOMAXPROCS, traces, or sets ids, limits and filters on all threads.
//   - A goroutine that runs beside the guest allocates nothing in a loop.
//
// The child ends when its stream's other end closes, even while the guest spins;
// where the system can, it is also killed when its parent dies.
//
// Last words: a child that exits while bytes from the parent wait unread resets
// the stream, and the parent may lose what the child wrote last. A program
// therefore says that it is done and waits to be ended.
//
// The package imports nothing else of CloneCloud.
package proc
