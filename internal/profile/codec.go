package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The encoding of a tree: uvarints. First the version (1), the number of runs,
// the number of sums per node, the root's sums, the number of further nodes; and
// then each of those, callers before callees: its parent (0 is the root, n the
// n-th node of the list), its function, its sums. Sums are append-only: a reader
// takes those that it knows and skips the rest.

const (
	codecVersion = 1
	// MaxNodes bounds the tree that Decode accepts.
	MaxNodes = 1 << 16
	// maxFields bounds the sums of a node that Decode accepts.
	maxFields = 256
)

// ErrMalformed is what Decode wraps.
var ErrMalformed = errors.New("malformed profile")

// Encode returns the tree's bytes, the same for equal trees.
func (t *Tree) Encode() []byte {
	nodes := t.list()
	return encode(t.Runs, t.Root, nodes)
}

// listed is a node with the number of its parent.
type listed struct {
	node   *Node
	parent int
}

// list gives the nodes in the order of the encoding, without the root.
func (t *Tree) list() []listed {
	var out []listed
	var visit func(n *Node, at int)
	visit = func(n *Node, at int) {
		for _, c := range n.Children {
			out = append(out, listed{c, at})
			visit(c, len(out))
		}
	}
	visit(t.Root, 0)
	return out
}

func encode(runs uint64, root *Node, nodes []listed) []byte {
	b := []byte{codecVersion}
	b = binary.AppendUvarint(b, runs)
	b = binary.AppendUvarint(b, numFields)
	b = appendStats(b, &root.Stats)
	b = binary.AppendUvarint(b, uint64(len(nodes)))
	for _, l := range nodes {
		b = binary.AppendUvarint(b, uint64(l.parent))
		b = binary.AppendUvarint(b, uint64(l.node.Func))
		b = appendStats(b, &l.node.Stats)
	}
	return b
}

func appendStats(b []byte, s *Stats) []byte {
	for _, f := range s.fields() {
		b = binary.AppendUvarint(b, *f)
	}
	return b
}

// Split returns encodings of trees that merge to t, each of about limit bytes
// at most, for messages that are bounded.
func (t *Tree) Split(limit int) [][]byte {
	var out [][]byte
	part := &Tree{Runs: t.Runs, Root: &Node{Func: Root, Stats: t.Root.Stats}}
	size := 0
	flush := func() {
		out = append(out, part.Encode())
		part, size = New(), 0
	}
	var visit func(n *Node, context []*Node)
	visit = func(n *Node, context []*Node) {
		for _, c := range n.Children {
			here := append(context, c)
			// Its callers come along without their sums where they are not in this
			// part already: some ten bytes and a zero for each sum.
			cost := len(appendStats(nil, &c.Stats)) + 16 + len(context)*(numFields+10)
			if size > 0 && size+cost > limit {
				flush()
			}
			size += cost
			at := part.Root
			for _, p := range here {
				at = at.Make(p.Func)
			}
			at.Stats = c.Stats
			visit(c, here)
		}
	}
	visit(t.Root, nil)
	flush()
	return out
}

// Decode is the inverse of Encode, for bytes from anywhere. Errors wrap
// ErrMalformed.
func Decode(b []byte) (*Tree, error) {
	d := decoder{b: b}
	if v := d.uvarint(); d.err == nil && v != codecVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows %d", ErrMalformed, v, codecVersion)
	}
	t := New()
	t.Runs = d.uvarint()
	fields := d.upTo(maxFields, "sums")
	d.stats(&t.Root.Stats, fields)
	n := d.upTo(MaxNodes, "nodes")
	if d.err == nil && n > len(d.b) {
		d.fail("%d nodes in %d bytes", n, len(d.b)) // before room for them is made
	}
	nodes := append(make([]*Node, 0, n+1), t.Root)
	for i := 0; i < n && d.err == nil; i++ {
		parent := d.upTo(uint64(i), "parent")
		f := d.upTo(uint64(Root)-1, "function")
		if d.err != nil {
			break
		}
		c, p := &Node{Func: uint32(f)}, nodes[parent]
		if last := len(p.Children) - 1; last >= 0 && p.Children[last].Func >= c.Func {
			d.fail("function %d behind function %d in one context", f, p.Children[last].Func)
			break
		}
		p.Children = append(p.Children, c)
		d.stats(&c.Stats, fields)
		nodes = append(nodes, c)
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind the end", len(d.b))
	}
	if d.err != nil {
		return nil, d.err
	}
	return t, nil
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) upTo(limit uint64, what string) int {
	v := d.uvarint()
	if d.err == nil && v > limit {
		d.fail("%s: %d, at most %d", what, v, limit)
		return 0
	}
	return int(v)
}

func (d *decoder) stats(s *Stats, fields int) {
	known := s.fields()
	for i := range fields {
		if v := d.uvarint(); i < len(known) {
			*known[i] = v
		}
	}
}
