package stage

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// Limits of a Server. Zero fields mean the defaults.
type Limits struct {
	Cached int    // files kept open for forwarded reads (64)
	Undo   uint64 // bytes of old content kept for undoing a commit (64 MiB)
	Listed int    // entries of a folder that a walk brings along (1,000)
}

func (l *Limits) populate() {
	if l.Cached == 0 {
		l.Cached = 64
	}
	if l.Undo == 0 {
		l.Undo = 64 << 20
	}
	if l.Listed == 0 {
		l.Listed = 1000
	}
}

// Config is what a Server stands on.
type Config struct {
	Host *wasi.Local

	// Descs returns the guest's descriptor table: which files are held open,
	// and where folders are. It is asked at every Prepare.
	Descs func() map[uint32]wasi.Desc

	// Private reports whether a clone may learn nothing of a path, which is
	// absolute on this machine. Nil: nothing is private.
	Private func(path string) bool

	Journal Journal // of commits that change files; nil: none may
	FS      FS      // nil: the machine's
	Limits  Limits

	// Reached, if set, is called as a commit that changes files passes each
	// Point, and holds it up until it returns: for tests.
	Reached func(Point)
}

// Server answers one attempt's requests and takes over what it did. Its
// methods may be called from any goroutine, one at a time is served; the
// guest must not run meanwhile, since a Local is not for two.
type Server struct {
	cfg Config

	mu       sync.Mutex
	files    map[fileKey]wasi.Handle
	order    []fileKey
	accepted []wasi.Handle
}

type fileKey struct {
	dir  wasi.Handle
	path string
	id   wasi.Identity
}

// NewServer returns a server for one attempt.
func NewServer(cfg Config) *Server {
	cfg.Limits.populate()
	if cfg.FS == nil {
		cfg.FS = OS()
	}
	return &Server{cfg: cfg, files: map[fileKey]wasi.Handle{}}
}

// Abandon closes everything that the attempt opened.
func (s *Server) Abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeCached()
	for _, h := range s.accepted {
		s.cfg.Host.Close(h)
	}
	s.accepted = nil
}

func (s *Server) closeCached() {
	for k, h := range s.files {
		s.cfg.Host.Close(h)
		delete(s.files, k)
	}
	s.order = nil
}

func refused(format string, a ...any) site.Reply {
	return site.Reply{Code: site.Refused, Reason: fmt.Sprintf(format, a...)}
}

// Serve answers r. It never fails otherwise than by its answer.
func (s *Server) Serve(r site.Request) site.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Length > site.MaxBlock || len(r.Data) > site.MaxBlock ||
		len(r.ReadSet) > site.MaxHandles || len(r.WriteSet) > site.MaxHandles {
		return refused("a request beyond the limits")
	}
	if r.Handle&wasi.SiteHandle != 0 {
		return refused("a handle of the site")
	}
	if where, yes := s.private(r.Handle, r.Path); yes {
		return site.Reply{Code: site.Pinned, Reason: "private: " + where}
	}
	switch r.Op {
	case site.OpWalk:
		return s.walk(r)
	case site.OpStat:
		return s.stat(r.Handle)
	case site.OpRead:
		return s.read(r)
	case site.OpList:
		return s.list(r)
	}
	return s.immediate(r)
}

// stat answers what an open handle is, and what it was opened for.
func (s *Server) stat(h wasi.Handle) site.Reply {
	st, e := s.cfg.Host.Stat(h)
	p := site.Reply{Stat: st, Errno: e}
	if _, ro := s.cfg.Host.Folder(h); ro {
		p.Flags = site.FlagReadOnly
	}
	read, write := true, true
	if f := s.cfg.Host.File(h); f != nil && h > 2 {
		read, write = accessOf(f)
	}
	if read {
		p.Flags |= site.FlagRead
	}
	if write {
		p.Flags |= site.FlagWrite
	}
	return p
}

// immediate serves what cannot be taken back.
func (s *Server) immediate(r site.Request) (p site.Reply) {
	h := s.cfg.Host
	switch r.Op {
	case site.OpStreamRead:
		buf := make([]byte, r.Length)
		n, e := h.Read(r.Handle, buf)
		p.Data, p.Errno = buf[:n], e
	case site.OpStreamWrite:
		if s.isFile(r.Handle) {
			return refused("a file changes at the commit only")
		}
		n, e := h.Write(r.Handle, r.Data)
		p.N, p.Errno = uint64(n), e
	case site.OpReady:
		p.N, p.Hangup, p.Errno = h.Ready(r.Handle, r.Flags&1 != 0)
	case site.OpWait:
		p.Errno = s.wait(r)
	case site.OpAccept:
		p.Handle, p.Stat, p.Errno = h.Accept(r.Handle, wasi.Fdflags(r.Flags))
		if p.Errno == wasi.ErrnoSuccess {
			s.accepted = append(s.accepted, p.Handle)
		}
	case site.OpRecv:
		buf := make([]byte, r.Length)
		n, ro, e := h.Recv(r.Handle, buf, r.Flags)
		p.Data, p.Flags, p.Errno = buf[:n], ro, e
	case site.OpSend:
		n, e := h.Send(r.Handle, r.Data, r.Flags)
		p.N, p.Errno = uint64(n), e
	case site.OpShutdown:
		p.Errno = h.Shutdown(r.Handle, uint8(r.Flags))
	case site.OpSetFlags:
		p.Errno = h.SetFlags(r.Handle, wasi.Fdflags(r.Flags))
	default:
		return refused("unknown operation %d", r.Op)
	}
	return p
}

// isFile reports whether a handle is a file or folder of the device. The
// standard streams are what they are.
func (s *Server) isFile(h wasi.Handle) bool {
	if h <= 2 {
		return false
	}
	st, e := s.cfg.Host.Stat(h)
	return e == wasi.ErrnoSuccess && (st.Type == wasi.FiletypeRegularFile || st.Type == wasi.FiletypeDirectory)
}

func (s *Server) wait(r site.Request) wasi.Errno {
	if len(r.ReadSet)+len(r.WriteSet) == 0 {
		return wasi.ErrnoInval // clocks alone are waited for at the site
	}
	for _, hs := range [][]wasi.Handle{r.ReadSet, r.WriteSet} {
		for _, h := range hs {
			if h&wasi.SiteHandle != 0 {
				return wasi.ErrnoBadf
			}
		}
	}
	deadline := int64(-1)
	if r.Timeout >= 0 {
		now, e := s.cfg.Host.Now(wasi.ClockMonotonic)
		if e != wasi.ErrnoSuccess {
			return e
		}
		if deadline = now + r.Timeout; deadline < 0 {
			deadline = 1<<63 - 1
		}
	}
	return s.cfg.Host.Wait(r.ReadSet, r.WriteSet, deadline)
}

// private reports whether a handle and path lead to something private.
func (s *Server) private(h wasi.Handle, path string) (string, bool) {
	if s.cfg.Private == nil || h <= 2 {
		return "", false
	}
	var at string
	if root, _ := s.cfg.Host.Folder(h); root != nil {
		at = filepath.Join(root.Name(), filepath.FromSlash(path))
	} else if f := s.cfg.Host.File(h); f != nil {
		at = f.Name()
	} else {
		return "", false
	}
	if abs, err := filepath.Abs(at); err == nil {
		at = abs
	}
	return at, s.cfg.Private(at)
}

// privateIn reports whether an entry of a folder is private: then its listing
// is, too.
func (s *Server) privateIn(dir wasi.Handle, path string, ds []wasi.Dirent) (string, bool) {
	if s.cfg.Private == nil {
		return "", false
	}
	for _, d := range ds {
		if where, yes := s.private(dir, filepath.Join(path, d.Name)); yes {
			return where, true
		}
	}
	return "", false
}

// read answers a block of a file.
func (s *Server) read(r site.Request) site.Reply {
	h := r.Handle
	if r.Path != "" && !validPath(r.Path) {
		return refused("a malformed path")
	}
	if r.Path != "" {
		var e wasi.Errno
		if h, e = s.file(r.Handle, r.Path, r.ID); e == wasi.ErrnoStale {
			return site.Reply{Code: site.Changed, Reason: r.Path}
		} else if e != wasi.ErrnoSuccess {
			return site.Reply{Errno: e}
		}
	}
	if st, e := s.cfg.Host.Stat(h); e != wasi.ErrnoSuccess {
		return site.Reply{Errno: e}
	} else if st.Identity() != r.ID {
		return site.Reply{Code: site.Changed, Reason: r.Path}
	}
	data, e := s.block(h, r.Offset, r.Length)
	return site.Reply{Data: data, Errno: e}
}

// block reads up to n bytes of an open file, as many as there are.
func (s *Server) block(h wasi.Handle, off, n uint64) ([]byte, wasi.Errno) {
	if off > site.MaxFile {
		return nil, wasi.ErrnoInval
	}
	buf := make([]byte, n)
	done := 0
	for done < len(buf) {
		k, e := s.cfg.Host.PRead(h, buf[done:], off+uint64(done))
		if e != wasi.ErrnoSuccess {
			return nil, e
		}
		if k == 0 {
			break
		}
		done += k
	}
	return buf[:done], wasi.ErrnoSuccess
}

// file returns a handle on the regular file that path names, kept open for
// the next block. ErrnoStale means that it is no longer the file id.
func (s *Server) file(dir wasi.Handle, path string, id wasi.Identity) (wasi.Handle, wasi.Errno) {
	key := fileKey{dir, path, id}
	if h, ok := s.files[key]; ok {
		return h, wasi.ErrnoSuccess
	}
	st, e := s.cfg.Host.StatAt(dir, path, false)
	if e == wasi.ErrnoSuccess && (st.Type != wasi.FiletypeRegularFile || st.Identity() != id) {
		e = wasi.ErrnoStale
	}
	if e != wasi.ErrnoSuccess {
		return 0, e
	}
	h, st, e := s.cfg.Host.Open(dir, path, wasi.OpenFlags{Read: true})
	if e != wasi.ErrnoSuccess {
		return 0, e
	}
	if st.Identity() != id {
		s.cfg.Host.Close(h)
		return 0, wasi.ErrnoStale
	}
	if len(s.order) >= s.cfg.Limits.Cached {
		s.cfg.Host.Close(s.files[s.order[0]])
		delete(s.files, s.order[0])
		s.order = s.order[1:]
	}
	s.files[key] = h
	s.order = append(s.order, key)
	return h, wasi.ErrnoSuccess
}

// list answers the entries of a folder.
func (s *Server) list(r site.Request) site.Reply {
	if r.Path != "" && !validPath(r.Path) {
		return refused("a malformed path")
	}
	ds, e := s.entries(r.Handle, r.Path)
	if where, yes := s.privateIn(r.Handle, r.Path, ds); yes {
		return site.Reply{Code: site.Pinned, Reason: "private: " + where}
	}
	size := 0
	for _, d := range ds {
		size += len(d.Name)
	}
	if size > site.MaxListing {
		return refused("a folder with %d bytes of names", size)
	}
	return site.Reply{Names: ds, Errno: e}
}

func (s *Server) entries(dir wasi.Handle, path string) ([]wasi.Dirent, wasi.Errno) {
	h := dir
	if path != "" {
		// The path was resolved by an earlier walk: a link in it is news.
		var e wasi.Errno
		if h, _, e = s.cfg.Host.Open(dir, path, wasi.OpenFlags{Read: true, Directory: true}); e != wasi.ErrnoSuccess {
			return nil, e
		}
		defer s.cfg.Host.Close(h)
	}
	ds, e := s.cfg.Host.ReadDir(h)
	if e != wasi.ErrnoSuccess {
		return nil, e
	}
	return sorted(ds), wasi.ErrnoSuccess
}

// validPath reports whether path is relative, and no longer than a guest's.
func validPath(path string) bool {
	return path != "" && len(path) <= 2*wasi.MaxPath && path[0] != '/' && strings.IndexByte(path, 0) < 0
}
