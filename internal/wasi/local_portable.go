//go:build !linux

package wasi

import (
	"errors"
	"io/fs"
	"os"
)

// readDirInfo lists a folder with one more look at every entry.
func readDirInfo(f *os.File) ([]Dirent, error) {
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	ents := make([]Dirent, 0, len(list))
	for _, ent := range list {
		fi, err := ent.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		st := statInfo(fi)
		ents = append(ents, Dirent{Name: ent.Name(), Ino: st.Ino, Type: st.Type})
	}
	return ents, nil
}
