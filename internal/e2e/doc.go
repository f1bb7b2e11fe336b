// Package e2e runs real programs on a real device manager, over a real link, on
// a real clone, each guest in a process of its own, and holds every offloaded
// run against the local one: stdout, exit code, files, final memory.
//
// World is the test ground: a node and a device's home in temporary folders, on
// the loopback interface. The package is for tests only.
package e2e
