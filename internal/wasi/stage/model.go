package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// ErrHostile says that effects or reads make no sense: no honest site sends
// such.
var ErrHostile = errors.New("the clone's account makes no sense")

// ErrTooLarge says that more would have to be kept for undoing than the
// limit allows.
var ErrTooLarge = errors.New("too large to be undone")

func hostile(format string, a ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, a...), ErrHostile)
}

type inode struct{ dev, ino uint64 }

func (i Info) inode() inode { return inode{i.Dev, i.Ino} }

// object is a file, folder or link in the model: one of the device, or one
// that the attempt made.
type object struct {
	fresh bool // made by the attempt
	made  bool // its effect has been played
	gone  bool // a folder that was removed
	typ   wasi.Filetype
	base  Place              // where it is before the commit; of a fresh one: where it is staged
	info  Info               // before the commit
	names []Place            // where it is now, as far as the model knows
	kids  map[string]*object // folders: what the attempt did to entries; nil: gone

	held    bool        // open on the device, so it must keep its inode
	handle  wasi.Handle // how to reach it if it has no name
	noName  bool
	runs    []*run // changes of content, in order
	replace bool   // the first run yields a new file, staged beside it
	stage   Place
	staged  Info    // of the stage file
	swapped int     // the step that put the stage file in place
	file    content // for runs in place
	ballast Place
	target  string
}

// place returns where o is now.
func (o *object) place() (Place, error) {
	if len(o.names) == 0 {
		return Place{}, hostile("use of something that has no name")
	}
	return o.names[0], nil
}

// run is changes of one object's content and times with nothing in between.
type run struct{ from, to int } // effects [from, to)

// model is the folders as the effects leave them. Nothing of it is on disk
// while it is played.
type model struct {
	s       *Server
	eff     *site.Effects
	id      string // of this commit: part of every name of its own
	names   int
	objs    []*object // as the effects number them
	byInode map[inode]*object
	all     []*object // whose names follow when a folder moves
	roots   map[string]wasi.Handle
	located map[wasi.Handle]located
	held    map[inode]bool
	// powers are what the guest may do, once bounded; readOnly the roots that
	// were given to be read alone.
	powers   []power
	bounded  bool
	readOnly map[string]bool
	tops     map[string]wasi.Handle // every folder that the guest was given
	steps    []step
	garbage  []*object
	batch    batcher
}

// own returns a name that only this commit uses.
func (m *model) own() string {
	m.names++
	return fmt.Sprintf(".clonecloud-%s-%d", m.id, m.names)
}

// load finds every object of the effects on the device, and checks that it
// is as the attempt saw it first.
func (m *model) load() error {
	m.roots, m.byInode, m.located = map[string]wasi.Handle{}, map[inode]*object{}, map[wasi.Handle]located{}
	m.readOnly = map[string]bool{}
	if err := m.loadHeld(); err != nil {
		return err
	}
	for i := range m.eff.Objects {
		o, err := m.loadObject(&m.eff.Objects[i])
		if err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
		m.objs = append(m.objs, o)
	}
	return nil
}

// loadHeld notes what the guest holds open on the device.
func (m *model) loadHeld() error {
	m.held, m.tops = map[inode]bool{}, map[string]wasi.Handle{}
	if m.s.cfg.Descs == nil {
		return nil
	}
	for _, d := range m.s.cfg.Descs() {
		if d.Handle&wasi.SiteHandle != 0 {
			continue
		}
		if folder, _ := m.s.cfg.Host.Folder(d.Handle); folder != nil && d.Preopen {
			if top, err := filepath.Abs(folder.Name()); err == nil {
				m.tops[top] = d.Handle
			}
		}
		if st, e := m.s.cfg.Host.Stat(d.Handle); e == wasi.ErrnoSuccess && st.Type == wasi.FiletypeRegularFile {
			m.held[inode{st.Dev, st.Ino}] = true
		}
	}
	return nil
}

func (m *model) loadObject(x *site.Object) (*object, error) {
	if x.New {
		switch x.Type {
		case wasi.FiletypeRegularFile, wasi.FiletypeDirectory, wasi.FiletypeSymbolicLink:
		default:
			return nil, hostile("a new file of type %d", x.Type)
		}
		o := &object{fresh: true, typ: x.Type, kids: map[string]*object{}, swapped: -1}
		m.all = append(m.all, o)
		return o, nil
	}
	if x.Handle&wasi.SiteHandle != 0 || x.Handle <= 2 || x.Path != "" && !validPath(x.Path) {
		return nil, hostile("handle %d", x.Handle)
	}
	if where, yes := m.s.private(x.Handle, x.Path); yes {
		return nil, hostile("a change of %s, which is private", where)
	}
	p, info, err := m.find(x)
	if err != nil {
		return nil, err
	}
	same := info.Type == x.Type && info.Dev == x.ID.Dev && info.Ino == x.ID.Ino
	if info.Type != wasi.FiletypeDirectory {
		same = same && info.Identity() == x.ID
	}
	if !same {
		return nil, fmt.Errorf("%s: %w", p, ErrChanged)
	}
	if o := m.byInode[info.inode()]; o != nil {
		return o, nil
	}
	o := m.adopt(p, info)
	if x.Path == "" && info.Type == wasi.FiletypeRegularFile {
		o.held, o.handle = true, x.Handle
		o.noName = p == Place{}
		if o.noName {
			o.names = nil
		}
	}
	return o, nil
}

// adopt takes a file of the device into the model.
func (m *model) adopt(p Place, info Info) *object {
	o := &object{
		made: true, typ: info.Type, base: p, info: info, names: []Place{p}, kids: map[string]*object{},
		held: m.held[info.inode()], swapped: -1,
	}
	m.byInode[info.inode()] = o
	m.all = append(m.all, o)
	return o
}

// find returns where an object of the device is. The zero Place is an open
// file that has no name any more.
func (m *model) find(x *site.Object) (Place, Info, error) {
	root, at, err := m.locate(x.Handle)
	if err != nil {
		return Place{}, Info{}, err
	}
	if x.Path == "" {
		return m.findOpen(x.Handle, root, at)
	}
	if folder, _ := m.s.cfg.Host.Folder(x.Handle); folder == nil {
		return Place{}, Info{}, hostile("a path below an open file")
	}
	if _, end := m.s.resolve(x.Handle, x.Path, false); end != x.Path {
		return Place{}, Info{}, fmt.Errorf("%s: %w", x.Path, ErrChanged)
	}
	p := at.in(x.Path)
	m.roots[p.Root] = root
	info, err := m.s.cfg.FS.Lstat(p)
	if err != nil {
		return Place{}, Info{}, fmt.Errorf("%s: %w: %w", p, err, ErrChanged)
	}
	return p, info, nil
}

func (m *model) findOpen(h, root wasi.Handle, at Place) (Place, Info, error) {
	st, e := m.s.cfg.Host.Stat(h)
	if e != wasi.ErrnoSuccess {
		return Place{}, Info{}, hostile("handle %d: %s", h, e)
	}
	if at == (Place{}) {
		root, at = m.searchOpen(h)
	}
	if at != (Place{}) {
		info, err := m.s.cfg.FS.Lstat(at)
		if err == nil && info.Dev == st.Dev && info.Ino == st.Ino {
			m.roots[at.Root] = root
			return at, info, nil
		}
	}
	if st.Nlink > 0 || st.Type != wasi.FiletypeRegularFile {
		return Place{}, Info{}, fmt.Errorf("an open file that was moved: %w", ErrUnsupported)
	}
	return Place{}, Info{Stat: st}, nil
}

// searchOpen asks the system where an open file is by now, in one of the
// guest's folders.
func (m *model) searchOpen(h wasi.Handle) (wasi.Handle, Place) {
	f := m.s.cfg.Host.File(h)
	if f == nil {
		return 0, Place{}
	}
	path := whereIs(f)
	for top, root := range m.tops {
		if rel, ok := strings.CutPrefix(path, top+"/"); ok {
			return root, Place{top, filepath.ToSlash(rel)}
		}
	}
	return 0, Place{}
}

// locate returns where a device handle was opened: the root's handle and the
// place, which is zero if nobody knows.
func (m *model) locate(h wasi.Handle) (root wasi.Handle, at Place, err error) {
	if l, ok := m.located[h]; ok {
		return l.root, l.at, nil
	}
	if root, at, err = m.search(h); err == nil {
		m.located[h] = located{root, at}
	}
	return root, at, err
}

type located struct {
	root wasi.Handle
	at   Place
}

func (m *model) search(h wasi.Handle) (root wasi.Handle, at Place, err error) {
	host := m.s.cfg.Host
	if m.s.cfg.Descs != nil {
		for _, d := range m.s.cfg.Descs() {
			if d.Handle != h || d.Path == "" || d.Path == "." || d.Root == h {
				continue
			}
			top, err := m.rootOf(d.Root)
			if err != nil {
				continue
			}
			if _, end := m.s.resolve(d.Root, d.Path, true); end != "" {
				at = Place{top, end}
				st, e := host.StatAt(d.Root, end, false)
				now, e2 := host.Stat(h)
				if e == wasi.ErrnoSuccess && e2 == wasi.ErrnoSuccess && st.Dev == now.Dev && st.Ino == now.Ino {
					return d.Root, at, nil
				}
			}
		}
	}
	if folder, _ := host.Folder(h); folder == nil {
		return 0, Place{}, nil
	}
	top, err := m.rootOf(h)
	if err != nil {
		return 0, Place{}, err
	}
	return h, Place{top, "."}, nil
}

// rootOf returns the absolute path of a folder that a handle names.
func (m *model) rootOf(h wasi.Handle) (string, error) {
	folder, readOnly := m.s.cfg.Host.Folder(h)
	if folder == nil {
		return "", hostile("handle %d is no folder", h)
	}
	top, err := filepath.Abs(folder.Name())
	if err != nil {
		return "", fmt.Errorf("folder of handle %d: %w", h, err)
	}
	info, err := m.s.cfg.FS.Lstat(Place{top, "."})
	st, e := m.s.cfg.Host.Stat(h)
	if err != nil || e != wasi.ErrnoSuccess || info.Dev != st.Dev || info.Ino != st.Ino {
		return "", fmt.Errorf("folder %s was moved: %w", top, ErrUnsupported)
	}
	if readOnly {
		m.readOnly[top] = true
	}
	return top, nil
}

// at returns what name in d is now; nil if nothing.
func (m *model) at(d *object, name string) (*object, error) {
	if o, ok := d.kids[name]; ok {
		return o, nil
	}
	if d.fresh {
		return nil, nil
	}
	info, err := m.s.cfg.FS.Lstat(d.base.in(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if o := m.byInode[info.inode()]; o != nil {
		return o, nil
	}
	if at := d.base.in(name); m.s.cfg.Private != nil && m.s.cfg.Private(filepath.FromSlash(at.String())) {
		return nil, hostile("a change of %s, which is private", at)
	}
	dp, err := d.place()
	if err != nil {
		return nil, err
	}
	o := m.adopt(d.base.in(name), info)
	o.names = []Place{dp.in(name)}
	return o, nil
}

// folder returns object i if entries of it can be changed.
func (m *model) folder(i int) (*object, Place, error) {
	if i < 0 || i >= len(m.objs) {
		return nil, Place{}, hostile("object %d", i)
	}
	d := m.objs[i]
	if d.typ != wasi.FiletypeDirectory || !d.made || d.gone {
		return nil, Place{}, hostile("object %d is no folder", i)
	}
	p, err := d.place()
	return d, p, err
}

// isEmpty reports whether a folder has no entries now.
func (m *model) isEmpty(d *object) (bool, error) {
	for _, o := range d.kids {
		if o != nil {
			return false, nil
		}
	}
	if d.fresh {
		return true, nil
	}
	root, ok := m.roots[d.base.Root]
	if !ok {
		return false, hostile("a folder outside")
	}
	path := d.base.Name
	if path == "." {
		path = ""
	}
	ds, e := m.s.entries(root, path)
	if e != wasi.ErrnoSuccess {
		return false, fmt.Errorf("list %s: %w", d.base, e)
	}
	for _, x := range ds {
		if _, over := d.kids[x.Name]; !over {
			return false, nil
		}
	}
	return true, nil
}

// moved renames everything below from, a folder, to lie below to.
func (m *model) moved(from, to Place) {
	for _, o := range m.all {
		for i, p := range o.names {
			if p.Root == from.Root && strings.HasPrefix(p.Name, from.Name+"/") {
				o.names[i] = Place{to.Root, to.Name + p.Name[len(from.Name):]}
			}
		}
	}
}

// rename changes one name of o.
func (o *object) rename(from, to Place) {
	if i := slices.Index(o.names, from); i >= 0 {
		o.names[i] = to
	} else {
		o.names = append(o.names, to)
	}
}

func (o *object) drop(p Place) {
	o.names = slices.DeleteFunc(o.names, func(q Place) bool { return q == p })
}

// trash notes a name of our own that is to be removed when the commit holds.
func (m *model) trash(p Place) {
	g := &object{names: []Place{p}}
	m.garbage = append(m.garbage, g)
	m.all = append(m.all, g)
}
