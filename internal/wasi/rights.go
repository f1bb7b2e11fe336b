package wasi

// What may be done with each kind of descriptor.
//
// Runtimes in use today hold guests to few rights, and programs ask for too
// few and for too many, so rights are enforced where a program can tell: a
// file is readable and writable as path_open asked, and whatever
// fd_fdstat_set_rights took away stays away, for the descriptor and for what
// is opened through it. A folder has its parent's rights.
const (
	fileRights = RightFdDatasync | RightFdRead | RightFdSeek | RightFdFdstatSetFlags | RightFdSync |
		RightFdTell | RightFdWrite | RightFdAdvise | RightFdAllocate | RightFdFilestatGet |
		RightFdFilestatSetSize | RightFdFilestatSetTimes | RightPollFdReadwrite

	dirRights = RightFdDatasync | RightFdSync | RightFdFdstatSetFlags | RightPathCreateDirectory |
		RightPathCreateFile | RightPathLinkSource | RightPathLinkTarget | RightPathOpen |
		RightFdReaddir | RightPathReadlink | RightPathRenameSource | RightPathRenameTarget |
		RightPathFilestatGet | RightPathFilestatSetSize | RightPathFilestatSetTimes |
		RightFdFilestatGet | RightFdFilestatSetTimes | RightPathSymlink |
		RightPathRemoveDirectory | RightPathUnlinkFile

	dirInheriting = dirRights | fileRights

	// A stream has no position; C libraries know a terminal by the missing
	// rights to seek and tell.
	streamRights = RightFdFdstatSetFlags | RightFdFilestatGet | RightPollFdReadwrite | RightFdSync | RightFdDatasync

	sockRights = RightFdRead | RightFdWrite | RightFdFdstatSetFlags | RightFdFilestatGet |
		RightPollFdReadwrite | RightSockShutdown | RightSockAccept
)
