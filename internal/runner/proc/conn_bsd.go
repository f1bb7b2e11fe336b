//go:build unix && !linux

package proc

// hangup: POLLHUP comes unasked.
const hangup = 0
