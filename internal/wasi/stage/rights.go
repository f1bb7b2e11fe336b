package stage

import (
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// A site has the guest's rights and no others: what a descriptor table had
// given up before the call is not given back by its effects. Effects do not say
// by which descriptor they came about, so they are held against all that the
// guest's table allows together at the place in question.

// power is what the guest may do below one folder, or with one open file.
type power struct {
	at    Place // a folder; zero: an open file
	file  inode
	entry wasi.Rights // on names in the folder
	open  wasi.Rights // on files that are opened through it, or the open one
}

// changing are the rights to change a file's content or times.
const changing = wasi.RightFdWrite | wasi.RightFdAllocate | wasi.RightFdFilestatSetSize | wasi.RightFdFilestatSetTimes

// loadPowers reads the guest's rights off its descriptor table, once they matter.
func (m *model) loadPowers() {
	if m.bounded || m.s.cfg.Descs == nil {
		return
	}
	m.bounded = true
	for _, d := range m.s.cfg.Descs() {
		if d.Handle&wasi.SiteHandle != 0 {
			continue
		}
		if d.Type != wasi.FiletypeDirectory {
			if st, e := m.s.cfg.Host.Stat(d.Handle); e == wasi.ErrnoSuccess {
				m.powers = append(m.powers, power{file: inode{st.Dev, st.Ino}, open: d.Base})
			}
			continue
		}
		_, at, err := m.locate(d.Handle)
		if err != nil || at == (Place{}) {
			continue // nobody knows where it is: it lends no right
		}
		p := power{at: at, entry: d.Base}
		if d.Base&wasi.RightPathOpen != 0 {
			p.open = d.Inheriting
		}
		if d.ReadOnly {
			p.entry &= wasi.RightPathOpen
			p.open &^= changing
		}
		m.powers = append(m.powers, p)
	}
}

// below reports whether p is in the folder at, however deep, or is it.
func (p Place) below(at Place) bool {
	return p.Root == at.Root && (at.Name == "." || p.Name == at.Name || strings.HasPrefix(p.Name, at.Name+"/"))
}

// mayEntry reports whether the guest may do to names in the folder d what needs
// the right.
func (m *model) mayEntry(d *object, need wasi.Rights) bool {
	p, err := d.place()
	if err != nil {
		return false
	}
	for i := range m.powers {
		if x := &m.powers[i]; x.at != (Place{}) && (p.below(x.at) || d.base.below(x.at)) && x.entry&need == need {
			return true
		}
	}
	return false
}

// mayFile reports whether the guest may use any of the rights on the content of
// o: by a descriptor that is open on it, or by one that it could open.
func (m *model) mayFile(o *object, any, byName wasi.Rights) bool {
	for i := range m.powers {
		x := &m.powers[i]
		if x.at == (Place{}) {
			if !o.fresh && x.file == o.info.inode() && x.open&any != 0 {
				return true
			}
			continue
		}
		within := !o.noName && o.base.below(x.at)
		for _, p := range o.names {
			within = within || p.below(x.at)
		}
		if within && (x.open&any != 0 || x.entry&byName != 0) {
			return true
		}
	}
	return false
}

// allowed holds one effect against the guest's rights. Its objects and indices
// are good.
func (m *model) allowed(x *site.Effect) error {
	m.loadPowers()
	ok := m.changeable(x)
	switch {
	case !ok:
		return hostile("a change in a read-only folder")
	case !m.bounded:
		return nil
	}
	switch x.Kind {
	case site.EffectCreate:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathCreateFile)
	case site.EffectMkdir:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathCreateDirectory)
	case site.EffectSymlink:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathSymlink)
	case site.EffectLink:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathLinkTarget)
	case site.EffectUnlink:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathUnlinkFile)
	case site.EffectRmdir:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathRemoveDirectory)
	case site.EffectRename:
		ok = m.mayEntry(m.objs[x.Dir], wasi.RightPathRenameSource) && m.mayEntry(m.objs[x.Dir2], wasi.RightPathRenameTarget)
	case site.EffectWrite:
		ok = m.mayFile(m.objs[x.Object], wasi.RightFdWrite, 0)
	case site.EffectSetSize:
		ok = m.mayFile(m.objs[x.Object], wasi.RightFdFilestatSetSize|wasi.RightFdAllocate, wasi.RightPathFilestatSetSize)
	case site.EffectTimes:
		ok = m.mayFile(m.objs[x.Object], wasi.RightFdFilestatSetTimes, wasi.RightPathFilestatSetTimes)
	}
	if !ok {
		return hostile("the guest has no right to do that")
	}
	return nil
}

// mayOpen holds a handle that stays open against the guest's rights.
func (m *model) mayOpen(o *object, f wasi.OpenFlags) error {
	m.loadPowers()
	ok := true
	if !m.bounded {
		return nil
	}
	if o.typ == wasi.FiletypeDirectory {
		ok = m.mayEntry(o, wasi.RightPathOpen)
	} else {
		ok = !f.Read || m.mayFile(o, wasi.RightFdRead, 0)
		ok = ok && (!f.Write || m.mayFile(o, wasi.RightFdWrite, 0))
	}
	if !ok {
		return hostile("the guest has no right to open %s so", o.base)
	}
	return nil
}

// changeable reports whether x changes nothing in a folder that was given to be
// read alone.
func (m *model) changeable(x *site.Effect) bool {
	in := func(i int) bool { return m.readOnly[m.objs[i].base.Root] }
	switch x.Kind {
	case site.EffectOutput:
		return true
	case site.EffectWrite, site.EffectSetSize, site.EffectTimes:
		return !in(x.Object)
	case site.EffectRename:
		return !in(x.Dir) && !in(x.Dir2)
	default:
		return !in(x.Dir)
	}
}
