// Package testprocs looks at processes from outside, as a test does that kills
// them: who lives, who started whom, what they hold. It reads /proc and is for
// tests on Linux alone; elsewhere it finds nothing.
package testprocs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stat returns a process's state and parent.
func stat(path string) (state string, parent int, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", 0, false
	}
	_, rest, _ := strings.Cut(string(data), ") ") // a name may hold anything
	f := strings.Fields(rest)
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(f[1])
	return f[0], parent, err == nil
}

// ended says that a state is that of a zombie: nobody runs there any more.
func ended(state string) bool { return state == "Z" || state == "X" }

// Children lists the live children of a process.
func Children(pid int) []int {
	all, _ := children(pid)
	return all
}

// Zombies lists the children of a process that have ended and that it has not
// reaped.
func Zombies(pid int) []int {
	_, dead := children(pid)
	return dead
}

func children(pid int) (live, dead []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		state, parent, ok := stat(path)
		if !ok || parent != pid {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		switch {
		case err != nil:
		case ended(state):
			dead = append(dead, child)
		default:
			live = append(live, child)
		}
	}
	return live, dead
}

// Alive reports whether a process runs.
func Alive(pid int) bool {
	state, _, ok := stat(fmt.Sprintf("/proc/%d/stat", pid))
	return ok && !ended(state)
}

// Computed returns the processor time that a process has taken, in its own code.
func Computed(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	if len(f) < 12 {
		return 0
	}
	ticks, _ := strconv.Atoi(f[11])
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ
}

// Descriptors returns how many files a process has open, sockets and pipes
// included; -1 if nobody may know.
func Descriptors(pid int) int {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(all)
}

// Resident returns a process's memory in bytes, and the most that it ever had.
func Resident(pid int) (now, peak int64) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		var kib int64
		name, rest, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return now, peak
}

// Eventually waits until f holds, at most d, and returns how long that took.
func Eventually(tb testing.TB, d time.Duration, what string, f func() bool) time.Duration {
	tb.Helper()
	began := time.Now()
	for !f() {
		if time.Since(began) > d {
			tb.Fatalf("waited in vain for %v: %s", d, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}
