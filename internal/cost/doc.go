// Package cost predicts what a call costs on the device and at a clone, in
// seconds and joules, and says which part decides.
//
// An offload's time is the sum that the paper's model has: capture, round
// trips, bytes up over the uplink, queueing, compute there, bytes down over the
// downlink, apply. Its energy is the processor's while it captures and applies,
// the waiting device's in between, and the radio's, tail included (package
// energy). The three inputs that no one can be told are learnt: the link from
// the traffic itself ([Estimator]), how fast a clone is and how loaded from its
// answers ([Speeds]).
//
// Nothing here does I/O or reads a clock: time is passed in.
//
// The package imports energy and nothing else of ours.
package cost
