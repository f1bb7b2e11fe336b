package link

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// candidate is one way to the peer.
type candidate struct {
	transport string
	addr      string
	after     time.Duration // head start of those before it
}

// race tries the candidates, each after its delay or as soon as all earlier
// ones have failed, and returns the first success. Later successes are dropped.
// The error is a final one if there was any, else all of them.
func race[T any](ctx context.Context, cands []candidate, try func(context.Context, candidate) (T, error), drop func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var zero T
	raceCtx, cancel := context.WithCancelCause(ctx)
	results := make(chan result, len(cands))
	start := time.Now()
	begun, running := 0, 0
	begin := func() {
		c := cands[begun]
		begun++
		running++
		go func() {
			v, err := try(raceCtx, c)
			results <- result{v, err}
		}()
	}
	// finish cancels the others and drops what they still bring.
	finish := func(cause error) {
		cancel(cause)
		go func(n int) {
			for range n {
				if r := <-results; r.err == nil {
					drop(r.v)
				}
			}
		}(running)
	}
	var errs []error
	for {
		for begun < len(cands) && (running == 0 || time.Since(start) >= cands[begun].after) {
			begin()
		}
		if running == 0 {
			cancel(nil)
			return zero, unreachable(errs)
		}
		var next <-chan time.Time
		var timer *time.Timer
		if begun < len(cands) {
			timer = time.NewTimer(cands[begun].after - time.Since(start))
			next = timer.C
		}
		select {
		case r := <-results:
			running--
			if r.err == nil || final(r.err) {
				finish(errors.New("another attempt won"))
				return r.v, r.err
			}
			errs = append(errs, r.err)
		case <-next:
		case <-ctx.Done():
			finish(context.Cause(ctx))
			return zero, unreachable(append(errs, context.Cause(ctx)))
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// final reports an answer by the peer itself that no other address can better.
// A wrong peer is not one: an old address may be somebody else's by now.
func final(err error) bool {
	return fatal(err) && !errors.Is(err, ErrWrongPeer)
}

// unreachable joins what the candidates died of. Who answered anything was
// reached.
func unreachable(errs []error) error {
	all := errors.Join(errs...)
	for _, e := range []error{ErrWrongPeer, ErrDraining, ErrBusy, ErrNoPairing} {
		if errors.Is(all, e) {
			return all
		}
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, all)
}
