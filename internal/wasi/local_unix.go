//go:build unix

package wasi

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What os.Root has no method for, relative to a folder that os.Root opened,
// on a name that is neither "." nor "..": that, too, cannot lead out.

// at opens the folder that path is in and calls f with it and the name in
// it. Where the name is "." or "..", the result is dots.
func (ent *entry) at(path string, dots Errno, f func(dir int, name string) error) Errno {
	parent, name := ent.file, path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		name = path[i+1:]
		p, err := ent.root.OpenFile(path[:i], os.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			return ErrnoOf(err)
		}
		defer p.Close()
		parent = p
	}
	if name == "." || name == ".." || name == "" {
		return dots
	}
	var err error
	cerr := control(parent, func(fd int) {
		for {
			if err = f(fd, name); err != unix.EINTR {
				return
			}
		}
	})
	return ErrnoOf(errors.Join(cerr, err))
}

// poller is a file or socket that can be waited for.
type poller interface {
	SyscallConn() (syscall.RawConn, error)
}

func control(p poller, f func(fd int)) error {
	c, err := p.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) { f(int(fd)) })
}

func removeFolder(d *entry, path string) Errno {
	return d.at(path, ErrnoInval, func(dir int, name string) error {
		err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if err == unix.EEXIST {
			err = unix.ENOTEMPTY // POSIX lets systems choose
		}
		return err
	})
}

func removeFile(d *entry, path string) Errno {
	return d.at(path, ErrnoIsdir, func(dir int, name string) error {
		err := unix.Unlinkat(dir, name, 0)
		if err == unix.EPERM {
			var st unix.Stat_t
			if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
				err = unix.EISDIR // what Linux says, everywhere
			}
		}
		return err
	})
}

func rename(od *entry, oldPath string, nd *entry, newPath string) Errno {
	var inner Errno
	e := od.at(oldPath, ErrnoBusy, func(odir int, oname string) error {
		inner = nd.at(newPath, ErrnoBusy, func(ndir int, nname string) error {
			err := unix.Renameat(odir, oname, ndir, nname)
			if err == unix.EEXIST {
				err = unix.ENOTEMPTY
			}
			return err
		})
		return nil
	})
	if e != ErrnoSuccess {
		return e
	}
	return inner
}

func link(od *entry, oldPath string, nd *entry, newPath string) Errno {
	var inner Errno
	e := od.at(oldPath, ErrnoPerm, func(odir int, oname string) error {
		inner = nd.at(newPath, ErrnoExist, func(ndir int, nname string) error {
			return unix.Linkat(odir, oname, ndir, nname, 0)
		})
		return nil
	})
	if e != ErrnoSuccess {
		return e
	}
	return inner
}

// setLinkTimes sets the times of a symbolic link itself.
func setLinkTimes(d *entry, path string, atim, mtim TimeSet) Errno {
	st, err := statPath(d.root, path, false)
	if err != nil {
		return ErrnoOf(err)
	}
	a, m := st.Atim, st.Mtim
	if atim.Set {
		a = atim.time().UnixNano()
	}
	if mtim.Set {
		m = mtim.time().UnixNano()
	}
	ts := []unix.Timespec{unix.NsecToTimespec(a), unix.NsecToTimespec(m)}
	return d.at(path, ErrnoInval, func(dir int, name string) error {
		return unix.UtimesNanoAt(dir, name, ts, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func statFile(f *os.File) (Stat, error) {
	fi, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statInfo(fi), nil
}

func statPath(root *os.Root, path string, follow bool) (Stat, error) {
	look := root.Lstat
	if follow {
		look = root.Stat
	}
	fi, err := look(path)
	if err != nil {
		return Stat{}, err
	}
	return statInfo(fi), nil
}

func statInfo(fi fs.FileInfo) Stat {
	st := Stat{Type: typeOf(fi.Mode()), Size: uint64(fi.Size()), Mtim: fi.ModTime().UnixNano()}
	if sys, ok := fi.Sys().(*syscall.Stat_t); ok {
		st.Dev, st.Ino, st.Nlink = uint64(sys.Dev), sys.Ino, uint64(sys.Nlink)
		st.Atim, st.Ctim = statTimes(sys)
	}
	return st
}

// ready polls a stream once.
func ready(p poller, write bool) (n uint64, hangup bool, err error) {
	events := int16(unix.POLLIN)
	if write {
		events = unix.POLLOUT
	}
	cerr := control(p, func(fd int) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if _, err = unix.Poll(fds, 0); err == unix.EINTR {
			err = nil // not ready, then
		}
		re := fds[0].Revents
		switch {
		case re&unix.POLLNVAL != 0:
			err = unix.EBADF
		case re&(events|unix.POLLHUP|unix.POLLERR) == 0:
		case write:
			n, hangup = 1, re&(unix.POLLHUP|unix.POLLERR) != 0
		default:
			hangup = re&unix.POLLHUP != 0
			if re&unix.POLLIN == 0 {
				return
			}
			avail, ierr := unix.IoctlGetInt(fd, fionread)
			if ierr != nil {
				n = 1 // a listening socket, for one
			} else {
				n = uint64(max(0, avail))
			}
			hangup = hangup || n == 0
		}
	})
	return n, hangup, errors.Join(cerr, err)
}

// waitReady polls until one is ready; left < 0 is for ever.
func waitReady(read, write []poller, left time.Duration) error {
	var fds []unix.PollFd
	add := func(ps []poller, events int16) error {
		for _, p := range ps {
			if err := control(p, func(fd int) { fds = append(fds, unix.PollFd{Fd: int32(fd), Events: events}) }); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(add(read, unix.POLLIN), add(write, unix.POLLOUT)); err != nil {
		return err
	}
	ms := -1
	if left >= 0 {
		ms = int(min((left+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	_, err := unix.Poll(fds, ms)
	return err
}

// peek receives without taking.
func peek(c net.Conn, buf []byte) (n int, err error) {
	p, ok := c.(poller)
	if !ok {
		return 0, ErrnoNotsup
	}
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	rerr := raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK)
		return err != unix.EAGAIN
	})
	if n == 0 && err == nil && rerr == nil {
		return 0, io.EOF
	}
	return max(n, 0), errors.Join(rerr, err)
}

var errnoTable = map[syscall.Errno]Errno{
	unix.E2BIG: ErrnoTooBig, unix.EACCES: ErrnoAcces, unix.EADDRINUSE: ErrnoAddrinuse,
	unix.EADDRNOTAVAIL: ErrnoAddrnotavail, unix.EAFNOSUPPORT: ErrnoAfnosupport, unix.EAGAIN: ErrnoAgain,
	unix.EALREADY: ErrnoAlready, unix.EBADF: ErrnoBadf, unix.EBADMSG: ErrnoBadmsg, unix.EBUSY: ErrnoBusy,
	unix.ECANCELED: ErrnoCanceled, unix.ECHILD: ErrnoChild, unix.ECONNABORTED: ErrnoConnaborted,
	unix.ECONNREFUSED: ErrnoConnrefused, unix.ECONNRESET: ErrnoConnreset, unix.EDEADLK: ErrnoDeadlk,
	unix.EDESTADDRREQ: ErrnoDestaddrreq, unix.EDOM: ErrnoDom, unix.EDQUOT: ErrnoDquot,
	unix.EEXIST: ErrnoExist, unix.EFAULT: ErrnoFault, unix.EFBIG: ErrnoFbig,
	unix.EHOSTUNREACH: ErrnoHostunreach, unix.EIDRM: ErrnoIdrm, unix.EILSEQ: ErrnoIlseq,
	unix.EINPROGRESS: ErrnoInprogress, unix.EINTR: ErrnoIntr, unix.EINVAL: ErrnoInval, unix.EIO: ErrnoIo,
	unix.EISCONN: ErrnoIsconn, unix.EISDIR: ErrnoIsdir, unix.ELOOP: ErrnoLoop, unix.EMFILE: ErrnoMfile,
	unix.EMLINK: ErrnoMlink, unix.EMSGSIZE: ErrnoMsgsize, unix.EMULTIHOP: ErrnoMultihop,
	unix.ENAMETOOLONG: ErrnoNametoolong, unix.ENETDOWN: ErrnoNetdown, unix.ENETRESET: ErrnoNetreset,
	unix.ENETUNREACH: ErrnoNetunreach, unix.ENFILE: ErrnoNfile, unix.ENOBUFS: ErrnoNobufs,
	unix.ENODEV: ErrnoNodev, unix.ENOENT: ErrnoNoent, unix.ENOEXEC: ErrnoNoexec, unix.ENOLCK: ErrnoNolck,
	unix.ENOLINK: ErrnoNolink, unix.ENOMEM: ErrnoNomem, unix.ENOMSG: ErrnoNomsg,
	unix.ENOPROTOOPT: ErrnoNoprotoopt, unix.ENOSPC: ErrnoNospc, unix.ENOSYS: ErrnoNosys,
	unix.ENOTCONN: ErrnoNotconn, unix.ENOTDIR: ErrnoNotdir, unix.ENOTEMPTY: ErrnoNotempty,
	unix.ENOTRECOVERABLE: ErrnoNotrecoverable, unix.ENOTSOCK: ErrnoNotsock, unix.ENOTSUP: ErrnoNotsup,
	unix.ENOTTY: ErrnoNotty, unix.ENXIO: ErrnoNxio, unix.EOVERFLOW: ErrnoOverflow,
	unix.EOWNERDEAD: ErrnoOwnerdead, unix.EPERM: ErrnoPerm, unix.EPIPE: ErrnoPipe, unix.EPROTO: ErrnoProto,
	unix.EPROTONOSUPPORT: ErrnoProtonosupport, unix.EPROTOTYPE: ErrnoPrototype, unix.ERANGE: ErrnoRange,
	unix.EROFS: ErrnoRofs, unix.ESPIPE: ErrnoSpipe, unix.ESRCH: ErrnoSrch, unix.ESTALE: ErrnoStale,
	unix.ETIMEDOUT: ErrnoTimedout, unix.ETXTBSY: ErrnoTxtbsy, unix.EXDEV: ErrnoXdev,
}

func sysErrno(sys syscall.Errno) (Errno, bool) {
	if sys == unix.EOPNOTSUPP { // on some systems the same number as ENOTSUP
		return ErrnoNotsup, true
	}
	e, ok := errnoTable[sys]
	return e, ok
}
