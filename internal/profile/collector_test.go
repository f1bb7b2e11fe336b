package profile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the obvious profile: contexts are lists of functions, and time is
// counted in steps, to the innermost context and once to each active one.
type model struct {
	stack []*modelCall
	nodes map[string]*Stats
	home  map[int][]int
}

type modelCall struct {
	k       int
	path    []int
	resumed bool
}

func key(path []int) string { return fmt.Sprint(path) }

func (m *model) at(path []int) *Stats {
	s := m.nodes[key(path)]
	if s == nil {
		s = &Stats{}
		m.nodes[key(path)] = s
	}
	return s
}

func (m *model) top() []int {
	if n := len(m.stack); n > 0 {
		return m.stack[n-1].path
	}
	return nil
}

// next folds a function that is on the path already.
func (m *model) next(path []int, k int) []int {
	if i := slices.Index(path, k); i >= 0 {
		return path[:i+1]
	}
	return append(slices.Clone(path), k)
}

func (m *model) enter(k int, how Entry) {
	path := m.next(m.top(), k)
	call := &modelCall{k: k, path: path}
	if how == Fresh {
		m.home[k] = path
		m.at(path).Calls++
	} else {
		if home, ok := m.home[k]; ok && how == Resumed {
			call.path, call.resumed = home, true
		}
		call.resumed = how == Resumed
		m.at(call.path).Reentries++
	}
	m.stack = append(m.stack, call)
}

// step lets time pass.
func (m *model) step(ns uint64) {
	m.at(m.top()).Device.Self += ns
	active := map[string][]int{}
	for _, c := range m.stack {
		active[key(c.path)] = c.path
		for i := 1; c.resumed && i < len(c.path); i++ {
			active[key(c.path[:i])] = c.path[:i]
		}
	}
	for _, path := range active {
		m.at(path).Device.Nanos += ns
	}
}

func TestACollectorCountsAsTheModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const funcs = 5
		now := int64(0)
		c := NewCollector(Config{Funcs: []uint32{10, 11, 12, 13, 14}, Clock: func() int64 { return now }})
		m := &model{nodes: map[string]*Stats{}, home: map[int][]int{}}
		got := New()
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				d := rapid.Int64Range(0, 100).Draw(t, "ns")
				now += d
				m.step(uint64(d))
			},
			"enter": func(t *rapid.T) {
				k, how := rapid.IntRange(0, funcs-1).Draw(t, "k"), Entry(rapid.IntRange(0, 2).Draw(t, "how"))
				if !c.Enter(k, how) {
					t.Fatal("refused")
				}
				m.enter(k, how)
			},
			"leave": func(t *rapid.T) {
				if len(m.stack) == 0 {
					if _, ok := c.Leave(0); ok {
						t.Fatal("left what was never entered")
					}
					t.Skip()
				}
				k := m.stack[len(m.stack)-1].k
				if l, ok := c.Leave(k); !ok || l.Func != uint32(10+k) {
					t.Fatalf("left %+v, %v", l, ok)
				}
				m.stack = m.stack[:len(m.stack)-1]
			},
			"import": func(t *rapid.T) {
				c.Import(ImportRead)
				m.at(m.top()).Imports[ImportRead]++
			},
			"take": func(*rapid.T) { got.Merge(c.Take()) },
		})
		c.Unwind(0)
		got.Merge(c.Take())
		if got.Runs != 1 {
			t.Errorf("%d runs", got.Runs)
		}
		seen := 0
		compare := func(n *Node, path []int) {
			want := *m.at(path)
			have := n.Stats
			have.Device.Calls = 0 // how many calls were whole is another test's
			if have != want {
				t.Errorf("context %v:\n have %+v\n want %+v", path, have, want)
			}
			if have != (Stats{}) {
				seen++
			}
		}
		got.Root.Device.Nanos = 0
		compare(got.Root, nil)
		got.Walk(func(n *Node, context []*Node) {
			var path []int
			for _, p := range context {
				path = append(path, int(p.Func)-10)
			}
			compare(n, path)
		})
		for path, s := range m.nodes {
			if *s != (Stats{}) {
				seen--
			} else {
				delete(m.nodes, path)
			}
		}
		if seen != 0 {
			t.Errorf("the tree has %d more contexts than the model", seen)
		}
	})
}

// clock is time that passes when told.
type clock struct{ now int64 }

func (c *clock) read() int64 { return c.now }

// call enters k, lets f run, and leaves.
func (c *Collector) call(k int, f func()) {
	c.Enter(k, Fresh)
	f()
	c.Leave(k)
}

func TestInclusiveTimeIsSelfTimeAndThatOfCallees(t *testing.T) {
	var now clock
	c := NewCollector(Config{Funcs: []uint32{0, 1, 2}, Clock: now.read})
	pass := func(ns int64) func() { return func() { now.now += ns } }
	for range 3 {
		c.call(0, func() {
			now.now += 5
			c.call(1, func() { now.now += 7; c.call(2, pass(11)) })
			c.call(2, pass(13))
			now.now += 17
		})
	}
	tree := c.Take()
	var check func(n *Node)
	check = func(n *Node) {
		sum := n.Device.Self
		for _, c := range n.Children {
			sum += c.Device.Nanos
			check(c)
		}
		if n.Func != Root && (sum != n.Device.Nanos || n.Device.Calls != 3 || n.Calls != 3) {
			t.Errorf("function %d: %+v; self and callees are %d", n.Func, n.Device, sum)
		}
	}
	check(tree.Root)
	if n := tree.Root.Child(0); n.Device.Nanos != 3*(5+7+11+13+17) || n.Child(1).Child(2).Device.Self != 33 {
		t.Errorf("the outermost is %+v", n.Device)
	}
}

func TestAGoCallThatUnwindsIsOneCallWithTheTimesOfItsReentries(t *testing.T) {
	var now clock
	// 0 runs the scheduler's loop; 1 calls 2, which waits for another goroutine.
	c := NewCollector(Config{Funcs: []uint32{0, 1, 2}, Clock: now.read})
	c.call(0, func() {
		c.call(1, func() { // from the beginning
			now.now += 10
			c.call(2, func() { now.now += 20 }) // unwinds
		})
		for range 3 { // the loop goes on with the innermost
			now.now++
			c.Enter(2, Resumed)
			now.now += 30
			c.Leave(2)
		}
		c.Enter(1, Resumed)
		now.now += 40
		c.Leave(1)
	})
	tree := c.Take()
	one := tree.Root.Child(0).Child(1)
	two := one.Child(2)
	if one.Calls != 1 || one.Reentries != 1 || one.Device != (Cost{Calls: 1, Nanos: 10 + 20 + 3*30 + 40, Self: 50}) {
		t.Errorf("the caller: %+v", one.Stats)
	}
	if two.Calls != 1 || two.Reentries != 3 || two.Device != (Cost{Calls: 1, Nanos: 110, Self: 110}) {
		t.Errorf("the callee: %+v", two.Stats)
	}
	if n := tree.Len(); n != 3 {
		t.Errorf("%d contexts, want 3: a re-entry has none of its own", n)
	}
}

func TestACallThatMovedIsNoTimeOfTheDevice(t *testing.T) {
	var now clock
	c := NewCollector(Config{Funcs: []uint32{0, 1}, Clock: now.read})
	c.call(0, func() {
		now.now += 5
		c.Depart()
		now.now += 100
		c.Arrive(1, Fresh, Moved{Remote: 60, Up: 7, Down: 8, Dirtied: 4096})
		now.now += 6
		c.Depart()
		now.now += 50
		c.Arrive(1, Fresh, Moved{Failed: true, Up: 1, Dirtied: -1})
	})
	c.call(0, func() { now.now += 3 })
	n := c.Take().Root.Child(0)
	if n.Device != (Cost{Calls: 1, Nanos: 3, Self: 14}) || n.Mixed != (Cost{Calls: 1, Nanos: 161}) {
		t.Errorf("the caller: %+v, mixed %+v", n.Device, n.Mixed)
	}
	want := Stats{
		Calls: 1, Clone: Cost{Calls: 1, Nanos: 60, Self: 60}, Away: 100, Fallbacks: 1, Lost: 50,
		Up: 8, Down: 8, DirtyCalls: 1, Dirtied: 4096,
	}
	if m := n.Child(1); m.Stats != want {
		t.Errorf("the call that moved: %+v", m.Stats)
	}
}

func TestATreeStaysWithinItsLimit(t *testing.T) {
	var now clock
	funcs := make([]uint32, 100)
	for i := range funcs {
		funcs[i] = uint32(i)
	}
	c := NewCollector(Config{Funcs: funcs, Clock: now.read, MaxNodes: 10})
	for range 3 {
		for k := range funcs {
			c.Enter(k, Fresh)
			now.now++
		}
		c.Unwind(0)
	}
	tree := c.Take()
	if n := tree.Len(); n != 11 {
		t.Errorf("%d contexts, want 10 and Other", n)
	}
	if o := tree.Root.Child(Other); o == nil || o.Device.Self != 3*90 || len(o.Children) > 0 {
		t.Errorf("Other is %+v", o)
	}
	if s := total(tree); s.Calls != 300 || s.Device.Self != 300 {
		t.Errorf("in all %+v", s)
	}
}

func TestDepthIsBounded(t *testing.T) {
	var now clock
	c := NewCollector(Config{Funcs: []uint32{0}, Clock: now.read})
	for range maxDepth {
		if !c.Enter(0, Fresh) {
			t.Fatal("refused too early")
		}
	}
	if c.Enter(0, Fresh) {
		t.Error("a call beyond the bound was taken")
	}
	c.Unwind(0)
	if c.Depth() != 0 {
		t.Error("calls are left")
	}
}

// arms notes what is armed.
type arms map[int]bool

func (a arms) arm(k int, on bool) { a[k] = on }

const every = int64(150 * time.Microsecond)

func TestAShortFunctionIsDisarmedAndSeenAgainLater(t *testing.T) {
	var now clock
	armed := arms{0: true, 1: true}
	c := NewCollector(Config{Funcs: []uint32{0, 1}, Clock: now.read, Every: every, Arm: armed.arm})
	seen := 0
	for range 200_000 { // two seconds: a long call of 0 every 20 ms, with short ones of 1
		if now.now%int64(20*time.Millisecond) == 0 {
			c.call(0, func() { now.now += int64(5 * time.Millisecond) })
		}
		if armed[1] {
			seen++
			c.call(1, func() {})
		}
		now.now += int64(10 * time.Microsecond)
		c.Due(now.now)
	}
	if !armed[0] {
		t.Error("the long function is disarmed")
	}
	if seen < 2*window || seen > 6*window {
		t.Errorf("the short one was seen %d times, want a few windows of %d", seen, window)
	}
	if n := c.Take().Root.Child(1); n.Rested < 2 || n.Calls != uint64(seen) {
		t.Errorf("the short one: %+v", n.Stats)
	}
}

func TestALongFunctionThatRecursIsDisarmedOnlyInside(t *testing.T) {
	var now clock
	armed := arms{0: true}
	c := NewCollector(Config{Funcs: []uint32{0}, Clock: now.read, Every: every, Arm: armed.arm})
	for range 10 {
		if !armed[0] {
			t.Fatal("its next call would not be seen")
		}
		c.call(0, func() {
			for range 10_000 {
				if armed[0] {
					c.call(0, func() {})
				}
				now.now += 1000
			}
		})
	}
	n := c.Take().Root.Child(0)
	if n.Device.Calls != 10 || n.Device.Nanos != 10*10_000*1000 {
		t.Errorf("%+v", n.Device)
	}
	if n.Calls > 10*2*window {
		t.Errorf("%d of 100,000 calls inside were looked at", n.Calls)
	}
}

func TestManyFunctionsTogetherStayBelowTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var now clock
		armed := arms{}
		funcs := make([]uint32, 64)
		weights := make([]int, len(funcs))
		for i := range funcs {
			funcs[i], armed[i] = uint32(i), true
			weights[i] = rapid.IntRange(1, 20).Draw(t, "weight")
		}
		c := NewCollector(Config{Funcs: funcs, Clock: now.read, Every: every, Arm: armed.arm})
		entries := 0
		for now.now < int64(4*time.Second) {
			for k, w := range weights {
				for range w {
					if armed[k] {
						entries++
						c.call(k, func() {})
					}
					now.now += int64(2 * time.Microsecond)
				}
			}
			c.Due(now.now)
		}
		// The rate, and a few windows for each function in each of its rests.
		if most := int(now.now/every) + 4*64*window; entries > most {
			t.Errorf("%d entries in 4 s, want at most %d", entries, most)
		}
	})
}

func TestWatchingAllocatesNothing(t *testing.T) {
	began := time.Now()
	c := NewCollector(Config{Funcs: []uint32{0, 1}, Clock: func() int64 { return int64(time.Since(began)) }, Every: 1, Arm: func(int, bool) {}})
	one := func() {
		c.Enter(0, Fresh)
		c.Enter(1, Fresh)
		c.Import(ImportRead)
		c.Leave(1)
		c.Leave(0)
	}
	if n := testing.AllocsPerRun(1000, one); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkEntry gives what an entry and an exit cost in the collector, of a
// function in a context of three.
func BenchmarkEntry(b *testing.B) {
	began := time.Now()
	c := NewCollector(Config{
		Funcs: []uint32{0, 1, 2, 3}, Clock: func() int64 { return int64(time.Since(began)) }, Every: 1, Arm: func(int, bool) {},
	})
	for k := range 3 {
		c.Enter(k, Fresh)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Enter(3, Fresh)
		c.Leave(3)
	}
}
