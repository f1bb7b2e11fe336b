//go:build !linux

package proc

import "runtime"

func confine[C any](c *Confinement, _ C, _ bool) {
	ignoreSignals()
	c.Descriptors = closeStray()
	c.note("no confinement on %s yet", runtime.GOOS)
}
