package measure

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadTime gives the processor time that the calling thread has used.
func ThreadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
