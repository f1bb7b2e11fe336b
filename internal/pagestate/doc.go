// Package pagestate holds a guest's linear memory: its allocation, the named
// image it is compared with, the set of pages that changed since, and the
// encoding of those changes that travels between two sides.
//
// A [Space] is one linear memory. It satisfies the memory allocator contract of
// the engine (Reallocate and Free) without importing it. Its content is always
// "base image, plus the pages that are dirty". An image has a name and is never
// counted (PROTOCOL rule 6): [Space.SetImage] makes the present content the base,
// [Space.Rollback] returns to the base, [Space.Diff] encodes content against
// base, and [Space.Prepare] with [Change.Apply] take such an encoding in.
//
// How dirty pages are found is the [Kind]. On Linux the base is a memfd, mapped
// private into the guest and shared into the owner: reads fall through to the
// base, the first write to a page makes a private copy, and the kernel knows
// which pages are private. Rollback throws the private copies away; a change of
// image writes them through the shared view. The memfd is as long as the memory
// may ever become and sealed, so that nobody else who gets the descriptor can
// write, shrink or extend it (PROTOCOL rule 9). Where a kernel lacks what a kind
// needs, [Choose] says so and takes the next; the last one, [Compare], keeps a
// copy of the base and compares, and works everywhere.
//
// Invariants:
//   - The unit is a page of 4096 bytes, on the wire and in every list, whatever
//     page size the kernel has.
//   - The base beyond its size is zero, so a memory that grew compares with zeros.
//   - A dirty set may name a page that did not change, never miss one that did.
//   - An encoded delta is hostile until checked: every length, page number and
//     the hash of what it yields is checked before a byte of memory is written,
//     and what is left to do then cannot fail.
//   - A memory that grew cannot shrink: the way back is a fresh Space that takes
//     over the base of the old one ([Space.Adopt]).
//
// A Space is not safe for concurrent use, and every method but Bytes, Size and
// Reallocate expects the guest that runs on it to be parked in a host call.
//
// System calls made after [Choose], for whoever writes the sandbox: mmap, munmap,
// mprotect, madvise, memfd_create, ftruncate, fcntl, lseek, close, ioctl, pread64.
// /proc/self/pagemap and the userfaultfd are opened once, by Choose.
//
// The package imports nothing of CloneCloud. Unsafe code is in the files named
// *_unsafe_*.go alone.
package pagestate
