package pagestate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
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
	yield     16 bytes: xxh3-128 of what it yields, see begin
	table     its length, its coded length, coded bytes (see table.append); zstd,
	          or plain when the two lengths are equal
	hashes    16 bytes for each page by hash: its SHA-256, cut
	literals  the literal pages, ascending, each XORed with its page of the base, as
	          one zstd stream up to the end; nothing when there are none

A page in no list is as in the base, or zero in a whole state. Pages beyond the base
are XORed with nothing.

One stream, as pages resemble others far away: cut into blocks of 1 MiB the same
pages took up to 40 times the bytes. What does not compress costs little: the encoder
passes it at several gigabytes a second and the decoder at twice that.

The yield hash finds accidents: another base, a damaged message. It need not stop a
peer that lies, which could as well name the content it likes; TLS authenticates the
peer. So it is a fast hash and never an address of content.
*/
const (
	formatVersion = 1
	formDelta     = 0
	formWhole     = 1

	sumSize = 16

	// chunkPages is how many pages are XORed, hashed and compressed at a time: 128 KiB,
	// a block of zstd's, so that all of it happens inside the cache.
	chunkPages = 32

	// maxWindow is how far back, in bytes, a stream may refer that we decode: it
	// bounds the decoder's memory. The encoder's level uses 4 MiB.
	maxWindow = 8 << 20
)

// codecTemp is what encoding and decoding reuse, since the collector is off while
// a guest runs.
type codecTemp struct {
	packed []byte
	plain  []byte
	table  []byte
	lists  table
	hash   *xxh3.Hasher
}

// Streams and whole buffers have coders of their own: a zstd.Decoder that is in a
// stream blocks DecodeAll for good.
var (
	streamEncoders = sync.Pool{New: func() any { return newEncoder() }}
	streamDecoders = sync.Pool{New: func() any {
		return newDecoder(zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	}}
	tableEncoder = sync.OnceValue(newEncoder)
	tableDecoder = sync.OnceValue(func() *zstd.Decoder {
		// DecodeAll writes no more than the capacity it is given, so a bomb stops there.
		return newDecoder(zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(maxWindow))
	})
)

func newEncoder() *zstd.Encoder {
	// Without checksum: the yield hash covers all. One thread, as the guest has one
	// too and waits. NewWriter fails for bad options alone.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return e
}

func newDecoder(opts ...zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, opts...)
	if err != nil {
		panic(err)
	}
	return d
}

// appendCoded appends the coded length and the coded bytes of plain.
func (c *codecTemp) appendCoded(dst, plain []byte) []byte {
	coded := plain
	if len(plain) > 48 { // a frame costs about ten bytes
		if c.packed = tableEncoder().EncodeAll(plain, c.packed[:0]); len(c.packed) < len(plain) {
			coded = c.packed
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(coded)))
	return append(dst, coded...)
}

// coded reads what appendCoded wrote of so many plain bytes.
func (d *decoder) coded(plain uint64) []byte {
	n := d.uvarint(plain)
	coded := d.bytes(n)
	if d.err != nil || n == plain {
		return coded
	}
	out, err := tableDecoder().DecodeAll(coded, make([]byte, 0, plain))
	if err != nil || uint64(len(out)) != plain {
		d.fail("%d bytes decode to %d of %d: %v", n, len(out), plain, err)
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

// appender is the writer below a stream encoder.
type appender struct {
	dst   []byte
	first int // len(dst) at the start
	taken int // plain bytes given to the encoder so far,
	total int // and in all
}

func (a *appender) Write(b []byte) (int, error) {
	if cap(a.dst)-len(a.dst) < len(b) {
		// One growth for all that is to come, as it compressed so far: copying tens
		// of megabytes, and touching new ones, is what costs here.
		done := len(a.dst) - a.first + len(b)
		a.dst = slices.Grow(a.dst, len(b)+int(float64(done)/float64(max(a.taken, 1))*float64(a.total-a.taken))+512)
	}
	a.dst = append(a.dst, b...)
	return len(b), nil
}

// literalReader decodes a stream into exactly the bytes asked for.
type literalReader struct {
	d *zstd.Decoder
}

func openLiterals(coded []byte) (literalReader, error) {
	r := literalReader{streamDecoders.Get().(*zstd.Decoder)}
	if err := r.d.Reset(bytes.NewReader(coded)); err != nil {
		r.close()
		return literalReader{}, err
	}
	return r, nil
}

func (r literalReader) fill(b []byte) error {
	_, err := io.ReadFull(r.d, b)
	return err
}

// end returns an error unless the stream ends here.
func (r literalReader) end() error {
	var b [1]byte
	switch n, err := r.d.Read(b[:]); {
	case n != 0 || err == nil:
		return errors.New("more follows")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func (r literalReader) close() {
	_ = r.d.Reset(nil) // lets go of the message
	streamDecoders.Put(r.d)
}
