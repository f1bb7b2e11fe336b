package profile

import (
	"cmp"
	"container/heap"
	"math"
	"math/bits"
	"slices"
)

// Functions that are none of the module's.
const (
	// Root is the context outside all candidates.
	Root uint32 = math.MaxUint32
	// Other is what exceeded the size limit, whatever the context.
	Other uint32 = math.MaxUint32 - 1
)

// Import is a kind of import, by what it does to the world.
type Import uint8

// The kinds of import. All but the last are package wasi's classes, with their
// numbers; a poll is one of a clock or of a stream, and is not looked into.
const (
	ImportQuiet Import = iota
	ImportClock
	ImportRandom
	ImportRead
	ImportOutput
	ImportFileChange
	ImportImmediate
	ImportPoll

	NumImports = iota
)

var importNames = [NumImports]string{"quiet", "clock", "random", "read", "output", "fileChange", "immediate", "poll"}

// String names the kind, as in JSON.
func (i Import) String() string {
	if int(i) < len(importNames) {
		return importNames[i]
	}
	return "import"
}

// Cost is what calls took at one site.
type Cost struct {
	Calls uint64 // that are in Nanos: outermost ones, begun and ended
	Nanos uint64 // inclusive
	Self  uint64 // without the calls of candidates inside
}

// Stats are the sums of one context.
type Stats struct {
	// Calls are those that were seen, recursive ones included. A function that is
	// disarmed is not seen (Rested), so it may have been called more often.
	Calls uint64
	// Reentries are the times that a call was entered again behind its beginning:
	// a Go function that had unwound for the scheduler, or an asyncify rewind.
	// They belong to a call that is counted in Calls; their times are added to it.
	Reentries uint64
	// Device holds calls that ran on the device, whole. Self also has the device's
	// part of Mixed.
	Device Cost
	// Clone holds calls that ran on the clone: its time alone, without the link.
	Clone Cost
	// Mixed are calls that ran on the device and of which parts ran on the clone:
	// what they take on the device alone is not known from them.
	Mixed Cost // Self is 0
	// Away is what the calls of Clone took as the device saw it, from the capture
	// to the commit.
	Away uint64
	// Fallbacks are attempts that came to nothing, and Lost the time they took.
	Fallbacks, Lost uint64
	// Dirtied are the bytes of the pages that calls wrote to, of DirtyCalls calls
	// where it was found out. On the device pages that were dirty at the call's
	// beginning are not seen, so there it is a lower bound; of a moved call it is
	// exact.
	DirtyCalls, Dirtied uint64
	// Up and Down are what moved calls shipped, frames included.
	Up, Down uint64
	// Rested is how often the function was disarmed here, being too short for
	// what looking at it costs.
	Rested uint64
	// Imports are the calls of imports, by kind, of the function itself and of
	// what it calls that is no candidate.
	Imports [NumImports]uint64
}

// numFields is the number of sums in Stats.
const numFields = plainFields + NumImports

const plainFields = 19

// fields lists every sum, in the order of the encoding: append only.
func (s *Stats) fields() [numFields]*uint64 {
	f := [numFields]*uint64{
		&s.Calls, &s.Reentries,
		&s.Device.Calls, &s.Device.Nanos, &s.Device.Self,
		&s.Clone.Calls, &s.Clone.Nanos, &s.Clone.Self,
		&s.Mixed.Calls, &s.Mixed.Nanos, &s.Mixed.Self,
		&s.Away, &s.Fallbacks, &s.Lost, &s.DirtyCalls, &s.Dirtied, &s.Up, &s.Down, &s.Rested,
	}
	for i := range s.Imports {
		f[plainFields+i] = &s.Imports[i]
	}
	return f
}

// Add adds o, without wrapping around.
func (s *Stats) Add(o *Stats) {
	to, from := s.fields(), o.fields()
	for i := range to {
		*to[i] = sum(*to[i], *from[i])
	}
}

// sum adds and stays at the largest number instead of passing it, which is
// associative too.
func sum(a, b uint64) uint64 {
	n, over := bits.Add64(a, b, 0)
	if over != 0 {
		return math.MaxUint64
	}
	return n
}

// Spent is all the time of the context: at both sites, and waiting.
func (s *Stats) Spent() uint64 {
	return sum(sum(s.Device.Nanos, s.Mixed.Nanos), sum(s.Away, s.Lost))
}

// Node is one context.
type Node struct {
	Func uint32 // index in the original module
	Stats
	Children []*Node // by rising Func
}

// Tree is a profile. Its zero value is not ready for use; see New.
type Tree struct {
	Runs uint64
	Root *Node // Func is Root; its imports are those outside all candidates
}

// New returns an empty profile.
func New() *Tree { return &Tree{Root: &Node{Func: Root}} }

// Child returns the child for function f, or nil.
func (n *Node) Child(f uint32) *Node {
	if i, ok := n.search(f); ok {
		return n.Children[i]
	}
	return nil
}

// Make returns the child for function f, a new one if need be.
func (n *Node) Make(f uint32) *Node {
	i, ok := n.search(f)
	if !ok {
		n.Children = slices.Insert(n.Children, i, &Node{Func: f})
	}
	return n.Children[i]
}

func (n *Node) search(f uint32) (int, bool) {
	return slices.BinarySearchFunc(n.Children, f, func(c *Node, f uint32) int { return cmp.Compare(c.Func, f) })
}

// Walk calls f for every node, callers before callees, with its context: the
// nodes from below the root to its own. The slice is good during the call.
func (t *Tree) Walk(f func(n *Node, context []*Node)) {
	var visit func(n *Node, context []*Node)
	visit = func(n *Node, context []*Node) {
		for _, c := range n.Children {
			here := append(context, c)
			f(c, here)
			visit(c, here)
		}
	}
	visit(t.Root, nil)
}

// Len is the number of nodes without the root.
func (t *Tree) Len() int {
	n := 0
	t.Walk(func(*Node, []*Node) { n++ })
	return n
}

// Empty reports whether nothing was seen.
func (t *Tree) Empty() bool { return t.Runs == 0 && len(t.Root.Children) == 0 }

// Merge adds o to t; o stays as it is. It is associative and commutative.
func (t *Tree) Merge(o *Tree) {
	t.Runs = sum(t.Runs, o.Runs)
	merge(t.Root, o.Root)
}

func merge(to, from *Node) {
	to.Add(&from.Stats)
	for _, c := range from.Children {
		merge(to.Make(c.Func), c)
	}
}

// Bound folds the contexts that matter least into [Other] until no more than
// limit nodes are left beside it. Sums over the tree stay as they are.
func (t *Tree) Bound(limit int) {
	left := t.Len()
	if t.Root.Child(Other) != nil {
		left--
	}
	if left <= limit {
		return
	}
	other := t.Root.Make(Other)
	h := leaves{}
	parents := map[*Node]*Node{}
	t.Walk(func(n *Node, context []*Node) {
		if n == other {
			return
		}
		parents[n] = t.Root
		if len(context) > 1 {
			parents[n] = context[len(context)-2]
		}
		if len(n.Children) == 0 {
			h = append(h, n)
		}
	})
	heap.Init(&h)
	for ; left > limit && len(h) > 0; left-- {
		n := heap.Pop(&h).(*Node)
		p := parents[n]
		i, _ := p.search(n.Func)
		p.Children = slices.Delete(p.Children, i, i+1)
		other.Add(&n.Stats)
		if len(p.Children) == 0 && p != t.Root && p != other {
			heap.Push(&h, p)
		}
	}
}

// leaves is a heap of the nodes that could go, the cheapest first.
type leaves []*Node

func (h leaves) Len() int           { return len(h) }
func (h leaves) Less(i, j int) bool { return h[i].Spent() < h[j].Spent() }
func (h leaves) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *leaves) Push(x any)        { *h = append(*h, x.(*Node)) }
func (h *leaves) Pop() any {
	n := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return n
}
