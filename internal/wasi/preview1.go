package wasi

// Filetype says what a descriptor or a folder entry is.
type Filetype uint8

// The file types of preview 1. A pipe has none and is FiletypeUnknown.
const (
	FiletypeUnknown Filetype = iota
	FiletypeBlockDevice
	FiletypeCharacterDevice
	FiletypeDirectory
	FiletypeRegularFile
	FiletypeSocketDgram
	FiletypeSocketStream
	FiletypeSymbolicLink
)

// Fdflags are the flags of an open descriptor.
type Fdflags uint16

// The descriptor flags of preview 1.
const (
	FdflagAppend Fdflags = 1 << iota
	FdflagDsync
	FdflagNonblock
	FdflagRsync
	FdflagSync

	fdflagsAll Fdflags = 1<<iota - 1
)

// Rights are what may be done with a descriptor.
type Rights uint64

// The rights of preview 1, in its order.
const (
	RightFdDatasync Rights = 1 << iota
	RightFdRead
	RightFdSeek
	RightFdFdstatSetFlags
	RightFdSync
	RightFdTell
	RightFdWrite
	RightFdAdvise
	RightFdAllocate
	RightPathCreateDirectory
	RightPathCreateFile
	RightPathLinkSource
	RightPathLinkTarget
	RightPathOpen
	RightFdReaddir
	RightPathReadlink
	RightPathRenameSource
	RightPathRenameTarget
	RightPathFilestatGet
	RightPathFilestatSetSize
	RightPathFilestatSetTimes
	RightFdFilestatGet
	RightFdFilestatSetSize
	RightFdFilestatSetTimes
	RightPathSymlink
	RightPathRemoveDirectory
	RightPathUnlinkFile
	RightPollFdReadwrite
	RightSockShutdown
	RightSockAccept

	rightsAll Rights = 1<<iota - 1
)

// ClockID names a clock.
type ClockID uint32

// The clocks of preview 1.
const (
	ClockRealtime ClockID = iota
	ClockMonotonic
	ClockProcessCPU
	ClockThreadCPU
)
