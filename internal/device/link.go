package device

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// linkKeeper keeps the link to the clone: it dials, opens the run, uploads the
// module, tells the runner whether the link is there, and passes frames.
type linkKeeper struct {
	m     *manager
	peers []identity.Peer
	dial  []*link.Redialer
	net   *shape.Control // of --link; nil: the link as it is

	ctx  context.Context
	stop context.CancelCauseFunc

	mu       sync.Mutex
	runner   *wire.Writer
	conn     link.Conn
	w        *wire.Writer
	up       bool // the clone is ready
	ever     bool // it was, once: the run has begun
	left     bool // keep has ended
	attempt  wire.ID
	hopeless []error // by clone: why dialling it again is of no use; nil: it may be
	fatal    error   // why dialling any of them is
	lastErr  error
	failures int           // connections that came to nothing
	changed  chan struct{} // closed and replaced when up, fatal or lastErr changes
	module   []byte
	size     uint64 // of the module, bytes
	clone    string // name of the node in use
	software string
}

func newLinkKeeper(m *manager, own *identity.Identity, peers []identity.Peer) (*linkKeeper, error) {
	k := &linkKeeper{m: m, peers: peers, changed: make(chan struct{}), module: m.o.Module, size: uint64(len(m.o.Module)), hopeless: make([]error, len(peers))}
	k.ctx, k.stop = context.WithCancelCause(context.Background())
	if m.o.Net != nil {
		k.net = m.o.Net
	} else if m.o.Shape != nil {
		net, err := shape.New(*m.o.Shape, uint64(time.Now().UnixNano()))
		if err != nil {
			return nil, err
		}
		k.net = net
	}
	for _, p := range peers {
		r, err := link.NewRedialer(link.Options{Identity: own, Peer: p.ID, Addrs: p.Addresses, Prefer: m.o.Prefer, Net: k.net})
		if err != nil {
			k.close()
			return nil, err
		}
		k.dial = append(k.dial, r)
	}
	return k, nil
}

// redialPause spreads attempts to reach a clone that is away.
const (
	redialPause    = 500 * time.Millisecond
	maxRedialPause = 15 * time.Second
)

// keep holds the link until close.
func (k *linkKeeper) keep() {
	defer k.leave()
	pause := redialPause
	for i := 0; k.ctx.Err() == nil; i++ {
		was := time.Now()
		at := i % len(k.dial)
		err := k.session(k.dial[at], k.peers[at])
		k.down(at, err)
		if errors.Is(err, link.ErrGone) {
			k.abandon(link.ErrGone.Error()) // who died holds no attempt any more
		}
		if k.ctx.Err() != nil || k.over() {
			return
		}
		if time.Since(was) > time.Minute {
			pause = redialPause
		}
		if k.live() {
			i-- // the attempt lives at this clone: redial it at once
			if time.Since(was) > 100*time.Millisecond {
				continue
			}
		}
		if i+1 < len(k.dial) {
			continue // another clone may be there
		}
		select {
		case <-time.After(pause):
		case <-k.ctx.Done():
		}
		pause = min(pause*2, maxRedialPause)
	}
}

// leave tells the runner that nobody keeps a link any more, so that it does not
// wait for one.
func (k *linkKeeper) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left = true
	k.sayLeft()
}

// sayLeft does it. mu is held.
func (k *linkKeeper) sayLeft() {
	if k.runner != nil && k.left && k.ever {
		_ = k.runner.Send(wire.Header{Type: wire.TypeBye}, &wire.Bye{Reason: "there will be no link"}, nil)
	}
}

// session is one connection, from dialling to its end.
func (k *linkKeeper) session(r *link.Redialer, p identity.Peer) error {
	ctx, cancel := context.WithTimeout(k.ctx, 10*time.Second)
	defer cancel()
	var c link.Conn
	var err error
	if k.live() {
		c, err = r.Redial(ctx, nil)
	} else {
		c, err = r.Dial(ctx, nil)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(k.ctx, func() { _ = c.Close() })
	defer stop()
	rd, w := wire.NewReader(c, wire.ReaderConfig{}), wire.NewWriter(c)
	welcome, err := wire.Greet(rd, w, k.m.o.Software)
	if err != nil {
		return err
	}
	k.m.o.Log.Debug("connected", "clone", p.Name, "transport", c.Transport(), "software", welcome.Software, "setup", c.Stats().Setup)
	open := &wire.RunOpen{
		ModuleSha256: k.m.sum[:], ModuleSize: k.size, MemoryMaxPages: k.m.o.MaxPages,
	}
	if err := w.Send(k.head(wire.TypeRunOpen), open, nil); err != nil {
		return err
	}
	// Only now may the runner's frames follow: the node knows their run.
	k.mu.Lock()
	k.conn, k.w, k.clone, k.software = c, w, p.Name, welcome.Software
	k.mu.Unlock()
	for {
		f, err := rd.ReadFrame()
		if err != nil {
			return err
		}
		if err := k.frame(f, rd.Buffered() >= wire.HeaderSize); err != nil {
			return err
		}
	}
}

func (k *linkKeeper) head(t wire.Type) wire.Header { return wire.Header{Type: t, Run: k.m.run} }

// frame handles one frame of the node; more says that another has come already.
func (k *linkKeeper) frame(f *wire.Frame, more bool) error {
	if !f.Attempt.IsZero() {
		return k.toRunner(f, more)
	}
	msg, err := f.Message()
	if err != nil {
		return err
	}
	switch msg := msg.(type) {
	case *wire.ModuleWant:
		return k.upload(msg)
	case *wire.RunReady:
		k.ready()
	case *wire.Refuse:
		if f.Run != k.m.run {
			return &wire.RefusedError{Code: msg.Code, Text: msg.Text, Hint: msg.Hint}
		}
		return k.refusedRun(f, msg)
	case *wire.Ping:
		return k.send(wire.Header{Type: wire.TypePong}, &wire.Pong{Nonce: msg.Nonce})
	case *wire.Bye:
		return errors.New("the node said goodbye: " + msg.Reason)
	}
	return nil
}

// refusedRun is told that the run cannot go on at this clone.
func (k *linkKeeper) refusedRun(f *wire.Frame, m *wire.Refuse) error {
	_ = k.toRunner(f, false)
	return &wire.RefusedError{Code: m.Code, Text: m.Text, Hint: m.Hint}
}

// hopeless returns why dialling a clone again is of no use, or nil.
func hopeless(err error) error {
	var refused *wire.RefusedError
	if errors.As(err, &refused) {
		switch refused.Code {
		case wire.RefuseCode_REFUSE_VERSION:
			return hinted{err, "update the older of the two: clonecloud version, on both"}
		case wire.RefuseCode_REFUSE_MODULE, wire.RefuseCode_REFUSE_LIMIT:
			return err
		}
	}
	for _, e := range []error{link.ErrNotPaired, link.ErrWrongPeer, link.ErrVersion} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}

func (k *linkKeeper) send(h wire.Header, m proto.Message) error {
	k.mu.Lock()
	w := k.w
	k.mu.Unlock()
	if w == nil {
		return link.ErrLost
	}
	return w.Send(h, m, nil)
}

// ready says that the clone has compiled the module: calls may come.
func (k *linkKeeper) ready() {
	was := false
	k.note(func() {
		was, k.up, k.ever = k.up, true, true
		if k.m.o.Reload != nil {
			k.module = nil // read again if a clone should ever ask for it
		}
	})
	if was {
		return // a new runner at the clone; the link is the same
	}
	k.tellLink(true, "")
}

// down says that the link to a clone is gone.
func (k *linkKeeper) down(at int, err error) {
	k.note(func() {
		k.conn, k.w, k.up, k.lastErr = nil, nil, false, err
		k.failures++
		if k.hopeless[at] = hopeless(err); !slices.Contains(k.hopeless, nil) {
			k.fatal = k.hopeless[0]
		}
	})
	if k.ctx.Err() != nil {
		return // the run is over
	}
	if err != nil {
		k.m.o.Log.Debug("link down", "error", err)
	}
	k.tellLink(false, fmt.Sprint(err))
}

// over reports whether dialling again is of no use.
func (k *linkKeeper) over() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fatal != nil
}

// note changes state and wakes whoever waits for that.
func (k *linkKeeper) note(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	close(k.changed)
	k.changed = make(chan struct{})
}

// tellLink tells the runner about the link, with what it was measured to do.
func (k *linkKeeper) tellLink(up bool, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tellLocked(up, text)
}

func (k *linkKeeper) tellLocked(up bool, text string) {
	if k.runner == nil || k.ctx.Err() != nil {
		return
	}
	m := &wire.LinkState{Up: up, Text: text}
	if k.conn != nil {
		st := k.conn.Stats()
		m.RttSeconds, m.UpBytesPerSecond, m.DownBytesPerSecond = st.RTT.Mean, st.UpRate.Mean, st.DownRate.Mean
	}
	if err := k.runner.Send(wire.Header{Type: wire.TypeLinkState}, m, nil); err != nil {
		k.m.o.Log.Debug("tell the runner", "error", err)
	}
}

// setRunner gives the keeper the runner to tell.
func (k *linkKeeper) setRunner(w *wire.Writer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runner = w
	if k.up {
		k.tellLocked(true, "")
	}
	k.sayLeft()
}

// toRunner passes a frame of an attempt on; if more follow at once, with them.
func (k *linkKeeper) toRunner(f *wire.Frame, more bool) error {
	if !k.m.o.Tap(false, f) {
		return nil
	}
	k.mu.Lock()
	w := k.runner
	if over := f.Type == wire.TypeReturn || f.Type == wire.TypeUnknown || f.Type == wire.TypeRefuse; over && f.Attempt == k.attempt {
		k.attempt = wire.ID{}
	}
	k.mu.Unlock()
	if w == nil {
		return nil
	}
	if more {
		return w.Hold(f)
	}
	return w.WriteFrame(f)
}

// toClone passes a frame of the runner on, whose body is still to be read from
// r; an error is r's. A link that fails is noticed by the session's reader.
func (k *linkKeeper) toClone(f *wire.Frame, r *wire.Reader) error {
	if k.m.tapped {
		if err := r.ReadBody(f); err != nil {
			return err
		}
		if !k.m.o.Tap(true, f) {
			return nil
		}
	}
	k.mu.Lock()
	w, c := k.w, k.conn
	switch f.Type {
	case wire.TypeCall, wire.TypePageHashes:
		k.attempt = f.Attempt
	case wire.TypeCancel:
		if f.Attempt == k.attempt {
			k.attempt = wire.ID{}
		}
	}
	if w == nil {
		// It waits for an answer that cannot come: it may have missed the news.
		k.sayDown("the link is down")
	}
	k.mu.Unlock()
	var readErr, err error
	switch {
	case w == nil:
		if !k.m.tapped {
			readErr = r.ReadBody(f)
			f.Recycle()
		}
		return readErr
	case f.Type == wire.TypeCancel:
		_ = wire.NewWriter(c.Control()).WriteFrame(f)
	case f.Type == wire.TypeAck:
		err = w.Hold(f) // it frees memory at the node; nobody waits
	case k.m.tapped:
		err = w.WriteFrame(f)
	default:
		readErr, err = w.Relay(f, r)
	}
	if err != nil {
		k.m.o.Log.Debug("write to the clone", "error", err)
		_ = c.Close()
	}
	return readErr
}

// ended notes that the runner gave an attempt up.
func (k *linkKeeper) ended(attempt string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fmt.Sprintf("%x", k.attempt[:]) == attempt {
		k.attempt = wire.ID{}
	}
}

// live reports whether an attempt waits for the link.
func (k *linkKeeper) live() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.attempt.IsZero()
}

// Limits of the wait for a clone beside Options.ConnectTime.
const (
	// patience is how often every clone may fail before the wait ends: one that
	// refuses connections is known to be away sooner than one that is silent.
	patience = 3
	// prepareTime is what a clone that answers has to take the module and
	// compile it.
	prepareTime = 10 * time.Minute
)

// awaitReady waits until the clone is ready for calls.
func (k *linkKeeper) awaitReady(ctx context.Context, limit time.Duration) error {
	began := time.Now()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		k.mu.Lock()
		up, fatal, last, changed := k.ever, k.fatal, k.lastErr, k.changed
		connected, failures := k.conn != nil, k.failures
		k.mu.Unlock()
		switch {
		case up:
			return nil
		case errors.Is(fatal, link.ErrNotPaired):
			return fmt.Errorf("%w: %w", ErrNotPaired, fatal)
		case fatal != nil:
			return fmt.Errorf("%w: %w", ErrNoClone, fatal)
		case failures >= patience*len(k.peers):
			return fmt.Errorf("%w: %w", ErrNoClone, last)
		}
		select {
		case <-changed:
		case <-timeout.C:
			if left := prepareTime - time.Since(began); connected && left > 0 {
				timeout.Reset(min(left, limit))
				continue
			}
			if last == nil {
				last = errors.New("nothing answered in time")
			}
			return fmt.Errorf("%w: %w", ErrNoClone, last)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// abandon has the runner give up its live attempt: the call runs here.
func (k *linkKeeper) abandon(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.attempt.IsZero() || k.runner == nil {
		return
	}
	h := wire.Header{Type: wire.TypeCancel, Run: k.m.run, Attempt: k.attempt}
	_ = k.runner.Send(h, &wire.Cancel{Reason: reason}, nil)
}

// switchOff ends every offload and the link.
func (k *linkKeeper) switchOff() {
	k.abandon("offloading was switched off")
	k.cancel("offloading was switched off")
	k.close()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sayDown("offloading was switched off")
}

// sayDown tells the runner that there is no link, also when the keeper has
// ended: the runner goes on alone. mu is held.
func (k *linkKeeper) sayDown(text string) {
	if k.runner == nil {
		return
	}
	if err := k.runner.Send(wire.Header{Type: wire.TypeLinkState}, &wire.LinkState{Text: text}, nil); err != nil {
		k.m.o.Log.Debug("tell the runner", "error", err)
	}
}

// cancel tells the clone that its part is over (PROTOCOL rule 20).
func (k *linkKeeper) cancel(reason string) {
	k.mu.Lock()
	c, w, attempt := k.conn, k.w, k.attempt
	k.mu.Unlock()
	if c == nil {
		return
	}
	if !attempt.IsZero() {
		h := wire.Header{Type: wire.TypeCancel, Run: k.m.run, Attempt: attempt}
		_ = wire.NewWriter(c.Control()).Send(h, &wire.Cancel{Reason: reason}, nil)
	}
	_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	_ = w.Send(k.head(wire.TypeRunClose), &wire.RunClose{Reason: reason}, nil)
}

// close ends the link.
func (k *linkKeeper) close() {
	k.cancel("the run has ended")
	k.stop(errors.New("closed"))
	for _, r := range k.dial {
		r.Close()
	}
}

// upload sends the chunks that the node lacks.
func (k *linkKeeper) upload(m *wire.ModuleWant) error {
	k.mu.Lock()
	w, module := k.w, k.module
	k.mu.Unlock()
	if module == nil {
		var err error
		if module, err = k.m.o.Reload(); err != nil {
			return fmt.Errorf("read the module again: %w", err)
		}
		if sha256.Sum256(module) != k.m.sum {
			k.note(func() { k.fatal = errors.New("the module's file has changed since the program started") })
			return k.fatal
		}
	}
	return sendModule(w, k.m.run, module, m.Chunks)
}
