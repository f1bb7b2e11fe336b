package stage

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/site"
)

// stepKind says what a step of a commit does.
type stepKind uint8

const (
	stepOutput stepKind = iota + 1
	stepPlace           // what was staged at From gets the name To
	stepSwap            // ... in place of a file that is kept as Aside
	stepRemove          // To goes: it is kept as Aside
	stepMove            // From gets the name To, in place of what is then kept as Aside, if that is set
	stepLink            // From gets the second name To
	stepChange          // a run of changes in place
)

// step is one part of a commit, in the order of the effects.
type step struct {
	kind            stepKind
	effect          int // stepOutput
	o               *object
	run             *run // stepChange
	from, to, aside Place
	dir             bool // moves a folder, or removes one
	oldDir          bool // what is put aside is a folder
	batch           int
}

// play turns the effects into steps, and refuses those that make no sense.
func (m *model) play() error {
	for i := range m.eff.List {
		x := &m.eff.List[i]
		err := m.playOne(i, x)
		if err == nil {
			err = m.allowed(x)
		}
		if err != nil {
			return fmt.Errorf("effect %d: %w", i, err)
		}
	}
	return nil
}

func (m *model) playOne(i int, x *site.Effect) error {
	switch x.Kind {
	case site.EffectOutput:
		if x.Stream != 1 && x.Stream != 2 {
			return hostile("output to stream %d", x.Stream)
		}
		m.steps = append(m.steps, step{kind: stepOutput, effect: i})
		return nil
	case site.EffectCreate:
		return m.playMake(x, wasi.FiletypeRegularFile)
	case site.EffectMkdir:
		return m.playMake(x, wasi.FiletypeDirectory)
	case site.EffectSymlink:
		return m.playMake(x, wasi.FiletypeSymbolicLink)
	case site.EffectLink:
		return m.playLink(x)
	case site.EffectUnlink, site.EffectRmdir:
		return m.playRemove(x)
	case site.EffectRename:
		return m.playRename(x)
	case site.EffectWrite, site.EffectSetSize, site.EffectTimes:
		return m.playChange(i, x)
	default:
		return hostile("effect of kind %d", x.Kind)
	}
}

func (m *model) add(st step) {
	st.batch = m.batch.next(&st)
	m.steps = append(m.steps, st)
}

// vacant returns the folder of an effect and the place of a name in it at
// which there must be nothing.
func (m *model) vacant(dir int, name string) (*object, Place, error) {
	d, p, err := m.folder(dir)
	if err != nil {
		return nil, Place{}, err
	}
	if !okName(name) {
		return nil, Place{}, hostile("name %q", name)
	}
	old, err := m.at(d, name)
	if err != nil {
		return nil, Place{}, err
	}
	if old != nil {
		return nil, Place{}, fmt.Errorf("%s is there already: %w", p.in(name), ErrChanged)
	}
	return d, p.in(name), nil
}

func okName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= wasi.MaxName && !strings.ContainsAny(s, "/\x00")
}

func (m *model) playMake(x *site.Effect, typ wasi.Filetype) error {
	d, to, err := m.vacant(x.Dir, x.Name)
	if err != nil {
		return err
	}
	if x.Object < 0 || x.Object >= len(m.objs) {
		return hostile("object %d", x.Object)
	}
	o := m.objs[x.Object]
	if !o.fresh || o.made || o.typ != typ {
		return hostile("object %d cannot be made", x.Object)
	}
	if typ == wasi.FiletypeSymbolicLink {
		if x.Target == "" || x.Target[0] == '/' || len(x.Target) >= site.MaxTarget || strings.IndexByte(x.Target, 0) >= 0 {
			return hostile("target %q", x.Target)
		}
		o.target = x.Target
	}
	o.made = true
	own := m.own()
	o.stage = d.stageDir().in(own)
	o.base = o.stage
	o.names = []Place{to}
	o.swapped = len(m.steps)
	d.kids[x.Name] = o
	m.add(step{kind: stepPlace, o: o, from: to.dir().in(own), to: to})
	return nil
}

// stageDir is where a folder is while things are staged.
func (o *object) stageDir() Place { return o.base }

func (m *model) playLink(x *site.Effect) error {
	o, err := m.object(x.Object)
	if err != nil {
		return err
	}
	if o.typ == wasi.FiletypeDirectory {
		return hostile("a second name for a folder")
	}
	from, err := o.place()
	if err != nil {
		return err
	}
	d, to, err := m.vacant(x.Dir, x.Name)
	if err != nil {
		return err
	}
	if from.Root != to.Root {
		return fmt.Errorf("a link between two folders: %w", ErrUnsupported)
	}
	d.kids[x.Name] = o
	o.names = append(o.names, to)
	m.add(step{kind: stepLink, o: o, from: from, to: to})
	return nil
}

// object returns object i, which must exist.
func (m *model) object(i int) (*object, error) {
	if i < 0 || i >= len(m.objs) || !m.objs[i].made {
		return nil, hostile("object %d", i)
	}
	return m.objs[i], nil
}

func (m *model) playRemove(x *site.Effect) error {
	d, p, err := m.folder(x.Dir)
	if err != nil {
		return err
	}
	if !okName(x.Name) {
		return hostile("name %q", x.Name)
	}
	o, err := m.at(d, x.Name)
	if err != nil {
		return err
	}
	if o == nil {
		return fmt.Errorf("%s is gone: %w", p.in(x.Name), ErrChanged)
	}
	isDir := o.typ == wasi.FiletypeDirectory
	if isDir != (x.Kind == site.EffectRmdir) {
		return hostile("removal of %q as what it is not", x.Name)
	}
	to := p.in(x.Name)
	if isDir {
		if err := m.removable(o); err != nil {
			return err
		}
	}
	aside := p.in(m.own())
	d.kids[x.Name] = nil
	m.add(step{kind: stepRemove, o: o, to: to, aside: aside, dir: isDir})
	m.putAside(o, to, aside)
	return nil
}

// removable reports why a folder cannot go.
func (m *model) removable(o *object) error {
	if empty, err := m.isEmpty(o); err != nil {
		return err
	} else if !empty {
		return fmt.Errorf("folder %s is not empty: %w", o.base, ErrChanged)
	}
	return m.movable(o)
}

// movable reports why a folder cannot move: a root lies in it.
func (m *model) movable(o *object) error {
	if o.fresh {
		return nil
	}
	if o.base.Name == "." {
		return hostile("removal of a root")
	}
	at := o.base.String() + "/"
	for _, top := range slices.AppendSeq(slices.Collect(maps.Keys(m.tops)), maps.Keys(m.roots)) {
		if strings.HasPrefix(top+"/", at) {
			return fmt.Errorf("moving %s, which holds a root: %w", o.base, ErrUnsupported)
		}
	}
	return nil
}

// putAside notes that o lost the name at, and is garbage by the name aside.
func (m *model) putAside(o *object, at, aside Place) {
	o.drop(at)
	if o.typ == wasi.FiletypeDirectory {
		o.gone = true
		m.moved(at, aside)
	}
	m.trash(aside)
}

func (m *model) playRename(x *site.Effect) error {
	d, p, err := m.folder(x.Dir)
	if err != nil {
		return err
	}
	d2, p2, err := m.folder(x.Dir2)
	if err != nil {
		return err
	}
	if !okName(x.Name) || !okName(x.Name2) {
		return hostile("name %q or %q", x.Name, x.Name2)
	}
	o, err := m.at(d, x.Name)
	if err != nil {
		return err
	}
	if o == nil {
		return fmt.Errorf("%s is gone: %w", p.in(x.Name), ErrChanged)
	}
	old, err := m.at(d2, x.Name2)
	if err != nil {
		return err
	}
	from, to := p.in(x.Name), p2.in(x.Name2)
	if from.Root != to.Root {
		return fmt.Errorf("a move between two folders: %w", ErrUnsupported)
	}
	isDir := o.typ == wasi.FiletypeDirectory
	if isDir {
		if strings.HasPrefix(to.Name+"/", from.Name+"/") {
			return hostile("a folder moved into itself")
		}
		if err := m.movable(o); err != nil {
			return err
		}
	}
	st := step{kind: stepMove, o: o, from: from, to: to, dir: isDir}
	if old != nil {
		if old == o || isDir != (old.typ == wasi.FiletypeDirectory) {
			return hostile("%q in place of %q", x.Name, x.Name2)
		}
		if isDir {
			if err := m.removable(old); err != nil {
				return err
			}
			if strings.HasPrefix(from.Name, to.Name+"/") {
				return hostile("a folder in place of one that holds it")
			}
		}
		st.aside, st.oldDir = p2.in(m.own()), isDir
	}
	d.kids[x.Name], d2.kids[x.Name2] = nil, o
	m.add(st)
	if old != nil {
		m.putAside(old, to, st.aside)
	}
	o.rename(from, to)
	if isDir {
		m.moved(from, to)
	}
	return nil
}

// playChange notes a change of content or times: it joins the run before it
// if that is of the same object and nothing came in between.
func (m *model) playChange(i int, x *site.Effect) error {
	o, err := m.object(x.Object)
	if err != nil {
		return err
	}
	if x.Kind != site.EffectTimes && o.typ != wasi.FiletypeRegularFile {
		return hostile("content of something that is no file")
	}
	switch {
	case x.Kind == site.EffectSetSize && x.Size > site.MaxFile:
		return hostile("size %d", x.Size)
	case x.Kind == site.EffectWrite && (x.Offset > site.MaxFile || uint64(len(x.Data)) > site.MaxFile-x.Offset):
		return hostile("offset %d", x.Offset)
	}
	if n := len(o.runs); n > 0 && o.runs[n-1].to == i {
		o.runs[n-1].to++
		return nil
	}
	r := &run{i, i + 1}
	o.runs = append(o.runs, r)
	if len(o.runs) == 1 && o.typ == wasi.FiletypeRegularFile {
		if o.fresh && len(m.steps)-1 == o.swapped {
			return nil // its content when it gets its name
		}
		if x.Kind == site.EffectSetSize && x.Size == 0 && m.replaceable(o) {
			m.swap(o)
			return nil
		}
	}
	st := step{kind: stepChange, o: o, run: r}
	if len(o.names) > 0 {
		st.to = o.names[0]
	}
	st.batch = m.batch.n
	m.steps = append(m.steps, st)
	return nil
}

// replaceable reports whether o, which is written anew from its beginning,
// may become another inode: nobody else must hold or name it, and a new file
// must be able to have all that it has.
func (m *model) replaceable(o *object) bool {
	if o.fresh || o.held || o.info.Nlink != 1 || len(o.names) != 1 || o.names[0] != o.base || o.info.Size == 0 {
		return false
	}
	dir, err := m.s.cfg.FS.Lstat(o.base.dir())
	return err == nil && o.info.UID == uint32(os.Geteuid()) && dir.Mode&(fs.ModeSetgid|fs.ModeSticky) == 0 &&
		m.s.cfg.FS.Writable(o.base.dir()) == nil && m.s.cfg.FS.Plain(o.base)
}

// swap plans to put a new file in o's place, with the content of its first
// run.
func (m *model) swap(o *object) {
	own := m.own()
	o.replace, o.stage, o.swapped = true, o.base.dir().in(own), len(m.steps)
	aside := o.base.dir().in(m.own())
	m.add(step{kind: stepSwap, o: o, from: o.stage, to: o.base, aside: aside})
	m.trash(aside)
}

// batcher keeps steps that use one name twice in different batches, so that
// within a batch the inode at a name tells whether a step was done.
type batcher struct {
	n       int
	touched map[Place]bool // whether a folder moved there
}

// next returns the batch of a step that changes names.
func (b *batcher) next(st *step) int {
	names := make([]Place, 0, 3)
	for _, p := range []Place{st.from, st.to, st.aside} {
		if p != (Place{}) {
			names = append(names, p)
		}
	}
	for _, p := range names {
		if b.conflict(p, st.dir || st.oldDir) {
			b.n++
			b.touched = nil
			break
		}
	}
	if b.touched == nil {
		b.touched = map[Place]bool{}
	}
	for _, p := range names {
		b.touched[p] = st.dir || st.oldDir
	}
	return b.n
}

func (b *batcher) has(p Place) bool {
	_, ok := b.touched[p]
	return ok
}

func (b *batcher) conflict(p Place, moves bool) bool {
	if b.has(p) {
		return true
	}
	for dir := p; dir.Name != "." && dir.Name != "/"; {
		dir = Place{dir.Root, path.Dir(dir.Name)}
		if b.touched[dir] {
			return true
		}
	}
	if moves {
		for t := range b.touched {
			if t.Root == p.Root && strings.HasPrefix(t.Name, p.Name+"/") {
				return true
			}
		}
	}
	return false
}
