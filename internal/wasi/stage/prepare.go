package stage

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// Staged is a commit that is prepared: all that can be expected to fail has
// been done, and nothing that a program would look at has changed.
type Staged struct {
	s       *Server
	eff     *site.Effects
	m       *model
	rec     *record
	files   []File
	handles map[wasi.Handle]wasi.Handle
	stages  []Place // our own names, where they are before the commit
	journal bool    // it has an entry of this commit
	later   map[*object][]*run
	over    bool
}

// Prepare checks what an attempt did and makes it ready to be committed
// (PROTOCOL rules 15 and 16 a). An error leaves everything as it was and
// means that the attempt is abandoned: ErrChanged, ErrHostile,
// ErrUnsupported, ErrTooLarge, or the file system's own.
func (s *Server) Prepare(eff site.Effects, reads site.Reads) (*Staged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkReads(reads); err != nil {
		return nil, fmt.Errorf("prepare commit: %w", err)
	}
	var id [8]byte
	rand.Read(id[:])
	st := &Staged{s: s, eff: &eff, handles: map[wasi.Handle]wasi.Handle{}}
	st.m = &model{s: s, eff: &eff, id: hex.EncodeToString(id[:])}
	if err := st.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare commit: %w", err), st.abandon())
	}
	return st, nil
}

func (st *Staged) prepare() error {
	if err := st.m.load(); err != nil {
		return err
	}
	if err := st.m.play(); err != nil {
		return err
	}
	if st.changes() {
		if !supported || st.s.cfg.Journal == nil {
			return ErrUnsupported
		}
		st.plan()
		if err := st.permitted(); err != nil {
			return err
		}
		if err := st.announce(); err != nil {
			return err
		}
		for _, o := range st.m.all {
			if err := st.stage(o); err != nil {
				return err
			}
		}
		if err := st.record(); err != nil {
			return err
		}
	}
	if err := st.open(); err != nil {
		return err
	}
	if st.changes() {
		st.s.reach(PointStaged)
	}
	return nil
}

// changes reports whether the commit changes files.
func (st *Staged) changes() bool {
	return slices.ContainsFunc(st.m.steps, func(x step) bool { return x.kind != stepOutput })
}

// plan names what will be staged.
func (st *Staged) plan() {
	for _, o := range st.m.all {
		switch {
		case o.stage != Place{}:
			st.stages = append(st.stages, o.stage)
		case len(o.runs) > 0 && o.typ == wasi.FiletypeRegularFile && !o.noName && st.growth(o, o.runs) > 0 &&
			st.s.cfg.FS.Writable(o.base.dir()) == nil:
			// Space for what is written in place is held by a file beside it,
			// which goes when the commit begins.
			o.ballast = o.base.dir().in(st.m.own())
			st.stages = append(st.stages, o.ballast)
		}
	}
}

// growth is how many bytes runs write.
func (st *Staged) growth(o *object, runs []*run) (n uint64) {
	for _, r := range runs {
		for i := r.from; i < r.to; i++ {
			if x := &st.eff.List[i]; x.Kind == site.EffectWrite {
				if o.fresh || o.replace {
					n += uint64(len(x.Data))
				} else if end := x.Offset + uint64(len(x.Data)); end > o.info.Size {
					n += end - max(x.Offset, o.info.Size)
				}
			}
		}
	}
	return n
}

// permitted checks that the folders whose entries change may be changed.
func (st *Staged) permitted() error {
	done := map[*object]bool{}
	for i := range st.eff.List {
		x := &st.eff.List[i]
		dirs := []int{x.Dir, x.Dir2}
		switch x.Kind {
		case site.EffectOutput, site.EffectWrite, site.EffectSetSize, site.EffectTimes:
			continue
		case site.EffectRename:
		default:
			dirs = dirs[:1]
		}
		for _, d := range dirs {
			o := st.m.objs[d]
			if o.fresh || done[o] {
				continue
			}
			done[o] = true
			if err := st.s.cfg.FS.Writable(o.base); err != nil {
				return fmt.Errorf("folder %s: %w", o.base, err)
			}
		}
	}
	return nil
}

// announce writes the names to the journal, so that the next start can sweep
// them whatever happens.
func (st *Staged) announce() error {
	if old, err := st.s.cfg.Journal.Load(); err != nil {
		return err
	} else if len(old) > 0 {
		return fmt.Errorf("an earlier commit was cut and is not recovered: %w", ErrUnsupported)
	}
	b, err := (&entry{Stages: st.stages}).frame()
	if err != nil {
		return err
	}
	st.journal = true
	return st.s.cfg.Journal.Append(b)
}

// stage puts what is new of o on disk, and opens what changes in place.
func (st *Staged) stage(o *object) error {
	fsys := st.s.cfg.FS
	if o.stage == (Place{}) {
		return st.inPlace(o)
	}
	var err error
	switch o.typ {
	case wasi.FiletypeDirectory:
		err = fsys.Mkdir(o.stage, 0o777)
	case wasi.FiletypeSymbolicLink:
		err = fsys.Symlink(o.target, o.stage)
	default:
		err = st.stageFile(o)
	}
	if err == nil {
		o.staged, err = fsys.Lstat(o.stage)
	}
	if err != nil {
		return fmt.Errorf("stage %s: %w", o.stage, err)
	}
	return nil
}

func (st *Staged) stageFile(o *object) (err error) {
	fsys := st.s.cfg.FS
	mode := o.info.Mode.Perm()
	if o.fresh {
		mode = 0o666
	}
	f, err := fsys.Create(o.stage, mode)
	if err != nil {
		return err
	}
	first, later := st.split(o)
	if len(later) > 0 {
		o.file = f
		st.files = append(st.files, f)
	} else {
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	if o.replace {
		if err := f.Chmod(o.info.Mode); err != nil {
			return err
		}
		if err := f.Chown(o.info.UID, o.info.GID); err != nil {
			return err
		}
	}
	if n := st.growth(o, o.runs); n > 0 {
		if err := f.Reserve(int64(min(n, site.MaxFile))); err != nil {
			return err
		}
	}
	for _, r := range first {
		if err := st.apply(f, o.stage, r); err != nil {
			return err
		}
	}
	return f.Sync()
}

// split returns the run that is in the stage file already when it gets its
// name, and those that follow.
func (st *Staged) split(o *object) (first, later []*run) {
	if st.later == nil { // once for all: a clone may have made very many files
		st.later = map[*object][]*run{}
		for _, x := range st.m.steps {
			if x.kind == stepChange {
				st.later[x.o] = append(st.later[x.o], x.run)
			}
		}
	}
	later = st.later[o]
	for _, r := range o.runs {
		if !slices.Contains(later, r) {
			first = append(first, r)
		}
	}
	return first, later
}

// apply makes the changes of a run. Times go to at, the file's name now; a
// file without a name keeps its own.
func (st *Staged) apply(f content, at Place, r *run) error {
	for i := r.from; i < r.to; i++ {
		x := &st.eff.List[i]
		var err error
		switch x.Kind {
		case site.EffectWrite:
			_, err = f.WriteAt(x.Data, int64(x.Offset))
		case site.EffectSetSize:
			err = f.Truncate(int64(x.Size))
		case site.EffectTimes:
			if at != (Place{}) {
				err = st.s.cfg.FS.SetTimes(at, x.Atim, x.Mtim)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inPlace opens a file of the device that changes in place.
func (st *Staged) inPlace(o *object) error {
	if len(o.runs) == 0 || o.typ != wasi.FiletypeRegularFile {
		return nil
	}
	content := slices.ContainsFunc(o.runs, func(r *run) bool {
		return slices.ContainsFunc(st.eff.List[r.from:r.to], func(x site.Effect) bool { return x.Kind != site.EffectTimes })
	})
	if !content {
		return nil
	}
	if o.noName {
		o.file = &heldFile{st.s.cfg.Host, o.handle}
		return nil
	}
	f, err := st.s.cfg.FS.Open(o.base)
	if err != nil {
		return fmt.Errorf("change %s: %w", o.base, err)
	}
	o.file = f
	st.files = append(st.files, f)
	if info, err := f.Stat(); err != nil || info.inode() != o.info.inode() {
		return fmt.Errorf("%s: %w", o.base, ErrChanged)
	}
	if o.ballast == (Place{}) {
		return nil
	}
	b, err := st.s.cfg.FS.Create(o.ballast, 0o600)
	if err != nil {
		return fmt.Errorf("reserve space for %s: %w", o.base, err)
	}
	err = b.Reserve(int64(min(st.growth(o, o.runs), site.MaxFile)))
	if err := errors.Join(err, b.Close()); err != nil {
		return fmt.Errorf("reserve space for %s: %w", o.base, err)
	}
	return nil
}

// open makes a handle of the device for every one of the site's that stays
// open.
func (st *Staged) open() error {
	host := st.s.cfg.Host
	for _, x := range st.eff.Opens {
		o, err := st.m.object(x.Object)
		if err != nil {
			return err
		}
		if x.Handle&wasi.SiteHandle == 0 || st.handles[x.Handle] != 0 || o.typ == wasi.FiletypeSymbolicLink {
			return hostile("handle %d", x.Handle)
		}
		if o.noName {
			return fmt.Errorf("a second handle on a removed file: %w", ErrUnsupported)
		}
		p := o.base
		if o.stage != (Place{}) {
			p = o.stage
		}
		dir, ok := st.m.roots[p.Root]
		if !ok {
			return hostile("handle %d is outside", x.Handle)
		}
		if err := st.m.mayOpen(o, x.Flags); err != nil {
			return err
		}
		f := x.Flags
		f.Create, f.Exclusive, f.Truncate, f.Follow = false, false, false, false
		f.Directory = o.typ == wasi.FiletypeDirectory
		h, now, e := host.Open(dir, p.Name, f)
		if e != wasi.ErrnoSuccess {
			return fmt.Errorf("open %s: %w", p, e)
		}
		st.handles[x.Handle] = h
		want := o.info
		if o.stage != (Place{}) {
			want = o.staged
		}
		if want.inode() != (inode{now.Dev, now.Ino}) {
			return fmt.Errorf("%s: %w", p, ErrChanged)
		}
	}
	return nil
}

// Abandon removes everything that was staged. It does nothing after Commit.
func (st *Staged) Abandon() error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	return st.abandon()
}

func (st *Staged) abandon() error {
	if st.over {
		return nil
	}
	st.over = true
	for _, h := range st.handles {
		st.s.cfg.Host.Close(h)
	}
	st.handles = nil
	errs := []error{st.closeFiles()}
	if st.journal {
		err := sweep(st.s.cfg.FS, st.stages)
		if err == nil {
			err = st.s.cfg.Journal.Clear()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (st *Staged) closeFiles() error {
	var errs []error
	for _, f := range st.files {
		errs = append(errs, f.Close())
	}
	st.files = nil
	return errors.Join(errs...)
}

// heldFile is a file that only a handle of the guest leads to.
type heldFile struct {
	host *wasi.Local
	h    wasi.Handle
}

func (f *heldFile) ReadAt(p []byte, off int64) (int, error) {
	n, e := f.host.PRead(f.h, p, uint64(off))
	return n, asError(e)
}

func (f *heldFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, e := f.host.PWrite(f.h, p[done:], uint64(off)+uint64(done))
		if done += n; e != wasi.ErrnoSuccess || n == 0 {
			return done, errors.Join(asError(e), asError(wasi.ErrnoIo))
		}
	}
	return done, nil
}

func (f *heldFile) Truncate(size int64) error { return asError(f.host.SetSize(f.h, uint64(size))) }
func (f *heldFile) Sync() error               { return asError(f.host.Sync(f.h, false)) }

func asError(e wasi.Errno) error {
	if e == wasi.ErrnoSuccess {
		return nil
	}
	return e
}
