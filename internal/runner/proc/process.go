package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Errors that callers branch on, found in what Start returns.
var (
	// ErrNoChild means that the command ran and was no child of ours: it ended,
	// or said something else, or nothing within the time to start.
	ErrNoChild = errors.New("the command did not become a runner")
)

// Process is a child, seen from its parent. All methods may be called from any
// goroutine.
type Process struct {
	conn        io.ReadWriteCloser
	process     *os.Process
	confinement Confinement
	done        chan struct{} // closed when the child is reaped

	mu       sync.Mutex
	status   Status
	killed   bool
	timedOut bool
	limit    time.Time   // when the child is to be ended; zero: never
	timer    *time.Timer // calls expire; nil: none is set
	fires    time.Time   // when it does
}

// Status tells how a child ended.
type Status struct {
	// Code is the exit code, or -1 if a signal ended the child.
	Code int
	// Text is the operating system's account, such as "signal: killed".
	Text string
	// Killed means that Kill or the time limit ended it; TimedOut the latter.
	Killed, TimedOut bool
	// UserTime and SystemTime are the processor time of the child.
	UserTime, SystemTime time.Duration
}

// Start starts a child and waits until it reports that it is confined.
func Start(c Config) (*Process, error) {
	c, err := c.populate()
	if err != nil {
		return nil, err
	}
	p := &Process{done: make(chan struct{})}
	s, err := spawn(c, p.reaped)
	if err != nil {
		return nil, fmt.Errorf("start runner %q: %w", c.Command[0], err)
	}
	p.conn, p.process = s.conn, s.process
	if p.confinement, err = p.greet(c.StartTimeout); err != nil {
		_ = p.Kill()
		_ = p.conn.Close()
		return nil, fmt.Errorf("start runner %q: %w (%s): %w", c.Command[0], ErrNoChild, p.Wait().Text, err)
	}
	p.SetTimeLimit(c.TimeLimit)
	return p, nil
}

// greet reads the child's report. A child that says nothing is killed by the
// timer, which ends the read.
func (p *Process) greet(limit time.Duration) (Confinement, error) {
	slow := time.AfterFunc(limit, func() { _ = p.Kill() })
	defer slow.Stop()
	return readHello(p.conn)
}

// Conn returns the parent's end of the stream; on Linux it is a
// *poll.Conn, elsewhere in Unix a *net.UnixConn. Closing it ends the child; it
// is the caller's to close.
func (p *Process) Conn() io.ReadWriteCloser { return p.conn }

// Pid returns the process id of the command. It is for messages: a signal to it
// could reach another process once this one is gone.
func (p *Process) Pid() int { return p.process.Pid }

// Confinement returns what is in force in the child, by its own report.
func (p *Process) Confinement() Confinement { return p.confinement }

// SetTimeLimit ends the child after d from now, in place of any earlier limit;
// zero lifts the limit. It is cheap: a timer that is set for an earlier time
// stays, and looks again when it fires.
func (p *Process) SetTimeLimit(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = time.Time{}
	if d <= 0 || p.ended() {
		return
	}
	p.limit = time.Now().Add(d)
	if p.timer == nil || p.limit.Before(p.fires) {
		p.setTimer(d)
	}
}

// setTimer has expire called after d. mu is held.
func (p *Process) setTimer(d time.Duration) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.fires = time.Now().Add(d)
	p.timer = time.AfterFunc(d, p.expire)
}

// expire kills the child if its time is over, and else waits for that.
func (p *Process) expire() {
	p.mu.Lock()
	left := time.Until(p.limit)
	switch {
	case p.limit.IsZero() || p.ended():
		p.timer = nil
	case left > 0:
		p.setTimer(left)
	default:
		p.timedOut = true
		p.mu.Unlock()
		_ = p.Kill()
		return
	}
	p.mu.Unlock()
}

// Kill ends the child at once, whatever it does, and returns when it is reaped.
// It may be called again, and on a child that has ended by itself.
func (p *Process) Kill() error {
	p.mu.Lock()
	if !p.ended() {
		p.killed = true
	}
	p.mu.Unlock()
	err := p.process.Kill()
	// A command that started the runner as a process of its own dies without it;
	// the stream's end reaches the runner itself.
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("kill runner: %w", err)
	}
	<-p.done
	return nil
}

// Done returns a channel that is closed once the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns how the child ended, once it has.
func (p *Process) Wait() Status {
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// reaped is called once, by the goroutine that waited for the child.
func (p *Process) reaped(state *os.ProcessState, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = Status{Code: -1, Killed: p.killed, TimedOut: p.timedOut && p.killed}
	switch {
	case err != nil:
		p.status.Text = fmt.Sprintf("wait for runner: %v", err)
	default:
		p.status.Code, p.status.Text = state.ExitCode(), state.String()
		p.status.UserTime, p.status.SystemTime = state.UserTime(), state.SystemTime()
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	close(p.done)
}

// spawned is what the platform's spawn gives.
type spawned struct {
	conn    io.ReadWriteCloser
	process *os.Process
}
