// Goprog uses what a Go program uses of WASI: arguments, variables, stdin,
// the time, random bytes, files and folders.
package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "goprog:", err)
		os.Exit(3)
	}
}

func main() {
	fmt.Println("args", strings.Join(os.Args[1:], ","))
	env := os.Environ()
	sort.Strings(env)
	fmt.Println("env", strings.Join(env, ","))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println("stdin", in.Text())
	}
	check(in.Err())

	start := time.Now()
	time.Sleep(2 * time.Millisecond)
	fmt.Println("slept", time.Since(start) >= 2*time.Millisecond, time.Now().Year() >= 2024)
	key := make([]byte, 16)
	_, err := rand.Read(key)
	check(err)
	if len(os.Args) > 1 && os.Args[1] == "key" {
		fmt.Printf("key %x\n", key)
	}

	check(os.MkdirAll("/data/a/b", 0o755))
	check(os.WriteFile("/data/a/b/one", []byte("first line\n"), 0o644))
	f, err := os.OpenFile("/data/a/b/one", os.O_APPEND|os.O_WRONLY, 0)
	check(err)
	_, err = f.WriteString("second line\n")
	check(err)
	check(f.Close())
	check(os.Rename("/data/a/b/one", "/data/two"))
	b, err := os.ReadFile("/data/two")
	check(err)
	fmt.Printf("%q\n", b)

	g, err := os.OpenFile("/data/grown", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	check(err)
	check(g.Truncate(1000))
	_, err = g.WriteAt([]byte("here"), 500)
	check(err)
	at, err := g.Seek(-500, 2)
	check(err)
	word := make([]byte, 4)
	_, err = g.Read(word)
	check(err)
	fmt.Printf("%d %s\n", at, word)
	when := time.Unix(1_000_000_000, 5000)
	check(os.Chtimes("/data/grown", when, when))
	fi, err := g.Stat()
	check(err)
	fmt.Println(fi.Name(), fi.Size(), fi.ModTime().Equal(when), fi.Mode().IsRegular())
	check(g.Sync())
	check(g.Close())

	for i := range 300 {
		check(os.WriteFile(fmt.Sprintf("/data/a/file-%03d", i), nil, 0o644))
	}
	ents, err := os.ReadDir("/data/a")
	check(err)
	fmt.Println(len(ents), ents[0].Name(), ents[0].IsDir(), ents[300].Name())
	check(os.RemoveAll("/data/a"))
	_, err = os.Stat("/data/a")
	fmt.Println("gone", errors.Is(err, fs.ErrNotExist))
	_, err = os.OpenFile("/data/grown", os.O_CREATE|os.O_EXCL, 0o644)
	fmt.Println("exists", errors.Is(err, fs.ErrExist))
	_, err = os.ReadFile("/data/../../etc/passwd")
	fmt.Println("outside", err != nil)
	check(filepath.WalkDir("/data", func(path string, d fs.DirEntry, err error) error {
		fmt.Println("walk", path, d.IsDir())
		return err
	}))
	os.Exit(7)
}
