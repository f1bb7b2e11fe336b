//go:build amd64 || arm64 || riscv64

package pagestate

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/userfaultfd.h and linux/fs.h.
const (
	uffdUserModeOnly   = 1
	uffdFeatureUnpop   = 1 << 13 // protect pages that are not there yet
	uffdFeatureAsync   = 1 << 15 // the kernel lifts the protection by itself
	uffdAPI            = 0xaa
	uffdioAPI          = 0xc018aa3f
	uffdioRegister     = 0xc020aa00
	uffdioWriteProtect = 0xc018aa06
	uffdModeWP         = 2 // in UFFDIO_REGISTER
	uffdProtectModeWP  = 1 // in UFFDIO_WRITEPROTECT

	pagemapScanIoctl = 0xc0606610
	pageIsWritten    = 1 << 1
	pageIsFile       = 1 << 2
	pageIsPresent    = 1 << 3
	pageIsSwapped    = 1 << 4
	scanProtect      = 1 << 0 // PM_SCAN_WP_MATCHING
	scanCheckAsync   = 1 << 1 // PM_SCAN_CHECK_WPASYNC
)

// kernel holds what is opened once in a process, so that a sandbox may close
// /proc and userfaultfd(2) behind it.
var kernel = struct {
	sync.Mutex
	pagemap, uffd int
}{pagemap: -1, uffd: -1}

// openKernel opens what the kind needs.
func openKernel(kind Kind) error {
	kernel.Lock()
	defer kernel.Unlock()
	if kernel.pagemap < 0 {
		fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /proc/self/pagemap: %w", err)
		}
		kernel.pagemap = fd
	}
	if kind != Userfault || kernel.uffd >= 0 {
		return nil
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return fmt.Errorf("userfaultfd: %w", errno)
	}
	api := struct{ api, features, ioctls uint64 }{uffdAPI, uffdFeatureAsync | uffdFeatureUnpop, 0}
	if _, err := ioctl(int(fd), uffdioAPI, unsafe.Pointer(&api)); err != nil {
		_ = unix.Close(int(fd))
		return fmt.Errorf("userfaultfd without asynchronous write protection: %w", err)
	}
	kernel.uffd = int(fd)
	return nil
}

func ioctl(fd int, req uintptr, arg unsafe.Pointer) (int, error) {
	for try := 0; ; try++ {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(arg))
		switch {
		case errno == 0:
			return int(n), nil
		case (errors.Is(errno, unix.EINTR) || errors.Is(errno, unix.EAGAIN)) && try < 1000:
			// EAGAIN: the mapping is being changed by another thread.
			runtime.Gosched()
		default:
			return 0, errno
		}
	}
}

func addrOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// uffdRegister puts a mapping under write protection that is tracked, not armed.
func uffdRegister(mem []byte) error {
	arg := struct{ start, len, mode, ioctls uint64 }{uint64(addrOf(mem)), uint64(len(mem)), uffdModeWP, 0}
	_, err := ioctl(kernel.uffd, uffdioRegister, unsafe.Pointer(&arg))
	return err
}

// uffdProtect arms pages: they count as written from the next write.
func uffdProtect(mem []byte) error {
	arg := struct{ start, len, mode uint64 }{uint64(addrOf(mem)), uint64(len(mem)), uffdProtectModeWP}
	_, err := ioctl(kernel.uffd, uffdioWriteProtect, unsafe.Pointer(&arg))
	return err
}

// pageRegion is the kernel's struct page_region.
type pageRegion struct{ start, end, categories uint64 }

// scanFor says which pages pagemapScan looks for.
type scanFor int

const (
	// scanUnprotected: those written since they were protected, or never protected.
	// Asked for alone, the kernel has a fast path.
	scanUnprotected scanFor = 1 << iota
	// scanPrivate: those of which the mapping has its own copy.
	scanPrivate
	// armUnprotected: as scanUnprotected, but to protect them and list none.
	armUnprotected
)

// pagemapScan fills vec with the pages between two addresses that match, ascending,
// and returns how many regions there are; len(vec) of them means there may be more.
func pagemapScan(what scanFor, start, end uintptr, vec []pageRegion) (int, error) {
	arg := struct {
		size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
		inverted, mask, anyOf, ret                              uint64
	}{start: uint64(start), end: uint64(end)}
	arg.size = uint64(unsafe.Sizeof(arg))
	if what&(scanUnprotected|armUnprotected) != 0 {
		arg.mask, arg.ret, arg.flags = pageIsWritten, pageIsWritten, scanCheckAsync
	}
	if what&armUnprotected != 0 {
		arg.ret = 0
		arg.flags |= scanProtect
	}
	if what&scanPrivate != 0 {
		arg.mask |= pageIsFile
		arg.inverted, arg.anyOf = pageIsFile, pageIsPresent|pageIsSwapped
	}
	if len(vec) > 0 {
		arg.vec, arg.vecLen = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(vec)))), uint64(len(vec))
	}
	n, err := ioctl(kernel.pagemap, pagemapScanIoctl, unsafe.Pointer(&arg))
	runtime.KeepAlive(vec)
	return n, err
}

// remap maps fd from offset, private, over mem.
func remap(mem []byte, fd int, offset uint64) error {
	const flags = unix.MAP_PRIVATE | unix.MAP_NORESERVE | unix.MAP_FIXED
	_, err := unix.MmapPtr(fd, int64(offset), unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem)), unix.PROT_READ|unix.PROT_WRITE, flags)
	return err
}
