package wasi

import (
	"encoding/binary"
	"math/rand/v2"
)

// A run is repeatable when it depends on the program and its input alone, so
// that two runs of one program leave the same memory and can be compared byte by
// byte, whatever parts of them ran elsewhere. Three things must go for that, and
// none of them may need a state of its own, which would have to travel with a
// call:
//
//   - Clocks stand still, but for waits, which take no time ([Local.StandStill];
//     a site is given such clocks). Their values travel with calls anyway.
//   - A random number is computed from the address that it is wanted at.
//   - Devices, inodes and times of files are hidden.
//
// It is for tests.

// repeatableRandom fills a buffer of the guest's at address.
func repeatableRandom(buf []byte, address uint32) {
	var seed [32]byte
	binary.LittleEndian.PutUint32(seed[:], address)
	rand.NewChaCha8(seed).Read(buf)
}

// shown is what the guest is told of a file.
func (s *System) shown(st *Stat) *Stat {
	if s.repeatable {
		st.Dev, st.Ino = 1, s.shownInode(st.Ino)
		st.Atim, st.Mtim, st.Ctim = standingTime, standingTime, standingTime
	}
	return st
}

// shownInode is never 0, at which libraries would ask again.
func (s *System) shownInode(ino uint64) uint64 {
	if s.repeatable {
		return 1
	}
	return ino
}

// standingTime is what the real-time clock shows at its start when clocks stand
// still: nanoseconds since the Unix epoch, in 2020.
const standingTime = 1_600_000_000_000_000_000
