package proc

import "golang.org/x/sys/unix"

const (
	auditArch      = unix.AUDIT_ARCH_AARCH64
	foreignNumbers = 0
)

// deniedHere are the calls that only this architecture has.
var deniedHere []uintptr
