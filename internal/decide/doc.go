// Package decide says where a call runs, at each entry of an armed candidate.
//
// A [Decider] predicts what the call costs here and at the clone, from the
// call's features (argument values, memory size, bytes dirtied since the base,
// sizes of the files opened, the candidate it was called from) and from recent
// calls: log-linear least squares with forgetting, corrected by the nearest
// recent calls, with quantiles of the errors that the predictions had. The
// optimum of a partition is the prior where nothing has been measured. A call
// moves when that is expected to be cheaper, in seconds, joules or a mixture,
// and when what it may lose is bounded.
//
// The rules, in the order in which they are asked:
//
//  1. What cannot move stays: no clone, a function whose attempts always come
//     to nothing, a call too short for any offload over this link.
//  2. A candidate of which nothing is known is timed here. A stored prediction
//     for the class of its input stands for that, whole programs included.
//  3. It moves if its expected cost there is lower by a margin (wider for a
//     change of site than for staying at one, so that it does not flap), and
//     the ninth decile of the loss is at most max(5 %, 50 ms) or twice the
//     expected gain. The first attempt of a function may lose the call's own time:
//     it is given up when it has taken as long ([Decision.Patience]).
//  4. Now and then it runs at the other site, to learn: only where that site
//     could win at all, and where the sum of all expected losses so far stays
//     under 1 % of the time that candidates have taken ([exploreShare]).
//
// A function that is too short ever to move disarms itself, so that its calls
// cost a load and a branch, and is sampled again after a pause that doubles, or
// when the link changes.
//
// Nothing here does I/O or reads a clock; nothing on the path of a call that
// stays here allocates. What was learnt is a value, [State], which outlives the
// run. The package imports nothing of ours but cost and energy.
//
// Sources: MAUI (MobiSys 2010) and Odessa (MobiSys 2011) for online correction of
// a profile; COSMOS (MobiHoc 2014) for deciding on risk and not on means.
package decide
