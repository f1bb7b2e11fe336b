package wasi

import "strconv"

// Fn names one of the 46 functions of preview 1. The numbers are part of the
// import log's format: they never change.
type Fn uint8

// The functions of preview 1.
const (
	FnArgsGet Fn = iota + 1
	FnArgsSizesGet
	FnEnvironGet
	FnEnvironSizesGet
	FnClockResGet
	FnClockTimeGet
	FnFdAdvise
	FnFdAllocate
	FnFdClose
	FnFdDatasync
	FnFdFdstatGet
	FnFdFdstatSetFlags
	FnFdFdstatSetRights
	FnFdFilestatGet
	FnFdFilestatSetSize
	FnFdFilestatSetTimes
	FnFdPread
	FnFdPrestatGet
	FnFdPrestatDirName
	FnFdPwrite
	FnFdRead
	FnFdReaddir
	FnFdRenumber
	FnFdSeek
	FnFdSync
	FnFdTell
	FnFdWrite
	FnPathCreateDirectory
	FnPathFilestatGet
	FnPathFilestatSetTimes
	FnPathLink
	FnPathOpen
	FnPathReadlink
	FnPathRemoveDirectory
	FnPathRename
	FnPathSymlink
	FnPathUnlinkFile
	FnPollOneoff
	FnProcExit
	FnProcRaise
	FnSchedYield
	FnRandomGet
	FnSockAccept
	FnSockRecv
	FnSockSend
	FnSockShutdown

	fnEnd
)

// NumFns is how many functions there are.
const NumFns = int(fnEnd) - 1

var fnNames = [...]string{
	1: "args_get",
	"args_sizes_get",
	"environ_get",
	"environ_sizes_get",
	"clock_res_get",
	"clock_time_get",
	"fd_advise",
	"fd_allocate",
	"fd_close",
	"fd_datasync",
	"fd_fdstat_get",
	"fd_fdstat_set_flags",
	"fd_fdstat_set_rights",
	"fd_filestat_get",
	"fd_filestat_set_size",
	"fd_filestat_set_times",
	"fd_pread",
	"fd_prestat_get",
	"fd_prestat_dir_name",
	"fd_pwrite",
	"fd_read",
	"fd_readdir",
	"fd_renumber",
	"fd_seek",
	"fd_sync",
	"fd_tell",
	"fd_write",
	"path_create_directory",
	"path_filestat_get",
	"path_filestat_set_times",
	"path_link",
	"path_open",
	"path_readlink",
	"path_remove_directory",
	"path_rename",
	"path_symlink",
	"path_unlink_file",
	"poll_oneoff",
	"proc_exit",
	"proc_raise",
	"sched_yield",
	"random_get",
	"sock_accept",
	"sock_recv",
	"sock_send",
	"sock_shutdown",
}

// String returns the function's name as a module imports it.
func (f Fn) String() string {
	if f.Valid() {
		return fnNames[f]
	}
	return "function " + strconv.Itoa(int(f))
}

// Valid reports whether f is one of the functions.
func (f Fn) Valid() bool { return f > 0 && f < fnEnd }
