// Package energy says how many joules things cost on a device.
//
// Two sources, never mixed up (see [Basis]); docs/ENERGY.md explains them to a
// user. A [Profile] is a model: the power of the processor by frequency class
// and of each radio in each of its states, from a data file that names where its
// numbers were published. A [Meter] is a measurement: the battery's current and
// voltage, or the processor's energy counter (RAPL), where the system shows
// them.
//
// A radio does not cost by the byte alone. It wakes (promotion), transmits and
// receives, and stays awake for a while after the last byte (tail); on 3G and
// LTE the tail lasts seconds and costs more than a small transfer itself. So
// what a transfer costs depends on how long ago the radio was last used: see
// [Activity]. After Balasubramanian et al. (IMC 2009) and Huang et al. (MobiSys
// 2012).
//
// Power is in watts, energy in joules, time in time.Duration.
//
// The package imports nothing of ours.
package energy
