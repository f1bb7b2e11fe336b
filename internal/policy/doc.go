// Package policy says whether a link may be used now, and if not, which of the
// owner's words forbids it.
//
// A policy is a line of words, all of which must hold:
//
//	wifi, charging, battery>30%
//	wifi|wired, metered<200MB/month
//	unmetered|metered<50MB/month, 22:00-06:00
//
// See [Parse] for the words. A policy is compared with a [State], which the
// caller gathers; what is not known fails the words that ask for it, for a word
// is there to keep money or battery from being spent. [Counter] holds what has
// been used of the month on metered links.
//
// The package imports energy (the kinds of radio) and nothing else of ours.
package policy
