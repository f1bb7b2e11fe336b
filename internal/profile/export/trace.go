package export

import (
	"encoding/json"
	"fmt"
	"io"
)

// Timeline is one run, in seconds of the run.
type Timeline struct {
	App     string
	Spans   []Span // calls that ran on the device
	Moved   []Moved
	Dropped int // spans that were too many
}

// Span is a call that ran on the device.
type Span struct {
	Function       string
	Began, Seconds float64
}

// Moved is a call that was sent to the clone.
type Moved struct {
	Function, Context, Reason string
	Began, Seconds            float64
	Failed                    bool // it ran on the device in the end
	Up, Down                  int64
	// The phases, in this order; zeros if they are not known.
	Capture, Upload, Enter, Compute, Download, Apply float64
}

// Tracks of a trace: the threads of its one process.
const (
	onDevice = 1 + iota
	onLink
	onClone
)

// event is an entry of the Trace Event Format. Times are microseconds.
type event struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"` // X: a complete span; M: a name
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	TS    float64        `json:"ts"`
	Dur   float64        `json:"dur,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// Trace writes a run as a JSON trace with three tracks: device, link and clone.
func Trace(w io.Writer, t *Timeline) error {
	events := []event{{Name: "process_name", Phase: "M", PID: 1, Args: map[string]any{"name": t.App}}}
	for tid, name := range map[int]string{onDevice: "device", onLink: "link", onClone: "clone"} {
		events = append(events,
			event{Name: "thread_name", Phase: "M", PID: 1, TID: tid, Args: map[string]any{"name": name}},
			event{Name: "thread_sort_index", Phase: "M", PID: 1, TID: tid, Args: map[string]any{"sort_index": tid}})
	}
	for _, s := range t.Spans {
		events = append(events, span(onDevice, s.Function, s.Began, s.Seconds))
	}
	for i := range t.Moved {
		events = t.Moved[i].append(events)
	}
	other := map[string]any{"app": t.App}
	if t.Dropped > 0 {
		other["droppedCalls"] = t.Dropped
	}
	err := json.NewEncoder(w).Encode(map[string]any{"displayTimeUnit": "ms", "traceEvents": events, "otherData": other})
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

func span(track int, name string, began, seconds float64) event {
	return event{Name: name, Phase: "X", PID: 1, TID: track, TS: began * 1e6, Dur: seconds * 1e6}
}

func (m *Moved) append(events []event) []event {
	whole := span(onDevice, m.Function, m.Began, m.Seconds)
	whole.Args = map[string]any{"context": m.Context, "reason": m.Reason, "bytesUp": m.Up, "bytesDown": m.Down, "where": "clone"}
	if m.Failed {
		whole.Args["where"] = "device"
		return append(events, whole)
	}
	events = append(events, whole)
	if m.Capture+m.Upload+m.Enter+m.Compute+m.Download+m.Apply == 0 {
		return events
	}
	at := m.Began
	for _, phase := range []struct {
		track   int
		name    string
		seconds float64
	}{
		{onDevice, "capture", m.Capture},
		{onLink, "upload", m.Upload},
		{onClone, "enter", m.Enter},
		{onClone, m.Function, m.Compute},
		{onLink, "download", m.Download},
		{onDevice, "apply", m.Apply},
	} {
		e := span(phase.track, phase.name, at, phase.seconds)
		at += phase.seconds
		switch phase.name {
		case "upload":
			e.Args = map[string]any{"function": m.Function, "bytes": m.Up}
		case "download":
			e.Args = map[string]any{"function": m.Function, "bytes": m.Down}
		}
		events = append(events, e)
	}
	return events
}
