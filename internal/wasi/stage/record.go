package stage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// record says how to undo a commit. Its places are absolute: the next start
// may be another program's.
type record struct {
	Moves   []move    // in the order in which they are done
	Files   []oldFile // what changes in place
	Times   []oldTimes
	Stages  []Place // our own names before the commit
	Garbage []Place // our own names after it, inner ones before what holds them
}

// move is a step that changes names, and what it moved.
type move struct {
	Kind            stepKind
	From, To, Aside Place
	Dev, Ino        uint64 // of what is then at To; stepRemove: of what was
	OldDir          bool
	Batch           int
}

// oldFile is what a file was before it was changed in place.
type oldFile struct {
	At         Place
	Dev, Ino   uint64
	Size       int64
	Atim, Mtim int64
	Parts      []oldPart
}

type oldPart struct {
	Off  int64
	Data []byte
}

// oldTimes is what the times of a file were.
type oldTimes struct {
	At         Place
	Dev, Ino   uint64
	Atim, Mtim int64
}

// record collects what undoing needs. Everything staged has its inode now.
func (st *Staged) record() error {
	st.rec = &record{Stages: st.stages}
	for i, x := range st.m.steps {
		switch x.kind {
		case stepOutput, stepChange:
			continue
		}
		id := x.o.info
		if x.o.fresh || x.o.replace && i >= x.o.swapped {
			id = x.o.staged
		}
		st.rec.Moves = append(st.rec.Moves, move{
			Kind: x.kind, From: x.from, To: x.to, Aside: x.aside, Dev: id.Dev, Ino: id.Ino, OldDir: x.oldDir, Batch: x.batch,
		})
	}
	budget := st.s.cfg.Limits.Undo
	for _, o := range st.m.all {
		if o.fresh || o.replace || len(o.runs) == 0 {
			continue
		}
		if o.file == nil {
			st.rec.Times = append(st.rec.Times, oldTimes{o.base, o.info.Dev, o.info.Ino, o.info.Atim, o.info.Mtim})
			continue
		}
		f, err := st.save(o, &budget)
		if err != nil {
			return err
		}
		st.rec.Files = append(st.rec.Files, f)
	}
	for _, g := range st.m.garbage {
		st.rec.Garbage = append(st.rec.Garbage, g.names[0])
	}
	return nil
}

// save reads the bytes of a file that its runs will overwrite or cut off.
func (st *Staged) save(o *object, budget *uint64) (oldFile, error) {
	f := oldFile{
		At: o.base, Dev: o.info.Dev, Ino: o.info.Ino, Size: int64(o.info.Size), Atim: o.info.Atim, Mtim: o.info.Mtim,
	}
	for _, r := range st.overwritten(o) {
		n := r.to - r.from
		if n > *budget {
			return oldFile{}, fmt.Errorf("old content of %s: %w", o.base, ErrTooLarge)
		}
		*budget -= n
		p := oldPart{Off: int64(r.from), Data: make([]byte, n)}
		if k, err := readFull(o.file, p.Data, p.Off); k < len(p.Data) {
			return oldFile{}, fmt.Errorf("old content of %s: %w", o.base, cmp.Or(err, io.ErrUnexpectedEOF))
		}
		f.Parts = append(f.Parts, p)
	}
	return f, nil
}

// span is the bytes [from, to) of a file.
type span struct{ from, to uint64 }

// overwritten returns which of a file's old bytes its runs change, in order
// and without overlap.
func (st *Staged) overwritten(o *object) []span {
	size := o.info.Size
	var all []span
	for _, r := range o.runs {
		for i := r.from; i < r.to; i++ {
			switch x := &st.eff.List[i]; x.Kind {
			case site.EffectWrite:
				all = append(all, span{x.Offset, min(size, x.Offset+uint64(len(x.Data)))})
			case site.EffectSetSize:
				all = append(all, span{x.Size, size})
			}
		}
	}
	all = slices.DeleteFunc(all, func(s span) bool { return s.from >= s.to })
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out []span
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func readFull(f content, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := f.ReadAt(p[done:], off+int64(done))
		done += n
		if err != nil || n == 0 {
			return done, err
		}
	}
	return done, nil
}

// restore puts a file back to what it was. f is open on it.
func (o *oldFile) restore(fsys FS, f content) error {
	for _, p := range o.Parts {
		if _, err := f.WriteAt(p.Data, p.Off); err != nil {
			return fmt.Errorf("restore %s: %w", o.At, err)
		}
	}
	if err := f.Truncate(o.Size); err != nil {
		return fmt.Errorf("restore %s: %w", o.At, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("restore %s: %w", o.At, err)
	}
	if o.At == (Place{}) {
		return nil
	}
	return setOldTimes(fsys, o.At, o.Atim, o.Mtim)
}

func setOldTimes(fsys FS, p Place, atim, mtim int64) error {
	err := fsys.SetTimes(p, wasi.TimeSet{Set: true, At: atim}, wasi.TimeSet{Set: true, At: mtim})
	if err != nil {
		return fmt.Errorf("restore the times of %s: %w", p, err)
	}
	return nil
}

// sweep removes names of our own.
func sweep(fsys FS, ps []Place) error {
	var errs []error
	for _, p := range ps {
		if err := fsys.Remove(p); err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("sweep %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}
