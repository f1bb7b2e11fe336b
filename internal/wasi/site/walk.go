package site

import (
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Walks follow package os.Root step by step, so that a path means the same
// here as on the device: ".." that would leave the folder, absolute links and
// absolute paths are refused, and too long a way ends with the same errors.
const (
	maxSteps    = 255
	maxRestarts = 8
	maxSymlinks = 8
)

// want says what the caller will do with the end of a path, so that a walk
// that has to ask the device brings it along.
type want struct {
	follow, read, write, list bool
	creating                  bool // a path that ends in a slash may be missing
	rawSlash                  bool // leave a slash at the end to the caller
	first                     uint64
}

// spot is where a path leads: name in dir, which is k. A path that means a
// folder itself has the name ".".
type spot struct {
	dir   *node
	name  string
	k     *kid
	slash bool
}

func (sp spot) exists() bool { return sp.k != nil && sp.k.n != nil }

// node returns what is there, or why nothing is.
func (sp spot) node() (*node, wasi.Errno) {
	if sp.k.n == nil {
		return nil, sp.k.errno
	}
	return sp.k.n, wasi.ErrnoSuccess
}

// split cuts s at its slashes and puts it between prefix and suffix. A "."
// survives only at the very end.
func split(s string, prefix, suffix []string) (parts []string, slash bool, e wasi.Errno) {
	if s == "" {
		return nil, false, wasi.ErrnoNoent
	}
	if s[0] == '/' {
		return nil, false, wasi.ErrnoPerm
	}
	parts = slices.Clone(prefix)
	for rest := s; ; {
		part, more, found := strings.Cut(rest, "/")
		parts = append(parts, part)
		rest = strings.TrimLeft(more, "/")
		if rest == "" {
			slash = found
			break
		}
		if part == "." {
			parts = parts[:len(parts)-1]
		}
	}
	if len(suffix) > 0 && len(parts) > 0 && parts[len(parts)-1] == "." {
		parts = parts[:len(parts)-1]
	}
	parts = append(parts, suffix...)
	return parts, slash, wasi.ErrnoSuccess
}

// walk resolves path from root. The parent must exist; what the path names
// need not.
func (s *Site) walk(root *node, path string, w want) (spot, wasi.Errno) {
	parts, slash, e := split(path, nil, nil)
	if e != wasi.ErrnoSuccess {
		return spot{}, e
	}
	stack := []*node{root}
	i, steps, restarts, symlinks := 0, 0, 0, 0
	for {
		steps++
		if steps > maxSteps && restarts > maxRestarts {
			return spot{}, wasi.ErrnoNametoolong
		}
		if len(parts) == 0 {
			parts = []string{"."}
		}
		if parts[i] == ".." {
			end := i + 1
			for end < len(parts) && parts[end] == ".." {
				end++
			}
			if end-i > i {
				return spot{}, wasi.ErrnoPerm
			}
			restarts++
			parts = slices.Delete(parts, 2*i-end, end)
			i = 2*i - end
			stack = stack[:i+1]
			if len(parts) == 0 {
				parts = []string{"."}
			}
			if i == len(parts) {
				// The path ends with the folder that ".." led to.
				i--
				stack = stack[:max(i+1, 1)]
				if i < 0 {
					i = 0
				}
			}
			continue
		}
		dir, last := stack[len(stack)-1], i == len(parts)-1
		k, e := s.lookup(dir, parts[i:], w)
		if e != wasi.ErrnoSuccess {
			return spot{}, e
		}
		link := k.n != nil && k.n.typ == wasi.FiletypeSymbolicLink
		if last && !link {
			s.noteKid(dir, parts[i], k, false)
			return s.end(spot{dir, parts[i], k, slash}, w)
		}
		if last && !w.follow && (!slash || w.rawSlash) {
			s.noteKid(dir, parts[i], k, false)
			return spot{dir, parts[i], k, slash}, wasi.ErrnoSuccess
		}
		s.noteKid(dir, parts[i], k, true)
		if link {
			symlinks++
			if symlinks > maxSymlinks {
				return spot{}, wasi.ErrnoLoop
			}
			next, nextSlash, e := split(k.n.target, parts[:i], parts[i+1:])
			if e != wasi.ErrnoSuccess {
				return spot{}, e
			}
			slash = slash || last && nextSlash
			parts = next
			continue
		}
		n, e := spot{k: k}.node()
		if e != wasi.ErrnoSuccess {
			return spot{}, e
		}
		if n.typ != wasi.FiletypeDirectory {
			return spot{}, wasi.ErrnoNotdir
		}
		stack = append(stack, n)
		i++
	}
}

// end applies what a slash at the end of a path asks for.
func (s *Site) end(sp spot, w want) (spot, wasi.Errno) {
	if !sp.slash || w.rawSlash {
		return sp, wasi.ErrnoSuccess
	}
	switch {
	case sp.k.n == nil && sp.k.errno == wasi.ErrnoNoent && w.creating:
	case sp.k.n == nil:
		return spot{}, sp.k.errno
	case sp.k.n.typ != wasi.FiletypeDirectory:
		return spot{}, wasi.ErrnoNotdir
	}
	return sp, wasi.ErrnoSuccess
}

// lookup returns what parts[0] is in dir. If the device has to be asked, it
// is asked for all of parts.
func (s *Site) lookup(dir *node, parts []string, w want) (*kid, wasi.Errno) {
	name := parts[0]
	if name == "." {
		return &kid{n: dir, over: true}, wasi.ErrnoSuccess
	}
	if k := dir.kids[name]; k != nil {
		return k, wasi.ErrnoSuccess
	}
	if len(name) > wasi.MaxName {
		return &kid{errno: wasi.ErrnoNametoolong, over: true}, wasi.ErrnoSuccess
	}
	if strings.IndexByte(name, 0) >= 0 {
		return &kid{errno: wasi.ErrnoInval, over: true}, wasi.ErrnoSuccess
	}
	if dir.base == nil || dir.gone {
		return &kid{errno: wasi.ErrnoNoent, over: true}, wasi.ErrnoSuccess
	}
	path := join(dir.base.path, strings.Join(parts, "/"))
	if len(path) > wasi.MaxPath {
		path = join(dir.base.path, name)
		w = want{}
	}
	s.forwardWalk(dir.base.root, path, w)
	k := dir.kids[name]
	if k == nil {
		abort("the device did not say what " + name + " is")
	}
	return k, wasi.ErrnoSuccess
}

// forwardWalk asks the device for every part of path, and takes over what it
// says.
func (s *Site) forwardWalk(root wasi.Handle, path string, w want) {
	s.takeWalk(root, s.askWalk(root, path, w), w)
}

func (s *Site) takeWalk(root wasi.Handle, p Reply, w want) {
	for _, f := range p.Facts {
		s.tree.insert(s, root, f)
	}
	if p.End == "" {
		return
	}
	if n := s.tree.at(root, p.End); n != nil {
		s.takeEnd(n, p, w)
	}
}

func (s *Site) askWalk(root wasi.Handle, path string, w want) Reply {
	return s.ask(Request{
		Op: OpWalk, Handle: root, Path: path,
		Follow: w.follow, Read: w.read, Write: w.write, List: w.list, Length: w.first,
	})
}

// takeEnd takes over what a walk brought of n, at which it ended.
func (s *Site) takeEnd(n *node, p Reply, w want) {
	if w.read || w.write {
		n.access[accessKey(w.read, w.write)] = int32(p.Errno) + 1
	}
	if len(p.Data) > 0 {
		s.firstBlock(n, p.Data)
	}
	if p.Listed && n.typ == wasi.FiletypeDirectory {
		n.listing, n.listed = p.Names, true
		s.noteListing(n)
	}
}

func accessKey(read, write bool) int {
	k := 0
	if read {
		k = 1
	}
	if write {
		k |= 2
	}
	return k
}

// permitted reports whether the device lets n be opened so.
func (s *Site) permitted(n *node, read, write bool, first uint64) wasi.Errno {
	key := accessKey(read, write)
	if key == 0 || n.base == nil {
		return wasi.ErrnoSuccess
	}
	for _, k := range [...]int{key, 3} {
		if v := n.access[k]; v != 0 && (k == key || v == int32(wasi.ErrnoSuccess)+1) {
			return wasi.Errno(v - 1)
		}
	}
	if n.base.path == "" {
		return wasi.ErrnoSuccess // an open handle of the device: opened with these rights
	}
	w := want{read: read, write: write, first: first}
	p := s.askWalk(n.base.root, n.base.path, w)
	same := p.End == n.base.path && len(p.Facts) > 0
	if same {
		st := p.Facts[len(p.Facts)-1].Stat
		same = st.Type == n.typ && (st.Identity() == n.base.id || n.typ == wasi.FiletypeDirectory &&
			st.Dev == n.base.id.Dev && st.Ino == n.base.id.Ino)
	}
	if !same {
		abort("changed on the device: " + n.base.path)
	}
	s.takeEnd(n, p, w)
	return p.Errno
}
