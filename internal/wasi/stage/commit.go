package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Committed is what a commit yielded.
type Committed struct {
	// Handles maps the site's handles to the device's; Identities has those
	// of everything open now, by device handle (PROTOCOL rule 16 d).
	Handles    map[wasi.Handle]wasi.Handle
	Identities map[wasi.Handle]wasi.Identity
	// Accepted are the connections that the attempt accepted. They are the
	// caller's now: to be closed where the descriptor table lacks them.
	Accepted []wasi.Handle
	// Leftover is why not all of the old content could be swept, or nil; the
	// commit holds anyway, and Recover sweeps the rest.
	Leftover error
}

// CommitError says that a commit was undone. The call is to be run locally,
// with the first Outputs output effects answered from the log: they are on
// their streams. Where Err is an *OutputError, the one after them came out
// as it says.
type CommitError struct {
	Err     error
	Outputs int
	Undo    error // why not everything could be undone; Recover tries again
}

// Error implements error.
func (e *CommitError) Error() string {
	if e.Undo != nil {
		return fmt.Sprintf("commit: %v; undoing it is left to the next start: %v", e.Err, e.Undo)
	}
	return fmt.Sprintf("commit: %v; it was undone", e.Err)
}

// Unwrap returns what failed.
func (e *CommitError) Unwrap() error { return e.Err }

// Record returns the commit record: what [Staged.Commit] puts into the
// journal before it changes anything. It is nil if no file changes.
func (st *Staged) Record() []byte {
	if st.rec == nil {
		return nil
	}
	b, err := (&entry{Record: st.rec}).frame()
	if err != nil {
		return nil
	}
	return b
}

// Commit makes everything real, in the order of the effects (PROTOCOL rule
// 16 b and c). Either all of it holds, or the error is a *CommitError and no
// file has changed.
func (st *Staged) Commit() (*Committed, error) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.over {
		return nil, errors.New("commit: it is over already")
	}
	outputs, err := st.commit()
	st.over = true
	var undo error
	if err != nil {
		undo = st.rollback()
	}
	closed := st.closeFiles()
	if err != nil {
		for _, h := range st.handles {
			st.s.cfg.Host.Close(h)
		}
		return nil, &CommitError{Err: err, Outputs: outputs, Undo: undo}
	}
	st.s.closeCached()
	accepted := st.s.accepted
	st.s.accepted = nil
	return &Committed{
		Handles: st.handles, Identities: st.identities(), Accepted: accepted,
		Leftover: errors.Join(closed, st.finish()),
	}, nil
}

func (st *Staged) commit() (outputs int, err error) {
	if st.rec != nil {
		if err := st.unchanged(); err != nil {
			return 0, err
		}
		b, err := (&entry{Record: st.rec}).frame()
		if err != nil {
			return 0, err
		}
		if err := st.s.cfg.Journal.Append(b); err != nil {
			return 0, err
		}
		st.s.reach(PointRecorded)
		for _, o := range st.m.all {
			if o.ballast != (Place{}) {
				if err := st.s.cfg.FS.Remove(o.ballast); err != nil && !gone(err) {
					return 0, err
				}
			}
		}
	}
	last := st.lastChange()
	if outputs, err = st.change(st.m.steps[:last+1]); err != nil {
		return outputs, err
	}
	// What is printed after the last change is printed when the changes hold:
	// a device that is killed in between has shown nothing that did not happen.
	for i := last + 1; i < len(st.m.steps); i++ {
		if err := st.emit(&st.m.steps[i]); err != nil {
			return outputs, err
		}
		outputs++
	}
	return outputs, nil
}

// lastChange returns the index of the last step that changes a file, or -1.
func (st *Staged) lastChange() int {
	for i := len(st.m.steps) - 1; i >= 0; i-- {
		if st.m.steps[i].kind != stepOutput {
			return i
		}
	}
	return -1
}

func (st *Staged) emit(x *step) error { return st.s.emit(x.effect, &st.eff.List[x.effect]) }

// change does the steps of a commit that changes files, up to the entry in the
// journal that says that they are done.
func (st *Staged) change(steps []step) (outputs int, err error) {
	if len(steps) == 0 {
		return 0, nil
	}
	d := dirty{fs: st.s.cfg.FS, dirs: map[Place]bool{}, files: map[content]bool{}}
	batch, begun := 0, false
	for i := range steps {
		x := &steps[i]
		if x.kind == stepOutput {
			if err := st.emit(x); err != nil {
				return outputs, err
			}
			outputs++
			continue
		}
		if x.batch != batch {
			batch = x.batch
			if err := d.sync(); err != nil {
				return outputs, err
			}
			if err := announceBatch(st.s.cfg.Journal, batch); err != nil {
				return outputs, err
			}
		}
		if err := st.do(x, &d); err != nil {
			return outputs, fmt.Errorf("%s: %w", x.to, err)
		}
		if !begun {
			begun = true
			st.s.reach(PointBegun)
		}
	}
	if err := d.sync(); err != nil {
		return outputs, err
	}
	st.s.reach(PointApplied)
	b, err := (&entry{Done: true}).frame()
	if err == nil {
		err = st.s.cfg.Journal.Append(b)
	}
	if err == nil {
		st.s.reach(PointDone)
	}
	return outputs, err
}

func announceBatch(j Journal, n int) error {
	b, err := (&entry{Batch: &n}).frame()
	if err != nil {
		return err
	}
	return j.Append(b)
}

// unchanged checks once more that the files that change are as they were
// when they were prepared.
func (st *Staged) unchanged() error {
	for _, o := range st.m.all {
		if o.fresh || !o.made || o.typ != wasi.FiletypeRegularFile || len(o.runs) == 0 || o.noName {
			continue
		}
		info, err := st.s.cfg.FS.Lstat(o.base)
		if err != nil || info.Identity() != o.info.Identity() {
			return fmt.Errorf("%s: %w", o.base, ErrChanged)
		}
	}
	return nil
}

// do does one step.
func (st *Staged) do(x *step, d *dirty) error {
	fsys := st.s.cfg.FS
	switch x.kind {
	case stepPlace:
		d.names(x.to)
		return moveTo(fsys, x.from, x.to)
	case stepSwap:
		d.names(x.to)
		if err := keep(fsys, x.to, x.aside, false); err != nil {
			return err
		}
		return fsys.Rename(x.from, x.to)
	case stepRemove:
		d.names(x.to)
		return fsys.Rename(x.to, x.aside)
	case stepMove:
		d.names(x.from, x.to)
		if x.aside == (Place{}) {
			return moveTo(fsys, x.from, x.to)
		}
		if err := keep(fsys, x.to, x.aside, x.oldDir); err != nil {
			return err
		}
		return fsys.Rename(x.from, x.to)
	case stepLink:
		d.names(x.to)
		return fsys.Link(x.from, x.to)
	case stepChange:
		return st.changeInPlace(x, d)
	default:
		return hostile("step of kind %d", x.kind)
	}
}

// moveTo renames from to a name that must be free.
func moveTo(fsys FS, from, to Place) error {
	if _, err := fsys.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = ErrChanged
		}
		return err
	}
	return fsys.Rename(from, to)
}

// keep gives what is at p the name aside, and leaves it at p as well if it
// can: so there is never a moment without it.
func keep(fsys FS, p, aside Place, dir bool) error {
	if !dir {
		if err := fsys.Link(p, aside); err == nil {
			return nil
		} else if !cannotLink(err) {
			return err
		}
	}
	return fsys.Rename(p, aside)
}

// cannotLink reports whether err says that the file system, or a rule of the
// system, has no second names.
func cannotLink(err error) bool {
	for _, e := range []error{
		syscall.EPERM, syscall.EACCES, syscall.ENOSYS, syscall.EMLINK, errors.ErrUnsupported,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (st *Staged) changeInPlace(x *step, d *dirty) error {
	if x.o.file != nil {
		d.files[x.o.file] = true
	}
	return st.apply(x.o.file, x.to, x.run)
}

// gone reports whether err says that nothing is there.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// dirty is what has to be flushed before the journal may say so.
type dirty struct {
	fs    FS
	dirs  map[Place]bool
	files map[content]bool
}

func (d *dirty) names(ps ...Place) {
	for _, p := range ps {
		d.dirs[p.dir()] = true
	}
}

func (d *dirty) sync() error {
	for f := range d.files {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	for p := range d.dirs {
		if err := d.fs.SyncDir(p); err != nil {
			return fmt.Errorf("flush folder %s: %w", p, err)
		}
	}
	clear(d.files)
	clear(d.dirs)
	return nil
}

// rollback undoes a commit that failed.
func (st *Staged) rollback() error {
	if st.rec == nil {
		return nil
	}
	// Files without a name are the process's own affair.
	var errs []error
	for _, o := range st.m.all {
		if o.noName && o.file != nil {
			for i := range st.rec.Files {
				if f := &st.rec.Files[i]; f.At == (Place{}) && f.Ino == o.info.Ino && f.Dev == o.info.Dev {
					errs = append(errs, f.restore(st.s.cfg.FS, o.file))
				}
			}
		}
	}
	errs = append(errs, Recover(st.s.cfg.Journal, st.s.cfg.FS, Undo))
	return errors.Join(errs...)
}

// finish sweeps what the commit put aside.
func (st *Staged) finish() error {
	if st.rec == nil {
		return nil
	}
	return Recover(st.s.cfg.Journal, st.s.cfg.FS, AsRecorded)
}

// identities returns what everything open is now.
func (st *Staged) identities() map[wasi.Handle]wasi.Identity {
	ids := map[wasi.Handle]wasi.Identity{}
	note := func(h wasi.Handle) {
		if s, e := st.s.cfg.Host.Stat(h); e == wasi.ErrnoSuccess {
			ids[h] = s.Identity()
		}
	}
	for _, h := range st.handles {
		note(h)
	}
	if st.s.cfg.Descs != nil {
		for _, d := range st.s.cfg.Descs() {
			if d.Handle&wasi.SiteHandle == 0 {
				note(d.Handle)
			}
		}
	}
	return ids
}
