package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// pinThread keeps this thread on one of the processors; none means any.
func pinThread(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, n := range cpus {
		set.Set(n)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("compute on processor %d: %w", cpus[0], err)
	}
	return nil
}
