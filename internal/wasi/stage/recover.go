package stage

import (
	"errors"
	"fmt"
)

// Direction says what becomes of a commit that was cut.
type Direction int

const (
	// AsRecorded finishes a commit that is done and undoes any other.
	AsRecorded Direction = iota
	// Undo undoes it whatever the journal says: for a failure at its very
	// end.
	Undo
)

// Recover ends a commit that was cut, by whatever: afterwards every file is
// as before it, or every file is as after it, and the journal is empty. It
// must run before any guest does, and may itself be cut and repeated. An
// error means that something is left for the next time; it names the file.
func Recover(j Journal, fsys FS, dir Direction) error {
	b, err := j.Load()
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	var rec *record
	var stages []Place
	batch, done := 0, false
	for _, e := range parse(b) {
		switch {
		case e.Record != nil:
			rec = e.Record
		case e.Batch != nil:
			batch, done = *e.Batch, false
		case e.Done:
			done = true
		default:
			stages = e.Stages
		}
	}
	switch {
	case rec == nil:
		err = sweep(fsys, stages)
	case done && dir == AsRecorded:
		err = sweep(fsys, rec.Garbage)
	default:
		if done {
			// From here on the journal no longer says that it holds.
			if err := announceBatch(j, batch); err != nil {
				return fmt.Errorf("recover: %w", err)
			}
		}
		err = rec.undo(j, fsys, batch)
	}
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return j.Clear()
}

// undo takes back the steps up to batch, the latest first, then the changes
// in place, and sweeps what was staged.
func (r *record) undo(j Journal, fsys FS, batch int) error {
	d := dirty{fs: fsys, dirs: map[Place]bool{}, files: map[content]bool{}}
	for i := len(r.Moves) - 1; i >= 0; i-- {
		m := &r.Moves[i]
		if m.Batch > batch {
			continue
		}
		if m.Batch < batch {
			if err := d.sync(); err != nil {
				return err
			}
			batch = m.Batch
			if err := announceBatch(j, batch); err != nil {
				return err
			}
		}
		if err := m.undo(fsys, &d); err != nil {
			return fmt.Errorf("undo %s: %w", m.To, err)
		}
	}
	if err := d.sync(); err != nil {
		return err
	}
	for i := range r.Files {
		if err := r.Files[i].undo(fsys); err != nil {
			return err
		}
	}
	for _, t := range r.Times {
		info, err := fsys.Lstat(t.At)
		if err != nil || info.Dev != t.Dev || info.Ino != t.Ino {
			return fmt.Errorf("restore the times of %s: it is not where it was", t.At)
		}
		if err := setOldTimes(fsys, t.At, t.Atim, t.Mtim); err != nil {
			return err
		}
	}
	return sweep(fsys, r.Stages)
}

func (o *oldFile) undo(fsys FS) (err error) {
	if o.At == (Place{}) {
		return nil // it had no name, so it went with the process
	}
	f, err := fsys.Open(o.At)
	if err != nil {
		return fmt.Errorf("restore %s: %w", o.At, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || info.Dev != o.Dev || info.Ino != o.Ino {
		return fmt.Errorf("restore %s: it is not where it was", o.At)
	}
	return o.restore(fsys, f)
}

// undo takes back one step, as far as it was done.
func (m *move) undo(fsys FS, d *dirty) error {
	there := func(p Place) (inode, bool, error) {
		info, err := fsys.Lstat(p)
		if gone(err) {
			return inode{}, false, nil
		}
		return info.inode(), err == nil, err
	}
	at, ok, err := there(m.To)
	if err != nil {
		return err
	}
	moved := ok && at == inode{m.Dev, m.Ino}
	switch m.Kind {
	case stepPlace, stepSwap, stepMove:
		if moved {
			d.names(m.From, m.To)
			if err := fsys.Rename(m.To, m.From); err != nil {
				return err
			}
			at, ok = inode{}, false
		}
	case stepLink:
		if moved {
			d.names(m.To)
			return fsys.Remove(m.To)
		}
		return nil
	}
	if m.Aside == (Place{}) {
		return nil
	}
	aside, kept, err := there(m.Aside)
	if err != nil || !kept {
		return err
	}
	d.names(m.To)
	if ok && at == aside {
		return fsys.Remove(m.Aside)
	}
	if ok {
		return errors.New("something else has its name now")
	}
	return fsys.Rename(m.Aside, m.To)
}
