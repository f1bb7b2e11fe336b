//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package identity

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	lockPoll  = 10 * time.Millisecond
	lockStale = 10 * time.Second // a rewrite of peers.json takes milliseconds
)

// lock is the portable fallback: whoever creates the file holds the lock. A
// holder that died is noticed by the age of its file.
func lock(path string) (func(), error) {
	held := path + ".held"
	deadline := time.Now().Add(2 * lockStale)
	for {
		f, err := os.OpenFile(held, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			_ = f.Close()
			return func() { _ = os.Remove(held) }, nil
		}
		if !errors.Is(err, fs.ErrExist) || time.Now().After(deadline) {
			return nil, err
		}
		if st, err := os.Stat(held); err == nil && time.Since(st.ModTime()) > lockStale {
			_ = os.Remove(held)
		}
		time.Sleep(lockPoll)
	}
}
