//go:build !linux

package measure

import "time"

var began = time.Now()

// ThreadTime gives the time that has passed: other platforms have no portable
// measure of a thread's processor time.
func ThreadTime() time.Duration { return time.Since(began) }
