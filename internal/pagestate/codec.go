package pagestate

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

/*
The encoding, version 1. Numbers are unsigned varints, sizes in pages.

	version   1 byte: 1
	form      1 byte: 0 against the base image, 1 a whole state against nothing
	base      size of the base image; 0 in a whole state
	size      size of the memory that it yields
	yield     16 bytes: xxh3-128 of what it yields, see yieldHash
	table     its length, its coded length, coded bytes (see table.append)
	blocks    the literal pages, ascending, each XORed with its page of the base,
	          blockPages to a block: coded length, coded bytes
	hashes    16 bytes for each page by hash: its SHA-256, cut

Coded bytes are zstd, or, when the coded length is the plain one, plain. A page in
no list is as in the base, or zero in a whole state. Pages beyond the base are XORed
with nothing.

The yield hash finds accidents: another base, a damaged message. It need not stop a
peer that lies, which could as well name the content it likes; TLS authenticates the
peer. So it is a fast hash and never an address of content.
*/
const (
	formatVersion = 1
	formDelta     = 0
	formWhole     = 1

	// blockPages is what is compressed at a time: 1 MiB. Larger blocks gain little,
	// smaller ones lose matches between pages.
	blockPages = 256

	sumSize = 16
)

// codecTemp is what encoding and decoding reuse, since the collector is off while
// a guest runs.
type codecTemp struct {
	packed []byte
	table  []byte
	lists  table
	hash   *xxh3.Hasher
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	// Without checksum: the yield hash covers all. NewWriter fails for bad options alone.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err)
	}
	return e
})

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	// DecodeAll writes no more than the capacity it is given, so a bomb stops there.
	d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(blockPages*PageSize*8))
	if err != nil {
		panic(err)
	}
	return d
})

// appendCoded appends the coded length and the coded bytes of plain.
func (c *codecTemp) appendCoded(dst, plain []byte) []byte {
	coded := plain
	if len(plain) > 48 { // a frame costs about ten bytes
		if c.packed = encoder().EncodeAll(plain, c.packed[:0]); len(c.packed) < len(plain) {
			coded = c.packed
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(coded)))
	return append(dst, coded...)
}

// decodeCoded reads what appendCoded wrote into plain, which has the exact length.
// Plain coding is returned as it lies in the message, without a copy.
func (d *decoder) decodeCoded(plain []byte) []byte {
	n := d.uvarint(uint64(len(plain)))
	coded := d.bytes(n)
	if d.err != nil || int(n) == len(plain) {
		return coded
	}
	out, err := zstdDecoder().DecodeAll(coded, plain[:0:len(plain)])
	if err != nil || len(out) != len(plain) {
		d.fail("%d bytes decode to %d of %d: %v", n, len(out), len(plain), err)
		return nil
	}
	return out
}

// begin starts the yield hash: the head and the table, then the content of the
// literal pages and of the pages by hash, both ascending.
func (c *codecTemp) begin(form byte, base, size uint64, table []byte) {
	if c.hash == nil {
		c.hash = xxh3.New()
	}
	c.hash.Reset()
	var head [17]byte
	head[0] = form
	binary.LittleEndian.PutUint64(head[1:], base)
	binary.LittleEndian.PutUint64(head[9:], size)
	_, _ = c.hash.Write(head[:]) // a hash never fails
	_, _ = c.hash.Write(table)
}

func (c *codecTemp) sum() [sumSize]byte { return c.hash.Sum128().Bytes() }

// dense guesses from a few hundred of its bytes whether a page is past compressing:
// of 256 random bytes about 162 are distinct, of text or code far fewer.
func dense(page []byte) bool {
	var seen [256 / 64]uint64
	distinct := 0
	for i := 0; i < PageSize; i += PageSize / 256 {
		// A stride that is odd, lest only one byte of each word is looked at.
		v := page[(i*17)%PageSize]
		bit := uint64(1) << (v & 63)
		if seen[v>>6]&bit == 0 {
			seen[v>>6] |= bit
			distinct++
		}
	}
	return distinct >= 136
}

// allDense tells whether no page of a block, but for a stray one, may be compressed.
func allDense(block []byte) bool {
	stray := 0
	for ; len(block) > 0; block = block[PageSize:] {
		if !dense(block[:PageSize]) {
			if stray++; stray > 1 {
				return false
			}
		}
	}
	return true
}

// blockWriter gathers literal pages into blocks behind dst.
type blockWriter struct {
	c     *codecTemp
	dst   []byte
	left  int // pages still to come
	begin int // where the open block's room for its length starts, -1 when none is open
	plain int // plain bytes of the open block
	raw   int // blocks that did not compress, in a row
}

const lenRoom = 3 // the length of a full plain block, so that such a block is never moved

// next returns room for the XOR of up to n pages and how many it is for.
func (w *blockWriter) next(n int) []byte {
	if w.begin < 0 {
		w.begin, w.plain = len(w.dst), 0
		w.dst = slices.Grow(w.dst, lenRoom+min(w.left, blockPages)*PageSize)
	}
	n = min(n, blockPages-w.plain/PageSize)
	at := w.begin + lenRoom + w.plain
	w.plain += n * PageSize
	w.left -= n
	return w.dst[at : at+n*PageSize : at+n*PageSize]
}

// close finishes the open block when it is full, or no page is to come.
func (w *blockWriter) close() {
	if w.begin < 0 || (w.plain < blockPages*PageSize && w.left > 0) {
		return
	}
	at := w.begin + lenRoom
	plain := w.dst[at : at+w.plain]
	w.dst = w.dst[:w.begin]
	w.begin = -1
	// After a block that did not compress, a look must do, but for every eighth.
	if w.raw%8 != 0 && allDense(plain) {
		w.raw++
		w.plainBlock(plain)
		return
	}
	w.c.packed = encoder().EncodeAll(plain, w.c.packed[:0])
	if len(w.c.packed) >= len(plain) {
		w.raw++
		w.plainBlock(plain)
		return
	}
	if len(w.c.packed) < len(plain)/32*31 {
		w.raw = 0
	} else {
		w.raw++
	}
	w.dst = binary.AppendUvarint(w.dst, uint64(len(w.c.packed)))
	w.dst = append(w.dst, w.c.packed...)
}

// plainBlock keeps the block, which lies lenRoom behind the end of dst, as it is.
func (w *blockWriter) plainBlock(plain []byte) {
	var room [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(room[:], uint64(len(plain)))
	w.dst = append(w.dst, room[:n]...)
	w.dst = w.dst[:len(w.dst)+copy(w.dst[len(w.dst):cap(w.dst)], plain)]
	if w.left > 0 { // more of the kind is likely: one growth instead of many
		w.dst = slices.Grow(w.dst, w.left*PageSize+(w.left/blockPages+1)*(lenRoom+1)+4096)
	}
}
