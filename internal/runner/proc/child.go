package proc

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Exit codes of a child that could not begin.
const (
	// ExitUsage: the binary was called with the verb, but not by Start.
	ExitUsage = 2
	// ExitOrphan: the parent is gone.
	ExitOrphan = 125
)

// Child is what a child's program is given.
type Child struct {
	// Conn is the stream to the parent. Reads and writes block in the system;
	// reads belong to the guest's goroutine. Its end ends the process, so a
	// program hardly ever sees io.EOF.
	Conn io.ReadWriteCloser
	// Args are Config.Args.
	Args []string
	// Confinement is what the parent was told.
	Confinement Confinement
}

// MaybeChild makes this process a child if Start started it as one: it applies
// the run-time settings and the confinement, runs program, and ends the process
// with the code that program returns. In any other process it returns at once.
// It must be called first thing in main (or TestMain), before flags are parsed
// and before anything opens files or starts goroutines that allocate.
func MaybeChild(program func(*Child) int) {
	if len(os.Args) < 3 || os.Args[1] != Verb {
		return
	}
	version, options, _ := strings.Cut(os.Args[2], ",")
	if version != protocolVersion {
		usage(fmt.Sprintf("it is started by clonecloud itself, in version %s of its protocol, not %q", protocolVersion, version))
	}
	conn, err := childConn(options)
	if err != nil {
		usage(err.Error())
	}
	Init()
	watchParent(conn)
	c := &Child{Conn: conn, Args: os.Args[3:]}
	confine(&c.Confinement, conn, strings.Contains(options, optionNetwork))
	if err := writeHello(conn, c.Confinement); err != nil {
		os.Exit(ExitOrphan)
	}
	os.Exit(program(c))
}

// optionNetwork tells the child that it was started in a network namespace.
const optionNetwork = "netns"

func usage(why string) {
	fmt.Fprintf(os.Stderr, "clonecloud: %s is not a command for people: %s\n", Verb, why)
	os.Exit(ExitUsage)
}
