package proc

import "golang.org/x/sys/unix"

// hangup asks poll for the peer's end; POLLHUP comes unasked.
const hangup = unix.POLLRDHUP
