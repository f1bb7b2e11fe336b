package runner

import (
	"fmt"
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// checkTable holds the result's WASI state against what the guest had and what
// the attempt opened (PROTOCOL rule 15): a clone hands out no rights.
func (r *deviceRun) checkTable(state *wasi.State, e *site.Effects) error {
	now := r.g.sys.Capture()
	if !slices.Equal(state.Args, now.Args) || !slices.Equal(state.Env, now.Env) {
		return fmt.Errorf("arguments or environment that the guest did not have")
	}
	before := map[wasi.Handle]wasi.Desc{}
	for _, d := range now.Descs {
		before[d.Handle] = d
	}
	made := map[wasi.Handle]wasi.Filetype{}
	for _, o := range e.Opens {
		made[o.Handle] = e.Objects[o.Object].Type
	}
	for _, h := range r.live.server.Accepted() {
		made[h] = wasi.FiletypeUnknown // a connection, of whatever kind its socket is
	}
	for fd, d := range state.Descs {
		if was, had := before[d.Handle]; had {
			if !keeps(&d, &was) {
				return fmt.Errorf("descriptor %d claims more than the guest had", fd)
			}
			continue
		}
		typ, ok := made[d.Handle]
		switch {
		case !ok:
			return fmt.Errorf("descriptor %d is on a handle that was never opened", fd)
		case d.Preopen || d.Name != "":
			return fmt.Errorf("descriptor %d claims to be preopened", fd)
		case typ == wasi.FiletypeUnknown:
			if !connection(&d, now.Descs) {
				return fmt.Errorf("descriptor %d claims more than a connection has", fd)
			}
		case d.Type != typ:
			return fmt.Errorf("descriptor %d is of type %d, and what was opened of type %d", fd, d.Type, typ)
		case !under(&d, before):
			return fmt.Errorf("descriptor %d claims more than its folder gives", fd)
		}
	}
	return nil
}

// keeps reports whether d is the descriptor that the guest had, with its rights
// or fewer.
func keeps(d, was *wasi.Desc) bool {
	return d.Type == was.Type && d.Preopen == was.Preopen && d.ReadOnly == was.ReadOnly && d.Root == was.Root &&
		d.Name == was.Name && d.Path == was.Path && d.Base&^was.Base == 0 && d.Inheriting&^was.Inheriting == 0
}

// under reports whether d, which the attempt opened, has no more rights than
// one of the guest's folders under the same preopen could give.
func under(d *wasi.Desc, before map[wasi.Handle]wasi.Desc) bool {
	for _, from := range before {
		if from.Type != wasi.FiletypeDirectory || from.Root != d.Root || from.ReadOnly != d.ReadOnly {
			continue
		}
		base := from.Inheriting
		if d.Type == wasi.FiletypeDirectory {
			base = from.Base
		}
		if d.Base&^base == 0 && d.Inheriting&^from.Inheriting == 0 {
			return true
		}
	}
	return false
}

// connection reports whether d is what accepting on one of the guest's sockets
// gives.
func connection(d *wasi.Desc, descs map[uint32]wasi.Desc) bool {
	for _, s := range descs {
		if s.Type == d.Type && d.Base&^(s.Base|s.Inheriting) == 0 && d.Inheriting&^s.Inheriting == 0 {
			return d.Type == wasi.FiletypeSocketStream || d.Type == wasi.FiletypeSocketDgram
		}
	}
	return false
}
