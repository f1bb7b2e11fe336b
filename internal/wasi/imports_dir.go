package wasi

import (
	"slices"
	"strings"
)

const direntSize = 24

// fdReaddir walks a listing that is taken at cookie 0 and kept in the table
// until its end was seen, so that what is created or removed meanwhile moves
// nothing. A cookie is the index of the next entry. When the listing is gone
// it is taken again, in the same order.
func (s *System) fdReaddir(c *call) Errno {
	fd := c.u32(0)
	buf := c.buf(1)
	cookie := c.u64(3)
	used := c.out(4, 4)
	if c.begin(Read) {
		return c.errno
	}
	d, e := s.folder(fd, RightFdReaddir)
	if e != ErrnoSuccess {
		return e
	}
	if cookie == 0 || d.Listing == nil {
		if d.Listing, e = s.list(d); e != ErrnoSuccess {
			return e
		}
	}
	n := 0
	for i := cookie; i < uint64(len(d.Listing)) && n < len(buf); i++ {
		ent := &d.Listing[i]
		var head [direntSize]byte
		le.PutUint64(head[:], i+1)
		le.PutUint64(head[8:], s.shownInode(ent.Ino))
		le.PutUint32(head[16:], uint32(len(ent.Name)))
		head[20] = byte(ent.Type)
		n += copy(buf[n:], head[:])
		n += copy(buf[n:], ent.Name)
	}
	c.n = n
	le.PutUint32(used, uint32(n))
	if n < len(buf) {
		d.Listing = nil
	}
	return ErrnoSuccess
}

// list returns what is in a folder, sorted by name behind "." and "..".
func (s *System) list(d *Desc) ([]Dirent, Errno) {
	st, e := s.host.Stat(d.Handle)
	if e != ErrnoSuccess {
		return nil, e
	}
	ents, e := s.host.ReadDir(d.Handle)
	if e != ErrnoSuccess {
		return nil, e
	}
	if len(ents) > MaxDirents-2 {
		return nil, ErrnoOverflow
	}
	// The parent may lie outside; what matters is that its inode is not 0,
	// or libraries would ask for every entry's.
	all := make([]Dirent, 0, len(ents)+2)
	all = append(all, Dirent{Name: ".", Ino: st.Ino, Type: FiletypeDirectory}, Dirent{Name: "..", Ino: st.Ino, Type: FiletypeDirectory})
	all = append(all, ents...)
	slices.SortFunc(all[2:], func(a, b Dirent) int { return strings.Compare(a.Name, b.Name) })
	return all, ErrnoSuccess
}
