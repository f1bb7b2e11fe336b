package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

//go:noinline
func writeLines(path string, n int) {
	f, err := os.Create(path)
	must(err)
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, "%d squared is %d\n", i, i*i)
	}
	must(w.Flush())
	must(f.Close())
}

//go:noinline
func checksum(path string) (sum uint32, size int64) {
	f, err := os.Open(path)
	must(err)
	defer f.Close()
	h := crc32.NewIEEE()
	size, err = io.Copy(h, f)
	must(err)
	return h.Sum32(), size
}

func edit(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(err)
	_, err = f.WriteAt([]byte("PATCH"), 100)
	must(err)
	at, err := f.Seek(-10, io.SeekEnd)
	must(err)
	tail, err := io.ReadAll(f)
	must(err)
	fmt.Printf("%d %q\n", at, tail)
	must(f.Truncate(9000))
	must(f.Close())
}

func files([]string) {
	data, err := os.ReadFile("in/numbers.txt")
	fmt.Println(len(data), err)
	_, err = os.ReadFile("in/none.txt")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	must(os.MkdirAll("result/a/b", 0o755))
	writeLines("result/a/squares.txt", 1000)
	edit("result/a/squares.txt")
	must(os.WriteFile("result/a/b/one", data, 0o600))
	f, err := os.OpenFile("result/a/b/one", os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteString("appended\n")
	must(err)
	must(f.Close())
	must(os.Rename("result/a/b/one", "result/two"))
	must(os.WriteFile("result/gone", nil, 0o600))
	must(os.Remove("result/gone"))
	fmt.Println(errors.Is(os.Mkdir("result", 0o755), fs.ErrExist))
	must(filepath.WalkDir("result", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			fmt.Println(path + "/")
			return nil
		}
		sum, size := checksum(path)
		fmt.Printf("%s %d %08x\n", path, size, sum)
		return nil
	}))
	must(os.RemoveAll("result/a/b"))
	_, err = os.Stat("result/a/b")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
}
