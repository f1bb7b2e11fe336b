package site

import (
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// tree is what the attempt knows of the device's files, with what it did to
// them. A folder's children are looked up on the device when they are first
// asked for.
type tree struct {
	byPath map[place]*node // folders of the device, by where they were
	byID   map[fileID]*node
	nodes  int
	ino    uint64
}

// place names something as it was on the device: path under root, or root
// itself when path is empty.
type place struct {
	root wasi.Handle
	path string
}

type fileID struct{ dev, ino uint64 }

// base is what a node is on the device.
type base struct {
	place
	id wasi.Identity // at first touch
}

// node is a file, folder or symbolic link. Hard links share one.
type node struct {
	typ    wasi.Filetype
	stat   wasi.Stat // as the guest sees it now
	base   *base     // nil: new
	object int       // index in the log, plus one
	gone   bool      // a folder that was removed

	kids      map[string]*kid // folders
	listing   []wasi.Dirent   // the device's, once asked for
	listed    bool
	seenList  uint64
	seenFull  uint64
	seenWrite uint64
	target    string // symbolic links
	body      *content
	access    [4]int32 // by what was asked (1 read, 2 write): errno plus one
	nextChunk uint64   // for read-ahead
	ahead     uint64
}

// kid is what a name in a folder stands for; n is nil if nothing.
type kid struct {
	n     *node
	errno wasi.Errno // why n is nil
	over  bool       // the overlay's doing, not the device's word
	weak  uint64     // generation of the last ReadThrough
	full  uint64     // generation of the last other note
}

// newInodes is where the inode numbers of new files begin: far from those
// of real file systems.
const newInodes = 1 << 62

func (t *tree) init() {
	t.byPath = map[place]*node{}
	t.byID = map[fileID]*node{}
	t.ino = newInodes
}

func (t *tree) count(s *Site) {
	t.nodes++
	if t.nodes > s.cfg.Limits.Nodes {
		abort("too many files in one attempt")
	}
}

// device returns the node of a device handle.
func (t *tree) device(s *Site, h wasi.Handle, st wasi.Stat) *node {
	return t.known(s, place{root: h}, st, "")
}

// known returns the node of something on the device.
func (t *tree) known(s *Site, p place, st wasi.Stat, target string) *node {
	id := fileID{st.Dev, st.Ino}
	if n := t.byID[id]; n != nil && st.Ino != 0 {
		if n.typ != st.Type || n.base.id != st.Identity() && st.Type != wasi.FiletypeDirectory {
			abort("changed on the device: " + p.path)
		}
		if n.typ == wasi.FiletypeDirectory {
			t.byPath[p] = n
		} else if n.base.path == "" {
			// It was opened before the call, perhaps only for writing. By its
			// path it can be read too.
			n.base.place, n.seenFull = p, 0
		}
		return n
	}
	t.count(s)
	n := &node{typ: st.Type, stat: st, base: &base{place: p, id: st.Identity()}, target: target}
	t.byID[id] = n
	if n.typ == wasi.FiletypeDirectory {
		n.kids = map[string]*kid{}
		t.byPath[p] = n
	}
	return n
}

// create returns a new node beside dir.
func (t *tree) create(s *Site, dir *node, typ wasi.Filetype) *node {
	t.count(s)
	t.ino++
	now := s.realtime()
	n := &node{typ: typ, stat: wasi.Stat{
		Dev: dir.stat.Dev, Ino: t.ino, Type: typ, Nlink: 1, Atim: now, Mtim: now, Ctim: now,
	}}
	switch typ {
	case wasi.FiletypeDirectory:
		n.kids = map[string]*kid{}
		n.stat.Nlink = 2
		n.stat.Size = dir.stat.Size
	case wasi.FiletypeRegularFile:
		n.body = &content{}
	}
	return n
}

// join returns name under path.
func join(path, name string) string {
	if path == "" || path == "." {
		return name
	}
	return path + "/" + name
}

// insert takes over what the device said about a path under root.
func (t *tree) insert(s *Site, root wasi.Handle, f Fact) {
	dir, name := "", f.Path
	if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
		dir, name = f.Path[:i], f.Path[i+1:]
	}
	d := t.byPath[place{root, dir}]
	if d == nil || name == "" {
		return
	}
	if k := d.kids[name]; k != nil {
		if !k.over && k.n == nil != (f.Errno != wasi.ErrnoSuccess) {
			abort("changed on the device: " + f.Path)
		}
		return
	}
	if f.Errno != wasi.ErrnoSuccess {
		t.count(s)
		d.kids[name] = &kid{errno: f.Errno}
		return
	}
	d.kids[name] = &kid{n: t.known(s, place{root, f.Path}, f.Stat, f.Target)}
}

// at returns the node that the device's path p led to, or nil.
func (t *tree) at(root wasi.Handle, path string) *node {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	if d := t.byPath[place{root, dir}]; d != nil {
		if k := d.kids[name]; k != nil && !k.over {
			return k.n
		}
	}
	return nil
}

// noteNode notes the whole identity of n, wherever it is now.
func (s *Site) noteNode(n *node) {
	if n.base == nil {
		return
	}
	if n.base.path == "" && n.typ == wasi.FiletypeDirectory {
		// The folder was opened before the call: only what is looked up in
		// it counts, and its own metadata when that is asked for.
		return
	}
	s.noteFull(n)
}

func (s *Site) noteFull(n *node) {
	if n.base == nil {
		return
	}
	s.log.note(&n.seenFull, func() Read {
		k := ReadFile
		if n.typ == wasi.FiletypeSymbolicLink {
			k = ReadLink
		}
		return Read{Kind: k, Handle: n.base.root, Path: n.base.path, Type: n.typ, ID: n.base.id, Target: n.target}
	})
}

// noteWritable notes that what the guest was just told is true only if it may
// change entries of d: otherwise the device would have said EACCES before.
func (s *Site) noteWritable(d *node) {
	if d.base == nil {
		return
	}
	s.log.note(&d.seenWrite, func() Read {
		return Read{Kind: ReadWritable, Handle: d.base.root, Path: d.base.path}
	})
}

// noteKid notes a lookup of name in d. A folder that is only walked through
// must stay what it is; anything else must stay as it is.
func (s *Site) noteKid(d *node, name string, k *kid, through bool) {
	if k.over || d.base == nil {
		return
	}
	path := join(d.base.path, name)
	switch {
	case k.n == nil:
		s.log.note(&k.full, func() Read {
			return Read{Kind: ReadMissing, Handle: d.base.root, Path: path, Errno: k.errno}
		})
	case k.n.typ == wasi.FiletypeDirectory && through:
		s.log.note(&k.weak, func() Read {
			return Read{Kind: ReadThrough, Handle: d.base.root, Path: path, Type: k.n.typ, ID: k.n.base.id}
		})
	case k.n.typ == wasi.FiletypeSymbolicLink:
		s.log.note(&k.full, func() Read {
			return Read{Kind: ReadLink, Handle: d.base.root, Path: path, Type: k.n.typ, ID: k.n.base.id, Target: k.n.target}
		})
	default:
		s.log.note(&k.full, func() Read {
			return Read{Kind: ReadFile, Handle: d.base.root, Path: path, Type: k.n.typ, ID: k.n.base.id}
		})
	}
}
