package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

//go:noinline
func work(n int) int {
	sum := 0
	for i := range n {
		sum = sum*31 + i
	}
	return sum
}

func goroutines([]string) {
	jobs, results := make(chan int), make(chan int, 4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for j := range jobs {
				results <- work(j * 1000)
			}
		})
	}
	go func() {
		for j := range 100 {
			jobs <- j
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("pool", sum)

	var mu sync.Mutex
	total := 0
	for i := range 50 {
		wg.Go(func() {
			for range 20 {
				mu.Lock()
				total += i
				mu.Unlock()
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	fmt.Println("mutex", total)

	done := make(chan struct{})
	ticks := make(chan int)
	go func() {
		for i := 0; ; i++ {
			select {
			case ticks <- i:
			case <-done:
				close(ticks)
				return
			}
		}
	}()
	last := 0
	for last < 1000 {
		last = <-ticks
	}
	close(done)
	fmt.Println("select", last)
}

type tree struct {
	left, right *tree
	data        []byte
}

func grow(depth int) *tree {
	t := &tree{data: make([]byte, 40)}
	if depth > 0 {
		t.left, t.right = grow(depth-1), grow(depth-1)
	}
	t.data[depth] = byte(depth)
	return t
}

func (t *tree) sum() int {
	if t == nil {
		return 0
	}
	s := len(t.data)
	for _, b := range t.data {
		s += int(b)
	}
	return s + t.left.sum() + t.right.sum()
}

func gc([]string) {
	keep := grow(12)
	sum := 0
	for range 20 {
		sum += grow(11).sum()
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println(sum, keep.sum(), m.NumGC > 2, m.HeapAlloc < 64<<20)
}

//go:noinline
func frames(n int) int {
	var pad [64]byte
	pad[n%64] = 1
	if n == 0 {
		return int(pad[0])
	}
	return frames(n-1) + int(pad[n%64])
}

func stack([]string) { fmt.Println(frames(200000)) }

func try(name string, f func()) {
	defer func() {
		r := recover()
		var re runtime.Error
		if err, ok := r.(error); ok && errors.As(err, &re) {
			fmt.Printf("%s: runtime error %v\n", name, re)
			return
		}
		fmt.Printf("%s: %v\n", name, r)
	}()
	f()
}

func noMap() map[string]int { return nil }

func recovers([]string) {
	var none *tree
	zero, list := 0, []int{1, 2, 3}
	var anything any = "text"
	try("nothing", func() {})
	try("value", func() { panic(42) })
	try("nested", func() {
		defer func() { panic(fmt.Sprint("second after ", recover())) }()
		panic("first")
	})
	try("index", func() { fmt.Println(list[zero+5]) })
	try("slice", func() { fmt.Println(list[zero+2 : zero+1]) })
	try("divide", func() { fmt.Println(1 / zero) })
	try("nil", func() { fmt.Println(none.data) })
	try("map", func() { noMap()["a"] = 1 })
	try("type", func() { fmt.Println(anything.(int)) })
	try("closed", func() { c := make(chan int); close(c); close(c) })
	total := 0
	for i := range 1000 {
		func() {
			defer func() { total += recover().(int) }()
			panic(i)
		}()
	}
	fmt.Println(total)
}

func panics([]string) {
	fmt.Println("before", work(100000))
	panic(errors.New("on purpose"))
}

func nilPointer([]string) {
	fmt.Println("before")
	var t *tree
	fmt.Println(t.left)
}

func deadlock([]string) {
	fmt.Println("before")
	<-make(chan int)
}

func exit(args []string) {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	defer fmt.Println("never printed")
	fmt.Println("leaving")
	os.Exit(code)
}

func sleeps([]string) {
	start := time.Now()
	order := make(chan int, 3)
	for _, ms := range []int{30, 10, 20} {
		go func() {
			time.Sleep(time.Duration(ms) * time.Millisecond)
			order <- ms
		}()
	}
	fmt.Println(<-order, <-order, <-order)
	select {
	case <-time.After(5 * time.Millisecond):
		fmt.Println("timeout")
	case <-order:
		fmt.Println("early")
	}
	fmt.Println(time.Since(start) >= 35*time.Millisecond)
}
