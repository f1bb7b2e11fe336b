package wasi

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sort"
	"time"

	"golang.org/x/term"
)

// maxHandles is how many files, folders and sockets a Local holds open.
const maxHandles = 2*MaxDescs + 64

// Local is the Host of a guest on its own device. Every path is resolved by
// os.Root inside the folder that the caller added, so neither ".." nor a
// symbolic link leads out of it, whoever changes the folder meanwhile.
type Local struct {
	open map[Handle]*entry
	next Handle

	started  time.Time
	monoBase int64 // the monotonic clock when it started
	realLast int64 // no clock answers less than it has
	monoLast int64
	still    bool // clocks move only by waits, which take no time

	seeded *rand.ChaCha8 // nil: the system's randomness
}

var _ Host = (*Local)(nil)

// entry is what a handle names: a folder has root and file, a file or stream
// has file, a standard stream that is none has in or out.
type entry struct {
	root     *os.Root
	file     *os.File
	in       io.Reader
	out      io.Writer
	ln       net.Listener
	conn     net.Conn
	flags    Fdflags
	std      bool
	readOnly bool
}

// NewLocal makes a Local over three standard streams. A nil stream is empty,
// or swallows what is written. Streams that are *os.File can be waited for;
// others count as always ready.
func NewLocal(stdin io.Reader, stdout, stderr io.Writer) *Local {
	l := &Local{open: make(map[Handle]*entry), next: 3, started: time.Now(), monoBase: int64(time.Second)}
	in := &entry{std: true, in: stdin}
	in.file, _ = stdin.(*os.File)
	l.open[0] = in
	for h, w := range []io.Writer{stdout, stderr} {
		e := &entry{std: true, out: w}
		e.file, _ = w.(*os.File)
		l.open[Handle(h)+1] = e
	}
	return l
}

// StreamType returns what a standard stream is to a guest.
func StreamType(stream any) Filetype {
	f, ok := stream.(*os.File)
	if !ok {
		return FiletypeUnknown
	}
	fi, err := f.Stat()
	if err != nil {
		return FiletypeUnknown
	}
	switch t := typeOf(fi.Mode()); {
	case t == FiletypeRegularFile:
		return t
	case t == FiletypeCharacterDevice && isTerminal(f):
		// Only a terminal: C libraries take any such stream for one.
		return t
	}
	return FiletypeUnknown
}

// isTerminal asks without File.Fd, which would make the file blocking.
func isTerminal(f *os.File) (is bool) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { is = term.IsTerminal(int(fd)) })
	}
	return is
}

// AddFolder opens a folder of the device for a guest. Read-only folders
// refuse every change.
func (l *Local) AddFolder(path string, readOnly bool) (Handle, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return 0, folderError(path, err)
	}
	h, e := l.addRoot(root, readOnly)
	if e != ErrnoSuccess {
		return 0, folderError(path, e)
	}
	return h, nil
}

// folderError says what to do about a folder that cannot be opened.
func folderError(path string, err error) error {
	hint := "check the --dir flag"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = fmt.Sprintf("create it (mkdir -p %q), or name another folder with --dir", path)
	case errors.Is(err, fs.ErrPermission):
		hint = "give this user access to it, or name another folder with --dir"
	default:
		if fi, serr := os.Stat(path); serr == nil && !fi.IsDir() {
			hint = "it is no folder; name the folder that it is in with --dir"
		}
	}
	return fmt.Errorf("wasi: open folder %q: %w; %s", path, err, hint)
}

// addRoot gives a folder a handle. It owns root, also when it fails.
func (l *Local) addRoot(root *os.Root, readOnly bool) (Handle, Errno) {
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return 0, ErrnoOf(err)
	}
	h, e := l.add(&entry{root: root, file: f, readOnly: readOnly})
	return h, e
}

// add gives an entry a handle, or closes it.
func (l *Local) add(ent *entry) (Handle, Errno) {
	if len(l.open) >= maxHandles {
		ent.close()
		return 0, ErrnoNfile
	}
	h := l.next
	l.next++
	l.open[h] = ent
	return h, ErrnoSuccess
}

func (ent *entry) close() error {
	var errs []error
	for _, c := range []io.Closer{ent.fileCloser(), ent.rootCloser(), ent.ln, ent.conn} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

func (ent *entry) fileCloser() io.Closer {
	if ent.file == nil || ent.std {
		return nil
	}
	return ent.file
}

func (ent *entry) rootCloser() io.Closer {
	if ent.root == nil {
		return nil
	}
	return ent.root
}

// AddListener gives a listening socket a handle.
func (l *Local) AddListener(ln net.Listener) (Handle, Errno) { return l.add(&entry{ln: ln}) }

// AddConn gives a connected socket a handle.
func (l *Local) AddConn(c net.Conn) (Handle, Errno) { return l.add(&entry{conn: c}) }

// AddFile gives an open file a handle; l closes it.
func (l *Local) AddFile(f *os.File, readOnly bool) (Handle, Errno) {
	return l.add(&entry{file: f, readOnly: readOnly})
}

// Mark returns a mark: handles made from now on can be closed together.
func (l *Local) Mark() Handle { return l.next }

// CloseSince closes every handle made since the mark, as for an attempt that
// is abandoned. The numbers are not used again.
func (l *Local) CloseSince(mark Handle) {
	for _, h := range l.Handles() {
		if h >= mark {
			l.Close(h)
		}
	}
}

// Handles returns the open handles in order.
func (l *Local) Handles() []Handle {
	hs := make([]Handle, 0, len(l.open))
	for h := range l.open {
		hs = append(hs, h)
	}
	sort.Slice(hs, func(i, j int) bool { return hs[i] < hs[j] })
	return hs
}

// CloseAll closes everything; the standard streams stay open underneath.
func (l *Local) CloseAll() { l.CloseSince(0) }

// Folder returns the folder that a handle names, or nil.
func (l *Local) Folder(h Handle) (root *os.Root, readOnly bool) {
	if ent := l.open[h]; ent != nil {
		return ent.root, ent.readOnly
	}
	return nil, false
}

// File returns the file that a handle names, or nil.
func (l *Local) File(h Handle) *os.File {
	if ent := l.open[h]; ent != nil && ent.root == nil {
		return ent.file
	}
	return nil
}

// NotBefore keeps the clocks from answering less than these values, which a
// site has answered already (PROTOCOL rule 4). The monotonic clock goes on
// from there.
func (l *Local) NotBefore(realtime, monotonic int64) {
	l.realLast = max(l.realLast, realtime)
	l.monoBase += max(0, monotonic-l.monotonic())
}

// StandStill makes the clocks stand, but for waits on clocks alone: these take
// no time, and the clocks show that it has passed. For repeatable runs.
func (l *Local) StandStill() { l.still = true }

func (l *Local) monotonic() int64 {
	if l.still {
		return l.monoBase
	}
	return l.monoBase + int64(time.Since(l.started))
}

func (l *Local) realtime() int64 {
	if l.still {
		return standingTime + l.monoBase
	}
	return time.Now().UnixNano()
}

// sleep waits for some nanoseconds.
func (l *Local) sleep(ns int64) {
	if l.still {
		l.monoBase += ns
		return
	}
	time.Sleep(time.Duration(ns))
}

// Now returns a clock's value. The two processor clocks count as the
// monotonic one: what they are used for is to tell how long something took.
func (l *Local) Now(clock ClockID) (int64, Errno) {
	switch clock {
	case ClockRealtime:
		l.realLast = max(l.realLast, l.realtime())
		return l.realLast, ErrnoSuccess
	case ClockMonotonic, ClockProcessCPU, ClockThreadCPU:
		l.monoLast = max(l.monoLast, l.monotonic())
		return l.monoLast, ErrnoSuccess
	}
	return 0, ErrnoInval
}

// Resolution is a microsecond for the time of day and a nanosecond for the
// others.
func (l *Local) Resolution(clock ClockID) (int64, Errno) {
	switch clock {
	case ClockRealtime:
		return 1000, ErrnoSuccess
	case ClockMonotonic, ClockProcessCPU, ClockThreadCPU:
		return 1, ErrnoSuccess
	}
	return 0, ErrnoInval
}

// Seed makes Random a stream that depends on seed alone, so that a site and
// a re-run give the same bytes.
func (l *Local) Seed(seed [32]byte) { l.seeded = rand.NewChaCha8(seed) }

// Unseed goes back to the system's randomness.
func (l *Local) Unseed() { l.seeded = nil }

// Random fills buf.
func (l *Local) Random(buf []byte) {
	if l.seeded != nil {
		l.seeded.Read(buf)
		return
	}
	crand.Read(buf) // never fails: it ends the program instead
}

// Yield lets other work run.
func (l *Local) Yield() { runtime.Gosched() }
