package site

import (
	"crypto/sha256"
	"fmt"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// ReadKind says what an attempt looked at. The numbers are part of the wire
// format.
type ReadKind uint8

// The kinds of reads.
const (
	ReadFile     ReadKind = iota + 1 // metadata or content: the whole identity counts
	ReadThrough                      // walked through or changed inside: device, inode and type count
	ReadMissing                      // a failed lookup: its errno counts
	ReadListing                      // a listing: its hash counts
	ReadLink                         // a symbolic link's target: identity and target count
	ReadWritable                     // an answer that holds only where the folder's entries may be changed
)

// Read is one look at the device. Path is empty when Handle itself was
// looked at.
type Read struct {
	Kind   ReadKind
	Handle wasi.Handle
	Path   string
	Type   wasi.Filetype
	ID     wasi.Identity
	Errno  wasi.Errno
	Hash   [16]byte
	Target string
}

// Reads is a set of looks that must still hold (PROTOCOL rules 13 and 15).
type Reads []Read

// Encode appends r's bytes to b.
func (r Reads) Encode(b []byte) []byte {
	e := encoder{b}
	e.u(uint64(len(r)))
	for _, x := range r {
		e.u(uint64(x.Kind))
		e.u(uint64(x.Handle))
		e.str(x.Path)
		switch x.Kind {
		case ReadFile, ReadThrough:
			e.u(uint64(x.Type))
			e.identity(x.ID)
		case ReadMissing:
			e.u(uint64(x.Errno))
		case ReadListing:
			e.b = append(e.b, x.Hash[:]...)
		case ReadLink:
			e.identity(x.ID)
			e.str(x.Target)
		}
	}
	return e.b
}

// DecodeReads reads a read set from b, which may be hostile.
func DecodeReads(b []byte) (Reads, error) {
	d := decoder{b: b}
	var r Reads
	for range d.count(MaxReads, "reads") {
		x := Read{Kind: ReadKind(d.u()), Handle: d.handle(), Path: d.str(2*wasi.MaxPath, "path")}
		switch x.Kind {
		case ReadFile, ReadThrough:
			x.Type, x.ID = d.filetype(), d.identity()
		case ReadMissing:
			x.Errno = d.errno()
		case ReadListing:
			if len(d.b) < len(x.Hash) {
				d.fail("hash")
				break
			}
			d.b = d.b[copy(x.Hash[:], d.b):]
		case ReadLink:
			x.Type, x.ID, x.Target = wasi.FiletypeSymbolicLink, d.identity(), d.str(MaxTarget, "target")
		case ReadWritable:
		default:
			d.fail("kind of read")
		}
		if d.err != nil {
			break
		}
		r = append(r, x)
	}
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("decode reads: %w", err)
	}
	return r, nil
}

// HashListing returns what identifies a listing: the first half of the
// SHA-256 of its names, inodes and types, in its order.
func HashListing(ds []wasi.Dirent) (h [16]byte) {
	e := encoder{make([]byte, 0, 32*len(ds))}
	e.dirents(ds)
	sum := sha256.Sum256(e.b)
	copy(h[:], sum[:])
	return h
}
