package runner

import (
	"hash/fnv"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// programInput is what can be known of a program's input before it runs: by it a
// run is recognised that is like an earlier one.
type programInput struct {
	numbers []float64 // in the arguments: sizes and counts, often
	bytes   int64     // of the files and folders that the arguments name, and of stdin
	class   uint32    // of the arguments; 0: there are none
}

const (
	maxNumbers = 4
	maxListed  = 1000 // entries of a folder that are looked at
)

// inputOf looks at a program's arguments. What cannot be read counts nothing.
func inputOf(s *Start) (in programInput) {
	h := fnv.New32a()
	for _, arg := range s.Args[min(1, len(s.Args)):] {
		_, _ = h.Write(append([]byte(arg), 0))
		in.class = h.Sum32() | 1
		in.numbers = appendNumbers(in.numbers, arg)
		if at, ok := s.hostPath(arg); ok {
			in.bytes += sizeAt(at)
		}
	}
	if info, err := os.Stdin.Stat(); err == nil && info.Mode().IsRegular() {
		in.bytes += info.Size()
	}
	return in
}

// appendNumbers finds the numbers in an argument such as 800x600.
func appendNumbers(list []float64, arg string) []float64 {
	for len(arg) > 0 && len(list) < maxNumbers {
		at := strings.IndexAny(arg, "0123456789")
		if at < 0 {
			break
		}
		arg = arg[at:]
		end := strings.IndexFunc(arg, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end < 0 {
			end = len(arg)
		}
		if v, err := strconv.ParseFloat(strings.Trim(arg[:end], "."), 64); err == nil {
			list = append(list, v)
		}
		arg = arg[end:]
	}
	return list
}

// hostPath is where the guest's path leads to, if it is in a folder of its own.
func (s *Start) hostPath(guest string) (string, bool) {
	guest = path.Clean("/" + guest)
	for _, d := range s.Dirs {
		root := path.Clean("/" + d.Guest)
		rest, ok := strings.CutPrefix(guest, root)
		if ok && (rest == "" || rest[0] == '/' || root == "/") {
			return filepath.Join(d.Host, filepath.FromSlash(rest)), true
		}
	}
	return "", false
}

// sizeAt is the size of a file, or of the files in a folder.
func sizeAt(name string) (n int64) {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	if info.Mode().IsRegular() {
		return info.Size()
	}
	if !info.IsDir() {
		return 0
	}
	dir, err := os.Open(name)
	if err != nil {
		return 0
	}
	defer func() { _ = dir.Close() }()
	entries, _ := dir.ReadDir(maxListed) // as far as they can be read
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n
}
