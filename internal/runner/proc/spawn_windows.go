package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

func ownBinary() (string, error) { return os.Executable() }

// pipeConn is a stream made of two pipes.
type pipeConn struct{ r, w *os.File }

var _ io.ReadWriteCloser = pipeConn{}

func (c pipeConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c pipeConn) Write(p []byte) (int, error) { return c.w.Write(p) }
func (c pipeConn) Close() error                { return errors.Join(c.r.Close(), c.w.Close()) }

// spawn starts the command with two pipes, whose handles the second argument
// names. reaped is called once when the child has ended.
func spawn(c Config, reaped func(*os.ProcessState, error)) (_ spawned, err error) {
	path, err := exec.LookPath(c.Command[0])
	if err != nil {
		return spawned{}, err
	}
	childR, parentW, err := os.Pipe()
	if err != nil {
		return spawned{}, fmt.Errorf("make a pipe: %w", err)
	}
	parentR, childW, err := os.Pipe()
	if err != nil {
		return spawned{}, errors.Join(fmt.Errorf("make a pipe: %w", err), childR.Close(), parentW.Close())
	}
	conn := pipeConn{r: parentR, w: parentW}
	defer func() {
		_, _ = childR.Close(), childW.Close()
		if err != nil {
			_ = conn.Close()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return spawned{}, err
	}
	defer func() { _ = null.Close() }()
	handles := []syscall.Handle{syscall.Handle(childR.Fd()), syscall.Handle(childW.Fd())}
	for _, h := range handles {
		if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
			return spawned{}, fmt.Errorf("make a handle inheritable: %w", err)
		}
	}
	attr := &os.ProcAttr{
		Dir: c.Dir, Env: withSystemRoot(c.Env),
		Files: []*os.File{orNull(c.Stdin, null), orNull(c.Stdout, null), orNull(c.Stderr, null)},
		Sys:   &syscall.SysProcAttr{AdditionalInheritedHandles: handles, HideWindow: true},
	}
	options := fmt.Sprintf(",%d,%d", handles[0], handles[1])
	argv := append(append(append([]string{}, c.Command...), Verb, protocolVersion+options), c.Args...)
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return spawned{}, err
	}
	go func() { reaped(p.Wait()) }()
	return spawned{conn: conn, process: p}, nil
}

// withSystemRoot adds the one variable without which Windows programs fail in
// odd ways.
func withSystemRoot(env []string) []string {
	out := append([]string{}, env...)
	for _, kv := range out {
		if name, _, _ := strings.Cut(kv, "="); strings.EqualFold(name, "SYSTEMROOT") {
			return out
		}
	}
	return append(out, "SYSTEMROOT="+os.Getenv("SYSTEMROOT"))
}

func orNull(f, null *os.File) *os.File {
	if f != nil {
		return f
	}
	return null
}

// childConn returns the stream, or why this process has none.
func childConn(options string) (pipeConn, error) {
	r, w, ok := strings.Cut(options, ",")
	if !ok {
		return pipeConn{}, errors.New("it needs the pipes of a parent")
	}
	rh, err1 := strconv.ParseUint(r, 10, 64)
	wh, err2 := strconv.ParseUint(w, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return pipeConn{}, err
	}
	for _, h := range []uint64{rh, wh} {
		if kind, err := windows.GetFileType(windows.Handle(h)); err != nil || kind != windows.FILE_TYPE_PIPE {
			return pipeConn{}, errors.New("it needs the pipes of a parent")
		}
		// Nothing that this process starts gets them.
		_ = windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, 0)
	}
	return pipeConn{r: os.NewFile(uintptr(rh), "parent"), w: os.NewFile(uintptr(wh), "parent")}, nil
}

// watchParent ends the process when its parent has ended.
func watchParent(pipeConn) {
	parent, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(os.Getppid()))
	if err != nil {
		return // the end of the pipe must do
	}
	go func() {
		_, _ = windows.WaitForSingleObject(parent, windows.INFINITE)
		os.Exit(ExitOrphan)
	}()
}
