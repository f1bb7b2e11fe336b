package profile

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// trees draws small trees with shared contexts, now and then with sums that
// would wrap around.
func trees() *rapid.Generator[*Tree] {
	value := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Just(uint64(math.MaxUint64-1)))
	return rapid.Custom(func(t *rapid.T) *Tree {
		tree := New()
		tree.Runs = rapid.Uint64Range(0, 3).Draw(t, "runs")
		for range rapid.IntRange(0, 6).Draw(t, "contexts") {
			at := tree.Root
			for range rapid.IntRange(0, 3).Draw(t, "depth") {
				at = at.Make(rapid.SampledFrom([]uint32{0, 1, 7, Other}).Draw(t, "function"))
			}
			fields := at.fields()
			*fields[rapid.IntRange(0, numFields-1).Draw(t, "sum")] = value.Draw(t, "value")
		}
		return tree
	})
}

func merged(list ...*Tree) *Tree {
	out := New()
	for _, t := range list {
		out.Merge(t)
	}
	return out
}

func equal(a, b *Tree) bool { return bytes.Equal(a.Encode(), b.Encode()) }

func TestMergeIsAssociativeAndCommutative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := trees().Draw(t, "a"), trees().Draw(t, "b"), trees().Draw(t, "c")
		if !equal(merged(a, b), merged(b, a)) {
			t.Error("a+b is not b+a")
		}
		if !equal(merged(merged(a, b), c), merged(a, merged(b, c))) {
			t.Error("(a+b)+c is not a+(b+c)")
		}
		if !equal(merged(a), a) {
			t.Error("merging into nothing changes a tree")
		}
	})
}

func TestMergeLeavesItsArgumentAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := trees().Draw(t, "a"), trees().Draw(t, "b")
		before := b.Encode()
		a.Merge(b)
		a.Merge(a)
		if !bytes.Equal(before, b.Encode()) {
			t.Error("it changed, so the two trees share nodes")
		}
	})
}

func TestATreeSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := trees().Draw(t, "a")
		b, err := Decode(a.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !equal(a, b) || a.Len() != b.Len() {
			t.Error("another tree came out")
		}
	})
}

func TestThePartsOfATreeMergeToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := trees().Draw(t, "a")
		const limit = 300 // one node with large sums is about that
		parts := New()
		for _, b := range a.Split(limit) {
			if len(b) > 2*limit {
				t.Errorf("a part of %d bytes, asked for %d", len(b), limit)
			}
			p, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			parts.Merge(p)
		}
		if !equal(a, parts) {
			t.Error("they merge to another tree")
		}
	})
}

// total is the sum over all nodes.
func total(t *Tree) Stats {
	all := t.Root.Stats
	t.Walk(func(n *Node, _ []*Node) { all.Add(&n.Stats) })
	return all
}

func TestABoundedTreeIsSmallAndItsSumsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := trees().Draw(t, "a")
		want, limit := total(a), rapid.IntRange(0, 5).Draw(t, "limit")
		a.Bound(limit)
		if n := a.Len(); n > limit+1 {
			t.Errorf("%d nodes, at most %d and Other are allowed", n, limit)
		}
		if total(a) != want {
			t.Errorf("sums changed from %+v to %+v", want, total(a))
		}
		a.Walk(func(n *Node, context []*Node) {
			if n.Func == Other && len(context) == 1 && len(n.Children) > 0 && limit == 0 {
				t.Error("Other has something below it that was to be folded")
			}
		})
	})
}

func TestBoundKeepsWhatTakesTheMostTime(t *testing.T) {
	a := New()
	for f := range uint32(10) {
		a.Root.Make(f).Device = Cost{Calls: 1, Nanos: uint64(f), Self: uint64(f)}
	}
	a.Bound(3)
	for f := range uint32(10) {
		if kept := a.Root.Child(f) != nil; kept != (f >= 7) {
			t.Errorf("function %d kept: %v", f, kept)
		}
	}
	if o := a.Root.Child(Other); o == nil || o.Device.Nanos != 21 {
		t.Errorf("Other is %+v", o)
	}
}

func TestDecodeRefusesWhatIsNoTree(t *testing.T) {
	good := merged(func() *Tree { t := New(); t.Root.Make(3).Make(4).Calls = 5; return t }()).Encode()
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"another version":    append([]byte{9}, good[1:]...),
		"cut off":            good[:len(good)-1],
		"more than all":      append(bytes.Clone(good), 0),
		"too many nodes":     {1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"nodes in no bytes":  {1, 0, 0, 5},
		"a later parent":     {1, 0, 0, 1, 1, 0},
		"the root as callee": {1, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"one context twice":  {1, 0, 0, 2, 0, 3, 0, 3},
		"too many sums":      {1, 0, 0x80, 0x04},
	} {
		if tree, err := Decode(b); !errors.Is(err, ErrMalformed) || tree != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := []byte{1, 2, numFields + 2}
	later = append(later, make([]byte, numFields+2)...)
	if tree, err := Decode(append(later, 0)); err != nil || tree.Runs != 2 {
		t.Errorf("a tree with sums of a later version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	a := New()
	a.Root.Make(3).Make(4).Calls = 5
	f.Add(a.Encode())
	f.Add([]byte{1, 0, 0, 2, 0, 3, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if tree.Len() > MaxNodes {
			t.Fatalf("%d nodes", tree.Len())
		}
		again, err := Decode(tree.Encode())
		if err != nil || !equal(tree, again) {
			t.Fatalf("its encoding is another tree: %v", err)
		}
		tree.Merge(again)
		tree.Bound(3)
		if tree.Len() > 4 {
			t.Fatalf("%d nodes after Bound(3)", tree.Len())
		}
	})
}
