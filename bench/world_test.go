package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/node"
	"github.com/clonecloud/clonecloud/internal/runner"
)

// roleEnv tells this binary what to be, and arguments follow in the others.
const (
	roleEnv  = "CLONECLOUD_BENCH_ROLE"
	homeEnv  = "CLONECLOUD_BENCH_HOME"
	otherEnv = "CLONECLOUD_BENCH_PEER"
)

func TestMain(m *testing.M) {
	runner.MaybeChild()
	roles := map[string]func(own *identity.Identity, peer identity.ID) (addr string, serve func() error, err error){
		"node": nodeRole, "bulk": bulkRole, "rpc": rpcRole,
	}
	if role := roles[os.Getenv(roleEnv)]; role != nil {
		if err := be(role); err != nil {
			fmt.Fprintln(os.Stderr, os.Getenv(roleEnv), err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// be is another process's life: it says its address and id, and ends with its
// standard input.
func be(role func(*identity.Identity, identity.ID) (string, func() error, error)) error {
	own, err := identity.LoadOrCreate(os.Getenv(homeEnv))
	if err != nil {
		return err
	}
	peer, err := identity.ParseID(os.Getenv(otherEnv))
	if err != nil {
		return err
	}
	addr, serve, err := role(own, peer)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(addr, own.ID())
	return serve()
}

func only(peer identity.ID) func(identity.ID) bool {
	return func(id identity.ID) bool { return id == peer }
}

func nodeRole(own *identity.Identity, peer identity.ID) (string, func() error, error) {
	l, err := link.Listen(context.Background(), "127.0.0.1:0", link.ListenOptions{Identity: own, Listed: only(peer)})
	if err != nil {
		return "", nil, err
	}
	n := node.New(node.Config{Listener: l, Data: os.Getenv(homeEnv), Software: "bench"})
	return l.Addr().String(), func() error { return n.Serve(context.Background()) }, nil
}

// bulkRole takes bytes, as many as eight bytes before them say, and answers
// with one.
func bulkRole(own *identity.Identity, peer identity.ID) (string, func() error, error) {
	l, err := link.Listen(context.Background(), "127.0.0.1:0", link.ListenOptions{Identity: own, Listed: only(peer)})
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), func() error {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return err
			}
			go func() {
				buf := make([]byte, 256<<10)
				for {
					if _, err := io.ReadFull(c, buf[:8]); err != nil {
						return
					}
					n := int64(binary.LittleEndian.Uint64(buf))
					if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.LimitReader(c, n)}, buf); err != nil {
						return
					}
					if _, err := c.Write([]byte{1}); err != nil {
						return
					}
				}
			}()
		}
	}, nil
}

// start starts a process in a role and returns where it is and who.
func start(tb testing.TB, role string, own *identity.Identity) identity.Peer {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role, homeEnv+"="+filepath.Join(tb.TempDir(), role), otherEnv+"="+own.ID().String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(role, "does not come up:", err)
	}
	addr, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	id, err := identity.ParseID(name)
	if err != nil {
		tb.Fatal(err)
	}
	return identity.Peer{ID: id, Name: role, Addresses: []string{addr}, Added: time.Now()}
}

// world is a device with a node in another process.
type world struct {
	home string
	own  *identity.Identity
	node identity.Peer
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{home: filepath.Join(tb.TempDir(), "device")}
	var err error
	if w.own, err = identity.LoadOrCreate(w.home); err != nil {
		tb.Fatal(err)
	}
	w.node = start(tb, "node", w.own)
	return w
}

//go:embed testdata/guest.wasm
var guestModule []byte

// guest is testdata/guest.wat, running on the device: it does what is asked of
// it on its standard input.
type guest struct {
	tb    testing.TB
	in    *os.File
	calls chan runner.Call
	done  chan struct{}
}

func (w *world) guest(tb testing.TB, p link.Preference, setup func(*device.Options)) *guest {
	tb.Helper()
	r, in, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	g := &guest{tb: tb, in: in, calls: make(chan runner.Call, 1<<14), done: make(chan struct{})}
	o := device.Options{
		Home: w.home, Software: "bench", App: "guest", Module: guestModule, Args: []string{"guest"},
		Where: device.WhereClone, Only: []string{"work"}, Clone: &w.node, Prefer: p, Stdin: r, Stderr: os.Stderr,
		OnEvent: func(e runner.Event) {
			if e.Call != nil {
				g.calls <- *e.Call
			}
		},
	}
	if setup != nil {
		setup(&o)
	}
	go func() {
		defer close(g.done)
		defer r.Close()
		res, err := device.Run(context.Background(), o)
		if err != nil {
			tb.Error(err)
		} else if res.Exit.Error != "" {
			tb.Error(res.Exit.Error)
		}
	}()
	tb.Cleanup(g.end)
	return g
}

func (g *guest) end() {
	_ = g.in.Close()
	<-g.done
}

// full is the mask of noise that does not compress.
const full = ^uint32(0)

// call has the guest make calls: so many pages dirtied before each and by each.
func (g *guest) call(calls, up, down int, mask uint32) []runner.Call {
	g.tb.Helper()
	var b [16]byte
	binary.LittleEndian.PutUint32(b[:], uint32(calls))
	binary.LittleEndian.PutUint32(b[4:], uint32(up))
	binary.LittleEndian.PutUint32(b[8:], uint32(down))
	binary.LittleEndian.PutUint32(b[12:], mask)
	if _, err := g.in.Write(b[:]); err != nil {
		g.tb.Fatal(err)
	}
	all := make([]runner.Call, calls)
	for i := range all {
		select {
		case all[i] = <-g.calls:
		case <-g.done:
			g.tb.Fatal("the guest has ended")
		}
		if c := &all[i]; c.Where != "clone" {
			g.tb.Fatalf("a call ran on the device: %s", c.Reason)
		}
	}
	return all
}

// seconds are the times of calls.
func seconds(calls []runner.Call) []float64 {
	out := make([]float64, len(calls))
	for i := range calls {
		out[i] = calls[i].Seconds
	}
	return out
}

// quantile of what it sorts.
func quantile(v []float64, q float64) float64 {
	slices.Sort(v)
	return v[int(q*float64(len(v)-1))]
}

// spread is the least and the greatest median of the rounds that v consists of.
func spread(rounds [][]float64) (least, most float64) {
	var m []float64
	for _, r := range rounds {
		m = append(m, quantile(r, 0.5))
	}
	return quantile(m, 0), quantile(m, 1)
}

func flat(rounds [][]float64) []float64 { return slices.Concat(rounds...) }
