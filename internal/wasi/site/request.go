package site

import (
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Limits on a single forwarded request or reply.
const (
	MaxBlock    = 1 << 20 // bytes of file content or stream data
	MaxChain    = 512     // facts that one walk brings
	MaxHandles  = 4096    // handles of one Wait
	MaxTarget   = wasi.MaxPath
	MaxListing  = 8 << 20 // bytes of names in one listing
	minDirEntry = 3
)

// Op says what a forwarded request asks. The numbers are part of the wire
// format.
type Op uint8

// The operations. Those from OpStreamRead on are immediate effects, or wait
// for one: they are logged, and answered once per entry (PROTOCOL rule 11).
const (
	OpWalk Op = iota + 1 // lstat every part of a path, perhaps open, read, list its end
	OpStat               // metadata of a device handle
	OpRead               // a block of a file, by path and identity or by handle
	OpList               // entries of a folder

	OpStreamRead
	OpStreamWrite
	OpReady
	OpWait
	OpAccept
	OpRecv
	OpSend
	OpShutdown
	OpSetFlags

	opEnd
)

// Immediate reports whether o is an effect that cannot be taken back or
// whose answer cannot be known before it happens.
func (o Op) Immediate() bool { return o >= OpStreamRead }

// Request is one question to the device. Which fields count depends on Op.
type Request struct {
	Op Op

	// A file or folder is Path under the device handle Handle, or Handle
	// itself when Path is empty.
	Handle wasi.Handle
	Path   string

	Follow, Read, Write, List bool          // OpWalk: what to do at its end
	ID                        wasi.Identity // OpRead by path: the file that is meant
	Offset                    uint64
	Length                    uint64 // bytes wanted; OpWalk: of the first block

	Data     []byte // OpStreamWrite, OpSend
	Flags    uint16 // socket flags, Fdflags, or how to shut down
	ReadSet  []wasi.Handle
	WriteSet []wasi.Handle
	Timeout  int64 // nanoseconds for OpWait; negative: none
}

// Fact is what the device knows about one path: its metadata, a symbolic
// link's target, or why it has none.
type Fact struct {
	Path   string // relative to the request's handle
	Errno  wasi.Errno
	Stat   wasi.Stat
	Target string
}

// Code says whether a request was answered.
type Code uint8

// The codes.
const (
	Answered Code = iota
	Pinned        // not to be answered to a clone, the reason is in Reply.Reason
	Changed       // the file is no longer the one that the attempt looked at first
	Refused       // the request makes no sense, or a limit of the device is reached

	codeEnd
)

// Flags of the reply to OpStat, and to OpWalk about the folder it began at.
const (
	FlagReadOnly = 1 << iota // a folder, or a file from one, in which nothing may be changed
	FlagRead                 // opened for reading
	FlagWrite                // opened for writing
)

// Reply is the device's answer.
type Reply struct {
	Code   Code
	Reason string

	Errno  wasi.Errno
	Facts  []Fact // OpWalk, in the order in which they were met
	End    string // OpWalk: where the walk ended, if that exists
	Stat   wasi.Stat
	Data   []byte
	Names  []wasi.Dirent
	Listed bool // OpWalk: Names is the listing of End
	N      uint64
	Hangup bool
	Flags  uint16
	Handle wasi.Handle
}

// Encode appends r's bytes to b.
func (r *Request) Encode(b []byte) []byte {
	e := encoder{b}
	e.u(uint64(r.Op))
	e.u(uint64(r.Handle))
	e.str(r.Path)
	e.flags(r.Follow, r.Read, r.Write, r.List)
	e.identity(r.ID)
	e.u(r.Offset)
	e.u(r.Length)
	e.bytes(r.Data)
	e.u(uint64(r.Flags))
	e.handles(r.ReadSet)
	e.handles(r.WriteSet)
	e.i(r.Timeout)
	return e.b
}

// DecodeRequest reads a request from b, which may be hostile. The result
// shares no memory with b but Data.
func DecodeRequest(b []byte) (Request, error) {
	d := decoder{b: b}
	r := Request{Op: Op(d.max(uint64(opEnd)-1, "operation")), Handle: d.handle(), Path: d.path()}
	if r.Op == 0 {
		d.fail("operation")
	}
	d.flags(&r.Follow, &r.Read, &r.Write, &r.List)
	r.ID = d.identity()
	r.Offset = d.u()
	r.Length = d.max(MaxBlock, "length")
	r.Data = d.bytes(MaxBlock, "data")
	r.Flags = uint16(d.max(1<<16-1, "flags"))
	r.ReadSet = d.handles()
	r.WriteSet = d.handles()
	r.Timeout = d.i()
	return r, d.done()
}

func (e *encoder) handles(hs []wasi.Handle) {
	e.u(uint64(len(hs)))
	for _, h := range hs {
		e.u(uint64(h))
	}
}

func (d *decoder) handles() []wasi.Handle {
	var hs []wasi.Handle
	for range d.count(MaxHandles, "handles") {
		hs = append(hs, d.handle())
	}
	return hs
}

// Encode appends r's bytes to b.
func (r *Reply) Encode(b []byte) []byte {
	e := encoder{b}
	e.u(uint64(r.Code))
	e.str(r.Reason)
	e.u(uint64(r.Errno))
	e.u(uint64(len(r.Facts)))
	for _, f := range r.Facts {
		e.str(f.Path)
		e.u(uint64(f.Errno))
		e.stat(f.Stat)
		e.str(f.Target)
	}
	e.str(r.End)
	e.stat(r.Stat)
	e.bytes(r.Data)
	e.dirents(r.Names)
	e.flags(r.Listed, r.Hangup)
	e.u(r.N)
	e.u(uint64(r.Flags))
	e.u(uint64(r.Handle))
	return e.b
}

// DecodeReply reads a reply from b, which may be hostile. Data shares b's
// memory.
func DecodeReply(b []byte) (Reply, error) {
	d := decoder{b: b}
	r := Reply{Code: Code(d.max(uint64(codeEnd)-1, "code")), Reason: d.str(1024, "reason"), Errno: d.errno()}
	for range d.count(MaxChain, "facts") {
		r.Facts = append(r.Facts, Fact{
			Path: d.str(2*wasi.MaxPath, "path"), Errno: d.errno(), Stat: d.stat(), Target: d.str(MaxTarget, "target"),
		})
	}
	r.End = d.str(2*wasi.MaxPath, "path")
	r.Stat = d.stat()
	r.Data = d.bytes(MaxBlock, "data")
	r.Names = d.dirents()
	d.flags(&r.Listed, &r.Hangup)
	r.N = d.u()
	r.Flags = uint16(d.max(1<<16-1, "flags"))
	r.Handle = d.handle()
	if err := d.done(); err != nil {
		return Reply{}, err
	}
	return r, nil
}

func (e *encoder) dirents(ds []wasi.Dirent) {
	e.u(uint64(len(ds)))
	for _, n := range ds {
		e.str(n.Name)
		e.u(n.Ino)
		e.u(uint64(n.Type))
	}
}

func (d *decoder) dirents() []wasi.Dirent {
	n := d.count(wasi.MaxDirents, "folder entries")
	if n*minDirEntry > len(d.b) {
		d.fail("folder entries")
		return nil
	}
	ds := make([]wasi.Dirent, 0, min(n, 4096))
	for range n {
		ds = append(ds, wasi.Dirent{Name: d.str(wasi.MaxName, "name"), Ino: d.u(), Type: d.filetype()})
	}
	if d.err != nil || n == 0 {
		return nil
	}
	return slices.Clip(ds)
}
