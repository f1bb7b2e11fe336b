package wasi

// Limits on a descriptor table and on what it holds.
const (
	MaxDescs      = 4096    // open descriptors
	MaxPath       = 4096    // bytes of one path
	MaxName       = 1024    // bytes of one folder entry's name
	MaxDirents    = 1 << 20 // entries of one folder
	MaxArgsEnv    = 1 << 20 // bytes of all arguments, and of all variables
	MaxStateBytes = 64 << 20
)

// State is all that preview 1 keeps for a guest beside its memory: a plain
// value, equal wherever it is (PROTOCOL rule 1).
type State struct {
	Args, Env []string // Env as "K=V"
	Descs     map[uint32]Desc
}

// Desc is one open descriptor. Offsets are here and nowhere else.
type Desc struct {
	Handle           Handle
	Type             Filetype
	Flags            Fdflags
	Base, Inheriting Rights
	Offset           uint64 // bytes; the file position

	Preopen  bool
	Name     string // a preopen's name as the guest sees it
	ReadOnly bool   // opened under a preopen that may not be changed

	// Root is the handle of the preopen that the descriptor was opened
	// under, and Path how it was opened, relative to Root and joined but not
	// resolved: "." for the preopen itself, "" for a stream or socket.
	Root Handle
	Path string

	Identity Identity // at open; refreshed by a commit

	// Listing is what fd_readdir walks: taken at cookie 0, "." and ".."
	// first, dropped when the guest has seen its end. Never changed once
	// taken, so captures may share it.
	Listing []Dirent
}
