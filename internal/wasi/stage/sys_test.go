//go:build linux || darwin

package stage_test

import (
	"hash/fnv"
	"io/fs"
	"syscall"
)

func inodeOf(fi fs.FileInfo) uint64 { return fi.Sys().(*syscall.Stat_t).Ino }

func hash(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}
