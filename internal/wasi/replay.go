package wasi

import "fmt"

// Divergence is what a [Replayer] panics with: a re-run did not do what the
// log says it did. It is never continued on either value (PROTOCOL rule 18).
type Divergence struct {
	Entry     int // number of the log entry, from 0
	Fn        Fn  // the import that the guest called
	Want, Got string
}

// Error names the import.
func (d *Divergence) Error() string {
	return fmt.Sprintf("wasi: the re-run differs from the import log at entry %d, %s: logged %s, now %s", d.Entry, d.Fn, d.Want, d.Got)
}
