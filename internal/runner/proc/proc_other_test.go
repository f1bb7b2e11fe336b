//go:build !linux

package proc_test

import (
	"os"
	"testing"
)

func namespaces() bool { return false }

func systemFacts(*facts) {}

func leak(*testing.T, *os.File) {}

func checkFiles(*testing.T, facts) {}
