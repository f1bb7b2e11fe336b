package wasi

import (
	"errors"
	"fmt"
	"strings"
)

// ModuleName is the name under which guests import preview 1.
const ModuleName = "wasi_snapshot_preview1"

// ValType is a WebAssembly value type, in the binary format's number.
type ValType byte

// The value types that preview 1 uses.
const (
	I32 ValType = 0x7f
	I64 ValType = 0x7e
)

// Memory is the guest's linear memory. Bytes is called once per import,
// because the memory may have grown or moved since the last; the slice must
// be the memory itself, not a copy.
type Memory interface{ Bytes() []byte }

// Func is one import, as an engine binds it: Call takes the parameters from
// the front of stack and leaves the result there. It panics with an [Exit]
// (proc_exit), an [Abort] (a site's Host) or a [*Divergence] (a [Replayer]),
// and with nothing else, whatever the parameters are.
type Func struct {
	Name            string
	Params, Results []ValType
	Call            func(mem Memory, stack []uint64)
}

// Exit is what proc_exit panics with; the runner unwinds the guest.
type Exit struct{ Code uint32 }

// Error names the exit code.
func (e Exit) Error() string { return fmt.Sprintf("wasi: exit code %d", e.Code) }

// Preopen is a folder that the guest finds open when it starts.
type Preopen struct {
	GuestPath string // the name the guest sees, such as "/data"
	Handle    Handle
	ReadOnly  bool // every change fails with ErrnoRofs
}

// Socket is a socket that the guest finds open when it starts.
type Socket struct {
	Handle Handle
	Type   Filetype // FiletypeSocketStream or FiletypeSocketDgram
}

// Config says what a guest finds when it starts. Descriptors are numbered in
// order: the three standard streams, the preopens, the sockets.
type Config struct {
	Args []string
	Env  []string // "K=V"
	Host Host

	// What the standard streams are; FiletypeUnknown is a pipe. The zero
	// value therefore is right for anything but a terminal.
	Stdin, Stdout, Stderr Filetype

	Preopens []Preopen
	Sockets  []Socket

	// Repeatable gives the guest the same random numbers, and hides times and
	// inodes of files, each time it is run; see repeatable.go.
	Repeatable bool
}

// System answers one guest's imports. It is used by one goroutine, the
// guest's.
type System struct {
	host      Host
	args, env []string
	fds       []*Desc // by descriptor number; nil where none is open
	tap       Tap
	track     Tracker // the tap, when it wants to know what changed
	c         call    // the import in progress, kept to be reused
	gather    []byte  // joins the parts of one output write

	repeatable bool
}

// New makes a System with a fresh descriptor table.
func New(cfg Config) (*System, error) {
	if cfg.Host == nil {
		return nil, errors.New("wasi: new system: no host")
	}
	s := &System{host: cfg.Host, repeatable: cfg.Repeatable}
	st := State{Args: cfg.Args, Env: cfg.Env, Descs: make(map[uint32]Desc)}
	for i, t := range []Filetype{cfg.Stdin, cfg.Stdout, cfg.Stderr} {
		right := RightFdWrite
		if i == 0 {
			right = RightFdRead
		}
		st.Descs[uint32(i)] = Desc{Handle: Handle(i), Type: t, Base: streamRights | right}
	}
	fd := uint32(3)
	for _, p := range cfg.Preopens {
		if p.GuestPath == "" {
			return nil, errors.New("wasi: new system: a preopened folder has no guest path; name it, for instance /data")
		}
		is, e := cfg.Host.Stat(p.Handle)
		if e != ErrnoSuccess || is.Type != FiletypeDirectory {
			return nil, fmt.Errorf("wasi: new system: the handle for %s names no folder (%v)", p.GuestPath, e)
		}
		st.Descs[fd] = Desc{
			Handle: p.Handle, Type: FiletypeDirectory, Base: dirRights, Inheriting: dirInheriting,
			Preopen: true, Name: p.GuestPath, ReadOnly: p.ReadOnly, Root: p.Handle, Path: ".",
			Identity: is.Identity(),
		}
		fd++
	}
	for _, k := range cfg.Sockets {
		st.Descs[fd] = Desc{Handle: k.Handle, Type: k.Type, Base: sockRights}
		fd++
	}
	if err := s.Install(st); err != nil {
		return nil, fmt.Errorf("wasi: new system: %w", err)
	}
	return s, nil
}

// SetTap sets who sees every import by value; nil, the default, costs
// nothing.
func (s *System) SetTap(t Tap) {
	s.tap = t
	s.track, _ = t.(Tracker)
}

// Host returns what the System stands on.
func (s *System) Host() Host { return s.host }

// SetHost changes what the System stands on; the handles in the table must
// mean the same there.
func (s *System) SetHost(h Host) { s.host = h }

// Funcs returns the 46 functions of preview 1, bound to s.
func (s *System) Funcs() []Func { return FuncsOf(func() *System { return s }) }

// FuncsOf is Funcs for a system that is looked up at each call, so that it can be
// exchanged.
func FuncsOf(current func() *System) []Func {
	funcs := make([]Func, 0, NumFns)
	for fn := Fn(1); fn.Valid(); fn++ {
		im := &imports[fn]
		f := Func{Name: fn.String(), Params: make([]ValType, len(im.params))}
		for i := range im.params {
			f.Params[i] = I32
			if im.params[i] == 'I' {
				f.Params[i] = I64
			}
		}
		if fn == FnProcExit {
			f.Call = func(mem Memory, stack []uint64) { current().invoke(fn, mem, stack) }
		} else {
			f.Results = []ValType{I32}
			f.Call = func(mem Memory, stack []uint64) { stack[0] = uint64(current().invoke(fn, mem, stack)) }
		}
		funcs = append(funcs, f)
	}
	return funcs
}

// invoke runs one import and returns its errno.
func (s *System) invoke(fn Fn, mem Memory, stack []uint64) Errno {
	c := &s.c
	c.start(s.tap, fn, mem.Bytes(), stack)
	e := imports[fn].body(s, c)
	if c.entered && !c.answered {
		e = c.leave(e)
	}
	return e
}

// The parameters of each function ('i' is i32, 'I' is i64) and its body.
// Filled by init, because bodies reach the table through System.
var imports [fnEnd]struct {
	params string
	body   func(*System, *call) Errno
}

func init() {
	for _, d := range []struct {
		fn     Fn
		params string
		body   func(*System, *call) Errno
	}{
		{FnArgsGet, "ii", (*System).argsGet},
		{FnArgsSizesGet, "ii", (*System).argsSizesGet},
		{FnEnvironGet, "ii", (*System).environGet},
		{FnEnvironSizesGet, "ii", (*System).environSizesGet},
		{FnClockResGet, "ii", (*System).clockResGet},
		{FnClockTimeGet, "iIi", (*System).clockTimeGet},
		{FnFdAdvise, "iIIi", (*System).fdAdvise},
		{FnFdAllocate, "iII", (*System).fdAllocate},
		{FnFdClose, "i", (*System).fdClose},
		{FnFdDatasync, "i", (*System).fdDatasync},
		{FnFdFdstatGet, "ii", (*System).fdFdstatGet},
		{FnFdFdstatSetFlags, "ii", (*System).fdFdstatSetFlags},
		{FnFdFdstatSetRights, "iII", (*System).fdFdstatSetRights},
		{FnFdFilestatGet, "ii", (*System).fdFilestatGet},
		{FnFdFilestatSetSize, "iI", (*System).fdFilestatSetSize},
		{FnFdFilestatSetTimes, "iIIi", (*System).fdFilestatSetTimes},
		{FnFdPread, "iiiIi", (*System).fdPread},
		{FnFdPrestatGet, "ii", (*System).fdPrestatGet},
		{FnFdPrestatDirName, "iii", (*System).fdPrestatDirName},
		{FnFdPwrite, "iiiIi", (*System).fdPwrite},
		{FnFdRead, "iiii", (*System).fdRead},
		{FnFdReaddir, "iiiIi", (*System).fdReaddir},
		{FnFdRenumber, "ii", (*System).fdRenumber},
		{FnFdSeek, "iIii", (*System).fdSeek},
		{FnFdSync, "i", (*System).fdSync},
		{FnFdTell, "ii", (*System).fdTell},
		{FnFdWrite, "iiii", (*System).fdWrite},
		{FnPathCreateDirectory, "iii", (*System).pathCreateDirectory},
		{FnPathFilestatGet, "iiiii", (*System).pathFilestatGet},
		{FnPathFilestatSetTimes, "iiiiIIi", (*System).pathFilestatSetTimes},
		{FnPathLink, "iiiiiii", (*System).pathLink},
		{FnPathOpen, "iiiiiIIii", (*System).pathOpen},
		{FnPathReadlink, "iiiiii", (*System).pathReadlink},
		{FnPathRemoveDirectory, "iii", (*System).pathRemoveDirectory},
		{FnPathRename, "iiiiii", (*System).pathRename},
		{FnPathSymlink, "iiiii", (*System).pathSymlink},
		{FnPathUnlinkFile, "iii", (*System).pathUnlinkFile},
		{FnPollOneoff, "iiii", (*System).pollOneoff},
		{FnProcExit, "i", (*System).procExit},
		{FnProcRaise, "i", (*System).procRaise},
		{FnSchedYield, "", (*System).schedYield},
		{FnRandomGet, "ii", (*System).randomGet},
		{FnSockAccept, "iii", (*System).sockAccept},
		{FnSockRecv, "iiiiii", (*System).sockRecv},
		{FnSockSend, "iiiii", (*System).sockSend},
		{FnSockShutdown, "ii", (*System).sockShutdown},
	} {
		imports[d.fn].params, imports[d.fn].body = d.params, d.body
	}
}

// hasNul reports whether s cannot be a C string.
func hasNul(s string) bool { return strings.IndexByte(s, 0) >= 0 }
