// Package layers holds the rules about the structure of this repository, as
// tests: which package may import which, that every package says what it is, and
// where unsafe may be used. CONTRIBUTING.md has the table for people.
package layers
