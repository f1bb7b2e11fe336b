package site

import (
	"fmt"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Limits on what an attempt hands back.
const (
	MaxObjects = 1 << 18
	MaxEffects = 1 << 20
	MaxOpens   = wasi.MaxDescs
	MaxReads   = 1 << 19
)

// Kind says what an effect does. The numbers are part of the wire format.
type Kind uint8

// The kinds of effects. All but EffectOutput change files.
const (
	EffectOutput  Kind = iota + 1 // Data to stream Stream
	EffectCreate                  // a regular file Object as Name in Dir
	EffectMkdir                   // a folder Object as Name in Dir
	EffectSymlink                 // a link Object to Target as Name in Dir
	EffectLink                    // another name for Object
	EffectUnlink                  // Name in Dir goes; it is not a folder
	EffectRmdir                   // Name in Dir goes; it is an empty folder
	EffectRename                  // Name in Dir becomes Name2 in Dir2
	EffectWrite                   // Data at Offset of Object
	EffectSetSize                 // Object gets Size bytes
	EffectTimes                   // Object's times
)

// Effect is one thing that the guest did. Dir, Dir2 and Object index
// [Effects].Objects.
type Effect struct {
	Kind Kind

	Stream uint8  // EffectOutput: 1 or 2
	Entry  uint64 // EffectOutput: the import that did it, as [Site.SetEntry] said
	Data   []byte

	Dir, Dir2, Object int
	Name, Name2       string
	Target            string
	Offset, Size      uint64
	Atim, Mtim        wasi.TimeSet // EffectTimes, with Now resolved
}

// Object is a file, folder or link that effects are about. A new one comes
// into being by the effect that makes it; another is named as it was on the
// device when the attempt first saw it.
type Object struct {
	New    bool
	Type   wasi.Filetype
	Handle wasi.Handle // a device handle
	Path   string      // under Handle; empty: Handle itself
	ID     wasi.Identity
}

// Open is a handle of the site that is still open: after the commit the
// device must have one that is open on the same object.
type Open struct {
	Handle wasi.Handle // with wasi.SiteHandle
	Object int
	Flags  wasi.OpenFlags
}

// Effects is what an attempt did, in program order, and what it holds open.
type Effects struct {
	Objects []Object
	List    []Effect
	Opens   []Open
}

// Encode appends e's bytes to b.
func (e *Effects) Encode(b []byte) []byte {
	w := encoder{b}
	w.u(uint64(len(e.Objects)))
	for _, o := range e.Objects {
		w.flags(o.New)
		w.u(uint64(o.Type))
		w.u(uint64(o.Handle))
		w.str(o.Path)
		w.identity(o.ID)
	}
	w.u(uint64(len(e.List)))
	for i := range e.List {
		w.effect(&e.List[i])
	}
	w.u(uint64(len(e.Opens)))
	for _, o := range e.Opens {
		w.u(uint64(o.Handle))
		w.u(uint64(o.Object))
		w.openFlags(o.Flags)
	}
	return w.b
}

// DecodeEffects reads effects from b, which may be hostile: it checks form
// (kinds, indices, names, lengths), package stage checks sense. Data shares
// b's memory.
func DecodeEffects(b []byte) (Effects, error) {
	d := decoder{b: b}
	var e Effects
	for range d.count(MaxObjects, "objects") {
		var o Object
		d.flags(&o.New)
		o.Type, o.Handle, o.Path, o.ID = d.filetype(), d.handle(), d.str(2*wasi.MaxPath, "path"), d.identity()
		e.Objects = append(e.Objects, o)
	}
	n := len(e.Objects)
	for range d.count(MaxEffects, "effects") {
		e.List = append(e.List, d.effect(n))
	}
	for range d.count(MaxOpens, "handles") {
		o := Open{Handle: d.handle(), Object: d.index(n), Flags: d.openFlags()}
		if o.Handle&wasi.SiteHandle == 0 {
			d.fail("site handle")
		}
		e.Opens = append(e.Opens, o)
	}
	if err := d.done(); err != nil {
		return Effects{}, fmt.Errorf("decode effects: %w", err)
	}
	return e, nil
}

func (w *encoder) effect(x *Effect) {
	w.u(uint64(x.Kind))
	switch x.Kind {
	case EffectOutput:
		w.u(uint64(x.Stream))
		w.u(x.Entry)
		w.bytes(x.Data)
	case EffectCreate, EffectMkdir, EffectLink:
		w.u(uint64(x.Dir))
		w.str(x.Name)
		w.u(uint64(x.Object))
	case EffectSymlink:
		w.u(uint64(x.Dir))
		w.str(x.Name)
		w.u(uint64(x.Object))
		w.str(x.Target)
	case EffectUnlink, EffectRmdir:
		w.u(uint64(x.Dir))
		w.str(x.Name)
	case EffectRename:
		w.u(uint64(x.Dir))
		w.str(x.Name)
		w.u(uint64(x.Dir2))
		w.str(x.Name2)
	case EffectWrite:
		w.u(uint64(x.Object))
		w.u(x.Offset)
		w.bytes(x.Data)
	case EffectSetSize:
		w.u(uint64(x.Object))
		w.u(x.Size)
	case EffectTimes:
		w.u(uint64(x.Object))
		w.flags(x.Atim.Set, x.Mtim.Set)
		w.i(x.Atim.At)
		w.i(x.Mtim.At)
	}
}

func (d *decoder) effect(objects int) Effect {
	x := Effect{Kind: Kind(d.u())}
	switch x.Kind {
	case EffectOutput:
		x.Stream, x.Entry, x.Data = uint8(d.max(2, "stream")), d.u(), d.bytes(len(d.b), "output")
		if x.Stream == 0 {
			d.fail("stream")
		}
	case EffectCreate, EffectMkdir, EffectLink:
		x.Dir, x.Name, x.Object = d.index(objects), d.name(), d.index(objects)
	case EffectSymlink:
		x.Dir, x.Name, x.Object, x.Target = d.index(objects), d.name(), d.index(objects), d.str(MaxTarget, "target")
	case EffectUnlink, EffectRmdir:
		x.Dir, x.Name = d.index(objects), d.name()
	case EffectRename:
		x.Dir, x.Name, x.Dir2, x.Name2 = d.index(objects), d.name(), d.index(objects), d.name()
	case EffectWrite:
		x.Object, x.Offset, x.Data = d.index(objects), d.u(), d.bytes(len(d.b), "data")
		if x.Offset > MaxFile || uint64(len(x.Data)) > MaxFile-x.Offset {
			d.fail("offset")
		}
	case EffectSetSize:
		x.Object, x.Size = d.index(objects), d.max(MaxFile, "size")
	case EffectTimes:
		x.Object = d.index(objects)
		d.flags(&x.Atim.Set, &x.Mtim.Set)
		x.Atim.At, x.Mtim.At = d.i(), d.i()
	default:
		d.fail("effect")
	}
	return x
}

// MaxFile is the largest file offset, as of every file system we meet.
const MaxFile = 1<<63 - 1

func (d *decoder) index(n int) int {
	v := d.u()
	if v >= uint64(n) {
		d.fail("index")
		return 0
	}
	return int(v)
}

// name reads one part of a path: never empty, ".", ".." or with a slash.
func (d *decoder) name() string {
	s := d.str(wasi.MaxName, "name")
	if d.err == nil && !validName(s) {
		d.fail("name")
	}
	return s
}

// validName reports whether s can be an entry of a folder.
func validName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > wasi.MaxName {
		return false
	}
	for i := range len(s) {
		if s[i] == '/' || s[i] == 0 {
			return false
		}
	}
	return true
}

func (w *encoder) openFlags(f wasi.OpenFlags) {
	w.flags(f.Read, f.Write, f.Append, f.Directory, f.Follow, f.Sync, f.Dsync, f.Nonblock)
}

func (d *decoder) openFlags() (f wasi.OpenFlags) {
	d.flags(&f.Read, &f.Write, &f.Append, &f.Directory, &f.Follow, &f.Sync, &f.Dsync, &f.Nonblock)
	return f
}
