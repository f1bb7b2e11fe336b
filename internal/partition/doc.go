// Package partition finds where the calls of one run of an application should
// execute: the exact optimum over its profile tree, under an objective, with
// what may not move, what must stay together, and what may not be exceeded.
//
// # The problem
//
// A Tree has a node for every call context (a function, called along one path
// from the program's entry); its costs are sums over all calls in that context
// in one run. A node runs on the device or at one of the clones. A call whose
// caller is on the device may cross to a clone, at the cost of the migration;
// a call whose caller is on a clone runs on the same clone (there is no nested
// migration), so what moves is always a whole subtree. Nodes may be pinned to
// the device, and nodes of one colocation group are all at one site. These are
// the constraints of CloneCloud's integer program (Chun et al., EuroSys 2011),
// with several clones beside.
//
// # What is exact, and how fast
//
//   - Without groups and budgets: bottom-up dynamic programming, O(nodes x sites).
//   - With groups and one clone: a minimum s-t cut. The problem is submodular:
//     every term that couples two nodes charges for parent on the device and
//     child on the clone (the migration), for the opposite (never), or for
//     members of a group apart (never).
//   - Groups over several clones (a multiway cut), one decision for a function
//     in all its contexts (as CloneCloud's program had; coupling by equal
//     decisions along paths is not submodular), and budgets (a knapsack) are
//     hard: branch and bound, best bound first, the relaxation being the tree
//     optimum with multipliers on the budgets. It proves its optimum or, at its
//     limit of work, says that it did not and how far off it may be.
//
// Costs are float64. Results are exact up to rounding of sums: two partitions
// that differ by less than about 1e-12 of the local cost count as equal.
//
// The package also names what partitions are stored by: the class of a network
// (NetworkClass) and of an input (InputClass); and it prices a Profile on a
// network (Price). It does no I/O and imports nothing of ours; files are the
// business of partition/db.
package partition
