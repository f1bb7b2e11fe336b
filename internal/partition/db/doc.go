// Package db keeps optimal partitions between runs: one file for each module,
// with an entry for each network class, objective and input class.
//
// A partition is only a consequence of a profile, so nothing here is precious:
// a file that is damaged, of a newer version or about another module is told
// of, and the partition is computed again. A file is replaced as a whole and
// carries a SHA-256 of its contents, so a crash leaves the old one or the new.
// Writers take a lock of the operating system that dies with its process;
// readers need none.
//
// The package imports package partition alone; how files are locked and
// replaced is given to it. docs/PARTITION.md describes the format.
package db
