package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/testprocs"
	"github.com/clonecloud/clonecloud/internal/testprogs"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// nodeProcess replaces the world's node by one that is a process of its own, and
// returns its id.
func (w *World) nodeProcess() *exec.Cmd {
	w.tb.Helper()
	w.Stop()
	r, pw, err := os.Pipe()
	if err != nil {
		w.tb.Fatal(err)
	}
	o := order{Node: true, Data: w.Data, Addr: w.addr, Linger: time.Second}
	cmd := o.start(w.tb, nil, pw, os.Stderr)
	_ = pw.Close()
	w.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = r.Close()
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != w.addr {
		w.tb.Fatalf("the node says %q, %v", line, err)
	}
	return cmd
}

// attacker is a device that means harm.
type attacker struct {
	tb     testing.TB
	w      *World
	id     *identity.Identity
	module []byte  // one that the node knows, from this device
	run    wire.ID // of another device
	live   wire.ID // an attempt of that run
	stop   chan struct{}
	landed func()
	many   int
}

// dial connects and says Hello; nil: the node does not want us.
func (a *attacker) dial(prefer link.Preference) (link.Conn, *wire.Reader, *wire.Writer) {
	ctx, cancel := context.WithTimeout(a.tb.Context(), patience)
	defer cancel()
	c, err := link.Dial(ctx, link.Options{Identity: a.id, Peer: a.w.own.ID(), Addrs: []string{a.w.addr}, Prefer: prefer})
	if err != nil {
		return nil, nil, nil
	}
	r, w := wire.NewReader(c, wire.ReaderConfig{}), wire.NewWriter(c)
	if _, err := wire.Greet(r, w, "attacker"); err != nil {
		_ = c.Close()
		return nil, nil, nil
	}
	return c, r, w
}

func newID() (id wire.ID) {
	_, _ = rand.Read(id[:])
	return id
}

// opening is a RunOpen of a module.
func opening(module []byte) *wire.RunOpen {
	sum := sha256.Sum256(module)
	return &wire.RunOpen{ModuleSha256: sum[:], ModuleSize: uint64(len(module)), MemoryMaxPages: 1 << 16}
}

// drain reads what the node answers, for as long as it does.
func drain(c link.Conn, r *wire.Reader) {
	for {
		if _, err := r.ReadFrame(); err != nil {
			_ = c.Close()
			return
		}
	}
}

// upload brings a module to the node, honestly.
func (a *attacker) upload() {
	c, r, w := a.dial(link.Auto)
	if c == nil {
		a.tb.Error("a paired device cannot connect")
		return
	}
	defer c.Close()
	run := newID()
	_ = w.Send(wire.Header{Type: wire.TypeRunOpen, Run: run}, opening(a.module), nil)
	for {
		f, err := r.ReadFrame()
		if err != nil {
			a.tb.Error(err)
			return
		}
		switch f.Type {
		case wire.TypeModuleWant:
			_ = a.chunk(w, run, a.module, nil)
		case wire.TypeRunReady:
			_ = w.Send(wire.Header{Type: wire.TypeRunClose, Run: run}, &wire.RunClose{}, nil)
			return
		case wire.TypeRefuse:
			m, _ := f.Message()
			a.tb.Errorf("refused: %v", m)
			return
		}
	}
}

// frameBytes is a frame as it travels.
type frameBytes []byte

func (f *frameBytes) Write(p []byte) (int, error) {
	*f = append(*f, p...)
	return len(p), nil
}

// raw sends a frame that need not be good.
func raw(w *wire.Writer, h wire.Header, m proto.Message, body []byte) error {
	meta, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return w.WriteFrame(&wire.Frame{Header: h, Meta: meta, Body: body})
}

// connected has do send on n connections, whose answers are read.
func (a *attacker) connected(n int, do func(w *wire.Writer)) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c, r, w := a.dial(link.Auto)
			if c == nil {
				return
			}
			go drain(c, r)
			do(w)
			_ = c.Close()
		})
	}
	all.Wait()
}

// malformedFrames sends, for each type, frames with each part spoiled.
func malformedFrames(a *attacker) {
	for typ := wire.Type(0); typ < 64; typ++ {
		for _, spoil := range []func(b []byte){
			func(b []byte) { b[1] = 1 },
			func(b []byte) { b[7] = 0xff },  // length of meta
			func(b []byte) { b[11] = 0xff }, // length of body
			func(b []byte) { b[52] ^= 1 },   // checksum
			func(b []byte) { copy(b[20:52], make([]byte, 32)) },
			func([]byte) {}, // a message of noise
		} {
			select {
			case <-a.stop:
				return
			default:
			}
			c, r, _ := a.dial(link.PreferTCP)
			if c == nil {
				continue
			}
			var f frameBytes
			h := wire.Header{Type: typ, Run: newID(), Attempt: newID()}
			if !typ.Known() {
				h.Type = wire.TypeCancel
			}
			if h.Type.Sequenced() {
				h.Seq = 1
			}
			if h.Type < wire.TypeRunOpen {
				h.Run, h.Attempt = wire.ID{}, wire.ID{}
			} else if h.Type < wire.TypeCall {
				h.Attempt = wire.ID{}
			}
			_ = wire.NewWriter(&f).WriteFrame(&wire.Frame{Header: h, Meta: []byte{0xff, 0xff, 0xff, 0xff}})
			if len(f) > 0 {
				f[0] = byte(typ)
				spoil(f)
				_, _ = c.Write(f)
				_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, _ = r.ReadFrame()
			}
			_ = c.Close()
		}
	}
}

// TestAHostileDeviceDisturbsNobody lets a device that is paired, and one that is
// not, do their worst, while another has its calls run.
func TestAHostileDeviceDisturbsNobody(t *testing.T) {
	p := &testprogs.Program{Name: "rounds", Wasm: rounds, Deterministic: true}
	local := NewWorld(t).Run(p, OnDevice)
	for _, x := range attacks {
		t.Run("a paired device/"+x.name, func(t *testing.T) {
			t.Parallel()
			underAttack(t, p, local, true, x)
		})
	}
	// Who is not paired gets no further than to the greeting, with any of them.
	t.Run("an unpaired device/all of it at once", func(t *testing.T) {
		t.Parallel()
		underAttack(t, p, local, false, attack{lands: true, do: func(a *attacker) {
			var all sync.WaitGroup
			for _, x := range attacks {
				all.Go(func() { x.do(a) })
			}
			all.Wait()
		}})
	})
}

// Bounds of docs/PROTOCOL.md, as they show from outside.
const (
	maxRunnersOfADevice = 20
	maxNodeMemory       = 400 << 20 // the node's own process; runners have their limits
)

func underAttack(t *testing.T, p *testprogs.Program, local *Outcome, paired bool, x attack) {
	w := NewWorld(t)
	cmd := w.nodeProcess()
	node := cmd.Process.Pid
	a := &attacker{tb: t, w: w, module: p.Wasm, stop: make(chan struct{}), many: 1000}
	var err error
	if a.id, err = identity.LoadOrCreate(filepath.Join(t.TempDir(), "attacker")); err != nil {
		t.Fatal(err)
	}
	if paired {
		if err := w.store.Add(identity.Peer{ID: a.id.ID(), Name: "attacker", Added: time.Now()}); err != nil {
			t.Fatal(err)
		}
		a.upload()
	}
	testprocs.Eventually(t, patience, "no runner is left of before", func() bool { return len(testprocs.Children(node)) == 0 })
	before := testprocs.Descriptors(node)

	var first sync.Once
	var began sync.WaitGroup
	began.Add(1)
	once := sync.OnceFunc(began.Done)
	if !x.late {
		once()
	}
	attacking := make(chan struct{})
	landed := make(chan struct{})
	a.landed = sync.OnceFunc(func() { close(landed) })
	go func() {
		defer close(attacking)
		defer a.landed()
		began.Wait()
		x.do(a)
	}()
	if x.lands {
		<-landed
	}
	most := 0
	watching, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			most = max(most, len(testprocs.Children(node)))
			select {
			case <-watching:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	honest := w.Run(p, Only("step"), func(o *device.Options) {
		o.ConnectTime = patience
		o.Tap = func(toClone bool, f *wire.Frame) bool {
			if toClone && f.Type == wire.TypeCall {
				first.Do(func() {
					a.run, a.live = f.Run, f.Attempt
					once()
				})
			}
			return true
		}
	})
	once()
	close(a.stop)
	<-attacking
	close(watching)
	<-watched
	if same(t, p, local, honest); honest.Report.Totals.CallsClone < 10 {
		t.Errorf("%d of 12 calls ran on the clone: calls:%s", honest.Report.Totals.CallsClone, calls(honest.Report.Calls))
	}
	if _, peak := testprocs.Resident(node); peak > maxNodeMemory {
		t.Errorf("the node took %d MB", peak>>20)
	} else {
		t.Logf("the node took %d MB at most, and had %d runners", peak>>20, most)
	}
	if most > maxRunnersOfADevice+2 { // the honest device's, and one that is being replaced
		t.Errorf("the node had %d runners", most)
	}
	testprocs.Eventually(t, patience, "all runners are gone", func() bool {
		return len(testprocs.Children(node)) == 0 && len(testprocs.Zombies(node)) == 0
	})
	left := 0
	end := time.Now().Add(patience)
	for left = testprocs.Descriptors(node); left > before+2 && time.Now().Before(end); left = testprocs.Descriptors(node) {
		time.Sleep(50 * time.Millisecond)
	}
	if left > before+2 {
		t.Errorf("%d descriptors are open, %d were before", left, before)
	}
	again := w.Run(p, Only("step"))
	if same(t, p, local, again); again.Report.Totals.CallsClone != 12 || again.Report.Totals.Fallbacks != 0 {
		t.Errorf("afterwards %d calls ran on the clone: calls:%s", again.Report.Totals.CallsClone, calls(again.Report.Calls))
	}
}

// chunk sends a module's first chunk, changed by lie.
func (a *attacker) chunk(w *wire.Writer, run wire.ID, module []byte, lie func(*wire.ModuleChunk, *[]byte)) error {
	plain := module[:min(len(module), wire.ChunkSize)]
	sum := sha256.Sum256(plain)
	m := &wire.ModuleChunk{Size: uint32(len(plain)), Sha256: sum[:]}
	body := packed(plain)
	if lie != nil {
		lie(m, &body)
	}
	return raw(w, wire.Header{Type: wire.TypeModuleChunk, Run: run}, m, body)
}

// packed compresses as a device does.
func packed(plain []byte) []byte {
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	defer zw.Close()
	return zw.EncodeAll(plain, nil)
}

// bomb is a small body that unpacks to 256 MiB.
var bomb = sync.OnceValue(func() []byte { return packed(make([]byte, 256<<20)) })
