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
	"github.com/clonecloud/clonecloud/internal/relay"
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
	runner   *relay.Outbox
	conn     link.Conn
	out      *relay.Outbox // to the clone
	up       bool          // the clone is ready
	ever     bool          // it was, once: the run has begun
	left     bool          // keep has ended
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
	counted  int64 // bytes of conn that the month has
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
		if !k.permitted() {
			return
		}
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
	defer k.count(c)
	stop := context.AfterFunc(k.ctx, func() { _ = c.Close() })
	defer stop()
	rd, w := wire.NewReader(c, wire.ReaderConfig{}), wire.NewWriter(c)
	k.mu.Lock()
	k.counted = 0
	k.mu.Unlock()
	welcome, err := wire.Greet(rd, w, k.m.o.Software)
	if err != nil {
		return err
	}
	k.m.o.Log.Debug("connected", "clone", p.Name, "transport", c.Transport(), "software", welcome.Software, "setup", c.Stats().Setup)
	open := &wire.RunOpen{
		ModuleSha256: k.m.sum[:], ModuleSize: k.size, MemoryMaxPages: k.m.o.MaxPages,
	}
	out := relay.NewOutbox(c, relay.Config{OnFail: func(err error) {
		k.m.o.Log.Debug("write to the clone", "error", err)
		go func() { _ = c.Close() }()
	}})
	if err := out.Send(k.head(wire.TypeRunOpen), open, nil); err != nil {
		return err
	}
	// Only now may the runner's frames follow: the node knows their run.
	k.mu.Lock()
	k.conn, k.out, k.clone, k.software = c, out, p.Name, welcome.Software
	k.mu.Unlock()
	return relay.ServeReader(k.m.loop, c, rd, relay.Handler{
		Frame: func(f *wire.Frame, r *wire.Reader) error { return k.frame(f, r, true) },
		Quick: func(f *wire.Frame, r *wire.Reader) error { return k.frame(f, r, false) },
		Hasty: k.hastyBack,
		Idle:  k.flushBack,
	})
}

// flush sends the clone what was held back; flushBack gives it to the runner.
func (k *linkKeeper) flush() {
	if k == nil {
		return
	}
	k.mu.Lock()
	out := k.out
	k.mu.Unlock()
	if out != nil {
		out.Flush()
	}
}

func (k *linkKeeper) flushBack() {
	k.mu.Lock()
	out := k.runner
	k.mu.Unlock()
	if out != nil {
		out.Flush()
	}
}

// hastyBack reports whether the runner can be given an attempt's frame at once;
// other frames may wait for this or that.
func (k *linkKeeper) hastyBack(h wire.Header) bool {
	if h.Attempt.IsZero() || k.m.tapped || h.BodyLen > relay.DirectLimit/2 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.runner == nil || k.runner.Free()
}

func (k *linkKeeper) head(t wire.Type) wire.Header { return wire.Header{Type: t, Run: k.m.run} }

// frame handles one frame of the node, whose body is still to be read; it may
// wait for the runner to take it.
func (k *linkKeeper) frame(f *wire.Frame, r *wire.Reader, wait bool) error {
	if err := r.ReadBody(f); err != nil {
		return err
	}
	if !f.Attempt.IsZero() {
		k.toRunner(f, r.Buffered() >= wire.HeaderSize, wait)
		return nil
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
	k.toRunner(f, false, true)
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
	out := k.out
	k.mu.Unlock()
	if out == nil {
		return link.ErrLost
	}
	return out.Send(h, m, nil)
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
		k.conn, k.out, k.up, k.lastErr = nil, nil, false, err
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
func (k *linkKeeper) setRunner(out *relay.Outbox) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runner = out
	if k.up {
		k.tellLocked(true, "")
	}
	k.sayLeft()
}

// toRunner passes a frame of an attempt on; if more follow at once, with them.
func (k *linkKeeper) toRunner(f *wire.Frame, more, wait bool) {
	if !k.m.o.Tap(false, f) {
		return
	}
	k.mu.Lock()
	out := k.runner
	if over := f.Type == wire.TypeReturn || f.Type == wire.TypeUnknown || f.Type == wire.TypeRefuse; over && f.Attempt == k.attempt {
		k.attempt = wire.ID{}
	}
	k.mu.Unlock()
	switch {
	case out == nil:
	case more:
		out.Hold(f)
	default:
		out.Put(f)
	}
	if out != nil && wait {
		_ = out.Wait() // so that no more is read than is taken
	}
}

// hasty reports whether a frame of the runner can be given to the clone at once.
func (k *linkKeeper) hasty(h wire.Header) bool {
	if k == nil || k.m.tapped || h.Type == wire.TypeCancel || h.BodyLen > relay.DirectLimit/2 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out == nil || k.out.Free()
}

// toCloneNow is toClone for a frame that hasty was asked about.
func (k *linkKeeper) toCloneNow(f *wire.Frame, r *wire.Reader) error {
	if err := r.ReadBody(f); err != nil {
		return err
	}
	out, _ := k.route(f)
	switch {
	case out == nil:
	case f.Type == wire.TypeAck:
		out.Hold(f) // it frees memory at the node; nobody waits
	default:
		out.Put(f)
	}
	return nil
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
	out, c := k.route(f)
	switch {
	case out == nil:
		if k.m.tapped {
			return nil
		}
		err := r.ReadBody(f)
		f.Recycle()
		return err
	case k.m.tapped:
	case f.Type == wire.TypeCancel:
		if err := r.ReadBody(f); err != nil {
			return err
		}
	default:
		readErr, _ := out.Relay(f, r)
		return readErr
	}
	if f.Type == wire.TypeCancel {
		_ = wire.NewWriter(c.Control()).WriteFrame(f)
		return nil
	}
	out.Put(f)
	_ = out.Wait()
	return nil
}

// route notes which attempt lives and says where its frames go: nowhere while
// the link is down.
func (k *linkKeeper) route(f *wire.Frame) (*relay.Outbox, link.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch f.Type {
	case wire.TypeCall, wire.TypePageHashes:
		k.attempt = f.Attempt
	case wire.TypeCancel:
		if f.Attempt == k.attempt {
			k.attempt = wire.ID{}
		}
	}
	if k.out == nil {
		// It waits for an answer that cannot come: it may have missed the news.
		k.sayDown("the link is down")
	}
	return k.out, k.conn
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
func (k *linkKeeper) switchOff(reason string) {
	k.abandon(reason)
	k.cancel(reason)
	k.close()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sayDown(reason)
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
	c, out, attempt := k.conn, k.out, k.attempt
	k.mu.Unlock()
	if c == nil {
		return
	}
	if !attempt.IsZero() {
		h := wire.Header{Type: wire.TypeCancel, Run: k.m.run, Attempt: attempt}
		_ = wire.NewWriter(c.Control()).Send(h, &wire.Cancel{Reason: reason}, nil)
	}
	_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	_ = out.Send(k.head(wire.TypeRunClose), &wire.RunClose{Reason: reason}, nil)
	_ = out.Wait()
}

// close ends the link.
func (k *linkKeeper) close() {
	k.cancel("the run has ended")
	k.countNow()
	k.stop(errors.New("closed"))
	for _, r := range k.dial {
		r.Close()
	}
}

// upload sends the chunks that the node lacks.
func (k *linkKeeper) upload(m *wire.ModuleWant) error {
	k.mu.Lock()
	out, module := k.out, k.module
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
	return sendModule(out, k.m.run, module, m.Chunks)
}
