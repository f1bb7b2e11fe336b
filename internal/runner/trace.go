package runner

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/profile"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// Span is a call that ran on the device: its function, when it began and how
// long it took, in nanoseconds of the run.
type Span struct {
	Func  uint32
	Began int64
	Nanos int64
}

// Phases are the parts of a call that moved, in seconds and in this order.
// Capture and Apply are the device's, Enter (the call's memory made the clone's)
// and Compute the clone's own measurement. What is left of the time between is
// the link's; how it divides into Upload and Download is by bytes and the link's
// measured rates.
type Phases struct {
	Capture, Upload, Enter, Compute, Download, Apply float64
}

// instants are when the phases of an attempt ended, in nanoseconds of the run.
type instants struct {
	began, captured, returned int64
	enter                     time.Duration
}

func (r *deviceRun) instant() int64 { return int64(time.Since(r.epoch)) }

// noteTime remembers when the message of an attempt passed.
func (r *deviceRun) noteTime(msg proto.Message) {
	switch m := msg.(type) {
	case *wire.Call:
		r.live.times.captured = r.instant() // the last one is that with the memory
	case *wire.Applied:
		r.live.times.enter = time.Duration(m.ApplyNanos)
	case *wire.Return:
		r.live.times.returned = r.instant()
	}
}

// attempted notes in profile and report what became of an attempt.
func (r *deviceRun) attempted(k int, args []uint64, report *Call, end offload.DeviceAction) {
	report.Began = seconds(r.live.times.began)
	if in, ok := end.(offload.Install); ok {
		report.Phases = r.phases(time.Duration(in.Return.ComputeNanos))
	}
	if r.profile != nil {
		report.Context = r.profile.context()
		r.profile.arrived(k, args, end)
	}
}

// phases divides the time of an attempt that was committed.
func (r *deviceRun) phases(compute time.Duration) *Phases {
	t, now := &r.live.times, r.instant()
	if t.captured == 0 || t.returned < t.captured {
		return nil
	}
	p := &Phases{
		Capture: seconds(t.captured - t.began), Enter: t.enter.Seconds(), Compute: compute.Seconds(), Apply: seconds(now - t.returned),
	}
	link := max(seconds(t.returned-t.captured)-p.Enter-p.Compute, 0)
	state, _ := r.pipe.linkState()
	up := part(r.live.up, state.UpBytesPerSecond, state)
	down := part(r.live.down, state.DownBytesPerSecond, state)
	p.Upload = link / 2
	if up+down > 0 {
		p.Upload = link * up / (up + down)
	}
	p.Download = link - p.Upload
	return p
}

// part is what one way of a call is expected to take, or its bytes where the
// link's rates are not known.
func part(bytes int64, rate float64, link *wire.LinkState) float64 {
	if link.UpBytesPerSecond <= 0 || link.DownBytesPerSecond <= 0 {
		return float64(bytes)
	}
	return float64(bytes)/rate + link.RttSeconds/2
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

const (
	// shortestSpan is the least call that a trace shows: shorter ones cannot be
	// seen beside a network.
	shortestSpan = 20 * time.Microsecond
	// maxSpans bounds the calls of a trace, and spansPerEvent those of one Event.
	maxSpans      = 200_000
	spansPerEvent = 500
)

// tracing gathers the calls that ran here. A nil one gathers nothing.
type tracing struct {
	spans []Span
	told  int
}

func (t *tracing) call(p *pipe, l profile.Left) {
	if t == nil || l.Nanos < int64(shortestSpan) || t.told+len(t.spans) >= maxSpans {
		return
	}
	t.spans = append(t.spans, Span{l.Func, l.Began, l.Nanos})
	if len(t.spans) >= spansPerEvent {
		t.flush(p)
	}
}

func (t *tracing) flush(p *pipe) {
	if t == nil || len(t.spans) == 0 {
		return
	}
	p.tell(Event{Spans: t.spans})
	t.told += len(t.spans)
	t.spans = t.spans[:0]
}
