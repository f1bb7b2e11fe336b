package profile

// next is the context of a call of candidate k in the context at: the context
// that k has already where it occurs on the way there, else a child. Most calls
// are found in a small cache, because the same few follow each other.
func (c *Collector) next(at uint32, k int) uint32 {
	slot := &c.cache[(at*31+uint32(k))%cacheSize]
	if slot.from == at+1 && slot.k == uint32(k) {
		return slot.to
	}
	slot.from, slot.k, slot.to = at+1, uint32(k), c.find(at, int32(k))
	return slot.to
}

func (c *Collector) find(at uint32, k int32) uint32 {
	for p := at; p != root; p = c.nodes[p].parent {
		if c.nodes[p].k == k {
			return p // it recurs
		}
		if c.nodes[p].k < 0 {
			return p // Other has nothing below it
		}
	}
	for i := c.nodes[at].child; i != 0; i = c.nodes[i].sibling {
		if c.nodes[i].k == k {
			return i
		}
	}
	if len(c.nodes) <= c.conf.MaxNodes {
		return c.add(at, k)
	}
	for i := c.nodes[root].child; i != 0; i = c.nodes[i].sibling {
		if c.nodes[i].k < 0 {
			return i
		}
	}
	return c.add(root, -1)
}

func (c *Collector) add(parent uint32, k int32) uint32 {
	i := uint32(len(c.nodes))
	c.nodes = append(c.nodes, node{k: k, parent: parent, sibling: c.nodes[parent].child})
	c.nodes[parent].child = i
	return i
}
