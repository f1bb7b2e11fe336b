package site

import (
	"container/list"
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

const (
	blockSize    = 4096     // granule of changed content
	chunkSize    = 64 << 10 // granule of fetched content
	maxAhead     = 8        // chunks fetched at once when a file is read in order
	blockCost    = blockSize + 64
	maxFirstRead = chunkSize
)

// content is what the attempt changed of a file: blocks over the first limit
// bytes of what the device has, and zeros beyond those.
type content struct {
	blocks map[uint64]*block
	limit  uint64
}

// block holds 4 KiB of a file. The bytes in ours are the attempt's, the others
// the device's.
type block struct {
	data [blockSize]byte
	ours []span // in order, with gaps between them
}

// span is the bytes [lo, hi) of a block.
type span struct{ lo, hi int }

// take makes [lo, hi) ours.
func (b *block) take(lo, hi int) {
	i := 0
	for i < len(b.ours) && b.ours[i].hi < lo {
		i++
	}
	j := i
	for j < len(b.ours) && b.ours[j].lo <= hi {
		lo, hi = min(lo, b.ours[j].lo), max(hi, b.ours[j].hi)
		j++
	}
	b.ours = slices.Replace(b.ours, i, j, span{lo, hi})
}

// covers reports whether all of [lo, hi) is ours.
func (b *block) covers(lo, hi int) bool {
	for _, s := range b.ours {
		if s.lo <= lo && hi <= s.hi {
			return true
		}
	}
	return false
}

// cut gives up what is ours from at on, unless all is: then it is zeros.
func (b *block) cut(at int) {
	clear(b.data[at:])
	if b.covers(0, blockSize) {
		return
	}
	for i := range b.ours {
		b.ours[i].hi = min(b.ours[i].hi, at)
	}
	b.ours = slices.DeleteFunc(b.ours, func(s span) bool { return s.lo >= s.hi })
}

// mutable returns n's content for changing.
func (n *node) mutable() *content {
	if n.body == nil {
		n.body = &content{limit: n.stat.Size}
	}
	if n.body.blocks == nil {
		n.body.blocks = map[uint64]*block{}
	}
	return n.body
}

// readAt copies what the guest would see at off, at most to the file's end.
func (s *Site) readAt(n *node, buf []byte, off uint64) int {
	if off >= n.stat.Size {
		if n.base != nil && n.body == nil && n.stat.Size == 0 && len(buf) > 0 {
			s.chunk(n, 0) // ends the attempt if the device has bytes there
		}
		return 0
	}
	buf = buf[:min(uint64(len(buf)), n.stat.Size-off)]
	if n.body == nil {
		s.readBase(n, buf, off, n.stat.Size)
		return len(buf)
	}
	for done := 0; done < len(buf); {
		at := off + uint64(done)
		inner := int(at % blockSize)
		part := buf[done:min(len(buf), done+blockSize-inner)]
		b := n.body.blocks[at/blockSize]
		if b == nil || !b.covers(inner, inner+len(part)) {
			s.readBase(n, part, at, n.body.limit)
		}
		if b != nil {
			for _, o := range b.ours {
				if lo, hi := max(o.lo, inner), min(o.hi, inner+len(part)); lo < hi {
					copy(part[lo-inner:], b.data[lo:hi])
				}
			}
		}
		done += len(part)
	}
	return len(buf)
}

// readBase copies what the device has at off, zeros from limit on.
func (s *Site) readBase(n *node, buf []byte, off, limit uint64) {
	for len(buf) > 0 {
		if off >= limit || n.base == nil {
			clear(buf)
			return
		}
		c := s.chunk(n, off/chunkSize)
		inner := off % chunkSize
		part := buf[:min(uint64(len(buf)), chunkSize-inner, limit-off)]
		if inner+uint64(len(part)) > uint64(len(c)) {
			abort("changed on the device: " + n.base.path)
		}
		copy(part, c[inner:])
		buf, off = buf[len(part):], off+uint64(len(part))
	}
}

// writeAt changes content; the caller has checked that it fits and queues
// the effect.
func (s *Site) writeAt(n *node, data []byte, off uint64) {
	c := n.mutable()
	end := off + uint64(len(data))
	for len(data) > 0 {
		i, inner := off/blockSize, int(off%blockSize)
		part := data[:min(len(data), blockSize-inner)]
		b := c.blocks[i]
		if b == nil {
			s.log.spend(blockCost)
			b = &block{}
			c.blocks[i] = b
			if i*blockSize >= c.limit || n.base == nil {
				b.take(0, blockSize)
			}
		}
		copy(b.data[inner:], part)
		b.take(inner, inner+len(part))
		data, off = data[len(part):], off+uint64(len(part))
	}
	if end > n.stat.Size {
		n.stat.Size = end
	}
}

// resize sets the file's size.
func (s *Site) resize(n *node, size uint64) {
	c := n.mutable()
	if size < n.stat.Size {
		first := (size + blockSize - 1) / blockSize
		for i := range c.blocks {
			if i >= first {
				delete(c.blocks, i)
				s.log.refund(blockCost)
			}
		}
		if b := c.blocks[size/blockSize]; b != nil && size%blockSize != 0 {
			b.cut(int(size % blockSize))
		}
		c.limit = min(c.limit, size)
	}
	n.stat.Size = size
}

// cache keeps chunks of the device's files, the most recently used ones.
type cache struct {
	chunks map[chunkKey]*list.Element
	order  list.List // of *chunk, the latest first
	size   uint64
	limit  uint64
}

type chunkKey struct {
	n *node
	i uint64
}

type chunk struct {
	key  chunkKey
	data []byte
}

func (c *cache) get(k chunkKey) ([]byte, bool) {
	e := c.chunks[k]
	if e == nil {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*chunk).data, true
}

func (c *cache) put(k chunkKey, data []byte) {
	if c.chunks == nil {
		c.chunks = map[chunkKey]*list.Element{}
	}
	if c.chunks[k] != nil {
		return
	}
	c.chunks[k] = c.order.PushFront(&chunk{k, data})
	c.size += uint64(len(data)) + entryOverhead
	for c.size > c.limit && c.order.Len() > 1 {
		old := c.order.Remove(c.order.Back()).(*chunk)
		delete(c.chunks, old.key)
		c.size -= uint64(len(old.data)) + entryOverhead
	}
}

// chunk returns chunk i of what the device has of n. Files read in order are
// fetched ahead, ever more of them at once.
func (s *Site) chunk(n *node, i uint64) []byte {
	s.noteFull(n)
	k := chunkKey{n, i}
	if data, ok := s.pool.get(k); ok {
		return data
	}
	if i == n.nextChunk && i > 0 {
		n.ahead = min(max(2*n.ahead, 2), maxAhead)
	} else {
		n.ahead = 1
	}
	size := n.base.id.Size
	length := n.ahead * chunkSize
	if off := i * chunkSize; size > off {
		length = min(length, size-off)
	}
	p := s.ask(Request{
		Op: OpRead, Handle: n.base.root, Path: n.base.path, ID: n.base.id, Offset: i * chunkSize, Length: length,
	})
	s.noteFull(n)
	if p.Errno != wasi.ErrnoSuccess {
		abort("reading " + n.base.path + " on the device: " + p.Errno.String())
	}
	s.keep(n, i, p.Data, length)
	n.nextChunk = i + (length+chunkSize-1)/chunkSize
	data, _ := s.pool.get(k)
	return data
}

// keep caches data, which begins at chunk i and must be all that the file
// has there, up to length bytes.
func (s *Site) keep(n *node, i uint64, data []byte, length uint64) {
	have := n.base.id.Size - min(n.base.id.Size, i*chunkSize)
	if uint64(len(data)) != min(length, have) {
		abort("not a plain file on the device, or changed there: " + n.base.path)
	}
	// Backwards, so that the first one, which is wanted now, stays longest.
	for j := uint64(len(data)) / chunkSize; ; j-- {
		part := data[j*chunkSize:]
		data = data[:j*chunkSize]
		if len(part) > 0 || j == 0 {
			s.pool.put(chunkKey{n, i + j}, append(make([]byte, 0, len(part)), part...))
		}
		if j == 0 {
			return
		}
	}
}

// firstBlock takes over the bytes that a walk brought along.
func (s *Site) firstBlock(n *node, data []byte) {
	if n.typ == wasi.FiletypeRegularFile && n.base != nil {
		s.keep(n, 0, data, maxFirstRead)
		n.nextChunk, n.ahead = 1, 1
	}
}
