// Maps, sorting, compression, JSON, regular expressions, goroutines.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
)

type item struct {
	Name  string
	Count int
	Tags  []string
}

func words(n int) []string {
	seed := uint32(7)
	out := make([]string, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = fmt.Sprintf("w%d", seed>>8%5000)
	}
	return out
}

func count(ws []string) []item {
	m := map[string]int{}
	for _, w := range ws {
		m[w]++
	}
	var out []item
	for w, n := range m {
		out = append(out, item{w, n, []string{"a", w[:1]}})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Count > out[j].Count || out[i].Count == out[j].Count && out[i].Name < out[j].Name
	})
	return out
}

func pack(b []byte) int {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	r, _ := gzip.NewReader(&buf)
	n, _ := io.Copy(io.Discard, r)
	return int(n)
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func main() {
	total := 0
	for round := range 3 {
		items := count(words(30000 + round))
		b, _ := json.Marshal(items)
		var again []item
		json.Unmarshal(b, &again)
		total += len(again) + pack(b)
		total += len(regexp.MustCompile(`w(\d)+7`).FindAllString(string(b[:200000]), -1))
		total += len(strings.Fields(strings.ReplaceAll(string(b), ",", " ")))
	}
	ch := make(chan int)
	for g := range 4 {
		go func() { ch <- fib(22 + g) }()
	}
	for range 4 {
		total += <-ch
	}
	fmt.Println(total)
}
