//go:build !linux

package rewrite_test

import "time"

var began = time.Now()

// cpuTime gives the time that has passed: other platforms have no portable
// measure of a thread's processor time.
func cpuTime() time.Duration { return time.Since(began) }
