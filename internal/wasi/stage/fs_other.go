//go:build !linux && !darwin

package stage

import (
	"os"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Elsewhere files have no identity that outlives a process, so nothing that
// a clone changed is taken over (see the package's essay).

const (
	noFollow  = 0
	supported = false
)

func infoOf(fi os.FileInfo) Info {
	t := fi.ModTime().UnixNano()
	return Info{Stat: wasi.Stat{Size: uint64(fi.Size()), Mtim: t, Ctim: t}, Mode: fi.Mode()}
}

func setTimes(r *os.Root, name string, atim, mtim wasi.TimeSet) error {
	return r.Chtimes(name, when(atim), when(mtim))
}

func when(t wasi.TimeSet) time.Time {
	switch {
	case t.Now:
		return time.Now()
	case t.Set:
		return time.Unix(0, t.At)
	default:
		return time.Time{}
	}
}

func syncDir(*os.File) error        { return nil }
func reserve(*os.File, int64) error { return nil }
func plain(*os.File) bool           { return false }
func writable(*os.File) error       { return nil }

func accessOf(*os.File) (read, write bool) { return true, true }
