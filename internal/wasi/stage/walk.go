package stage

import (
	"cmp"
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

const (
	maxParts = 512 // steps of one walk
	maxLinks = 16
)

func sorted(ds []wasi.Dirent) []wasi.Dirent {
	slices.SortFunc(ds, func(a, b wasi.Dirent) int { return cmp.Compare(a.Name, b.Name) })
	return ds
}

// walk answers what every part of a path is, links followed, and opens,
// reads or lists its end if that is asked for.
func (s *Server) walk(r site.Request) site.Reply {
	if !validPath(r.Path) {
		return refused("a malformed path")
	}
	if root, _ := s.cfg.Host.Folder(r.Handle); root == nil {
		return site.Reply{Errno: wasi.ErrnoNotdir}
	}
	p := s.stat(r.Handle)
	if p.Errno != wasi.ErrnoSuccess {
		return p
	}
	p.Facts, p.End = s.resolve(r.Handle, r.Path, r.Follow)
	if p.End == "" {
		return p
	}
	for _, f := range p.Facts {
		if where, yes := s.private(r.Handle, f.Path); yes {
			return site.Reply{Code: site.Pinned, Reason: "private: " + where}
		}
	}
	var end wasi.Stat
	for _, f := range p.Facts {
		if f.Path == p.End {
			end = f.Stat
		}
	}
	switch {
	case end.Type == wasi.FiletypeDirectory:
		return s.endFolder(r, p)
	case end.Type == wasi.FiletypeRegularFile:
		return s.endFile(r, p)
	}
	return p
}

// endFolder lists the folder at the end of a walk. A listing that is too long
// or private is left to be asked for.
func (s *Server) endFolder(r site.Request, p site.Reply) site.Reply {
	if !r.Read && !r.List {
		return p
	}
	ds, e := s.entries(r.Handle, p.End)
	p.Errno = e
	if _, hidden := s.privateIn(r.Handle, p.End, ds); r.List && e == wasi.ErrnoSuccess && !hidden &&
		len(ds) <= s.cfg.Limits.Listed {
		p.Names, p.Listed = ds, true
	}
	return p
}

// endFile opens the file at the end of a walk as the guest would, to learn
// whether it may, and reads its first block.
func (s *Server) endFile(r site.Request, p site.Reply) site.Reply {
	if !r.Read && !r.Write {
		return p
	}
	h, st, e := s.cfg.Host.Open(r.Handle, p.End, wasi.OpenFlags{Read: r.Read, Write: r.Write})
	p.Errno = e
	if e != wasi.ErrnoSuccess {
		return p
	}
	defer s.cfg.Host.Close(h)
	for _, f := range p.Facts {
		if f.Path == p.End && f.Stat.Identity() != st.Identity() {
			return site.Reply{Code: site.Changed, Reason: p.End}
		}
	}
	if r.Read && r.Length > 0 {
		if data, e := s.block(h, 0, r.Length); e == wasi.ErrnoSuccess {
			p.Data = data
		}
	}
	return p
}

// resolve walks path from dir, as package site will walk it again on these
// facts: ".." by name, links followed (the last one if follow), nothing
// outside dir. end is where it ends, if something is there.
func (s *Server) resolve(dir wasi.Handle, path string, follow bool) (facts []site.Fact, end string) {
	parts := clean(path)
	seen := map[string]bool{}
	links := 0
	for i, steps := 0, 0; i < len(parts) && steps < maxParts; steps++ {
		switch parts[i] {
		case ".", "":
			parts = slices.Delete(parts, i, i+1)
			continue
		case "..":
			if i == 0 {
				return facts, ""
			}
			parts = slices.Delete(parts, i-1, i+1)
			i--
			continue
		}
		at := strings.Join(parts[:i+1], "/")
		f := s.fact(dir, at)
		if !seen[at] {
			seen[at] = true
			facts = append(facts, f)
		}
		if f.Errno != wasi.ErrnoSuccess || len(facts) == site.MaxChain {
			return facts, ""
		}
		last := i == len(parts)-1
		if f.Stat.Type == wasi.FiletypeSymbolicLink {
			if last && !follow {
				return facts, at
			}
			links++
			if links > maxLinks || f.Target == "" || f.Target[0] == '/' {
				return facts, ""
			}
			parts = slices.Concat(parts[:i], clean(f.Target), parts[i+1:])
			continue
		}
		if last {
			return facts, at
		}
		if f.Stat.Type != wasi.FiletypeDirectory {
			return facts, ""
		}
		i++
	}
	return facts, ""
}

// clean cuts a path at its slashes.
func clean(path string) []string { return strings.Split(path, "/") }

// fact is what is at a path.
func (s *Server) fact(dir wasi.Handle, at string) site.Fact {
	f := site.Fact{Path: at}
	f.Stat, f.Errno = s.cfg.Host.StatAt(dir, at, false)
	if f.Errno == wasi.ErrnoSuccess && f.Stat.Type == wasi.FiletypeSymbolicLink {
		f.Target, f.Errno = s.cfg.Host.Readlink(dir, at)
		if f.Errno == wasi.ErrnoSuccess && len(f.Target) > site.MaxTarget {
			f.Errno = wasi.ErrnoNametoolong
		}
	}
	return f
}
