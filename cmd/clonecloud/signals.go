package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signalled is why a context ends when a person, or whoever started us, wants
// this process to end.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return s.String() }

// Is makes it a cancellation for whoever only knows those.
func (signalled) Is(target error) bool { return target == context.Canceled }

// untilSignal returns a context that ends with the first Ctrl-C or SIGTERM. The
// second ends this process at once.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(signalled{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// interruptCode is the exit code of a run that a signal ended: what a shell
// shows for a program that the signal has killed, 128 and its number, so that
// scripts and service managers can tell a Ctrl-C (130) from a SIGTERM (143).
func interruptCode(ctx context.Context) int {
	if s, ok := context.Cause(ctx).(signalled); ok { //nolint:errorlint // the cause itself
		if n, ok := s.Signal.(syscall.Signal); ok {
			return 128 + int(n)
		}
	}
	return exitInterrupt
}
